//! The static program on a machine that has nothing else: no library, no shell, no package. Laid out like the nodes of
//! kubeadm, RKE2 and K3s, `init`, `check` and `run` bring the first event to the store within ten seconds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::SignedDuration;
use kit::events::{Maker, log_of};
use kit::process::{Running, log_to};
use kit::{LogWriter, tail, wait_for};
use tempfile::TempDir;

use crate::artifacts::{self, Arch};
use crate::container;
use crate::layout::{Layout, usual_port};
use crate::loki::Loki;
use crate::pod::{agent_below, must};
use rustix::process::{Pid, Signal, kill_process};

/// The operator should see the first event within this time of the start.
const FIRST_EVENT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_mins(1);
const SELECTOR: &str = "{cluster=\"test\"}";

/// Runs the program in a container of its own, whose root this is.
fn auditrail(root: &Path) -> Command {
    let mut command = Command::new("systemd-nspawn");
    command
        .args([
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--kill-signal=SIGTERM",
        ])
        .args(["--resolv-conf=off", "--timezone=off", "--link-journal=no"])
        .arg(format!("--directory={}", root.display()))
        .args(["--", "/usr/local/bin/auditrail"])
        .stdin(Stdio::null());
    command
}

fn first_contact(layout: Layout, program: &Path) {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("root");
    let installed = root.join("usr/local/bin/auditrail");
    fs::create_dir_all(installed.parent().unwrap()).unwrap();
    fs::copy(program, &installed).unwrap();
    fs::set_permissions(&installed, fs::Permissions::from_mode(0o755)).unwrap();
    layout.write(&root);
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<_> = (0..50).map(|_| maker.event(300)).collect();
    LogWriter::new(root.join(layout.log().trim_start_matches('/'))).append(&log_of(&events));
    let loki = Loki::stand_in(kit::store::loki::Settings::raised());

    let said = must(auditrail(&root).args(["init", "--cluster", "test", "--loki", &loki.url()]));
    assert!(said.contains(layout.log()), "{said}");
    must(auditrail(&root).arg("check"));
    let log = dir.path().join("console.log");
    let mut nspawn = Running::spawn(log_to(auditrail(&root).arg("run"), &log));
    wait_for("the first event to be in the store", FIRST_EVENT, || {
        assert!(nspawn.ended().is_none(), "it ended: {}", tail(&log, 20));
        match loki.count(SELECTOR, &events)? {
            0 => Err("none is there".to_owned()),
            _ => Ok(()),
        }
    });
    loki.wait_count(SELECTOR, &events, LIMIT);
    let agent = agent_below(nspawn.id()).unwrap();
    kill_process(Pid::from_raw(agent.try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let ended = wait_for("the agent to end", LIMIT, || nspawn.ended().ok_or_else(String::new));
    assert!(ended.success(), "{ended}: {}", tail(&log, 20));
    loki.assert_holds(SELECTOR, &events);
}

#[test]
fn the_program_alone_delivers_within_seconds_on_nodes_of_kubeadm_rke2_and_k3s() {
    let Some(program) = artifacts::binary(Arch::own()) else { return };
    if !container::possible() {
        return;
    }
    let _port = usual_port();
    for layout in Layout::ALL {
        first_contact(layout, &program);
    }
}
