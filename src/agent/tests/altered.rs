//! Logs that changed: a power cut took their end, or somebody truncated them or deleted backups. What is left is
//! stored once, and what was lost is reported as a gap.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use kit::FakeStore;
use kit::store::{Do, audit_id};

use super::agent::{Node, TENS, elasticsearch, loki, until};
use super::files::{archive, lines};
use super::gaps::{events, told};
use crate::checkpoint::Store;

impl Node {
    /// Truncates the log by this many bytes and the line that this leaves torn.
    fn cut(&self, bytes: usize) {
        let log = fs::read(self.log()).unwrap();
        let end = memchr::memrchr(b'\n', &log[..log.len() - bytes]).unwrap();
        self.writer().truncate(end as u64 + 1);
    }
}

/// Events that were delivered and cut off stay stored; the events that replace them are stored too.
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
    // First while the agent runs, beyond the length that the log had; then before a kill.
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
    for (name, output) in [("loki", loki as fn(&FakeStore, &str) -> String), ("es", elasticsearch)]
    {
        let fake = FakeStore::new();
        cut_and_go_on(Node::new(), name, |_| output(&fake, TENS), || events(&fake));
        assert_eq!(events(&fake), 561, "{name}: lost");
    }
}

#[test]
fn a_log_that_lost_its_end_leaves_no_line_twice_in_a_file() {
    for more in ["", "rotate = { max_bytes = \"64KiB\", max_files = 100 }"] {
        let node = Node::new();
        let path = node.dir.path().to_owned();
        let events = || {
            let lines = lines(&path).into_iter();
            lines.filter(|line| !line.contains("\"kind\":\"Gap\"")).map(|line| audit_id(&line))
        };
        let arrived = || events().collect::<BTreeSet<_>>().len();
        let node = cut_and_go_on(node, "archive", |node| archive(node, more), arrived);
        let ids = events().map(|id| id.parse().unwrap());
        assert_eq!(ids.collect::<Vec<usize>>(), (0..node.written).collect::<Vec<_>>());
    }
}

/// Before the second reading is looked up, the agent has to wait for the answer to what it sent before the
/// truncation.
#[test]
fn a_log_cut_while_its_end_is_under_way_is_stored_once() {
    for output in [loki, elasticsearch] {
        let (fake, mut node) = (FakeStore::new(), Node::new());
        node.write(200);
        let started = Instant::now();
        let process = node.start(&output(&fake, TENS));
        until("it has arrived", || fake.counts().len() == 200);
        // Until then no look-up is made anyway, because an earlier process might have sent events.
        until("its first time-out has passed", || started.elapsed() > Duration::from_secs(1));
        fake.script([Do::TakeAfter(Duration::from_millis(500))]);
        let before = fake.state().writes.len();
        node.write(10);
        until("it is under way", || fake.state().writes.len() > before);
        node.cut(500);
        node.write(30);
        node.all_once(&fake);
        assert!(process.stop());
        node.all_once(&fake);
    }
}

/// The agent had seen the backup, but no output had begun it.
#[test]
fn a_backup_deleted_while_the_agent_was_down_is_counted_with_its_bytes() {
    let (fake, mut node) = (FakeStore::new(), Node::new());
    let output = loki(&fake, TENS);
    node.write(20);
    let process = node.start_holding("max_bytes = 0", &output);
    node.all_once(&fake);
    fake.state().always = Some(Do::Answer(503, "later"));
    let backup = node.log().with_file_name("audit-2026-11-21T06-28-01.678.log");
    for (name, events) in
        [(&node.log().with_file_name("audit-2026-11-21T06-28-00.678.log"), 30), (&backup, 10)]
    {
        node.writer().rotate(name);
        node.write(events);
    }
    let bytes = fs::metadata(&backup).unwrap().len();
    until("it is noted", || {
        let state = Store::load(&node.state()).unwrap().state;
        let seen = state.seen("api");
        seen.values().any(|seen| seen.complete && seen.length == bytes) && seen.len() == 3
    });
    process.kill();
    fs::remove_file(&backup).unwrap();
    fake.state().always = None;
    let process = node.start_holding("max_bytes = 0", &output);
    until("the rest arrives", || events(&fake) == 30);
    told(&node, &fake, "loki", &[("backup_gone", "bytes", bytes)]);
    until("it is forgotten", || Store::load(&node.state()).unwrap().state.seen("api").len() == 2);
    assert!(process.stop());
}
