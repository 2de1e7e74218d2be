//! The running agent is confined: it gave up privileges, system calls and paths, says so, and starts again when what it
//! confined itself to is replaced.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use kit::events::{Maker, log_of};
use kit::process::{self, Running};
use kit::{FakeStore, LogWriter, wait_for};
use rustix::process::Signal;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

struct Place {
    dir: TempDir,
    store: FakeStore,
    made: Maker,
    written: usize,
}

impl Place {
    fn new(top: &str) -> Self {
        let (dir, store) = (tempfile::tempdir().unwrap(), FakeStore::new());
        let text = format!(
            "{top}node = \"n\"\nstate_dir = \"{0}/state\"\ndisk = {{ min_free = \"0%\" }}\n[server]\nlisten = \"off\"\n\
             [inputs.api]\ntype = \"file\"\npath = \"{0}/log/audit.log\"\nrescan = \"100ms\"\nhold = {{ min_free = \"0%\" }}\n\
             [outputs.loki]\ntype = \"loki\"\nendpoint = \"{1}\"\n",
            dir.path().display(),
            store.url
        );
        fs::create_dir(dir.path().join("log")).unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/auditrail.toml"), text).unwrap();
        Self { dir, store, made: Maker::from(jiff::Timestamp::now()), written: 0 }
    }

    /// A place whose agent runs and has delivered a first event.
    fn running(top: &str) -> (Self, Running) {
        let mut place = Self::new(top);
        place.write();
        let agent = place.start();
        place.all_arrived();
        (place, agent)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&mut self) {
        self.written += 1;
        let line = self.made.event(200).line;
        LogWriter::new(self.path("log/audit.log")).append(format!("{line}\n").as_bytes());
    }

    fn start(&self) -> Running {
        let mut command = process::run(&self.path("etc/auditrail.toml"));
        Running::spawn(process::log_to(&mut command, &self.path("agent.log")))
    }

    fn all_arrived(&self) {
        wait_for("all events to arrive", LIMIT, || match self.store.state().stored.len() {
            stored if stored == self.written => Ok(()),
            stored => Err(format!("{stored} of {}; {}", self.written, self.said())),
        });
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap()
    }
}

fn ended(agent: &mut Running) -> ExitStatus {
    wait_for("the agent to end", LIMIT, || agent.ended().ok_or_else(|| "it runs".to_owned()))
}

/// A value of `/proc/PID/task/TID/status`, of each thread.
fn of_threads(id: u32, name: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).unwrap().flatten();
    let statuses =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
    let value = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    statuses.map(value).collect()
}

#[test]
fn every_thread_of_the_agent_is_confined_and_all_arrives_through_rotations() {
    let (mut place, mut agent) = Place::running("");
    let (filters, privileges) =
        (of_threads(agent.id(), "Seccomp"), of_threads(agent.id(), "NoNewPrivs"));
    assert!(filters.len() > 3 && filters.iter().all(|mode| mode == "2"), "{filters:?}");
    assert!(privileges.iter().all(|no| no == "1"), "{privileges:?}");
    for _ in 0..3 {
        LogWriter::new(place.path("log/audit.log")).rotate_now();
        place.write();
        place.all_arrived();
    }
    assert_eq!(agent.ended(), None);
    assert!(agent.stop().success(), "{}", place.said());
    assert!(place.said().contains("the agent confined itself"), "{}", place.said());
}

#[test]
fn a_log_directory_that_was_made_anew_restarts_the_agent_and_nothing_is_lost_or_doubled() {
    let (mut place, mut agent) = Place::running("");
    fs::remove_dir_all(place.path("log")).unwrap();
    fs::create_dir(place.path("log")).unwrap();
    place.write();
    assert_eq!(ended(&mut agent).code(), Some(1), "{}", place.said());
    let why = format!("{} was replaced since the start", place.path("log").display());
    assert!(place.said().contains(&why), "{}", place.said());
    let agent = place.start();
    place.all_arrived();
    place.write();
    place.all_arrived();
    assert!(agent.stop().success(), "{}", place.said());
}

#[test]
fn an_agent_that_shall_not_confine_itself_says_so() {
    let (place, agent) = Place::running("confine = false\n");
    let before = of_threads(std::process::id(), "Seccomp");
    assert_eq!(of_threads(agent.id(), "Seccomp")[0], before[0]);
    assert!(agent.stop().success());
    assert!(place.said().contains("`confine` is false"), "{}", place.said());
}

/// A command with this configuration, and what it prints with `-v`.
fn command(place: &Place, name: &str, path: &str) -> Command {
    let mut command = Command::new(process::binary());
    command.args(["-v", name, "-c"]).arg(place.path("etc/auditrail.toml")).arg(path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_replay_of_standard_input_is_confined_before_it_reads() {
    let mut place = Place::new("");
    let mut replay = command(&place, "replay", "-").spawn().unwrap();
    wait_for("the replay to be confined", LIMIT, || {
        let filters = of_threads(replay.id(), "Seccomp");
        let whole = filters.len() > 1 && filters.iter().all(|mode| mode == "2");
        if whole { Ok(()) } else { Err(format!("{filters:?}")) }
    });
    let line = place.made.event(200).line + "\n";
    replay.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    let said = replay.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(place.store.state().stored.len(), 1);
}

#[test]
fn a_confined_replay_and_verify_read_what_the_command_line_names() {
    let mut place = Place::new("");
    let events: Vec<_> = (0..20).map(|_| place.made.event(200)).collect();
    let elsewhere = tempfile::tempdir().unwrap();
    let (folder, file) = (elsewhere.path().join("logs"), elsewhere.path().join("copied"));
    fs::create_dir(&folder).unwrap();
    fs::write(&file, log_of(&events)).unwrap();
    symlink(&file, folder.join("audit.log")).unwrap();
    for name in ["replay", "verify"] {
        let said = command(&place, name, folder.to_str().unwrap()).output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{name}: {text}");
        assert!(text.contains("the command confined itself to what it needs"), "{name}: {text}");
        assert!(!text.contains("not confined"), "{name}: {text}");
        assert_eq!(place.store.state().stored.len(), events.len(), "{name}");
    }
}

#[test]
fn a_configuration_that_an_editor_replaced_is_reloaded() {
    let (mut place, agent) = Place::running("");
    let path = place.path("etc/auditrail.toml");
    let text = fs::read_to_string(&path).unwrap();
    let policy = place.path("etc/policy.yaml");
    fs::write(&policy, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n")
        .unwrap();
    reload(
        &place,
        &agent,
        &path,
        &format!("{text}transform = {{ policy_file = {policy:?} }}\n"),
        "reloaded",
    );
    // A file elsewhere was not allowed at the start.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("policy.yaml");
    fs::copy(&policy, &other).unwrap();
    reload(
        &place,
        &agent,
        &path,
        &format!("{text}transform = {{ policy_file = {other:?} }}\n"),
        "Permission denied",
    );
    place.write();
    place.all_arrived();
    assert!(agent.stop().success());
}

/// Puts another file into the place of the configuration, as editors do, and waits for this text in the log.
fn reload(place: &Place, agent: &Running, path: &Path, text: &str, says: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
    let before = place.said().len();
    agent.signal(Signal::HUP);
    wait_for("the reload", LIMIT, || {
        let said = place.said()[before..].to_owned();
        if said.contains(says) { Ok(()) } else { Err(said) }
    });
}
