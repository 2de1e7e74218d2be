//! Events in doubt are looked up before they are sent again (deduplication).

use std::fs;
use std::time::{Duration, Instant};

use kit::FakeStore;
use kit::store::Do;

use super::agent::{Node, TENS, elasticsearch, loki, until};

const LATER: Duration = Duration::from_millis(300);

fn delivers_once(
    output: fn(&FakeStore, &str) -> String,
    script: impl IntoIterator<Item = Do>,
) -> FakeStore {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(35);
    fake.script(script);
    let outputs = output(&fake, TENS);
    let process = node.start(&outputs);
    node.all_once(&fake);
    let name = if outputs.contains("loki") { "loki" } else { "es" };
    until("all is acknowledged", || node.is_all_acknowledged(name));
    assert_eq!(process.delivered(name), 35, "counted as often as delivered");
    assert!(process.stop());
    assert_eq!(fake.counts().len(), 35);
    node.all_once(&fake);
    fake
}

#[test]
fn an_answer_that_got_lost_stores_nothing_twice() {
    for output in [loki, elasticsearch] {
        let fake = delivers_once(output, [Do::TakeAndBreak, Do::Take, Do::TakeAndBreak]);
        assert!(!fake.state().looked_up.is_empty());
    }
}

#[test]
fn a_request_that_arrives_after_its_connection_broke_is_waited_for() {
    for output in [loki, elasticsearch] {
        let fake = delivers_once(output, [Do::BreakAndTakeLater(LATER)]);
        let state = fake.state();
        let (sent, asked) = (state.writes[0].at, state.looked_up[0]);
        assert!(asked - sent >= Duration::from_millis(800), "{:?}", asked - sent);
    }
}

#[test]
fn a_request_that_a_frozen_back_end_takes_when_it_wakes_is_not_sent_again() {
    for output in [loki, elasticsearch] {
        // Arrives after the time-out and after the first look-up.
        let fake = delivers_once(output, [Do::TakeAfter(Duration::from_millis(900))]);
        assert!(fake.state().looked_up.len() > 1, "it is asked again");
    }
}

#[test]
fn a_hung_request_is_sent_again_and_a_slow_one_is_not() {
    for output in [loki, elasticsearch] {
        delivers_once(output, [Do::Hang, Do::TakeAfter(LATER), Do::Hang]);
    }
}

#[test]
fn errors_before_and_after_storing_lose_and_double_nothing() {
    let errors = || {
        [500, 502, 503, 504, 408].into_iter().flat_map(|status| {
            [Do::Answer(status, "no"), Do::TakeAndAnswer(status, "stored, but no")]
        })
    };
    for output in [loki, elasticsearch] {
        delivers_once(output, errors());
    }
}

#[test]
fn a_bulk_answer_for_half_of_the_documents_sends_the_other_half_again() {
    let fake = delivers_once(elasticsearch, [Do::TakeHalf, Do::TakeHalf]);
    assert!(fake.state().looked_up.is_empty(), "nothing of that is in doubt");
}

#[test]
fn a_bulk_answer_with_an_item_too_few_is_not_believed() {
    delivers_once(
        elasticsearch,
        [Do::ForgetOne, Do::TakeAndAnswer(200, ""), Do::TakeAndAnswer(200, "<html>")],
    );
}

#[test]
fn a_stream_that_took_some_lines_before_its_rate_limit_is_looked_up() {
    let text = "Per stream rate limit exceeded, total ignored: 3 out of 10";
    delivers_once(loki, [Do::TakeAndAnswer(429, text), Do::Answer(429, text)]);
}

#[test]
fn without_the_right_to_read_events_may_come_twice_but_none_is_lost() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(5);
        fake.script([Do::TakeAndBreak]);
        fake.state().always_look_up = Some(Do::Answer(403, "no right to read"));
        let _process = node.start(&output(&fake, TENS));
        until("they came again", || {
            fake.counts().values().filter(|times| **times == 2).count() == 5
        });
    }
}

#[test]
fn credentials_that_are_unknown_for_a_moment_do_not_count_as_no_right_to_read() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(5);
    fake.script([Do::TakeAndBreak]);
    {
        let mut state = fake.state();
        state.always_look_up = Some(Do::Answer(401, "unknown"));
        state.always = Some(Do::Answer(401, "unknown"));
    }
    let process = node.start(&loki(&fake, TENS));
    until("it was asked a few times", || fake.state().looked_up.len() > 3);
    {
        let mut state = fake.state();
        (state.always_look_up, state.always) = (None, None);
    }
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    node.all_once(&fake);
    assert_eq!(process.delivered("loki"), 5);
}

#[test]
fn kills_at_any_moment_lose_and_double_nothing() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        let outputs = output(&fake, TENS);
        for round in 0..8 {
            node.write(40);
            let wanted = fake.state().writes.len() + round % 4;
            if round % 2 == 1 {
                // No answer to the last requests of a process reaches it.
                fake.script([Do::Take, Do::TakeAfter(LATER), Do::TakeAfter(LATER)]);
            }
            let process = node.start(&outputs);
            until("it sent something", || {
                fake.state().writes.len() > wanted || fake.counts().len() == node.written
            });
            process.kill();
        }
        let _process = node.start(&outputs);
        node.all_once(&fake);
    }
}

#[test]
fn a_second_kill_while_the_first_is_still_in_doubt_doubles_nothing() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(60);
    fake.state().always = Some(Do::TakeAfter(Duration::from_secs(5)));
    let outputs = loki(&fake, TENS);
    let process = node.start(&outputs);
    until("all slots are taken", || fake.state().writes.len() == 4);
    process.kill();
    fake.state().always = None;
    until("they are stored", || fake.counts().len() == 40);
    // Look-ups fail, so the cursor does not move; then the agent is killed again.
    fake.state().always_look_up = Some(Do::Answer(503, "later"));
    let process = node.start(&outputs);
    until("it asked", || fake.state().looked_up.len() > 4);
    process.kill();
    fake.state().always_look_up = None;
    let _process = node.start(&outputs);
    node.all_once(&fake);
}

#[test]
fn a_request_of_a_killed_process_that_arrives_after_the_restart_is_waited_for() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(40);
        fake.state().always = Some(Do::TakeAfter(2 * LATER));
        let outputs = output(&fake, TENS);
        let process = node.start(&outputs);
        until("all slots are taken", || fake.state().writes.len() == 4);
        process.kill();
        fake.state().always = None;
        let _process = node.start(&outputs);
        node.all_once(&fake);
        let name = if outputs.contains("loki") { "loki" } else { "es" };
        until("all is acknowledged", || node.is_all_acknowledged(name));
        // By now the late requests have arrived in any case.
        std::thread::sleep(2 * LATER);
        node.all_once(&fake);
    }
}

#[test]
fn labels_changed_between_a_kill_and_the_restart_double_nothing() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(40);
    fake.state().always = Some(Do::TakeAfter(LATER));
    let process = node.start(&loki(&fake, &format!("{TENS}\ntenant = \"a\"")));
    until("all slots are taken", || fake.state().writes.len() == 4);
    process.kill();
    until("they are stored", || fake.counts().len() == 40);
    fake.state().always = None;
    node.write(10);
    let changed = format!("{TENS}\ntenant = \"b\"\nlabels = {{ job = \"other\" }}");
    let _process = node.start(&loki(&fake, &changed));
    node.all_once(&fake);
    assert!(fake.state().stored.iter().any(|stored| stored.tenant == "b"));
}

#[test]
fn a_damaged_checkpoint_doubles_nothing() {
    for both in [false, true] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        let outputs = loki(&fake, TENS);
        for _ in 0..3 {
            node.write(30);
            let process = node.start(&outputs);
            until("all is acknowledged", || node.is_all_acknowledged("loki"));
            process.kill();
        }
        let files = ["checkpoint.json", "checkpoint.json.previous"];
        for file in &files[..=usize::from(both)] {
            fs::write(node.state().join(file), "damaged").unwrap();
        }
        node.write(10);
        let process = node.start(&outputs);
        node.all_once(&fake);
        until("all is acknowledged", || node.is_all_acknowledged("loki"));
        // Killed again while the events are in doubt: nothing was written since the start.
        process.kill();
        let _process = node.start(&outputs);
        node.write(10);
        node.all_once(&fake);
    }
}

#[test]
fn what_is_looked_up_is_had_in_portions_that_the_back_end_can_give() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    (0..12).for_each(|_| node.write_with(&"x".repeat(100_000)));
    fake.script([Do::TakeAndBreak]);
    fake.state().max_answer = Some(250_000);
    let _process = node.start(&loki(&fake, "batch = { max_age = \"1ms\" }"));
    node.all_once(&fake);
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    node.all_once(&fake);
    fake.state().max_answer = Some(150_000);
    fake.script([Do::TakeAndBreak]);
    (0..4).for_each(|_| node.write_with(&"x".repeat(100_000)));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    node.all_once(&fake);
}

#[test]
fn after_a_clean_end_nothing_is_looked_up() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    node.write(30);
    let process = node.start(&loki(&fake, TENS));
    node.all_once(&fake);
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    assert!(process.stop());
    node.write(30);
    let start = Instant::now();
    let _process = node.start(&loki(&fake, TENS));
    node.all_once(&fake);
    assert!(fake.state().looked_up.is_empty() && start.elapsed() < Duration::from_millis(800));
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
}
