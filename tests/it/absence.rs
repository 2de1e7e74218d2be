//! Short absences on a busy server: it rotates ten times a second and keeps two backups, so whatever it wrote a moment ago is
//! gone. What was written and deleted while no agent ran is inside a gap; the rest arrived once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::agent::Agent;
use crate::support::events::{Expected, Maker, nanoseconds};
use crate::support::{tables, wait_for};

const BACKUPS: usize = 2;
const FILE: Duration = Duration::from_millis(100);

/// Writes as the API server does: an event every few milliseconds, a new file when it is time, the oldest deleted.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Expected>>,
}

impl Writer {
    fn start(log: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (log, ended) = (log.to_owned(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut all = Vec::new();
            let mut backups: Vec<PathBuf> = Vec::new();
            let mut made = Maker::from(Timestamp::now());
            while !ended.load(Ordering::Relaxed) {
                let began = Instant::now();
                let mut file = File::create_new(&log).unwrap();
                while began.elapsed() < FILE {
                    made.set(Timestamp::now());
                    let event = made.event(200);
                    writeln!(file, "{}", event.line).unwrap();
                    all.push(event);
                    thread::sleep(Duration::from_millis(3));
                }
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let name = Timestamp::now().strftime("audit-%Y-%m-%dT%H-%M-%S.%3f.log").to_string();
                let backup = log.with_file_name(name);
                fs::rename(&log, &backup).unwrap();
                backups.push(backup);
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

/// From the last event that was read to the next there is; `None`: unbounded.
type Gap = (Option<i64>, Option<i64>);

/// How often each event arrived, by its id, and all gaps.
fn arrived(archive: &Path) -> (BTreeMap<String, usize>, Vec<Gap>) {
    let (mut events, mut gaps) = (BTreeMap::new(), Vec::new());
    for line in fs::read_to_string(archive).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["kind"] == "Gap" {
            let bound = |name: &str| line["gap"][name].as_str().map(nanoseconds);
            gaps.push((bound("from"), bound("to")));
        } else {
            *events.entry(line["auditID"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    (events, gaps)
}

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
        // At another place in a file each time.
        thread::sleep(Duration::from_millis(1500 + 23 * times as u64));
        agent.kill();
        thread::sleep(Duration::from_millis(milliseconds));
        agent.resume();
    }
    thread::sleep(Duration::from_secs(2));
    let all = writer.stop();

    let lost = wait_for("all to be there or inside a gap", Duration::from_secs(30), || {
        let (events, gaps) = arrived(&archive);
        let often = events.iter().find(|(_, times)| **times > 1);
        assert_eq!(often, None, "an event that arrived more than once");
        let lost: Vec<_> = all.iter().filter(|one| !events.contains_key(&one.audit_id)).collect();
        let inside = |one: &Expected| {
            gaps.iter().any(|(from, to)| {
                from.is_none_or(|from| from <= one.ns) && to.is_none_or(|to| one.ns <= to)
            })
        };
        let untold = lost.iter().filter(|one| !inside(one)).count();
        if untold > 0 {
            return Err(format!("{untold} of {} lost events are in no gap: {gaps:?}", lost.len()));
        }
        // An unbounded gap would explain everything.
        let bounded = gaps.iter().all(|(from, to)| from.is_some() && to.is_some());
        assert!(bounded && gaps.len() >= away.len(), "{gaps:?}");
        Ok(lost.len())
    });
    assert!(lost > 100, "{lost} lost: nothing was shown");
    agent.stop_done();
}
