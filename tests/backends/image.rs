//! The container image of a release: it holds the binary, the certificates of the public authorities and nothing else,
//! its index names both architectures, and it runs under the restrictions of the DaemonSet.
//!
//! The kubelet is played by `systemd-nspawn`: a root file system that is read-only, one capability, no new privileges, a
//! filter of system calls, and the volumes of the pod. That is as near as a machine without a container runtime comes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::artifacts::{self, Arch};
use crate::container;
use kit::process::{Running, log_to};
use kit::{free_port, tail, wait_for};

const LIMIT: Duration = Duration::from_mins(1);
/// `CAP_DAC_READ_SEARCH` (capability.h), the only capability of the pod.
const CAPABILITIES: &str = "0000000000000004";
/// Every other capability that `systemd-nspawn` would leave to the container (systemd-nspawn(1)). It has a word for all
/// of them, which takes that one too.
const DROPPED: &str = "CAP_AUDIT_CONTROL,CAP_AUDIT_WRITE,CAP_CHOWN,CAP_DAC_OVERRIDE,CAP_FOWNER,CAP_FSETID,\
    CAP_IPC_OWNER,CAP_KILL,CAP_LEASE,CAP_LINUX_IMMUTABLE,CAP_MKNOD,CAP_NET_BIND_SERVICE,CAP_NET_BROADCAST,\
    CAP_NET_RAW,CAP_SETFCAP,CAP_SETGID,CAP_SETPCAP,CAP_SETUID,CAP_SYS_ADMIN,CAP_SYS_BOOT,CAP_SYS_CHROOT,\
    CAP_SYS_NICE,CAP_SYS_PTRACE,CAP_SYS_RESOURCE,CAP_SYS_TTY_CONFIG";

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn must(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

/// An unpacked image layout.
struct Layout {
    dir: TempDir,
}

impl Layout {
    fn unpack(archive: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        must(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(dir.path()));
        Self { dir }
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.dir.path().join(name)).unwrap()).unwrap()
    }

    /// The path of the blob that a descriptor names. Its digest and size are checked.
    fn blob(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let path = self.dir.path().join("blobs/sha256").join(digest);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(descriptor["size"], bytes.len(), "{digest}");
        assert_eq!(hex(&bytes), digest);
        path
    }

    fn read(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&fs::read(self.blob(descriptor)).unwrap()).unwrap()
    }

    /// The manifest of each architecture, by the architecture's name.
    fn manifests(&self) -> BTreeMap<String, Value> {
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

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// The items of a list of strings in the DaemonSet.
fn listed(key: &str) -> Vec<String> {
    let text = fs::read_to_string(project("etc/kubernetes/daemonset.yaml")).unwrap();
    let after = text.split(&format!(" {key}:\n")).nth(1).unwrap();
    let items = after.lines().map_while(|line| line.trim().strip_prefix("- "));
    items.map(str::to_owned).collect()
}

#[test]
fn the_image_holds_the_binary_and_certificates_for_each_architecture() {
    let Some(archive) = artifacts::image() else { return };
    let layout = Layout::unpack(&archive);
    assert_eq!(layout.json("oci-layout")["imageLayoutVersion"], "1.0.0");
    let manifests = layout.manifests();
    assert_eq!(manifests.len(), Arch::ALL.len());
    for arch in Arch::ALL {
        let manifest = &manifests[arch.debian()];
        let config = layout.read(&manifest["config"]);
        assert_eq!(config["architecture"], arch.debian());
        assert_eq!(config["config"]["Entrypoint"][0], listed("command")[0]);
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        let layer = layout.blob(&manifest["layers"][0]);
        let plain = Command::new("gzip").arg("-dc").arg(&layer).output().unwrap().stdout;
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", hex(&plain)));
        let listing = must(Command::new("tar").arg("-tvzf").arg(&layer));
        let files: Vec<_> = listing.lines().filter(|line| !line.starts_with('d')).collect();
        assert_eq!(files.len(), 2, "{listing}");
        assert!(listing.lines().all(|line| line.contains(" 0/0 ")), "owned by root: {listing}");
        let root = tempfile::tempdir().unwrap();
        must(Command::new("tar").arg("-xzf").arg(&layer).arg("-C").arg(root.path()));
        let inside = fs::read(root.path().join("usr/local/bin/auditrail")).unwrap();
        assert!(inside == fs::read(artifacts::binary(arch).unwrap()).unwrap(), "another binary");
        let roots = root.path().join("etc/ssl/certs/ca-certificates.crt");
        let count = fs::read_to_string(roots).unwrap().matches("BEGIN CERTIFICATE").count();
        assert!(count > 50, "{count} certificates");
    }
}

/// The pod: the root of the image, and the volumes beside it.
struct Pod {
    dir: TempDir,
}

impl Pod {
    fn new(layout: &Layout) -> Self {
        let pod = Self { dir: tempfile::tempdir().unwrap() };
        let layer = layout.blob(&layout.manifests()[Arch::own().debian()]["layers"][0]);
        // The runtime makes the folders on which it mounts something.
        for mount in [
            "proc",
            "sys",
            "dev",
            "run",
            "tmp",
            "etc/auditrail",
            "var/log/kubernetes/audit",
            "var/lib/auditrail",
        ] {
            fs::create_dir_all(pod.path("root").join(mount)).unwrap();
        }
        must(Command::new("tar").arg("-xzf").arg(&layer).arg("-C").arg(pod.path("root")));
        for volume in ["config", "log", "state"] {
            fs::create_dir(pod.path(volume)).unwrap();
        }
        for entry in fs::read_dir(project("etc/recorded/audit")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), pod.path("log").join(entry.file_name())).unwrap();
        }
        let config = format!(
            "node = \"cp-1\"\ndisk = {{ min_free = \"1MiB\" }}\n\
             [inputs.apiserver]\ntype = \"file\"\npath = \"/var/log/kubernetes/audit/audit.log\"\n\
             [outputs.events]\ntype = \"file\"\npath = \"/var/lib/auditrail/events.ndjson\"\n\
             [server]\nlisten = \"127.0.0.1:{}\"\n",
            free_port()
        );
        fs::write(pod.path("config").join("auditrail.toml"), config).unwrap();
        pod
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the image's entry point with the arguments of the DaemonSet.
    fn start(&self, log: &Path) -> Running {
        let bind = |kind: &str, volume: &str, to: &str| {
            format!("--{kind}={}:{to}", self.path(volume).display())
        };
        let mut command = Command::new("systemd-nspawn");
        command
            .args(["--quiet", "--register=no", "--keep-unit", "--console=pipe", "--read-only"])
            .arg(format!("--drop-capability={DROPPED}"))
            .args(["--no-new-privileges=yes", "--kill-signal=SIGTERM"])
            .args(["--resolv-conf=off", "--timezone=off", "--link-journal=no"])
            .arg(format!("--directory={}", self.path("root").display()))
            .arg(bind("bind-ro", "config", "/etc/auditrail"))
            .arg(bind("bind", "log", "/var/log/kubernetes/audit"))
            .arg(bind("bind", "state", "/var/lib/auditrail"))
            .arg("--")
            .arg(&listed("command")[0])
            .args(listed("args"))
            .stdin(Stdio::null());
        Running::spawn(log_to(&mut command, log))
    }
}

/// The process that runs the image's binary, by its ID on this machine.
fn agent_below(nspawn: u32) -> Result<u32, String> {
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

#[test]
fn the_image_works_under_the_restrictions_of_the_daemonset() {
    let Some(archive) = artifacts::image() else { return };
    if !container::possible() {
        return;
    }
    let pod = Pod::new(&Layout::unpack(&archive));
    let log = pod.path("console.log");
    let mut nspawn = pod.start(&log);
    let agent = wait_for("the agent to start", LIMIT, || {
        assert!(nspawn.ended().is_none(), "it ended: {}", tail(&log, 20));
        agent_below(nspawn.id())
    });
    let events = pod.path("state").join("events.ndjson");
    wait_for("all events to arrive", LIMIT, || {
        assert!(nspawn.ended().is_none(), "it ended: {}", tail(&log, 20));
        match fs::read_to_string(&events).unwrap_or_default().lines().count() {
            4900 => Ok(()),
            found => Err(format!("{found} of 4900: {}", tail(&log, 5))),
        }
    });

    let status = fs::read_to_string(format!("/proc/{agent}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(field(set), CAPABILITIES, "{set}");
    }
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".into(), "2".into()));
    assert_eq!((field("Uid:"), field("Gid:")), ("0 0 0 0".into(), "0 0 0 0".into()));
    let mounts = fs::read_to_string(format!("/proc/{agent}/mountinfo")).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro"), "{root}");

    // The probes are commands, which run in the container.
    let inside = ["--target", &agent.to_string(), "--mount", "--root", "--wd", "--"];
    let probe = ["/usr/local/bin/auditrail", "probe", "ready", "--state", "/var/lib/auditrail"];
    must(Command::new("nsenter").args(inside).args(probe));

    kill_process(Pid::from_raw(agent.try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let ended = wait_for("the pod to end", LIMIT, || nspawn.ended().ok_or_else(String::new));
    assert!(ended.success(), "{ended}: {}", tail(&log, 20));
    assert!(pod.path("log").join(".auditrail-hold").is_dir(), "no links were made");
}
