//! What is lost is told: one event a gap, in the back end, with the right bytes, whatever is killed meanwhile.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::agent::{Node, Process, TENS, elasticsearch, eventually, loki, until};
use super::fake::{Do, Fake};
use crate::telemetry::{GapReason, PairState};

type Output = fn(&Fake, &str) -> String;

const BOTH: [(&str, Output); 2] = [("loki", loki), ("es", elasticsearch)];

/// The gap events that a back end holds, as they stand there.
fn gaps(fake: &Fake) -> Vec<Value> {
    let lines: Vec<_> = fake.state().stored.iter().map(|stored| stored.line.clone()).collect();
    let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter(|event| event["kind"] == "Gap").collect()
}

/// Audit ids of the events, without the gaps, each with how often it is there.
fn events(fake: &Fake) -> usize {
    let ids: Vec<_> = gaps(fake).iter().map(|gap| gap["auditID"].clone()).collect();
    let counts = fake.counts();
    assert!(counts.values().all(|times| *times == 1), "doubled: {counts:?}");
    counts.keys().filter(|id| !ids.iter().any(|gap| gap == *id)).count()
}

/// Waits until just this is there, and nothing is left to be told.
fn told(node: &Node, fake: &Fake, name: &str, expected: &[(&str, &str, u64)]) -> Vec<Value> {
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

fn append(node: &Node, bytes: &[u8]) {
    fs::create_dir_all(node.log().parent().unwrap()).unwrap();
    let mut file = OpenOptions::new().create(true).append(true).open(node.log()).unwrap();
    file.write_all(bytes).unwrap();
}

/// The beginning of an event whose end was never written; `TORN` bytes without its newline.
fn tear(node: &mut Node) {
    node.written += 1;
    let id = node.written - 1;
    append(
        node,
        format!("{{\"kind\":\"Event\",\"auditID\":\"{id:04}\",\"stage\":\"Pa\n").as_bytes(),
    );
}

const TORN: u64 = 44;

fn rotate(node: &Node, to: &str) -> std::path::PathBuf {
    let backup = node.log().with_file_name(to);
    fs::rename(node.log(), &backup).unwrap();
    backup
}

const BACKUP: &str = "audit-2026-11-21T06-00-00.000.log";

fn is_retrying(process: &Process, name: &str) -> bool {
    matches!(process.pair_state(name), PairState::Retrying { .. })
}

#[test]
fn a_torn_line_and_a_hole_are_told_once_with_their_bytes() {
    for (name, output) in BOTH {
        let (fake, mut node) = (Fake::new(), Node::new());
        node.write(3);
        tear(&mut node);
        append(&node, &[0; 100]);
        node.write(3);
        let process = node.start(&output(&fake, ""));
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
    let (fake, mut node) = (Fake::new(), Node::new());
    node.write(1);
    for _ in 0..300 {
        tear(&mut node);
        append(&node, &[0; 3]);
    }
    node.write(1);
    let _process = node.start(&loki(&fake, ""));
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
        let (fake, mut node) = (Fake::new(), Node::new());
        node.write(10);
        let outputs = output(&fake, TENS);
        let process = node.start(&outputs);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        assert!(process.stop());
        // Written and gone while no agent held the file open: only the cursor knows of it.
        node.write(20);
        fs::remove_file(rotate(&node, BACKUP)).unwrap();
        node.write(5);
        fake.state().always = Some(Do::Answer(503, "down"));
        let process = node.start(&outputs);
        until("it is tried", || is_retrying(&process, name));
        thread::sleep(Duration::from_millis(200));
        fake.state().always = None;
        let gaps = told(&node, &fake, name, &[("backup_gone", "bytes_at_least", 0)]);
        assert_eq!(gaps[0]["gap"]["from"], "2026-11-21T06:00:00.000009Z");
        assert_eq!(events(&fake), 15);
        assert!(process.stop());
    }
}

/// More than are held open, so that some are lost; of each it is known how long it was.
#[test]
fn of_files_deleted_while_the_output_was_down_each_byte_arrives_or_is_told() {
    let (fake, mut node) = (Fake::new(), Node::new());
    for n in 0..300 {
        node.write_with(&"x".repeat(100 + n));
        rotate(&node, &format!("audit-2026-11-21T06-{:02}-{:02}.000.log", n / 60, n % 60));
    }
    node.write(1);
    let files = || fs::read_dir(node.log().parent().unwrap()).unwrap().map(|file| file.unwrap());
    let all: u64 = files().map(|file| file.metadata().unwrap().len()).sum();
    fake.state().always = Some(Do::Answer(503, "down"));
    let process = node.start(&loki(&fake, TENS));
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
        let (fake, mut node) = (Fake::new(), Node::new());
        (0..200).for_each(|n| node.write_with(&format!("{n:x}").repeat(40)));
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&fs::read(node.log()).unwrap()).unwrap();
        let whole = gzip.finish().unwrap();
        fs::remove_file(node.log()).unwrap();
        let path = node.log().with_file_name(format!("{BACKUP}.gz"));
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        // As it is left by a crash a while ago.
        let then = std::time::SystemTime::now() - Duration::from_hours(1);
        OpenOptions::new().write(true).open(&path).unwrap().set_modified(then).unwrap();
        node.write(1);
        let process = node.start(&output(&fake, TENS));
        until("it is told", || !gaps(&fake).is_empty());
        let gaps = eventually("the gap is passed", || {
            node.pair(name).filter(|pair| pair.gaps.is_empty()).map(|_| gaps(&fake))
        });
        let damaged: Vec<_> =
            gaps.iter().filter(|gap| gap["gap"]["reason"] == "damaged_gzip").collect();
        assert_eq!(damaged.len(), 1, "{gaps:?}");
        assert!(damaged[0]["gap"]["bytes_at_least"].is_u64(), "{damaged:?}");
        assert!(events(&fake) > 20);
        assert!(process.stop());
    }
}

#[test]
fn a_truncation_from_outside_is_told_and_the_new_content_arrives() {
    for (name, output) in BOTH {
        let (fake, mut node) = (Fake::new(), Node::new());
        node.write(30);
        let process = node.start(&output(&fake, TENS));
        until("all is acknowledged", || node.is_all_acknowledged(name));
        let before = fs::metadata(node.log()).unwrap().len();
        let first = fs::read(node.log()).unwrap();
        let line = first.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        OpenOptions::new().write(true).open(node.log()).unwrap().set_len(line as u64).unwrap();
        told(&node, &fake, name, &[("truncated", "bytes_at_least", before - line as u64)]);
        assert!(process.stop());
    }
}

/// Rounds of kills, each a little later in the life of a gap: before and after the save, with and without an answer.
#[test]
fn kills_at_any_moment_tell_each_gap_once() {
    for (name, output) in BOTH {
        for round in 0..6_u64 {
            let (fake, mut node) = (Fake::new(), Node::new());
            for _ in 0..4 {
                node.write(7);
                tear(&mut node);
            }
            node.write(7);
            let outputs = output(&fake, TENS);
            let slow = Do::TakeAfter(Duration::from_millis(30));
            fake.script([Do::TakeAndBreak, slow.clone(), Do::Take, slow, Do::TakeAndBreak]);
            for life in 0..3 {
                let process = node.start(&outputs);
                thread::sleep(Duration::from_millis(5 + round * 20 + life * 7));
                process.kill();
            }
            let process = node.start(&outputs);
            until("all is acknowledged", || node.is_all_acknowledged(name));
            until("no gap is left", || node.pair(name).unwrap().gaps.is_empty());
            let found = gaps(&fake);
            let sum =
                |key: &str| found.iter().map(|gap| gap["gap"][key].as_u64().unwrap()).sum::<u64>();
            assert_eq!((sum("times"), sum("bytes")), (4, 4 * TORN), "round {round}: {found:#?}");
            assert_eq!(events(&fake), node.written);
            assert!(process.stop());
        }
    }
}

#[test]
fn a_gap_that_was_stored_before_the_kill_is_found_and_not_told_again() {
    for (name, output) in BOTH {
        let (fake, mut node) = (Fake::new(), Node::new());
        node.write(3);
        tear(&mut node);
        node.write(3);
        // Everything is stored, and nothing is heard of it.
        fake.state().always = Some(Do::TakeAfter(Duration::from_secs(5)));
        let outputs = output(&fake, TENS);
        let process = node.start(&outputs);
        until("gap and events are sent", || {
            fake.state().writes.iter().map(|(_, events)| events).sum::<usize>() == 8
        });
        process.kill();
        fake.state().always = None;
        until("they are stored", || fake.state().stored.len() == 8);
        let before = gaps(&fake);
        assert_eq!(node.pair(name).unwrap().gaps.len(), 1, "written down before it was sent");
        let process = node.start(&outputs);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        let after = told(&node, &fake, name, &[("torn_line", "bytes", TORN)]);
        assert_eq!(before, after);
        assert!(!fake.state().looked_up.is_empty());
        assert!(process.stop());
    }
}

#[test]
fn a_gap_that_never_arrived_is_told_after_the_restart_as_it_was_written_down() {
    for (name, output) in BOTH {
        let (fake, mut node) = (Fake::new(), Node::new());
        node.write(5);
        let outputs = output(&fake, TENS);
        let process = node.start(&outputs);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        fake.state().always = Some(Do::Hang);
        tear(&mut node);
        node.write(1);
        let journalled =
            eventually("it is written down", || node.pair(name).unwrap().gaps.first().cloned());
        process.kill();
        // Its cause cannot be met any more.
        fs::remove_file(node.log()).unwrap();
        node.write(1);
        fake.state().always = None;
        let process = node.start(&outputs);
        until("it is told", || {
            fake.state()
                .stored
                .iter()
                .any(|stored| stored.line.contains(&journalled.id.to_string()))
        });
        if name == "loki" {
            assert!(fake.state().stored.iter().any(|stored| stored.line == journalled.line));
        }
        until("the rest is told too", || gaps(&fake).len() == 2);
        until("no gap is left", || node.pair(name).unwrap().gaps.is_empty());
        assert!(process.stop());
    }
}

#[test]
fn a_gap_is_not_sent_before_it_is_written_down() {
    let (fake, mut node) = (Fake::new(), Node::new());
    node.write(5);
    let process = node.start(&loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    let in_the_way = node.state().join("checkpoint.json.new");
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    tear(&mut node);
    node.write(5);
    until("it is said", || process.problems().contains("the checkpoint cannot be saved"));
    until("the events arrive, for which enough is reserved", || fake.counts().len() >= 10);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(gaps(&fake).len(), 0);
    fs::remove_dir_all(in_the_way).unwrap();
    told(&node, &fake, "loki", &[("torn_line", "bytes", TORN)]);
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    assert!(process.stop());
}

#[test]
fn the_cursor_waits_for_the_gap_while_it_is_not_delivered() {
    let (fake, mut node) = (Fake::new(), Node::new());
    node.write(5);
    let before = fs::metadata(node.log()).unwrap().len();
    tear(&mut node);
    node.write(5);
    fake.state().hang = Some("\"kind\":\"Gap\"");
    let process = node.start(&loki(&fake, "batch = { max_events = 5, max_age = \"1ms\" }"));
    until("the events arrive", || fake.counts().len() >= 11);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(node.acknowledged("loki"), before);
    fake.state().hang = None;
    told(&node, &fake, "loki", &[("torn_line", "bytes", TORN)]);
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    assert!(process.stop());
}

#[test]
fn a_gap_that_the_output_refuses_is_kept_as_any_event_and_passed() {
    let (fake, mut node) = (Fake::new(), Node::new());
    node.write(5);
    tear(&mut node);
    fake.state().poison = Some("\"kind\":\"Gap\"");
    node.write(5);
    let process = node.start(&loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    until("no gap is left", || node.pair("loki").unwrap().gaps.is_empty());
    let refused = node.letters("loki");
    assert_eq!(refused.len(), 1);
    assert!(refused[0].0.contains("\"kind\":\"Gap\""), "{refused:?}");
    assert!(process.stop());
}

#[test]
fn many_gaps_at_once_do_not_wait_for_a_checkpoint_each() {
    let (fake, mut node) = (Fake::new(), Node::new());
    let outputs = loki(&fake, TENS);
    // Nothing that this process reads is acknowledged, so all is gone unread for the next.
    for n in 0..60 {
        node.write(1);
        rotate(&node, &format!("audit-2026-11-21T06-00-{n:02}.000.log"));
    }
    node.write(1);
    let process = node.start(&outputs);
    until("all are begun", || {
        node.pair("loki").is_some_and(|pair| pair.cursor.generations.len() == 61)
    });
    until("all have arrived", || fake.counts().len() == 61);
    assert!(process.stop());
    unfinish(&node);
    for entry in fs::read_dir(node.log().parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path != node.log() {
            fs::remove_file(path).unwrap();
        }
    }
    let process = node.start_with("", &outputs);
    until("the first is told", || !gaps(&fake).is_empty());
    let start = Instant::now();
    until("all are told", || gaps(&fake).len() == 60);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(fake.state().writes.iter().any(|(_, events)| *events > 10), "several in one request");
    until("no gap is left", || node.pair("loki").unwrap().gaps.is_empty());
    assert!(process.stop());
}

/// Takes the word back that the backups were read to their end.
fn unfinish(node: &Node) {
    use crate::checkpoint::Store;
    let store = Store::open(&node.state()).unwrap();
    let mut state = Store::load(&node.state()).unwrap().state;
    for progress in state.pairs[0].cursor.generations.values_mut() {
        progress.complete = false;
    }
    store.save(&state).unwrap();
}
