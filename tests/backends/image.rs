//! The container image of a release: it holds the binary, the certificates of the public authorities and nothing else,
//! its index names both architectures, and it runs under the restrictions of the DaemonSet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::artifacts::{self, Arch};
use crate::container;
use crate::pod::{self, ImageLayout, Mount, agent_below, hex, must};
use kit::process::{Running, log_to};
use kit::{free_port, tail, wait_for};

const LIMIT: Duration = Duration::from_mins(1);
/// `CAP_DAC_READ_SEARCH` (capability.h), the only capability of the pod.
const CAPABILITIES: &str = "0000000000000004";
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
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
    let layout = ImageLayout::unpack(&archive);
    assert_eq!(layout.json("oci-layout")["imageLayoutVersion"], "1.0.0");
    let manifests = layout.manifests();
    assert_eq!(manifests.len(), Arch::released().len());
    for arch in Arch::released() {
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
    fn new(layout: &ImageLayout) -> Self {
        let pod = Self { dir: tempfile::tempdir().unwrap() };
        layout.root(&pod.path("root"));
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
        let mount = |volume: &str, to: &str, read_only| Mount {
            from: self.path(volume),
            to: to.to_owned(),
            read_only,
        };
        let mounts = [
            mount("config", "/etc/auditrail", true),
            mount("log", "/var/log/kubernetes/audit", false),
            mount("state", "/var/lib/auditrail", false),
        ];
        let mut command = pod::command(&self.path("root"), &mounts, &[]);
        command.arg(&listed("command")[0]).args(listed("args"));
        Running::spawn(log_to(&mut command, log))
    }
}

#[test]
fn the_image_works_under_the_restrictions_of_the_daemonset() {
    let Some(archive) = artifacts::image() else { return };
    if !container::possible() {
        return;
    }
    let pod = Pod::new(&ImageLayout::unpack(&archive));
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
