//! The unit file in a real systemd: can the agent do all of its work under the restrictions (sandboxing), and are these
//! in force?
//!
//! The test runs once as root, which is the unit's default, and once as a user of its own, with
//! `systemd/own-user.conf`.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::SignedDuration;

use crate::container::{self, Container, Usr};
use crate::corpus;
use crate::elastic::Elastic;
use crate::loki::{self, Loki};
use kit::events::{Expected, Maker, expected, log_of};
use kit::{LogWriter, free_port, tables, wait_for};

mod probe;

const LIMIT: Duration = Duration::from_mins(1);
/// A path in the container.
const LOGS: &str = "/var/log/kubernetes/audit";
const STREAM: &str = "logs-kubernetes.audit_logs-confined";

/// The user that runs the agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum As {
    Root,
    OwnUser,
}

impl As {
    fn user(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::OwnUser => "auditrail",
        }
    }
}

/// A node: the unit installed in a container as the README says, a recorded log, and two stores outside of the
/// container.
struct Node {
    container: Container,
    loki: Loki,
    elastic: Elastic,
    selector: String,
    events: Vec<Expected>,
    maker: Maker,
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Opens or creates a file that only its owner can read (0600), as the API server and an administrator do.
fn private(path: &Path) -> File {
    File::options().create(true).append(true).mode(0o600).open(path).unwrap()
}

impl Node {
    fn start(user: As) -> Self {
        let loki = Loki::stand_in(kit::store::loki::Settings::raised());
        let elastic = Elastic::stand_in(kit::store::elastic::Settings::default());
        let (job, selector) = loki::job("confined");
        let mut events = Vec::new();
        let container = Container::boot(Usr::WithBuiltBinary, |root| {
            let logs = root.join(LOGS.trim_start_matches('/'));
            let mut private_dir = fs::DirBuilder::new();
            private_dir.recursive(true).mode(0o700).create(&logs).unwrap();
            for name in [
                "audit-2026-11-21T07-30-38.108.log.gz",
                "audit-2026-11-21T07-31-08.527.log.gz",
                "audit.log",
            ] {
                let from = project("etc/recorded/audit").join(name);
                private(&logs.join(name)).write_all(&fs::read(&from).unwrap()).unwrap();
                events.extend(expected(&corpus::read(&from).unwrap()));
            }
            private_dir.create(root.join("etc/auditrail")).unwrap();
            let config = format!(
                "node = \"cp-1\"\ncluster = \"test\"\ndisk = {{ min_free = \"1MiB\" }}\n\
                 transform = {{ redact = \"off\", omit_managed_fields = false, max_event_bytes = \"off\" }}\n\
                 [server]\nlisten = \"127.0.0.1:{}\"\n{}{}{}",
                free_port(),
                tables::input("apiserver", &Path::new(LOGS).join("audit.log")),
                tables::loki(&loki.url(), &job, "timeout = \"2s\""),
                tables::elasticsearch(&elastic.url(), STREAM, "timeout = \"2s\"")
            );
            private(&root.join("etc/auditrail/auditrail.toml"))
                .write_all(config.as_bytes())
                .unwrap();
            install(root, user);
        });
        if user == As::OwnUser {
            container.must("systemd-sysusers");
        }
        let maker = Maker::from_ago(SignedDuration::from_mins(10));
        Self { container, loki, elastic, selector, events, maker }
    }

    fn log(&self) -> PathBuf {
        self.container.path(LOGS).join("audit.log")
    }

    /// Plays the API server: appends events to the log.
    fn append(&mut self, count: usize) {
        let new: Vec<_> = (0..count).map(|_| self.maker.event(300)).collect();
        LogWriter::new(self.log()).append(&log_of(&new));
        self.events.extend(new);
    }

    /// Plays the API server: rotates the log. Returns the path of the backup.
    fn rotate(&self, stamp: &str) -> PathBuf {
        let mut log = LogWriter::new(self.log());
        let backup = log.rotate(format!("audit-2026-11-22T{stamp}.log"));
        log.create();
        backup
    }

    fn wait_delivered(&self) {
        self.loki.wait_count(&self.selector, &self.events, LIMIT);
        self.elastic.wait_count(STREAM, self.events.len(), LIMIT);
    }

    /// Paths of the links beside the log.
    fn links(&self) -> Vec<PathBuf> {
        let hold = self.container.path(LOGS).join(".auditrail-hold");
        fs::read_dir(hold).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    fn is_linked(&self, file: &Path) -> bool {
        let wanted = fs::metadata(file).unwrap().ino();
        self.links().iter().any(|link| fs::metadata(link).is_ok_and(|meta| meta.ino() == wanted))
    }

    /// Waits until systemd has restarted the service this many times, and the service is ready.
    fn wait_restarts(&self, restarts: u32) {
        wait_for("systemd to start the agent anew", LIMIT, || {
            let found =
                (self.container.property("NRestarts"), self.container.property("ActiveState"));
            if found == (restarts.to_string(), "active".to_owned()) {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        });
    }
}

/// Installs the unit as the README says, with a shorter watchdog time-out and restart delay, so that the test need not
/// wait.
fn install(root: &Path, user: As) {
    let etc = root.join("etc");
    let units = etc.join("systemd/system");
    let dropins = units.join("auditrail.service.d");
    fs::create_dir_all(&dropins).unwrap();
    fs::copy(project("systemd/auditrail.service"), units.join("auditrail.service")).unwrap();
    fs::write(dropins.join("test.conf"), "[Service]\nWatchdogSec=6\nRestartSec=1\n").unwrap();
    if user == As::OwnUser {
        fs::copy(project("systemd/own-user.conf"), dropins.join("own-user.conf")).unwrap();
        fs::create_dir_all(etc.join("sysusers.d")).unwrap();
        fs::copy(project("systemd/auditrail.sysusers"), etc.join("sysusers.d/auditrail.conf"))
            .unwrap();
    }
}

fn works_confined(user: As) {
    if !container::possible() {
        return;
    }
    let mut node = Node::start(user);
    // `check` warns about a log without an event for two days, so the log gets some.
    node.append(50);
    node.container.must("auditrail check --strict");
    // The unit has Type=notify, so this returns once the agent has reported that it is ready.
    node.container.must("systemctl enable --now auditrail");
    node.wait_delivered();

    // Rotation and compression, and the link that preserves bytes that are not delivered yet.
    node.append(50);
    node.wait_delivered();
    assert!(node.is_linked(&node.log()), "no link of the log among {:?}", node.links());
    let hold = fs::metadata(node.container.path(LOGS).join(".auditrail-hold")).unwrap();
    let uid = node.container.must(&format!("id -u {}", user.user()));
    assert_eq!((hold.mode() & 0o7777, hold.uid().to_string()), (0o700, uid));
    let backup = node.rotate("08-00-00.000");
    node.append(50);
    assert!(Command::new("gzip").arg("--force").arg(&backup).status().unwrap().success());
    node.wait_delivered();

    // A backup is deleted while Loki is down and the agent is stopped: only its link still holds the events.
    node.loki.kill();
    node.append(50);
    wait_for("a link of the log", LIMIT, || {
        if node.is_linked(&node.log()) { Ok(()) } else { Err(format!("{:?}", node.links())) }
    });
    node.container.must("systemctl stop auditrail");
    fs::remove_file(node.rotate("09-00-00.000")).unwrap();
    node.append(50);
    node.container.must("systemctl start auditrail");
    node.container.must("systemctl restart auditrail");
    node.loki.resume();
    node.wait_delivered();

    // SIGKILL, and an agent that hangs: systemd restarts it.
    node.append(200);
    node.container.must("systemctl kill --signal=KILL auditrail");
    node.append(50);
    node.wait_restarts(1);
    node.wait_delivered();
    node.container.must("systemctl kill --signal=STOP auditrail");
    node.append(50);
    node.wait_restarts(2);
    let journal = node.container.must("journalctl --no-pager --unit=auditrail");
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    // The unit brings the filter of system calls, and lets the agent ask Landlock for the rest.
    let confined = "paths=\"confined\" system_calls=\"confined by the service manager\"";
    assert!(journal.contains(confined), "{journal}");
    node.wait_delivered();

    node.container.must("systemctl reload auditrail");
    wait_for("the reload to be logged", LIMIT, || {
        let journal = node.container.must("journalctl --no-pager --unit=auditrail");
        if journal.contains("reload") { Ok(()) } else { Err(journal) }
    });
    let status = node.container.must("auditrail status");
    assert!(status.contains("apiserver") && status.contains("loki"), "{status}");

    probe::is_in_force(&node.container, user);
    node.append(10);
    node.wait_delivered();
    node.container.must("systemctl stop auditrail");
    assert_eq!(node.container.property("Result"), "success");
    node.loki.assert_holds(&node.selector, &node.events);
    node.elastic.assert_holds(STREAM, &node.events);
    // Delivered files need no link. The link of the live log remains while the agent is stopped.
    assert!(node.links().len() <= 2, "{:?}", node.links());
}

/// Every event arrives exactly once, through rotation, restart, kill and hang, while all restrictions of the unit are
/// in force.
#[test]
fn the_unit_as_it_comes_does_its_work_in_a_real_systemd() {
    works_confined(As::Root);
}

/// The same as a user of its own that may only connect to this machine.
#[test]
fn as_a_user_of_its_own_the_agent_does_its_work_in_a_real_systemd() {
    works_confined(As::OwnUser);
}
