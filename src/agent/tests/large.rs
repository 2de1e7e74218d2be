//! Lines of megabytes: one at a time through the process's one large buffer, which no output keeps from another.

use std::fs;
use std::thread;
use std::time::Duration;

use kit::FakeStore;
use kit::store::Do;

use super::agent::{Node, elasticsearch, loki, until};

const LARGE: usize = 5 << 20;

#[test]
fn a_large_line_held_by_a_hung_output_does_not_keep_another_from_its_own() {
    for in_flight in [1, 2] {
        let (hung, well, mut node) = (FakeStore::new(), FakeStore::new(), Node::new());
        hung.state().always = Some(Do::Hang);
        // With a free slot the hung output sends the large line; without one it releases the buffer and reads it
        // again later.
        for small in [in_flight, in_flight - 1] {
            node.write(small);
            node.write_with(&"x".repeat(LARGE));
        }
        let more =
            format!("batch = {{ max_events = 1, max_age = \"1ms\" }}\nin_flight = {in_flight}");
        let outputs = loki(&hung, &more) + &elasticsearch(&well, "");
        let _process = node.start(&outputs);
        until("it hangs", || hung.state().writes.len() >= in_flight);
        thread::sleep(Duration::from_millis(500));
        node.write_with(&"y".repeat(LARGE));
        node.write(1);
        node.all_once(&well);
        assert_eq!(hung.counts().len(), 0);
        hung.state().always = None;
        node.all_once(&hung);
    }
}

#[test]
fn a_large_line_whose_answer_was_lost_is_read_again_and_stored_once() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write_with(&"x".repeat(LARGE));
        node.write(5);
        fake.script([Do::TakeAndBreak, Do::Answer(503, "no")]);
        let name = if output(&fake, "").contains("loki") { "loki" } else { "es" };
        let process = node.start(&output(&fake, ""));
        until("all is acknowledged", || node.is_all_acknowledged(name));
        node.all_once(&fake);
        assert!(process.stop());
    }
}

#[test]
fn what_was_appended_behind_a_large_line_while_it_waited_is_delivered_too() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.state().always = Some(Do::TakeAndBreak);
    // Written in two parts, so that the reader knows that the line is large before its end is written.
    node.write(1);
    node.write_with(&"x".repeat(LARGE));
    let whole = fs::read(node.log()).unwrap();
    fs::write(node.log(), &whole[..whole.len() - 1000]).unwrap();
    // A batch has room for more than the large line.
    let process =
        node.start(&elasticsearch(&fake, "batch = { max_bytes = \"16MiB\", max_age = \"1ms\" }"));
    until("the first is sent", || !fake.state().writes.is_empty());
    thread::sleep(Duration::from_millis(300));
    let seen = fake.state().writes.len();
    node.writer().append(&whole[whole.len() - 1000..]);
    until("the large one is sent", || fake.counts().len() == 2 && fake.state().writes.len() > seen);
    node.write(5);
    fake.state().always = None;
    until("all is acknowledged", || node.is_all_acknowledged("es"));
    node.all_once(&fake);
    assert!(process.stop());
}

#[test]
fn a_line_larger_than_what_is_reserved_at_once_gets_through() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    fake.script([Do::Answer(503, "no")]);
    node.write(1);
    node.write_with(&"x".repeat(70 << 20));
    node.write(1);
    let outputs = loki(&fake, "").replace("800ms", "20s");
    let _process = node.start(&outputs);
    until("all is acknowledged", || node.is_all_acknowledged("loki"));
    node.all_once(&fake);
}
