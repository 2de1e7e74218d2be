//! Promise 3 with the whole agent: files that the API server deletes while an output takes nothing are still
//! delivered.

use std::fs;
use std::path::PathBuf;

use kit::FakeStore;
use kit::store::Do;

use super::agent::{Node, TENS, elasticsearch, loki, until};
use super::gaps::gaps;

impl Node {
    fn backup(&self, n: u32) -> PathBuf {
        self.log().with_file_name(format!("audit-2026-11-21T07-00-00.{n:03}.log"))
    }

    /// Rotates like an API server that keeps one backup.
    fn rotate_and_keep_one(&self, n: u32) {
        self.writer().rotate(self.backup(n));
        if n > 1 {
            fs::remove_file(self.backup(n - 1)).unwrap();
        }
    }

    fn links(&self) -> usize {
        fs::read_dir(self.log().with_file_name(".auditrail-hold")).map_or(0, Iterator::count)
    }
}

#[test]
fn with_one_backup_kept_a_hung_output_and_a_kill_nothing_is_missing_and_the_links_go() {
    let (hung, well, mut node) = (FakeStore::new(), FakeStore::new(), Node::new());
    hung.state().always = Some(Do::Hang);
    let outputs = loki(&hung, TENS) + &elasticsearch(&well, TENS);
    let process = node.start(&outputs);
    for n in 1..=5 {
        node.write(30);
        until("the file is linked", || node.links() >= n as usize);
        node.rotate_and_keep_one(n);
    }
    process.kill();
    node.write(30);
    hung.state().always = None;
    let process = node.start(&outputs);
    node.all_once(&hung);
    node.all_once(&well);
    // A link is removed after two checkpoints, and a checkpoint is only written after a change.
    until("the links are gone", || {
        node.write(1);
        std::thread::sleep(std::time::Duration::from_millis(50));
        node.links() == 1
    });
    until("what was passed is deleted", || process.telemetry.input("api").hold_bytes.get() == 0);
}

#[test]
fn links_of_an_output_that_was_removed_from_the_configuration_go_with_it() {
    let (hung, well, mut node) = (FakeStore::new(), FakeStore::new(), Node::new());
    hung.state().always = Some(Do::Hang);
    let process = node.start(&(loki(&hung, TENS) + &elasticsearch(&well, TENS)));
    for n in 1..=3 {
        node.write(30);
        until("the file is linked", || node.links() >= n as usize);
        node.rotate_and_keep_one(n);
    }
    node.all_once(&well);
    process.kill();
    let _process = node.start(&elasticsearch(&well, TENS));
    until("the links are gone", || {
        node.write(1);
        std::thread::sleep(std::time::Duration::from_millis(50));
        node.links() == 1
    });
    node.all_once(&well);
}

#[test]
fn a_spent_budget_is_a_gap_with_the_unread_bytes_for_each_output_that_waited_and_none_for_the_others()
 {
    let (hung, well, mut node) = (FakeStore::new(), FakeStore::new(), Node::new());
    hung.state().always = Some(Do::Hang);
    let outputs = loki(&hung, TENS).replace("timeout = \"800ms\"", "timeout = \"200ms\"");
    let outputs = outputs + &elasticsearch(&well, TENS);
    let process = node.start_holding("max_bytes = \"60KiB\", min_free = \"0%\"", &outputs);
    for n in 1..=5 {
        // 40 KiB, of which the hung output reads sixty lines ahead: one backup fits into the budget.
        (0..60).for_each(|_| node.write_with(&"x".repeat(500)));
        until("the file is linked", || node.links() >= 1);
        node.all_once(&well);
        node.rotate_and_keep_one(n);
    }
    let input = process.telemetry.input("api");
    // The number in `auditID` makes later events one or two digits longer.
    let size = fs::read(node.backup(5)).unwrap().iter().position(|byte| *byte == b'\n').unwrap()
        as u64
        - 2;
    until("the budget is kept", || (1..=60 << 10).contains(&input.hold_bytes.get()));
    node.write(1);
    node.all_once(&well);
    hung.state().always = None;
    let last = (node.written - 1).to_string();
    until("the rest arrives, and the gap is as large as what is missing", || {
        let told = gaps(&hung);
        assert!(told.iter().all(|gap| gap["gap"]["reason"] == "budget_spent"), "{told:#?}");
        let bytes: u64 = told.iter().filter_map(|gap| gap["gap"]["bytes"].as_u64()).sum();
        let missing = (node.written + told.len() - hung.counts().len()) as u64;
        let events = missing * size..=missing * (size + 8);
        missing > 0 && events.contains(&bytes) && hung.counts().contains_key(&last)
    });
    assert_eq!(gaps(&well).len(), 0);
    assert_eq!(well.counts().len(), node.written);
}
