//! Full and read-only disks (ENOSPC, EROFS), made with a small tmpfs under the state directory, the file output or the
//! log. The agent reports why it stopped. Once there is room again, it has lost and duplicated nothing.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;

use kit::agent::Agent;
use kit::events::{EventLog, expected};
use kit::store::Counting;
use kit::{FakeStore, tables, wait_for};

/// Time-out for each wait, long enough for a slow machine.
const SOON: Duration = Duration::from_secs(150);

/// A mounted tmpfs; it is unmounted on drop.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Returns `None` and prints NOT TESTED if mounting is not allowed. In CI the test fails instead.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            other => {
                let why = format!("NOT TESTED: a tmpfs cannot be mounted here: {other:?}");
                assert!(std::env::var_os("CI").is_none(), "{why}");
                eprintln!("{why}");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }

    /// Fills the disk. Returns the file to remove to make room again.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        while file.write_all(b"7").is_ok() {}
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A log, and everything written to it so far.
struct Stage {
    dir: tempfile::TempDir,
    log: EventLog,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit/audit.log");
        Self { log: EventLog::from_ago(SignedDuration::from_mins(5), log), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, out: &Path) -> Agent {
        let tables = tables::input("apiserver", self.log.log.live()) + &tables::archive(out);
        Agent::start(self.dir.path(), &tables)
    }

    fn wait(&self, out: &Path) {
        wait_for("every byte to arrive", SOON, || {
            let (found, wanted) = (events(out).len(), self.log.written.len());
            if found >= wanted { Ok(()) } else { Err(format!("{found} of {wanted} bytes")) }
        });
    }

    /// Fails unless the output has exactly the bytes that were written, gaps aside.
    fn check(&self, out: &Path) {
        assert!(events(out) == self.log.written, "{} of {}", length(out), self.log.written.len());
    }
}

/// The content of the output, without the lines of gaps.
fn events(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_default();
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(br#"{"kind":"Gap""#)).flatten().copied().collect()
}

fn length(path: &Path) -> usize {
    fs::metadata(path).map_or(0, |meta| usize::try_from(meta.len()).unwrap())
}

/// Waits until a number has stopped growing and returns it.
fn rest(number: impl Fn() -> u64) -> u64 {
    let mut last = number();
    wait_for("the output to stand still", SOON, || {
        thread::sleep(Duration::from_millis(1500));
        let now = number();
        if std::mem::replace(&mut last, now) == now { Ok(now) } else { Err(format!("{now}")) }
    })
}

/// While the checkpoint cannot be written, an output that cannot be truncated gets no more bytes than the checkpoint
/// has reserved.
#[test]
fn a_state_directory_that_becomes_read_only_stops_what_is_sent_until_it_can_be_written_again() {
    let (mut stage, server) = (Stage::new(), Counting::start());
    let Some(disk) = Tmpfs::mount(&stage.path("state"), "8m") else { return };
    let url = format!("http://{}", server.address);
    let more = "setup_template = \"never\"\ncompression = \"none\"";
    let tables = tables::input("apiserver", &stage.path("audit/audit.log"))
        + &tables::elasticsearch(&url, "logs-a-b", more);
    stage.log.write(20, 300);
    let mut agent = Agent::start(stage.dir.path(), &tables);
    let arrived = |wanted: u64| {
        wait_for("every event to arrive", SOON, || match server.elasticsearch_events() {
            found if found == wanted => Ok(()),
            found => Err(format!("{found} of {wanted}")),
        });
    };
    arrived(20);
    // A mount with files open for writing cannot be remounted read-only, so cover it with a read-only bind mount.
    let mount = |arguments: &[&str]| {
        assert!(Command::new("mount").args(arguments).arg(&disk.0).status().unwrap().success());
    };
    mount(&["--bind", disk.0.to_str().unwrap()]);
    mount(&["-o", "remount,bind,ro"]);
    // One reservation is 64 MiB. At most one more may be in the last checkpoint.
    stage.log.write(140, 1 << 20);
    let sent = rest(|| server.elasticsearch_events());
    assert!(sent < 20 + 130, "{sent} events of a megabyte were sent all the same");
    let said = agent.wait_readyz(503, SOON);
    assert!(said.contains("checkpoint.json") && said.contains("Read-only file system"), "{said}");
    assert!(Command::new("umount").arg(&disk.0).status().unwrap().success());
    arrived(20 + 140);
    agent.wait_readyz(200, SOON);
    agent.stop_done();
    assert_eq!(server.elasticsearch_events(), 160, "something came twice");
}

/// A file output goes on without checkpoints, since the next start truncates the file to the length in the last
/// checkpoint.
#[test]
fn a_kill_while_the_state_directory_has_no_room_loses_and_doubles_nothing() {
    let mut stage = Stage::new();
    let out = stage.path("out");
    let Some(disk) = Tmpfs::mount(&stage.path("state"), "8m") else { return };
    stage.log.write(20, 300);
    let mut agent = stage.start(&out);
    stage.wait(&out);
    disk.fill();
    // A checkpoint that was being written replaced another one by a rename, which freed room for the next. So fill the
    // disk again.
    thread::sleep(Duration::from_millis(2500));
    let filler = disk.fill();
    stage.log.write(500, 2000);
    let said = wait_for("the checkpoint to be the reason", SOON, || match agent.readyz()? {
        (503, text) if text.contains("checkpoint.json") => Ok(text),
        (status, text) => Err(format!("{status}: {text}")),
    });
    assert!(said.contains("No space left") && said.contains("`state_dir`"), "{said}");
    stage.wait(&out);
    agent.kill();
    fs::remove_file(filler).unwrap();
    agent.resume();
    stage.log.write(5, 100);
    stage.wait(&out);
    agent.wait_readyz(200, SOON);
    agent.stop_done();
    stage.check(&out);
}

#[test]
fn a_file_output_without_room_stops_and_goes_on_where_it_was() {
    let mut stage = Stage::new();
    let Some(disk) = Tmpfs::mount(&stage.path("disk"), "3m") else { return };
    let out = stage.path("disk/out");
    stage.log.write(60, 100_000);
    let mut agent = stage.start(&out);
    let said = wait_for("the output to have stopped", SOON, || match agent.readyz()? {
        (503, text) if text.contains("No space left") => Ok(text),
        (status, text) => Err(format!("{status}: {text}")),
    });
    assert!(said.contains("output archive"), "{said}");
    let (code, said) = agent.probe(&["ready"]);
    assert!(code == Some(1) && said.contains("disk/out: No space left"), "{said}");
    let whole = fs::read(&out).unwrap();
    assert!(stage.log.written.starts_with(&whole), "half a line is left in the file");
    agent.kill();
    disk.remount("size=32m");
    agent.resume();
    stage.log.write(5, 100);
    stage.wait(&out);
    agent.stop_done();
    stage.check(&out);
}

/// State 6: a full disk tore a line of the API server, and the server appended the next event to the torn line (glued
/// events).
#[test]
fn a_line_that_a_full_disk_tore_is_told_and_the_event_glued_to_it_is_delivered() {
    let mut stage = Stage::new();
    let Some(disk) = Tmpfs::mount(&stage.path("audit"), "1m") else { return };
    let out = stage.path("out");
    stage.log.write(20, 1000);
    let mut agent = stage.start(&out);
    stage.wait(&out);
    let filler = disk.fill();
    // Only the rest of the log's last page is left, so the line is torn.
    let mut log = OpenOptions::new().append(true).open(stage.path("audit/audit.log")).unwrap();
    let torn = stage.log.maker.event(20_000).line;
    let error = log.write_all(torn.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let left = length(&stage.path("audit/audit.log")) - stage.log.written.len();
    assert!((1..torn.len()).contains(&left), "{left} bytes of {}", torn.len());
    fs::remove_file(filler).unwrap();
    // The agent delivers the torn part with a newline behind it.
    stage.log.written.extend_from_slice(format!("{}\n", &torn[..left]).as_bytes());
    stage.log.write(3, 500);
    stage.wait(&out);
    assert_eq!(agent.count("auditrail_input_torn_lines_total", &[]), 1);
    agent.stop_done();
    let told = |line: &&str| line.contains(r#""kind":"Gap""#) && line.contains("torn_line");
    assert_eq!(fs::read_to_string(&out).unwrap().lines().filter(told).count(), 1);
    stage.check(&out);
}

/// Hard links (pins) keep three backups that the API server deleted, and the disk of the log gets full. The agent
/// removes the oldest links and reports exactly the lost bytes as gaps.
#[test]
fn links_give_way_when_the_disk_of_the_log_has_less_than_min_free_and_the_loss_is_told() {
    let mut stage = Stage::new();
    let Some(_disk) = Tmpfs::mount(&stage.path("audit"), "8m") else { return };
    let store = FakeStore::new();
    store.state().down = Some(503);
    let input = tables::input("apiserver", &stage.path("audit/audit.log"));
    let little = "max_age = \"5ms\", max_bytes = \"64KiB\"";
    let output = tables::search(&store.url, "in_flight = 1").replace("max_age = \"5ms\"", little);
    let mut agent = Agent::start(stage.dir.path(), &(input + &output));
    let backups: Vec<_> =
        (1..4).map(|hour| format!("audit-2026-11-21T0{hour}-00-00.000.log")).collect();
    let pins = || agent.count("auditrail_hold_pins", &[]);
    for (number, backup) in (1_u64..).zip(&backups) {
        stage.log.write(150, 9000);
        stage.log.log.rotate(backup);
        stage.log.write(1, 100);
        wait_for("a link to each", SOON, || {
            if pins() > number { Ok(()) } else { Err(pins().to_string()) }
        });
    }
    for backup in &backups {
        fs::remove_file(stage.log.log.beside(backup)).unwrap();
    }
    // Leave half a MiB free, where `min_free` asks for one.
    let filler = vec![0; (8 << 20) - stage.log.written.len() - (512 << 10)];
    fs::write(stage.path("audit/filler"), filler).unwrap();
    wait_for(
        "links to give way",
        SOON,
        || {
            if pins() < 4 { Ok(()) } else { Err(pins().to_string()) }
        },
    );
    store.state().down = None;
    stage.log.write(1, 100);
    let wanted = expected(&stage.log.written);
    let last = wanted.last().unwrap().audit_id.clone();
    wait_for("the last to arrive", SOON, || {
        let documents = store.documents();
        let arrived = documents.values().any(|(document, _)| document.contains(&last));
        if arrived { Ok(()) } else { Err(documents.len().to_string()) }
    });
    agent.stop_done();
    let documents = store.documents();
    assert!(documents.values().all(|(_, times)| *times == 1));
    let (mut missing, mut told) = (stage.log.written.len(), 0);
    for (document, _) in documents.values() {
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        if let Some(bytes) = document["gap"]["bytes"].as_u64() {
            told += usize::try_from(bytes).unwrap();
        } else {
            let id = document["auditID"].as_str().unwrap();
            let event = wanted.iter().find(|event| event.audit_id == id).unwrap();
            missing -= event.line.len() + 1;
        }
    }
    assert!(missing > 0 && missing == told, "{missing} bytes are lost, {told} are told");
}
