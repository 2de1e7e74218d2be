//! A gap is reported once, whatever kill, hang or refusal comes between its detection and the moment the cursor
//! passes it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use kit::FakeStore;
use kit::store::{Do, Refusal};

use super::agent::{Node, TENS, eventually, loki, until};
use super::gaps::{BOTH, TORN, events, gaps, rotate, tear, told};
use crate::checkpoint::Store;
use crate::event::Progress;

/// Each round kills a little later in the life of a gap: before and after the checkpoint, with and without an answer.
#[test]
fn kills_at_any_moment_tell_each_gap_once() {
    for (name, output) in BOTH {
        for round in 0..6_u64 {
            let (fake, mut node) = (FakeStore::new(), Node::new());
            for _ in 0..4 {
                node.write(7);
                tear(&mut node);
            }
            node.write(7);
            let outputs = output(&fake, TENS);
            let slow = Do::TakeAfter(Duration::from_millis(30));
            fake.script([Do::TakeAndBreak, slow.clone(), Do::Take, slow, Do::TakeAndBreak]);
            for life in 0..3 {
                let process = node.start_holding("max_bytes = 0", &outputs);
                thread::sleep(Duration::from_millis(5 + round * 20 + life * 7));
                process.kill();
            }
            let process = node.start_holding("max_bytes = 0", &outputs);
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
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(3);
        tear(&mut node);
        node.write(3);
        // Everything is stored, and no answer arrives.
        fake.state().always = Some(Do::TakeAfter(Duration::from_secs(5)));
        let outputs = output(&fake, TENS);
        let process = node.start_holding("max_bytes = 0", &outputs);
        until("gap and events are sent", || {
            fake.state().writes.iter().map(|write| write.events).sum::<usize>() == 8
        });
        process.kill();
        fake.state().always = None;
        until("they are stored", || fake.state().stored.len() == 8);
        let before = gaps(&fake);
        assert_eq!(node.pair(name).unwrap().gaps.len(), 1, "written down before it was sent");
        let process = node.start_holding("max_bytes = 0", &outputs);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        let after = told(&node, &fake, name, &[("torn_line", "bytes", TORN)]);
        assert_eq!(before, after);
        assert!(!fake.state().looked_up.is_empty());
        assert!(process.stop());
    }
}

#[test]
fn a_gap_that_was_delivered_before_the_cursor_could_pass_it_is_not_told_again() {
    for (name, output) in BOTH {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(3);
        tear(&mut node);
        node.write_with("hangs");
        fake.state().hang = Some("hangs");
        let outputs = output(&fake, TENS);
        let process = node.start_holding("max_bytes = 0", &outputs);
        until("it is written down as delivered, and kept", || {
            let gaps = node.pair(name).unwrap_or_default().gaps;
            let told = !super::gaps::gaps(&fake).is_empty();
            told && gaps.first().is_none_or(|gap| gap.delivered)
        });
        process.kill();
        fake.state().hang = None;
        let process = node.start_holding("max_bytes = 0", &outputs);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        told(&node, &fake, name, &[("torn_line", "bytes", TORN)]);
        assert!(process.stop());
    }
}

#[test]
fn a_gap_that_never_arrived_is_told_after_the_restart_as_it_was_written_down() {
    for (name, output) in BOTH {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(5);
        let outputs = output(&fake, TENS);
        let process = node.start_holding("max_bytes = 0", &outputs);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        fake.state().always = Some(Do::Hang);
        tear(&mut node);
        node.write(1);
        let journalled =
            eventually("it is written down", || node.pair(name).unwrap().gaps.first().cloned());
        process.kill();
        // The agent cannot find the cause of the gap again.
        fs::remove_file(node.log()).unwrap();
        node.write(1);
        fake.state().always = None;
        let process = node.start_holding("max_bytes = 0", &outputs);
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
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(5);
    let process = node.start_holding("max_bytes = 0", &loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    let in_the_way = node.state().join("checkpoint.json.new");
    // The agent may just be writing a file of this name.
    until("the place is taken", || fs::create_dir_all(in_the_way.join("x")).is_ok());
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
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(5);
    let before = fs::metadata(node.log()).unwrap().len();
    tear(&mut node);
    node.write(5);
    fake.state().hang = Some("\"kind\":\"Gap\"");
    let process = node.start_holding(
        "max_bytes = 0",
        &loki(&fake, "batch = { max_events = 5, max_age = \"1ms\" }"),
    );
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
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(5);
    tear(&mut node);
    fake.refuse(Refusal::Content, "\"kind\":\"Gap\"");
    node.write(5);
    let process = node.start_holding("max_bytes = 0", &loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    until("no gap is left", || node.pair("loki").unwrap().gaps.is_empty());
    let refused = node.letters("loki");
    assert_eq!(refused.len(), 1);
    assert!(refused[0].0.contains("\"kind\":\"Gap\""), "{refused:?}");
    assert!(process.stop());
}

#[test]
fn many_gaps_at_once_do_not_wait_for_a_checkpoint_each() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    let outputs = loki(&fake, TENS);
    // The cursor is reset below, so for the next process all these files are gone unread.
    for n in 0..60 {
        node.write(1);
        rotate(&node, &format!("audit-2026-11-21T06-00-{n:02}.000.log"));
    }
    node.write(1);
    let process = node.start_holding("max_bytes = 0", &outputs);
    until("all are begun", || {
        node.pair("loki").is_some_and(|pair| pair.cursor.generations.len() == 61)
    });
    until("all have arrived", || fake.counts().len() == 61);
    until("all backups are read to their end", || {
        let pair = node.pair("loki").unwrap();
        pair.cursor.generations.values().filter(|progress| progress.complete).count() == 60
    });
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
    assert!(fake.state().writes.iter().any(|write| write.events > 10), "several in one request");
    until("no gap is left", || node.pair("loki").unwrap().gaps.is_empty());
    assert!(process.stop());
}

/// Resets the cursor as if the backups had not been read to their end.
fn unfinish(node: &Node) {
    let store = Store::open(&node.state()).unwrap();
    let mut state = Store::load(&node.state()).unwrap().state;
    for progress in state.pairs[0].cursor.generations.values_mut() {
        if progress.complete {
            *progress = Progress { time: progress.time, ..Progress::default() };
        }
    }
    store.save(&state).unwrap();
}
