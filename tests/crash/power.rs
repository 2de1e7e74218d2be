//! A power cut after each step: the node loses what it had not synced (fsync), the back ends keep what they stored.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use kit::FakeStore;
use kit::store::Stored;
use serde_json::Value;

use crate::disk::{Disk, Image, Loss, restore};
use crate::node::{Ended, Node};
use crate::{in_parallel, sample, tally};

/// For each kind of power cut: what the state directory loses, and what the file output loses.
const CUTS: &[(Loss, Loss)] = &[
    (Loss::All, Loss::All),
    (Loss::Content, Loss::Content),
    (Loss::Zeros, Loss::Zeros),
    (Loss::Half, Loss::Half),
    (Loss::Names, Loss::Names),
    (Loss::All, Loss::None),
    (Loss::None, Loss::All),
    (Loss::Content, Loss::Names),
    (Loss::Names, Loss::Content),
];

/// How many steps after a kill are cut; later steps are like those of a run without a kill.
const RECOVERY: usize = 60;

/// A run with the notes of all its steps.
struct Recorded {
    node: Node,
    notes: Vec<Value>,
    root: PathBuf,
    /// The power is cut after each of these notes, counted from 1.
    cuts: Range<usize>,
}

/// One power cut in a recorded run, and the files that it leaves.
struct Case<'a> {
    run: &'a Recorded,
    after: usize,
    cut: (Loss, Loss),
    image: Image,
}

impl Recorded {
    /// Records a run that is killed at this point, if any, and started again.
    fn new(kill: Option<usize>) -> Self {
        let (mut node, mut cuts) = (Node::new(), 1..usize::MAX);
        if node.run(kill) == Ended::Killed {
            cuts = node.notes()..node.notes() + RECOVERY;
            assert_eq!(node.run(None), Ended::Well);
        }
        tally::check(&node, "the recorded run");
        let text = fs::read_to_string(node.path("notes")).unwrap();
        let notes: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let root = node.dir.path().to_owned();
        cuts.end = cuts.end.min(notes.len() + 1);
        Self { node, notes, root, cuts }
    }

    /// The files that each kind of power cut leaves after each step.
    fn cases(&self) -> Vec<Case<'_>> {
        let mut disk = Disk::new(&self.root);
        let mut cases = Vec::new();
        for (after, note) in (1..).zip(&self.notes) {
            disk.step(note);
            for cut in CUTS.iter().filter(|_| self.cuts.contains(&after)) {
                let loss = |path: &Path| if path.starts_with("archive") { cut.1 } else { cut.0 };
                let image = disk.after_cut(&self.root, &loss);
                cases.push(Case { run: self, after, cut: *cut, image });
            }
        }
        cases
    }
}

impl Case<'_> {
    /// The events that a back end had stored when the power was cut.
    fn held(&self, store: &FakeStore) -> Vec<Stored> {
        let state = store.state();
        let later = state.writes.iter().find(|write| write.clock > self.after);
        state.stored[..later.map_or(state.stored.len(), |write| write.stored_before)].to_vec()
    }

    fn steps(&self) -> usize {
        self.run.node.steps.iter().filter(|notes| **notes <= self.after).count()
    }

    /// Equal for equivalent cases, so that only one of them is tested.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let node = &self.run.node;
        let held = [&node.loki, &node.elasticsearch].map(|fake| self.held(fake).len());
        (&self.image, held, self.steps()).hash(&mut hasher);
        hasher.finish()
    }

    fn test(&self) {
        let dir = tempfile::tempdir().unwrap();
        restore(&self.image, dir.path());
        let node = &self.run.node;
        let (loki, elasticsearch) = (self.held(&node.loki), self.held(&node.elasticsearch));
        let mut again = Node::at(dir, self.steps(), loki, elasticsearch);
        again.cut = true;
        assert_eq!(again.run(None), Ended::Well);
        let what = format!(
            "cut after step {} of {}, {}: {:?}",
            self.after,
            self.run.notes.len(),
            self.run.notes[self.after - 1].to_string().chars().take(150).collect::<String>(),
            self.cut
        );
        tally::check(&again, &what);
    }
}

fn cut_everywhere(runs: &[Recorded], about: usize) {
    let all: Vec<_> = runs.iter().flat_map(Recorded::cases).collect();
    let (count, mut seen) = (all.len(), HashSet::new());
    let different: Vec<_> =
        all.into_iter().filter(|case| seen.insert(case.fingerprint())).collect();
    let differing = different.len();
    let tried = sample(different, about);
    in_parallel(&tried, Case::test);
    let steps: usize = runs.iter().map(|run| run.cuts.len()).sum();
    println!(
        "tried {} of {differing} different states that {} kinds of power cut leave at {steps} points ({count} in all)",
        tried.len(),
        CUTS.len()
    );
}

#[test]
fn a_power_cut_after_any_step_loses_and_doubles_nothing() {
    cut_everywhere(&[Recorded::new(None)], 60);
}

#[test]
fn a_power_cut_after_a_kill_loses_and_doubles_nothing() {
    let runs: Vec<_> = [15, 40, 90, 140, 190, 240].map(|point| Recorded::new(Some(point))).into();
    cut_everywhere(&runs, 40);
}
