//! Order, bounds and reservations: which requests wait for which, and which do not.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use kit::FakeStore;
use kit::store::Do;

use super::agent::{Node, TENS, elasticsearch, loki, until};

#[test]
fn a_later_answer_does_not_move_the_cursor_over_an_unanswered_request() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(15);
    node.write_with("first");
    node.write(64);
    fake.state().hang = Some("first");
    let outputs = elasticsearch(&fake, TENS);
    let process = node.start(&outputs.replace("800ms", "20s"));
    until("the others are stored", || fake.counts().len() == 70);
    thread::sleep(Duration::from_millis(200));
    // Ten events of equal length before it.
    let length: u64 = fs::read_to_string(node.log())
        .unwrap()
        .lines()
        .take(10)
        .map(|line| line.len() as u64 + 1)
        .sum();
    assert_eq!(node.acknowledged("es"), length);
    process.kill();
    fake.state().hang = None;
    let _process = node.start(&outputs);
    until("all is acknowledged", || node.is_all_acknowledged("es"));
    node.all_once(&fake);
}

#[test]
fn an_output_that_hangs_delays_no_other() {
    let (hung, well, mut node) = (FakeStore::new(), FakeStore::new(), Node::new());
    hung.state().always = Some(Do::Hang);
    node.write(500);
    let outputs = loki(&hung, TENS) + &elasticsearch(&well, TENS);
    let process = node.start(&outputs);
    node.all_once(&well);
    until("all is acknowledged", || node.is_all_acknowledged("es"));
    assert_eq!((node.acknowledged("loki"), process.delivered("loki")), (0, 0));
    hung.state().always = None;
    node.all_once(&hung);
}

#[test]
fn no_more_requests_are_under_way_than_configured_however_long_an_output_hangs() {
    // Loki can lose one of two concurrent pushes to a stream when it crashes (`stream_locks.rs`).
    for (output, requests) in [(elasticsearch as fn(&FakeStore, &str) -> String, 3), (loki, 1)] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        fake.state().always = Some(Do::Hang);
        node.write(500);
        let outputs = output(&fake, &format!("{TENS}\nin_flight = 3")).replace("800ms", "60s");
        let _process = node.start(&outputs);
        until("they are under way", || fake.state().writes.len() == requests);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(fake.state().writes.len(), requests);
    }
}

/// Other shippers give up after ten tries, five minutes or one; the agent retries without a limit.
#[test]
fn an_output_that_fails_for_long_gets_everything_in_the_end_and_once() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(25);
        fake.script((0..50).map(|n| if n % 2 == 0 { Do::Answer(503, "no") } else { Do::Later(0) }));
        let process = node.start(&output(&fake, TENS));
        node.all_once(&fake);
        assert!(fake.state().script.is_empty() && process.stop());
    }
}

#[test]
fn nothing_is_sent_before_the_checkpoint_can_be_written() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(5);
    assert!({
        let process = node.start(&loki(&fake, TENS));
        until("all is acknowledged", || node.is_all_acknowledged("loki"));
        process.stop()
    });
    node.write(50);
    // Makes the next checkpoint fail, for root too.
    let in_the_way = node.state().join("checkpoint.json.new/x");
    fs::create_dir_all(&in_the_way).unwrap();
    let process = node.start(&loki(&fake, TENS));
    until("it is said", || process.problems().contains("the checkpoint cannot be saved"));
    thread::sleep(Duration::from_millis(200));
    assert_eq!(fake.state().writes.len(), 1);
    assert!(process.problems().contains("state_dir"), "{}", process.problems());
    fs::remove_dir_all(in_the_way.parent().unwrap()).unwrap();
    node.all_once(&fake);
    until("it is well", || process.problems().is_empty());
}

#[test]
fn a_stop_waits_for_answers_that_come_in_time() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(10);
    fake.script([Do::TakeAfter(Duration::from_millis(300))]);
    let process = node.start(&loki(&fake, TENS));
    until("it is under way", || fake.state().writes.len() == 1);
    assert!(process.stop());
    assert!(node.is_all_acknowledged("loki"));
    assert_eq!(node.pair("loki").unwrap().reserved, 0);
    let _process = node.start(&loki(&fake, TENS));
    thread::sleep(Duration::from_millis(100));
    assert_eq!(fake.state().writes.len(), 1);
}

#[test]
fn a_stop_gives_up_after_drain_timeout_and_says_so_and_the_next_start_doubles_nothing() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(40);
    fake.state().always = Some(Do::TakeAfter(Duration::from_secs(2)));
    let outputs = loki(&fake, TENS).replace("800ms", "10s");
    let process = node.start_with("drain_timeout = \"500ms\"", &outputs);
    until("all slots are taken", || fake.state().writes.len() == 4);
    let stopped = Instant::now();
    assert!(!process.stop());
    assert!(stopped.elapsed() < Duration::from_millis(1500));
    fake.state().always = None;
    until("they are stored", || fake.counts().len() == 40);
    let _process = node.start(&outputs.replace("10s", "800ms"));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    node.all_once(&fake);
}

#[test]
fn a_rate_that_is_set_is_kept() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    (0..8).for_each(|_| node.write_with(&"x".repeat(5_000)));
    let start = Instant::now();
    let more = "batch = { max_events = 1 }\nmax_bytes_per_second = \"40KiB\"";
    let _process = node.start(&loki(&fake, more));
    node.all_once(&fake);
    assert!(start.elapsed() > Duration::from_millis(850), "{:?}", start.elapsed());
}
