//! Short downtimes of the agent: events that the API server wrote and deleted meanwhile are inside a gap, and all
//! others arrive exactly once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use kit::agent::Agent;
use kit::events::{Expected, Maker, reaches_over};
use kit::{LogWriter, tables, wait_for};

const BACKUPS: usize = 2;
const FILE: Duration = Duration::from_millis(100);

/// How long the log of the second test pauses.
const PAUSE: Duration = Duration::from_millis(2500);

/// Writes as the API server does: an event every few milliseconds, a rotation after each [`FILE`], and it deletes the
/// oldest backup.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Expected>>,
}

impl Writer {
    fn start(log: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut log, ended) = (LogWriter::new(log), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut all = Vec::new();
            let mut backups: Vec<PathBuf> = Vec::new();
            let mut made = Maker::from(Timestamp::now());
            while !ended.load(Ordering::Relaxed) {
                let began = Instant::now();
                log.create();
                while began.elapsed() < FILE {
                    made.set(Timestamp::now());
                    let event = made.event(200);
                    log.append(format!("{}\n", event.line).as_bytes());
                    all.push(event);
                    thread::sleep(Duration::from_millis(3));
                }
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                backups.push(log.rotate_now());
                if backups.len() > BACKUPS {
                    fs::remove_file(backups.remove(0)).unwrap();
                }
            }
            all
        });
        Self { stop, thread }
    }

    fn stop(self) -> Vec<Expected> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Waits until each event has arrived or is inside a gap; fails on a duplicate. Returns how many events did not arrive,
/// and the gaps.
fn account(archive: &Path, all: &[Expected]) -> (usize, Vec<Value>) {
    wait_for("all to be there or inside a gap", Duration::from_secs(30), || {
        let (mut events, mut gaps) = (BTreeMap::<_, usize>::new(), Vec::new());
        for line in fs::read_to_string(archive).unwrap().lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if line["kind"] == "Gap" {
                gaps.push(line["gap"].take());
            } else {
                *events.entry(line["auditID"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        let often = events.iter().find(|(_, times)| **times > 1);
        assert_eq!(often, None, "an event that arrived more than once");
        // A gap without a beginning or an end would cover any lost event.
        let bounded = |gap: &Value| gap["from"].is_string() && gap["to"].is_string();
        assert!(gaps.iter().all(bounded), "{gaps:?}");
        let lost: Vec<_> = all.iter().filter(|one| !events.contains_key(&one.audit_id)).collect();
        let told = |one: &&&Expected| gaps.iter().any(|gap| reaches_over(gap, one.ns));
        let untold = lost.len() - lost.iter().filter(told).count();
        if untold > 0 {
            return Err(format!("{untold} of {} lost events are in no gap: {gaps:?}", lost.len()));
        }
        Ok((lost.len(), gaps))
    })
}

/// The API server rotates ten times a second and keeps two backups, so it deletes an event a moment after writing it.
#[test]
fn two_seconds_without_an_agent_at_ten_rotations_a_second_are_a_gap_each_time() {
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("audit/audit.log");
    fs::create_dir(log.parent().unwrap()).unwrap();
    let archive = dir.path().join("archive");
    let writer = Writer::start(&log);
    let tables = tables::input("apiserver", &log) + &tables::archive(&archive);
    let mut agent = Agent::start(dir.path(), &tables);
    let away = [2000, 1700, 2300, 2000];
    for (times, milliseconds) in away.into_iter().enumerate() {
        // The agent is killed at another offset in a file each time.
        thread::sleep(Duration::from_millis(1500 + 23 * times as u64));
        agent.kill();
        thread::sleep(Duration::from_millis(milliseconds));
        agent.resume();
    }
    thread::sleep(Duration::from_secs(2));
    let all = writer.stop();

    let (lost, gaps) = account(&archive, &all);
    assert!(gaps.len() >= away.len(), "{gaps:?}");
    assert!(lost > 100, "{lost} lost: nothing was shown");
    agent.stop_done();
}

/// The log pauses for longer than the missing part lasts, so the times of events do not show the loss. Only the change
/// time (ctime) of the held file's inode tells when the API server deleted it.
#[test]
fn an_absence_shorter_than_the_log_s_own_pauses_is_a_gap_as_well() {
    let dir = TempDir::new().unwrap();
    let mut log = LogWriter::new(dir.path().join("audit/audit.log"));
    let archive = dir.path().join("archive");
    let tables = tables::input("apiserver", log.live()) + &tables::archive(&archive);
    let (mut made, mut all) = (Maker::from(Timestamp::now()), Vec::new());
    let mut write = |log: &mut LogWriter| {
        made.set(Timestamp::now());
        all.push(made.event(200));
        log.append(format!("{}\n", all.last().unwrap().line).as_bytes());
        // The file system's clock is coarse.
        thread::sleep(Duration::from_millis(50));
    };
    write(&mut log);
    let mut agent = Agent::start(dir.path(), &tables);
    thread::sleep(PAUSE);
    write(&mut log);
    wait_for("both events to be delivered", Duration::from_secs(20), || {
        let lines = fs::read_to_string(&archive).unwrap_or_default().lines().count();
        if lines == 2 { Ok(()) } else { Err(lines.to_string()) }
    });
    agent.kill();
    for deleted in [true, true, false] {
        let backup = log.rotate_now();
        write(&mut log);
        if deleted {
            fs::remove_file(backup).unwrap();
        }
    }
    agent.resume();
    let (lost, gaps) = account(&archive, &all);
    assert_eq!((lost, gaps.len()), (1, 1), "{gaps:?}");
    agent.stop_done();
}
