//! Answers from a proxy instead of the store, and events that wait for an operator while others are delivered.

use kit::FakeStore;
use kit::store::{Do, Refusal};

use super::agent::{Node, TENS, elasticsearch, loki, until};
use crate::telemetry::PairState;

const SIGN_IN: &str = "<!DOCTYPE html><html><title>Sign in</title></html>";

/// Answers of a proxy, or of another server in place of the store.
const STRANGERS: [(u16, &str); 7] = [
    (200, SIGN_IN),
    (200, "{}"),
    (202, ""),
    (308, "<html>308 Permanent Redirect</html>"),
    (400, "Client sent an HTTP request to an HTTPS server.\n"),
    (403, "<html>Request blocked</html>"),
    (404, "404 page not found\n"),
];

#[test]
fn a_sign_in_page_or_a_proxy_in_front_of_a_store_stops_the_output_and_costs_no_event() {
    for (status, page) in STRANGERS {
        for output in [loki, elasticsearch] {
            let (fake, mut node) = (FakeStore::new(), Node::new());
            let name = if output(&fake, "").contains("loki") { "loki" } else { "es" };
            {
                let mut state = fake.state();
                state.always = Some(Do::Answer(status, page));
                state.always_look_up = Some(Do::Answer(status, page));
            }
            node.write(25);
            let process = node.start(&output(&fake, TENS));
            until("it stops", || matches!(process.pair_state(name), PairState::Stopped { .. }));
            let asked = || {
                let state = fake.state();
                state.looked_up.len() + state.writes.len()
            };
            let before = asked();
            until("it was tried again", || asked() > before + 3);
            assert_eq!(
                (process.delivered(name), node.letters(name).len()),
                (0, 0),
                "{status} {page}"
            );
            assert!(
                matches!(process.pair_state(name), PairState::Stopped { .. }),
                "{status} {page}"
            );
            {
                let mut state = fake.state();
                (state.always, state.always_look_up) = (None, None);
            }
            until("all is acknowledged", || node.is_all_acknowledged(name));
            node.all_once(&fake);
            until("it is ready again", || process.problems().is_empty());
        }
    }
}

#[test]
fn an_event_refused_in_unknown_words_waits_alone_and_is_no_dead_letter() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::Strange, "venom");
    node.write(4);
    node.write_with("venom");
    node.write(15);
    let process = node.start(&loki(&fake, TENS));
    until("the others are delivered", || process.delivered("loki") == 19);
    until("it is said", || process.problems().contains("1 event waits"));
    assert!(process.problems().contains("wrong quarter"), "{}", process.problems());
    assert_eq!(node.letters("loki").len(), 0);
    fake.refuse_nothing();
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    node.all_once(&fake);
    assert!(process.problems().is_empty(), "{}", process.problems());
}

/// If all events are refused with these words, the words are about all of them: there is no request for each event.
#[test]
fn unknown_words_to_every_event_do_not_make_a_request_of_each() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::Strange, "auditID");
    node.write(200);
    let slow = loki(&fake, "in_flight = 1").replace("10ms", "5s").replace("40ms", "5s");
    let process = node.start(&slow);
    until("all of them wait", || process.problems().contains("200 events wait"));
    assert!(fake.state().writes.len() < 40, "{} requests", fake.state().writes.len());
    assert_eq!(node.letters("loki").len(), 0);
}

#[test]
fn events_from_a_clock_that_is_ahead_wait_until_the_store_takes_them() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::TooNew, "tomorrow");
    (0..3).for_each(|_| node.write_with("tomorrow"));
    node.write(17);
    let process = node.start(&loki(&fake, TENS));
    until("the others are delivered", || process.delivered("loki") == 17);
    until("it is said", || process.problems().contains("3 events wait"));
    assert!(process.problems().contains("clock"), "{}", process.problems());
    assert_eq!(node.letters("loki").len(), 0);
    fake.refuse_nothing();
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    node.all_once(&fake);
}

#[test]
fn an_output_that_takes_all_but_the_events_of_one_index_is_stopped_and_says_how_many_wait() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.refuse(Refusal::Blocked, "venom");
    (0..8).for_each(|_| node.write_with("venom"));
    node.write(12);
    let process = node.start(&elasticsearch(&fake, TENS));
    until("the others are delivered", || process.delivered("es") == 12);
    until("it is said", || process.problems().contains("8 events wait"));
    // Events that are delivered later change nothing.
    node.write(5);
    until("those are delivered", || process.delivered("es") == 17);
    assert!(process.problems().contains("blocked for writing"), "{}", process.problems());
    assert_eq!(node.letters("es").len(), 0);
    fake.refuse_nothing();
    until("all is acknowledged", || node.is_all_acknowledged("es"));
    node.all_once(&fake);
    assert_eq!(process.pair_state("es"), PairState::Running);
}

/// A proxy's page as the answer to a look-up says nothing about what is stored.
#[test]
fn a_page_in_place_of_a_look_up_never_makes_an_event_come_twice() {
    for output in [loki, elasticsearch] {
        for (status, page) in STRANGERS {
            let (fake, mut node) = (FakeStore::new(), Node::new());
            let name = if output(&fake, "").contains("loki") { "loki" } else { "es" };
            fake.script([Do::TakeAndBreak]);
            {
                let mut state = fake.state();
                state.always_look_up = Some(Do::Answer(status, page));
                state.nobody = true;
            }
            node.write(5);
            let _process = node.start(&output(&fake, TENS));
            until("it was asked", || fake.state().looked_up.len() > 3);
            {
                let mut state = fake.state();
                (state.always_look_up, state.nobody) = (None, false);
            }
            until("all is acknowledged", || node.is_all_acknowledged(name));
            node.all_once(&fake);
        }
    }
}
