//! Losses are reported: one gap event for each gap, with the right bytes, whenever the agent is killed.

use std::fs;
use std::thread;
use std::time::Duration;

use kit::FakeStore;
use kit::log_writer::{Part, compress_beside, date_back};
use kit::store::Do;
use serde_json::Value;

use super::agent::{Node, Process, TENS, elasticsearch, loki, until};
use crate::event::GapReason;
use crate::telemetry::PairState;

pub(super) type Output = fn(&FakeStore, &str) -> String;

pub(super) const BOTH: [(&str, Output); 2] = [("loki", loki), ("es", elasticsearch)];

/// The gap events that a back end holds.
pub(super) fn gaps(fake: &FakeStore) -> Vec<Value> {
    let lines: Vec<_> = fake.state().stored.iter().map(|stored| stored.line.clone()).collect();
    let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter(|event| event["kind"] == "Gap").collect()
}

/// The number of events without the gaps; each is stored once.
pub(super) fn events(fake: &FakeStore) -> usize {
    let ids: Vec<_> = gaps(fake).iter().map(|gap| gap["auditID"].clone()).collect();
    let counts = fake.counts();
    assert!(counts.values().all(|times| *times == 1), "doubled: {counts:?}");
    counts.keys().filter(|id| !ids.iter().any(|gap| gap == *id)).count()
}

/// Waits until just these gaps are stored, and no gap is left to report.
pub(super) fn told(
    node: &Node,
    fake: &FakeStore,
    name: &str,
    expected: &[(&str, &str, u64)],
) -> Vec<Value> {
    until("the gaps are told", || gaps(fake).len() >= expected.len());
    until("nothing is left of them", || node.pair(name).is_some_and(|pair| pair.gaps.is_empty()));
    let gaps = gaps(fake);
    let mut found: Vec<_> = gaps
        .iter()
        .map(|gap| {
            let gap = &gap["gap"];
            let key = if gap["bytes"].is_null() { "bytes_at_least" } else { "bytes" };
            (gap["reason"].as_str().unwrap(), key, gap[key].as_u64().unwrap())
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    events(fake);
    gaps
}

pub(super) fn append(node: &Node, bytes: &[u8]) {
    node.writer().append(bytes);
}

/// A torn line: the beginning of an event whose end was never written, `TORN` bytes without a newline.
pub(super) fn tear(node: &mut Node) {
    node.written += 1;
    let id = node.written - 1;
    append(
        node,
        format!("{{\"kind\":\"Event\",\"auditID\":\"{id:04}\",\"stage\":\"Pa\n").as_bytes(),
    );
}

pub(super) const TORN: u64 = 44;

pub(super) fn rotate(node: &Node, to: &str) -> std::path::PathBuf {
    node.writer().rotate(to)
}

const BACKUP: &str = "audit-2026-11-21T06-00-00.000.log";

fn is_retrying(process: &Process, name: &str) -> bool {
    matches!(process.pair_state(name), PairState::Retrying { .. })
}

#[test]
fn a_torn_line_and_a_hole_are_told_once_with_their_bytes() {
    for (name, output) in BOTH {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(3);
        tear(&mut node);
        append(&node, &[0; 100]);
        node.write(3);
        let process = node.start_holding("max_bytes = 0", &output(&fake, ""));
        let gaps =
            told(&node, &fake, name, &[("nul_hole", "bytes", 100), ("torn_line", "bytes", TORN)]);
        assert_eq!(gaps[0]["gap"]["node"], "n");
        assert_eq!(gaps[0]["gap"]["from"], "2026-11-21T06:00:00.000002Z");
        assert_eq!(gaps[0]["gap"]["to"], "2026-11-21T06:00:00.000004Z");
        let place = gaps.iter().find(|gap| gap["gap"]["reason"] == "torn_line").unwrap();
        assert_eq!(
            place["gap"]["offset"],
            3 * (fs::metadata(node.log()).unwrap().len() - TORN - 101) / 6
        );
        assert_eq!(events(&fake), 7);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        let count = |reason| process.telemetry.pair("api", name).gap_count(reason);
        assert_eq!(count(GapReason::TornLine), (1, TORN));
        assert_eq!(count(GapReason::NulHole), (1, 100));
        assert!(process.stop());
    }
}

#[test]
fn a_file_of_nothing_but_damage_makes_no_storm_of_gaps() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(1);
    for _ in 0..300 {
        tear(&mut node);
        append(&node, &[0; 3]);
    }
    node.write(1);
    let _process = node.start_holding("max_bytes = 0", &loki(&fake, ""));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    let gaps = told(
        &node,
        &fake,
        "loki",
        &[("nul_hole", "bytes", 900), ("torn_line", "bytes", 300 * TORN)],
    );
    assert!(gaps.iter().all(|gap| gap["gap"]["times"] == 300), "{gaps:?}");
}

#[test]
fn a_file_deleted_while_the_output_was_down_is_told_when_it_is_back() {
    for (name, output) in BOTH {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(10);
        let outputs = output(&fake, TENS);
        let process = node.start_holding("max_bytes = 0", &outputs);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        assert!(process.stop());
        // Written and deleted while no agent held the file open: only the cursor knows of it.
        node.write(20);
        fs::remove_file(rotate(&node, BACKUP)).unwrap();
        node.write(5);
        fake.state().always = Some(Do::Answer(503, "down"));
        let process = node.start_holding("max_bytes = 0", &outputs);
        until("it is tried", || is_retrying(&process, name));
        thread::sleep(Duration::from_millis(200));
        fake.state().always = None;
        let gaps = told(&node, &fake, name, &[("backup_gone", "bytes_at_least", 0)]);
        assert_eq!(gaps[0]["gap"]["from"], "2026-11-21T06:00:00.000009Z");
        assert_eq!(events(&fake), 15);
        assert!(process.stop());
    }
}

/// More files than the agent holds open, so some are lost; the length of each is known.
#[test]
fn of_files_deleted_while_the_output_was_down_each_byte_arrives_or_is_told() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    for n in 0..300 {
        node.write_with(&"x".repeat(100 + n));
        rotate(&node, &format!("audit-2026-11-21T06-{:02}-{:02}.000.log", n / 60, n % 60));
    }
    node.write(1);
    let files = || fs::read_dir(node.log().parent().unwrap()).unwrap().map(|file| file.unwrap());
    let all: u64 = files().map(|file| file.metadata().unwrap().len()).sum();
    fake.state().always = Some(Do::Answer(503, "down"));
    let process = node.start_holding("max_bytes = 0", &loki(&fake, TENS));
    until("all are seen", || process.telemetry.input("api").generations.get() == 301);
    until("it is tried", || is_retrying(&process, "loki"));
    for file in files().filter(|file| file.path() != node.log()) {
        fs::remove_file(file.path()).unwrap();
    }
    fake.state().always = None;
    until("each byte has arrived or is told", || {
        let stored = || fake.state().stored.clone();
        let is_gap = |line: &str| line.starts_with(r#"{"kind":"Gap""#);
        let events = stored()
            .iter()
            .filter(|one| !is_gap(&one.line))
            .map(|one| one.line.len() + 1)
            .sum::<usize>();
        let gaps = gaps(&fake);
        let lost: u64 = gaps.iter().map(|gap| gap["gap"]["bytes_at_least"].as_u64().unwrap()).sum();
        assert!(events as u64 + lost <= all, "{events} and {lost} of {all}: {gaps:#?}");
        events as u64 + lost == all
    });
    until("no gap is left", || node.pair("loki").unwrap().gaps.is_empty());
    events(&fake);
    assert!(process.stop());
}

#[test]
fn a_gzip_that_was_cut_is_told_and_what_stands_before_the_cut_arrives() {
    for (name, output) in BOTH {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        (0..200).for_each(|n| node.write_with(&format!("{n:x}").repeat(40)));
        let backup = rotate(&node, BACKUP);
        let path = compress_beside(&backup, Part::Half);
        fs::remove_file(backup).unwrap();
        // As a crash left it a while ago.
        date_back(&path);
        node.write(1);
        let process = node.start_holding("max_bytes = 0", &output(&fake, TENS));
        let damaged = || {
            let mut gaps = gaps(&fake);
            gaps.retain(|gap| gap["gap"]["reason"] == "damaged_gzip");
            gaps
        };
        until("it is told", || !damaged().is_empty());
        until("no gap is left", || node.pair(name).unwrap().gaps.is_empty());
        let damaged = damaged();
        assert_eq!(damaged.len(), 1, "{damaged:?}");
        assert!(damaged[0]["gap"]["bytes_at_least"].is_u64(), "{damaged:?}");
        assert!(events(&fake) > 20);
        assert!(process.stop());
    }
}

#[test]
fn a_truncation_from_outside_is_told_and_the_new_content_arrives() {
    for (name, output) in BOTH {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(30);
        let process = node.start_holding("max_bytes = 0", &output(&fake, TENS));
        until("all is acknowledged", || node.is_all_acknowledged(name));
        let first = fs::read(node.log()).unwrap();
        let line = first.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        node.writer().truncate(line as u64);
        told(&node, &fake, name, &[("truncated", "bytes_at_least", 0)]);
        assert!(process.stop());
    }
}

#[test]
fn a_restart_hides_no_gap_and_counts_none_twice() {
    for (name, output) in BOTH {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(3);
        tear(&mut node);
        append(&node, &[0; 100]);
        node.write(3);
        let start = |node: &Node| node.start_holding("max_bytes = 0", &output(&fake, ""));
        let process = start(&node);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        until("the journal is empty", || node.pair(name).is_some_and(|pair| pair.gaps.is_empty()));
        let before = process.telemetry.pair("api", name).trail();
        assert_eq!((before.whole, before.gaps, before.gap_bytes), (false, 2, 100 + TORN));
        assert!(process.stop());
        for _ in 0..2 {
            let process = start(&node);
            let pair = process.telemetry.pair("api", name);
            until("the gaps are shown", || pair.trail().to_string() == before.to_string());
            assert_eq!(pair.last_gaps().len(), 2);
            assert!(process.stop());
        }
    }
}
