//! Rolls a machine back to a snapshot, with its log or with the state directory only, while the back ends keep their
//! events. For the back ends a clone of the machine behaves the same.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use super::ideal::Ideal;
use super::play::Play;
use super::step::Back;
use crate::checkpoint::Store as CheckpointStore;

/// The saved directories, and the model at that time.
pub(super) struct Snapshot {
    dir: TempDir,
    ideal: Ideal,
}

impl Play<'_> {
    pub(super) fn take_snapshot(&mut self) -> Result<(), String> {
        let ran = self.process.is_some();
        self.kill()?;
        self.unlocked();
        // Without a checkpoint a rollback would delete the state, and everything would be sent again.
        if self.node.state().join("checkpoint.json").is_file() {
            let dir = tempfile::tempdir_in(self.node.dir.path().parent().unwrap()).unwrap();
            copy(&self.node.state(), &dir.path().join("state"));
            copy(self.node.log().parent().unwrap(), &dir.path().join("log"));
            self.snapshot = Some(Snapshot { dir, ideal: self.ideal.clone() });
        }
        if ran {
            self.start();
        }
        Ok(())
    }

    pub(super) fn roll_back(&mut self, back: Back) -> Result<(), String> {
        let Some(snapshot) = self.snapshot.take() else { return Ok(()) };
        let ran = self.process.is_some();
        self.kill()?;
        self.unlocked();
        replace(&snapshot.dir.path().join("state"), &self.node.state());
        match back {
            Back::State => self.ideal.roll_back(None),
            Back::StateAndLog => {
                let log = self.node.log();
                replace(&snapshot.dir.path().join("log"), log.parent().unwrap());
                self.ideal.roll_back(Some(&snapshot.ideal));
                self.disk.roll_back();
            }
        }
        self.snapshot = Some(snapshot);
        if ran {
            self.start();
        }
        Ok(())
    }

    /// Waits for the last thread of a killed process.
    fn unlocked(&self) {
        let begun = Instant::now();
        while self.node.state().is_dir() && CheckpointStore::open(&self.node.state()).is_err() {
            assert!(begun.elapsed().as_secs() < 20, "the state directory stays locked");
            std::thread::yield_now();
        }
    }
}

fn replace(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    copy(from, to);
}

/// Copies hard links as hard links.
fn copy(from: &Path, to: &Path) {
    copy_into(from, to, &mut HashMap::new());
}

fn copy_into(from: &Path, to: &Path, known: &mut HashMap<u64, PathBuf>) {
    if !from.is_dir() {
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (meta, to) = (entry.metadata().unwrap(), to.join(entry.file_name()));
        if meta.is_dir() {
            copy_into(&entry.path(), &to, known);
        } else if let Some(first) = known.get(&meta.ino()) {
            fs::hard_link(first, &to).unwrap();
        } else if meta.is_file() {
            fs::copy(entry.path(), &to).unwrap();
            known.insert(meta.ino(), to);
        }
    }
}
