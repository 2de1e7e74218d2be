//! Fault injection: the disk returns an error at each step and each read, once or several times in a row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::node::{Ended, Fault, Node};
use crate::{in_parallel, sample, tally};

/// Each error, and its text in the agent's log.
const ERRORS: &[(&str, &str)] = &[
    ("EIO", "Input/output error"),
    ("ENOSPC", "No space left on device"),
    ("EMFILE", "Too many open files"),
    ("EINTR", "Interrupted system call"),
    ("EROFS", "Read-only file system"),
    ("EDQUOT", "Disk quota exceeded"),
    ("ESTALE", "Stale file handle"),
];

/// How many operations in a row fail, as on a disk that is full or gone for some time.
const A_WHILE: usize = 12;

/// How many steps that change a file, and how many reads, a run without faults takes.
fn counts() -> [usize; 2] {
    let mut node = Node::new();
    let nothing = Fault { is_read: false, at: 0, count: 0, with: "EIO" };
    assert_eq!(node.run_failing(nothing), Ended::Well);
    tally::check(&node, "no fault");
    let tape = tape(&node);
    ["change", "read"].map(|kind| tape.iter().filter(|line| line[0] == kind).count())
}

fn tape(node: &Node) -> Vec<Value> {
    let tape = fs::read_to_string(node.path("tape")).unwrap();
    tape.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The operations that failed, for messages: each with the last name of its path.
fn failed(node: &Node) -> Vec<String> {
    let name = |line: &Value| {
        let path = line[3].as_str().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let failed = tape(node).into_iter().filter(|line| !line[4].is_null());
    failed.map(|line| format!("{} {}", line[2].as_str().unwrap(), name(&line))).collect()
}

/// Runs the script with a fault, then once more without. Returns the operations that failed, whether the log names the
/// error, and how the first run ended.
fn play(fault: Fault) -> (Vec<String>, bool, Ended) {
    let mut node = Node::new();
    let ended = node.run_failing(fault);
    let what = failed(&node);
    let said = fs::read_to_string(node.path("agent.log")).unwrap();
    let named = ERRORS.iter().find(|(name, _)| *name == fault.with).unwrap().1;
    assert!(!said.contains("panicked at"), "{fault:?}: {what:?}{}", node.explain());
    if ended == Ended::Failed {
        // An agent that exits with an error must log the reason.
        let last = said.lines().last().unwrap_or_default();
        let is_clear = last.contains(named) || said.lines().any(|line| line.contains("ERROR"));
        assert!(is_clear, "{fault:?}: {what:?}{}", node.explain());
        node.steps_while_down([0, 1, usize::MAX][fault.at % 3]);
    }
    assert_eq!(node.run(None), Ended::Well, "{fault:?}: {what:?}");
    tally::check(&node, &format!("{fault:?}: {what:?}"));
    (what, said.contains(named), ended)
}

fn fail_everywhere(faults: &[Fault], of: [usize; 2]) {
    let (fell, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let unsaid = Mutex::new(BTreeMap::<String, BTreeSet<Fault>>::new());
    in_parallel(faults, |fault| {
        let (what, is_said, end) = play(*fault);
        fell.fetch_add(what.len(), Ordering::Relaxed);
        ended.fetch_add(usize::from(end == Ended::Failed), Ordering::Relaxed);
        if !is_said && !what.is_empty() {
            unsaid.lock().unwrap().entry(what.join(", ")).or_default().insert(*fault);
        }
    });
    let (fell, ended) = (fell.into_inner(), ended.into_inner());
    println!(
        "{} runs with faults at {} steps and {} reads: {fell} faults fell, {ended} runs ended with an error and were started again",
        faults.len(),
        of[0],
        of[1],
    );
    let unsaid = unsaid.into_inner().unwrap();
    for (what, faults) in &unsaid {
        println!("not said: {what}: {faults:?}");
    }
    assert!(fell * 10 >= faults.len() * 8, "most have to fall");
}

/// One fault for each step and each read. The errors take turns, beginning with number `shift`.
fn each(of: [usize; 2], count: usize, errors: &[(&'static str, &str)], shift: usize) -> Vec<Fault> {
    let all = [false, true].into_iter().zip(of);
    let all = all.flat_map(|(is_read, points)| (1..=points).map(move |at| (is_read, at)));
    all.map(|(is_read, at)| Fault {
        is_read,
        at,
        count,
        with: errors[(at + shift) % errors.len()].0,
    })
    .collect()
}

#[test]
fn an_error_at_any_step_or_read_loses_and_doubles_nothing() {
    let of = counts();
    let mut faults = each(of, 1, &ERRORS[..1], 0);
    faults.extend(each(of, 1, &ERRORS[1..], 0));
    fail_everywhere(&sample(faults, 48), of);
}

#[test]
fn a_disk_that_fails_for_a_while_loses_and_doubles_nothing() {
    let of = counts();
    fail_everywhere(&sample(each(of, A_WHILE, ERRORS, 3), 32), of);
}
