//! A file as the output: whenever the agent is killed, the file holds every line once.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use kit::store::audit_id;

use super::agent::{Node, eventually, until};

pub(super) fn archive(node: &Node, more: &str) -> String {
    let path = node.dir.path().join("archive/out.ndjson");
    format!(
        "[outputs.archive]\ntype = \"file\"\npath = {path:?}\n{more}\nbatch = {{ max_events = 3, max_age = \"1ms\" }}\n"
    )
}

pub(super) fn lines(dir: &Path) -> Vec<String> {
    // A file can be rotated between listing and reading.
    eventually("all that is listed can be read", || read_lines(dir).ok())
}

fn read_lines(dir: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<_> = fs::read_dir(dir.join("archive"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    // Numbered files first, then the current one, which has no number.
    names.sort_by_key(|path| (path.extension().unwrap() == "ndjson", path.clone()));
    let mut lines = Vec::new();
    for path in names {
        lines.extend(fs::read_to_string(path)?.lines().map(str::to_owned));
    }
    Ok(lines)
}

fn kill_often(more: &str, body: usize) {
    let mut node = Node::new();
    let outputs = archive(&node, more);
    for round in 0..12 {
        (0..40).for_each(|_| node.write_with(&"x".repeat(body)));
        let before = lines(node.dir.path()).len();
        let process = node.start(&outputs);
        until("it wrote something", || {
            lines(node.dir.path()).len() > before + round % 5 * 8
                || node.is_all_acknowledged("archive")
        });
        process.kill();
    }
    let process = node.start(&outputs);
    until("all is acknowledged", || node.is_all_acknowledged("archive"));
    assert!(process.stop());
    let ids: Vec<usize> =
        lines(node.dir.path()).iter().map(|line| audit_id(line).parse().unwrap()).collect();
    assert!(ids.iter().copied().eq(0..node.written), "{ids:?}");
}

#[test]
fn kills_at_any_moment_leave_each_line_once_and_in_order() {
    kill_often("", 0);
}

#[test]
fn kills_at_any_moment_leave_each_gap_once_before_the_lines_that_follow_it() {
    let mut node = Node::new();
    let outputs = archive(&node, "");
    let mut rounds = 0;
    for round in 0..12 {
        node.write(20);
        node.writer().append(&[0; 7]);
        node.write(20);
        let before = lines(node.dir.path()).len();
        let process = node.start(&outputs);
        until("it wrote something", || {
            lines(node.dir.path()).len() > before + round % 5 * 8
                || node.is_all_acknowledged("archive")
        });
        process.kill();
        rounds += 1;
    }
    let process = node.start(&outputs);
    until("all is acknowledged", || node.is_all_acknowledged("archive"));
    assert!(process.stop());
    let (gaps, events): (Vec<_>, Vec<_>) =
        lines(node.dir.path()).into_iter().partition(|line| line.contains("\"kind\":\"Gap\""));
    let ids: Vec<usize> = events.iter().map(|line| audit_id(line).parse().unwrap()).collect();
    assert!(ids.iter().copied().eq(0..node.written), "{ids:?}");
    let bytes = |line: &String| line.contains("\"bytes\":7,") && line.contains("nul_hole");
    assert!(gaps.len() == rounds && gaps.iter().all(bytes), "{gaps:#?}");
}

#[test]
fn kills_among_rotations_leave_each_line_once_and_in_order() {
    kill_often("rotate = { max_bytes = \"64KiB\", max_files = 100 }", 2000);
}

#[test]
fn nothing_is_written_before_its_mark_is() {
    let mut node = Node::new();
    assert!(node.start(&archive(&node, "")).stop());
    node.write(10);
    let in_the_way = node.state().join("checkpoint.json.new/x");
    fs::create_dir_all(&in_the_way).unwrap();
    let process = node.start(&archive(&node, ""));
    until("it is said", || process.problems().contains("the checkpoint cannot be saved"));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(lines(node.dir.path()).len(), 0);
    fs::remove_dir_all(in_the_way.parent().unwrap()).unwrap();
    until("all is acknowledged", || node.is_all_acknowledged("archive"));
    assert_eq!(lines(node.dir.path()).len(), 10);
}
