//! The binaries of a release do what the README's quick start says, on each architecture: on this machine's as they are,
//! on the other one under qemu.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::artifacts::{self, Arch};
use crate::corpus;
use crate::servers::say;
use kit::events::expected;
use kit::process::{Running, log_to};
use kit::{free_port, tail, wait_for};

/// Under qemu, on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A command that runs a release binary here.
fn command(arch: Arch, binary: &Path) -> Command {
    match arch.emulator() {
        None => Command::new(binary),
        Some(emulator) => {
            let mut command = Command::new(emulator);
            command.arg(binary);
            command
        }
    }
}

/// The recorded events by what identifies them, and how often each is there.
fn recorded() -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root().join("etc/recorded/audit")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension != "md") {
            for event in expected(&corpus::read(&path).unwrap()) {
                *found.entry((event.audit_id, event.stage)).or_default() += 1;
            }
        }
    }
    found
}

/// The same of a file that the agent wrote.
fn written(file: &Path) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        *found.entry((text("auditID"), text("stage"))).or_default() += 1;
    }
    found
}

/// The quick start's configuration, with everything that the agent writes below `dir`.
fn quickstart(dir: &Path) -> PathBuf {
    let text = fs::read_to_string(root().join("etc/quickstart.toml")).unwrap();
    let text = text
        .replace("target/quickstart", dir.to_str().unwrap())
        .replace("127.0.0.1:9885", &format!("127.0.0.1:{}", free_port()));
    let path = dir.join("quickstart.toml");
    fs::write(&path, text).unwrap();
    path
}

fn the_quick_start_works(arch: Arch) {
    if !Arch::released().contains(&arch) {
        say("not run: AUDITRAIL_RELEASE_ARCHITECTURES leaves it out");
        return;
    }
    let Some(binary) = artifacts::binary(arch) else { return };
    let version = command(arch, &binary).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let target = format!("{}-unknown-linux-musl", arch.rust());
    assert!(version.starts_with(concat!("auditrail ", env!("CARGO_PKG_VERSION"))), "{version}");
    assert!(version.contains(&target) && !version.contains("unknown,"), "{version}");

    let dir = tempfile::tempdir().unwrap();
    let config = quickstart(dir.path());
    let log = dir.path().join("log");
    let mut run = command(arch, &binary);
    run.args(["run", "-c"]).arg(&config).current_dir(root()).stdin(Stdio::null());
    let mut agent = Running::spawn(log_to(&mut run, &log));
    let events = dir.path().join("events.ndjson");
    let recorded = recorded();
    let count = recorded.values().sum::<usize>();
    assert_eq!(count, 4900, "the README says how many there are");
    wait_for("all events to arrive", LIMIT, || {
        assert!(agent.ended().is_none(), "it ended: {}", tail(&log, 20));
        match fs::read_to_string(&events).unwrap_or_default().lines().count() {
            found if found >= count => Ok(()),
            found => Err(format!("{found} of {count}: {}", tail(&log, 5))),
        }
    });
    assert!(agent.stop().success(), "{}", tail(&log, 20));
    assert!(written(&events) == recorded, "other events were written than recorded");
}

#[test]
fn the_binary_for_x86_64_delivers_the_recorded_log_once() {
    the_quick_start_works(Arch::X86);
}

#[test]
fn the_binary_for_arm64_delivers_the_recorded_log_once() {
    the_quick_start_works(Arch::Arm);
}
