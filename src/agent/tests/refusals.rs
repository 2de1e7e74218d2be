//! What a back end refuses, and what stops an output.

use std::fs;
use std::time::Duration;

use kit::FakeStore;
use kit::store::{Do, Refusal, audit_id};

use super::agent::{Node, TENS, elasticsearch, loki, until};
use crate::telemetry::PairState;

#[test]
fn one_poisonous_line_is_refused_and_its_neighbours_are_delivered_once() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::Content, "venom");
    node.write(4);
    node.write_with("venom");
    node.write(15);
    let process = node.start(&loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    let counts = fake.counts();
    assert!(counts.len() == 19 && counts.values().all(|times| *times == 1), "{counts:?}");
    let letters = node.letters("loki");
    assert_eq!(letters.len(), 1);
    assert!(letters[0].0.contains("venom"));
    assert!(letters[0].1.starts_with("400 max entry size"));
    assert_eq!((process.delivered("loki"), process.refused("loki")), (19, 1));
    assert_eq!(process.pair_state("loki"), PairState::Running);
}

#[test]
fn a_batch_in_which_a_few_events_are_poison_and_no_other_is_there_costs_no_more_than_these() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        fake.refuse(Refusal::Content, "venom");
        (0..7).for_each(|_| node.write_with("venom"));
        let name = if output(&fake, "").contains("loki") { "loki" } else { "es" };
        let process = node.start(&output(&fake, TENS));
        until("all is acknowledged", || node.is_all_acknowledged(name));
        node.write(10);
        until("all is acknowledged", || node.is_all_acknowledged(name));
        assert_eq!((process.delivered(name), process.refused(name)), (10, 7));
        assert_eq!((node.letters(name).len(), process.pair_state(name)), (7, PairState::Running));
    }
}

/// A wrong mapping, limit or path: the store refuses everything, event by event.
#[test]
fn where_everything_is_refused_the_pipeline_stops_and_shouts_and_once_it_is_mended_the_rest_arrives()
 {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        fake.refuse(Refusal::Content, "auditID");
        let name = if output(&fake, "").contains("loki") { "loki" } else { "es" };
        node.write(500);
        let process = node.start(&output(&fake, TENS));
        until("it is said", || matches!(process.pair_state(name), PairState::Stopped { .. }));
        assert!(
            process.problems().contains("the output refuses every event"),
            "{}",
            process.problems()
        );
        let writes = fake.state().writes.len();
        until("it was tried again", || fake.state().writes.len() > writes + 20);
        let letters = node.letters(name).len();
        assert!((80..=100).contains(&letters), "{letters} dead letters");
        fake.refuse_nothing();
        until("all is acknowledged", || node.is_all_acknowledged(name));
        assert_eq!((node.letters(name).len(), fake.counts().len()), (letters, 500 - letters));
        assert!(process.problems().is_empty(), "{}", process.problems());
    }
}

/// Elasticsearch with a batch of more events than the circuit breaker admits: none becomes a dead letter.
#[test]
fn a_whole_large_batch_that_is_refused_leaves_no_dead_letter() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::Content, "auditID");
    node.write(150);
    let process = node.start(&elasticsearch(&fake, ""));
    until("it is said", || matches!(process.pair_state("es"), PairState::Stopped { .. }));
    assert_eq!(node.letters("es").len(), 0);
    fake.refuse_nothing();
    until("all is acknowledged", || node.is_all_acknowledged("es"));
    node.all_once(&fake);
}

/// However many events of a batch are refused, while others are taken.
#[test]
fn poison_among_good_events_never_stops_the_pipeline() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        fake.refuse(Refusal::Content, "venom");
        let name = if output(&fake, "").contains("loki") { "loki" } else { "es" };
        (0..150).for_each(|_| node.write_with("venom"));
        node.write(1);
        let process = node.start(&output(&fake, "in_flight = 1"));
        until("all is acknowledged", || node.is_all_acknowledged(name));
        assert_eq!((process.delivered(name), node.letters(name).len()), (1, 150));
    }
}

#[test]
fn events_too_old_for_the_store_are_refused_without_halving() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::TooOld, "ancient");
    // More than the circuit breaker admits of events that are refused for their content.
    (0..138).for_each(|_| node.write_with("ancient"));
    node.write(12);
    let process = node.start(&loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    assert_eq!((process.delivered("loki"), process.refused("loki")), (12, 138));
    assert_eq!((node.letters("loki").len(), fake.counts().len()), (138, 12));
    assert_eq!(fake.state().writes.len(), 15);
}

#[test]
fn a_request_that_is_too_large_is_halved_until_it_fits() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        fake.state().max_body = Some(700);
        node.write(30);
        let name = if output(&fake, "").contains("loki") { "loki" } else { "es" };
        let process = node.start(&output(&fake, TENS));
        until("all is acknowledged", || node.is_all_acknowledged(name));
        node.all_once(&fake);
        assert_eq!(process.refused(name), 0);
    }
}

#[test]
fn a_push_that_one_ingester_took_and_another_found_too_large_doubles_nothing() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(10);
    let text = "rpc error: received message larger than max (5 vs 4)";
    fake.script([Do::TakeAndAnswer(500, text), Do::Answer(500, text)]);
    let process = node.start(&loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    node.all_once(&fake);
    assert_eq!(process.refused("loki"), 0);
}

#[test]
fn a_pause_that_the_back_end_asks_for_is_kept() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(3);
        fake.script([Do::Later(1)]);
        let _process = node.start(&output(&fake, TENS));
        node.all_once(&fake);
        let writes = fake.state().writes.clone();
        assert!(writes[1].at - writes[0].at >= Duration::from_secs(1));
        assert!(fake.state().looked_up.is_empty(), "429 stores nothing");
    }
}

#[test]
fn wrong_credentials_are_said_and_once_they_are_right_everything_flows() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(20);
    fake.state().always = Some(Do::Answer(401, "who are you"));
    let process = node.start(&loki(&fake, TENS));
    until("it is said", || process.problems().contains("401 who are you"));
    assert!(process.problems().contains("bearer_token_file"), "{}", process.problems());
    fake.state().always = None;
    node.all_once(&fake);
    until("it is well", || process.problems().is_empty());
}

#[test]
fn when_there_is_no_room_for_refused_events_the_pipeline_stops_within_bounds_and_goes_on_when_room_is_made()
 {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::Content, "venom");
    fs::create_dir_all(node.state()).unwrap();
    let filler = node.state().join("filler");
    fs::write(&filler, vec![0; 1 << 20]).unwrap();
    node.write_with("venom");
    // Far more events than may be in flight behind one that is stuck.
    node.write(2000);
    let top = "disk = { max_bytes = \"1MiB\", min_free = \"0%\" }";
    let outputs = loki(&fake, "batch = { max_events = 2, max_age = \"1ms\" }");
    let process = node.start_with(top, &outputs);
    until("it is said", || matches!(process.pair_state("loki"), PairState::Stopped { .. }));
    std::thread::sleep(Duration::from_millis(1500));
    let ahead = fake.counts().len();
    assert!(ahead < 600, "{ahead} events sent beyond the one that is stuck");
    assert!(process.problems().contains("disk.max_bytes"), "{}", process.problems());
    assert_eq!(node.acknowledged("loki"), 0);
    fs::remove_file(filler).unwrap();
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    assert!(fake.counts().len() == 2000 && fake.counts().values().all(|times| *times == 1));
    assert_eq!(node.letters("loki").len(), 1);
}

#[test]
fn what_was_refused_last_leaves_the_output_running() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::Content, "venom");
    fake.script([Do::Answer(503, "starting")]);
    node.write_with("venom");
    let process = node.start(&loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    assert_eq!(process.pair_state("loki"), PairState::Running);
}

#[test]
fn a_kill_among_refusals_records_each_once() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::Content, "venom");
    for round in 0..20 {
        node.write(3);
        if round % 3 == 0 {
            node.write_with("venom");
        }
    }
    let outputs = loki(&fake, TENS);
    for _ in 0..4 {
        let wanted = fake.state().writes.len() + 5;
        let process = node.start(&outputs);
        until("it sent something", || {
            fake.state().writes.len() > wanted || node.is_all_acknowledged("loki")
        });
        process.kill();
    }
    let _process = node.start(&outputs);
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    assert_eq!(node.letters("loki").len(), 7);
    assert!(fake.counts().len() == 60 && fake.counts().values().all(|times| *times == 1));
}

#[test]
fn with_a_stream_per_hour_every_push_is_of_one_hour() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(5);
    // Here the generated events cross into the next hour.
    node.written = 3_600_000_000;
    let first = node.written;
    node.write(5);
    let _process = node.start(&loki(&fake, &format!("{TENS}\nstream_per_hour = true")));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    let stored = fake.state().stored.clone();
    for event in &stored {
        let later = audit_id(&event.line).parse::<usize>().unwrap() >= first;
        let hour = if later { "2026-11-21T07" } else { "2026-11-21T06" };
        assert!(event.under.contains(hour), "{event:?}");
    }
    assert_eq!(stored.len(), 10);
}
