//! SIGKILL before and after each step, and a second SIGKILL during the recovery.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::node::{Ended, Node};
use crate::{in_parallel, sample, tally};

/// How many points a run without a kill passes.
fn points() -> usize {
    let mut node = Node::new();
    assert_eq!(node.run(None), Ended::Well);
    tally::check(&node, "no kill");
    let notes = fs::read_to_string(node.path("notes")).unwrap();
    let last: Value = serde_json::from_str(notes.lines().last().unwrap()).unwrap();
    // The last note holds the number of points before its step; one more point follows the step.
    usize::try_from(last[0].as_u64().unwrap()).unwrap() + 1
}

#[test]
fn a_kill_before_or_after_any_step_loses_and_doubles_nothing() {
    let all: Vec<_> = (1..=points()).collect();
    let count = all.len();
    let tried = sample(all, 60);
    let (killed, at) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    in_parallel(&tried, |point| {
        let mut node = Node::new();
        if node.run(Some(*point)) == Ended::Killed {
            killed.fetch_add(1, Ordering::Relaxed);
            at.lock().unwrap().insert(*point);
            // The API server keeps writing and rotating while no agent runs.
            node.steps_while_down([0, 1, usize::MAX][point % 3]);
            assert_eq!(node.run(None), Ended::Well);
        }
        tally::check(&node, &format!("killed at point {point}"));
    });
    println!(
        "tried {} points of {count}: {} times it was killed there, else it had ended before",
        tried.len(),
        killed.load(Ordering::Relaxed)
    );
    assert!(killed.load(Ordering::Relaxed) * 10 >= tried.len() * 8);
}

#[test]
fn a_second_kill_while_it_recovers_from_the_first_loses_and_doubles_nothing() {
    let points = points();
    let pairs: Vec<(usize, usize)> = (1..=points)
        .step_by(points / 15)
        // Points soon after the start, and some later ones.
        .flat_map(|first| [3, 9, 14, 21, 30, 45, 70].map(|second| (first, second + first % 7)))
        .collect();
    let (count, pairs) = (pairs.len(), sample(pairs, 25));
    in_parallel(&pairs, |(first, second)| {
        let mut node = Node::new();
        if node.run(Some(*first)) == Ended::Killed {
            node.steps_while_down([0, 1, usize::MAX][first % 3]);
            if node.run(Some(*second)) == Ended::Killed {
                node.steps_while_down([0, 2][second % 2]);
                assert_eq!(node.run(None), Ended::Well);
            }
        }
        tally::check(&node, &format!("killed at point {first}, then at {second}"));
    });
    println!("tried {} pairs of points of {count}", pairs.len());
}
