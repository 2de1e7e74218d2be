//! Exactly-once delivery while the log grows, rotates and is compressed and the agent is killed: the output has exactly
//! the bytes that were written.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use kit::agent::Agent;
use kit::events::EventLog;
use kit::log_writer::{backup_name, compress};
use kit::{tables, wait_for};

struct Stage {
    dir: tempfile::TempDir,
    server: EventLog,
    rotations: i64,
    began: Timestamp,
    tables: String,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ago = SignedDuration::from_mins(5);
        let server = EventLog::from_ago(ago, dir.path().join("audit/audit.log"));
        let tables = tables::input("apiserver", server.log.live())
            + &tables::archive(&dir.path().join("out"));
        Self { dir, server, rotations: 0, began: Timestamp::now(), tables }
    }

    /// Rotates the log, a second after the last rotation by the name of the backup. Returns its path.
    fn rotate(&mut self) -> PathBuf {
        self.rotations += 1;
        let stamp = self.began + SignedDuration::from_secs(self.rotations);
        self.server.log.rotate(backup_name(stamp))
    }

    fn start(&self) -> Agent {
        Agent::start(self.dir.path(), &self.tables)
    }

    fn wait(&self) {
        let out = self.dir.path().join("out");
        wait_for("every byte to arrive", Duration::from_secs(40), || {
            let found = fs::metadata(&out).map_or(0, |meta| meta.len());
            let wanted = self.server.written.len() as u64;
            if found >= wanted { Ok(()) } else { Err(format!("{found} of {wanted} bytes")) }
        });
    }

    /// Fails unless the output has exactly the bytes that were written.
    fn check(&self) {
        let found = fs::read(self.dir.path().join("out")).unwrap();
        let wanted = &self.server.written;
        let same = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        assert!(
            found == *wanted,
            "{} bytes of {}, the same up to {same}",
            found.len(),
            wanted.len()
        );
    }
}

#[test]
fn a_log_that_grows_rotates_and_is_compressed_arrives_byte_for_byte() {
    let mut stage = Stage::new();
    stage.server.write(50, 300);
    let mut agent = stage.start();
    for round in 0..8 {
        stage.server.write(200, 400);
        thread::sleep(Duration::from_millis(30));
        let backup = stage.rotate();
        // The next file begins at once, 100 ms later, or only after the backup was compressed; rounds differ.
        match round % 3 {
            0 => stage.server.write(1, 100),
            1 => thread::sleep(Duration::from_millis(100)),
            _ => {}
        }
        compress(&backup);
    }
    stage.server.write(20, 300);
    stage.wait();
    agent.stop_done();
    stage.check();
}

#[test]
fn rotations_while_the_agent_is_down_are_made_good() {
    let mut stage = Stage::new();
    stage.server.write(100, 400);
    let mut agent = stage.start();
    stage.wait();
    agent.stop_done();
    for _ in 0..4 {
        stage.server.write(150, 400);
        let backup = stage.rotate();
        compress(&backup);
    }
    stage.server.write(150, 400);
    agent.resume();
    stage.wait();
    agent.stop_done();
    stage.check();
}

#[test]
fn sigkill_in_the_middle_of_rotations_loses_and_doubles_nothing() {
    let mut stage = Stage::new();
    stage.server.write(100, 400);
    let mut agent = stage.start();
    let mut uncompressed: Option<PathBuf> = None;
    for round in 0..24 {
        stage.server.write(120, 600);
        if round % 3 == 1
            && let Some(backup) = uncompressed.replace(stage.rotate())
        {
            compress(&backup);
        }
        thread::sleep(Duration::from_millis(60));
        if round % 4 == 3 {
            agent.kill();
            agent.resume();
        }
    }
    stage.wait();
    agent.stop_done();
    stage.check();
}

#[test]
fn a_deleted_backup_is_counted_and_the_rest_arrives() {
    let mut stage = Stage::new();
    stage.tables = stage.tables.replace("min_free = \"1MiB\"", "max_bytes = 0");
    stage.server.write(50, 300);
    let mut agent = stage.start();
    stage.wait();
    // The checkpoint now holds a cursor in the live file.
    agent.stop_done();
    // The API server writes more to that file, and the file is deleted before the agent reads the rest.
    stage.server.write(50, 300);
    let kept = stage.server.written.clone();
    let backup = stage.rotate();
    fs::remove_file(backup).unwrap();
    stage.server.write(50, 300);
    let after = stage.server.written[kept.len()..].to_vec();
    agent.resume();
    let found = wait_for("the new file to arrive", Duration::from_secs(20), || {
        let found = fs::read(stage.dir.path().join("out")).unwrap();
        if found.ends_with(&after) { Ok(found) } else { Err(format!("{} bytes", found.len())) }
    });
    assert!(kept.starts_with(&found[..found.len() - after.len()]), "something else was delivered");
    wait_for("the gap to be counted", Duration::from_secs(20), || {
        match agent.count("auditrail_gaps_total", &[("reason", "backup_gone")]) {
            1 => Ok(()),
            other => Err(format!("{other} gaps")),
        }
    });
    agent.stop_done();
    let all = fs::read_to_string(stage.dir.path().join("out")).unwrap();
    let gap = &all[found.len()..];
    assert!(gap.starts_with(r#"{"kind":"Gap","apiVersion":"auditrail/v1","#), "{gap}");
    assert!(gap.contains(r#""reason":"backup_gone""#) && gap.lines().count() == 1, "{gap}");
}

#[test]
fn a_backup_deleted_while_the_agent_was_down_arrives_all_the_same() {
    let mut stage = Stage::new();
    stage.server.write(50, 300);
    let mut agent = stage.start();
    stage.wait();
    agent.stop_done();
    stage.server.write(50, 300);
    fs::remove_file(stage.rotate()).unwrap();
    stage.server.write(50, 300);
    agent.resume();
    stage.wait();
    agent.stop_done();
    stage.check();
}

#[test]
fn a_line_of_megabytes_passes_whole() {
    let mut stage = Stage::new();
    stage.server.write(5, 300);
    stage.server.write(2, 6 << 20);
    stage.server.write(5, 300);
    let mut agent = stage.start();
    stage.wait();
    agent.stop_done();
    stage.check();
}

/// After a rotation the new log is empty for a moment, and it has no fingerprint before its first event.
#[test]
fn the_first_event_of_an_empty_log_does_not_wait_for_the_next_rescan() {
    let mut stage = Stage::new();
    fs::write(stage.server.log.live(), "").unwrap();
    stage.tables = stage.tables.replace("\"500ms\"", "\"10m\"");
    let mut agent = stage.start();
    agent.wait_readyz(200, Duration::from_secs(10));
    // By now the agent has scanned the directory and found a log without a fingerprint.
    thread::sleep(Duration::from_millis(500));
    stage.server.write(1, 200);
    stage.wait();
    agent.stop_done();
    stage.check();
}
