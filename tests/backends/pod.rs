//! Containers that play a pod: the root file system of an image, and the volumes of the pod.
//!
//! `systemd-nspawn` plays the container runtime: a root file system that is read-only, one capability, no new
//! privileges, a filter of system calls. That is as near as a machine without a container runtime comes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::artifacts::Arch;

/// Where a pod of the DaemonSet has mounts.
const MOUNTS: [&str; 8] = [
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "etc/auditrail",
    "var/log/kubernetes/audit",
    "var/lib/auditrail",
];
/// Every other capability that `systemd-nspawn` would leave to the container (systemd-nspawn(1)). It has a word for all
/// of them, which takes that one too.
const DROPPED: &str = "CAP_AUDIT_CONTROL,CAP_AUDIT_WRITE,CAP_CHOWN,CAP_DAC_OVERRIDE,CAP_FOWNER,CAP_FSETID,\
    CAP_IPC_OWNER,CAP_KILL,CAP_LEASE,CAP_LINUX_IMMUTABLE,CAP_MKNOD,CAP_NET_BIND_SERVICE,CAP_NET_BROADCAST,\
    CAP_NET_RAW,CAP_SETFCAP,CAP_SETGID,CAP_SETPCAP,CAP_SETUID,CAP_SYS_ADMIN,CAP_SYS_BOOT,CAP_SYS_CHROOT,\
    CAP_SYS_NICE,CAP_SYS_PTRACE,CAP_SYS_RESOURCE,CAP_SYS_TTY_CONFIG";

pub(crate) fn must(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

/// An unpacked image layout.
pub(crate) struct ImageLayout {
    dir: TempDir,
}

impl ImageLayout {
    pub(crate) fn unpack(archive: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        must(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(dir.path()));
        Self { dir }
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.dir.path().join(name)).unwrap()).unwrap()
    }

    /// The path of the blob that a descriptor names. Its digest and size are checked.
    pub(crate) fn blob(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let path = self.dir.path().join("blobs/sha256").join(digest);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(descriptor["size"], bytes.len(), "{digest}");
        assert_eq!(hex(&bytes), digest);
        path
    }

    pub(crate) fn read(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&fs::read(self.blob(descriptor)).unwrap()).unwrap()
    }

    /// Unpacks the file system of this machine's architecture, with the folders on which the runtime mounts something.
    pub(crate) fn root(&self, root: &Path) {
        for mount in MOUNTS {
            fs::create_dir_all(root.join(mount)).unwrap();
        }
        let layer = self.blob(&self.manifests()[Arch::own().debian()]["layers"][0]);
        must(Command::new("tar").arg("-xzf").arg(&layer).arg("-C").arg(root));
    }

    /// The manifest of each architecture, by the architecture's name.
    pub(crate) fn manifests(&self) -> BTreeMap<String, Value> {
        let index = self.json("index.json");
        let index = self.read(&index["manifests"][0]);
        let manifests = index["manifests"].as_array().unwrap().iter();
        manifests
            .map(|descriptor| {
                assert_eq!(descriptor["platform"]["os"], "linux");
                let arch = descriptor["platform"]["architecture"].as_str().unwrap();
                (arch.to_owned(), self.read(descriptor))
            })
            .collect()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// A directory of the machine that the container sees.
pub(crate) struct Mount {
    pub(crate) from: PathBuf,
    /// The path in the container.
    pub(crate) to: String,
    pub(crate) read_only: bool,
}

/// Starts a container with this root, when the program and its arguments are added. SIGTERM is for the program itself:
/// see [`agent_below`].
pub(crate) fn command(root: &Path, mounts: &[Mount], variables: &[(String, String)]) -> Command {
    let mut command = Command::new("systemd-nspawn");
    command
        .args(["--quiet", "--register=no", "--keep-unit", "--console=pipe", "--read-only"])
        .arg(format!("--drop-capability={DROPPED}"))
        .args(["--no-new-privileges=yes", "--kill-signal=SIGTERM"])
        .args(["--resolv-conf=off", "--timezone=off", "--link-journal=no"])
        .arg(format!("--directory={}", root.display()));
    for Mount { from, to, read_only } in mounts {
        let kind = if *read_only { "bind-ro" } else { "bind" };
        command.arg(format!("--{kind}={}:{to}", from.display()));
    }
    for (name, value) in variables {
        command.arg(format!("--setenv={name}={value}"));
    }
    command.arg("--").stdin(Stdio::null());
    command
}

/// The process that runs the image's binary, by its ID on this machine.
pub(crate) fn agent_below(nspawn: u32) -> Result<u32, String> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let found = pids.filter(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let above = std::iter::successors(parent(*pid), |pid| parent(*pid));
        name == "auditrail\n" && above.take(5).any(|pid| pid == nspawn)
    });
    found.min().ok_or_else(|| "it does not run yet".to_owned())
}
