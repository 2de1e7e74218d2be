//! Logs that are not what they were: a power cut took their end, somebody cut them or deleted backups. What is left
//! arrives once, and what was lost is told.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};

use super::agent::{Node, TENS, elasticsearch, loki, until};
use super::fake::{Fake, audit_id};
use super::files::{archive, lines};

impl Node {
    /// Takes so many bytes off the end of the log, and the line that this leaves unfinished.
    fn cut(&self, bytes: usize) {
        let log = fs::read(self.log()).unwrap();
        let end = memchr::memrchr(b'\n', &log[..log.len() - bytes]).unwrap();
        let file = OpenOptions::new().write(true).open(self.log()).unwrap();
        file.set_len(end as u64 + 1).unwrap();
    }
}

/// What was delivered and cut off stays delivered; what takes its place arrives too.
fn cut_and_go_on(
    mut node: Node,
    name: &str,
    output: impl Fn(&Node) -> String,
    arrived: impl Fn() -> usize,
) -> Node {
    let outputs = output(&node);
    (0..400).for_each(|_| node.write_with("some body"));
    let process = node.start(&outputs);
    until("all is acknowledged", || node.is_all_acknowledged(name));
    assert!(process.stop());
    node.cut(5000);
    node.write(60);
    let process = node.start(&outputs);
    until("what is new arrives", || arrived() >= node.written);
    until("all is acknowledged", || node.is_all_acknowledged(name));
    // While it runs, and beyond the length that it had; before a kill.
    node.cut(3000);
    node.write(100);
    until("what is new arrives", || arrived() >= node.written);
    process.kill();
    let process = node.start(&outputs);
    node.write(1);
    until("all is acknowledged", || node.is_all_acknowledged(name));
    assert!(process.stop());
    assert!(arrived() >= node.written);
    node
}

#[test]
fn a_log_that_lost_its_end_below_what_was_sent_is_read_on_and_nothing_is_stored_twice() {
    for (name, output) in [("loki", loki as fn(&Fake, &str) -> String), ("es", elasticsearch)] {
        let fake = Fake::new();
        cut_and_go_on(Node::new(), name, |_| output(&fake, TENS), || fake.counts().len());
        let counts = fake.counts();
        assert_eq!(counts.len(), 561, "{name}: lost");
        let doubled: Vec<_> = counts.iter().filter(|(_, times)| **times > 1).collect();
        assert!(doubled.is_empty(), "{name}: {doubled:?}");
    }
}

#[test]
fn a_log_that_lost_its_end_leaves_no_line_twice_in_a_file() {
    for more in ["", "rotate = { max_bytes = \"64KiB\", max_files = 100 }"] {
        let node = Node::new();
        let path = node.dir.path().to_owned();
        let arrived =
            || lines(&path).iter().map(|line| audit_id(line)).collect::<BTreeSet<_>>().len();
        let node = cut_and_go_on(node, "archive", |node| archive(node, more), arrived);
        let lines = lines(node.dir.path());
        let ids = lines.iter().map(|line| audit_id(line).parse().unwrap());
        assert_eq!(ids.collect::<Vec<usize>>(), (0..node.written).collect::<Vec<_>>());
    }
}
