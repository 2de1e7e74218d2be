//! What a back end will not take, and what stops it.

use std::fs;
use std::time::Duration;

use super::agent::{Node, TENS, elasticsearch, loki, until};
use super::fake::{Do, Fake};
use crate::telemetry::PairState;

#[test]
fn one_poisonous_line_is_refused_and_its_neighbours_are_delivered_once() {
    let (fake, mut node) = (Fake::new(), Node::new());
    fake.state().poison = Some("venom");
    node.write(4);
    node.write_with("venom");
    node.write(15);
    let process = node.start(&loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    let counts = fake.counts();
    assert!(counts.len() == 19 && counts.values().all(|times| *times == 1), "{counts:?}");
    let refused = node.refused("loki");
    assert_eq!(refused.len(), 1);
    assert!(refused[0]["line"].as_str().unwrap().contains("venom"));
    assert!(refused[0]["answer"].as_str().unwrap().starts_with("400 max entry size"));
    assert_eq!((process.delivered("loki"), process.refused("loki")), (19, 1));
    assert_eq!(process.pair_state("loki"), PairState::Running);
}

#[test]
fn events_too_old_for_the_store_are_refused_without_halving() {
    let (fake, mut node) = (Fake::new(), Node::new());
    fake.state().too_old = Some("ancient");
    (0..8).for_each(|_| node.write_with("ancient"));
    node.write(12);
    let process = node.start(&loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    assert_eq!((process.delivered("loki"), process.refused("loki")), (12, 8));
    assert_eq!((node.refused("loki").len(), fake.counts().len()), (8, 12));
    assert_eq!(fake.state().writes.len(), 2);
}

#[test]
fn a_request_that_is_too_large_is_halved_until_it_fits() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (Fake::new(), Node::new());
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
    let (fake, mut node) = (Fake::new(), Node::new());
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
        let (fake, mut node) = (Fake::new(), Node::new());
        node.write(3);
        fake.script([Do::Later(1)]);
        let _process = node.start(&output(&fake, TENS));
        node.all_once(&fake);
        let writes = fake.state().writes.clone();
        assert!(writes[1].0 - writes[0].0 >= Duration::from_secs(1));
        assert!(fake.state().looked_up.is_empty(), "429 stores nothing");
    }
}

#[test]
fn wrong_credentials_are_said_and_once_they_are_right_everything_flows() {
    let (fake, mut node) = (Fake::new(), Node::new());
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
    let (fake, mut node) = (Fake::new(), Node::new());
    fake.state().poison = Some("venom");
    fs::create_dir_all(node.state()).unwrap();
    let filler = node.state().join("filler");
    fs::write(&filler, vec![0; 1 << 20]).unwrap();
    node.write_with("venom");
    // Far more than may be under way behind one that is stuck.
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
    assert_eq!(node.refused("loki").len(), 1);
}

#[test]
fn what_was_refused_last_leaves_the_output_running() {
    let (fake, mut node) = (Fake::new(), Node::new());
    fake.state().poison = Some("venom");
    fake.script([Do::Answer(503, "starting")]);
    node.write_with("venom");
    let process = node.start(&loki(&fake, TENS));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    assert_eq!(process.pair_state("loki"), PairState::Running);
}

#[test]
fn a_kill_among_refusals_records_each_once() {
    let (fake, mut node) = (Fake::new(), Node::new());
    fake.state().poison = Some("venom");
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
    assert_eq!(node.refused("loki").len(), 7);
    assert!(fake.counts().len() == 60 && fake.counts().values().all(|times| *times == 1));
}

#[test]
fn with_a_stream_per_hour_every_push_is_of_one_hour() {
    let (fake, mut node) = (Fake::new(), Node::new());
    node.write(5);
    // The made events cross into the next hour here.
    node.written = 3_600_000_000;
    let first = node.written;
    node.write(5);
    let _process = node.start(&loki(&fake, &format!("{TENS}\nstream_per_hour = true")));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    let stored = fake.state().stored.clone();
    for event in &stored {
        let later = super::fake::audit_id(&event.line).parse::<usize>().unwrap() >= first;
        let hour = if later { "2026-11-21T07" } else { "2026-11-21T06" };
        assert!(event.under.contains(hour), "{event:?}");
    }
    assert_eq!(stored.len(), 10);
}
