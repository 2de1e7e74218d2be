//! What must survive the process: how far each output has come, and how far beyond that something may have been sent.
//!
//! `format.rs` is the file's framing, `seal.rs` tells who wrote it, `copied.rs` tells a restored one. `state_dir.rs` is the
//! directory with its lock and key, `permissions.rs` who may do what there, `origin.rs` what can be found. `ledger.rs` what one pipeline and
//! the keeper share, `writer.rs` the task that writes, `budget.rs` the bounds on disk space.
//!
//! Promised: an error never moves a cursor; nothing is sent beyond what the last written checkpoint reserves; one write
//! serves all pipelines, there is one a `checkpoint_interval` at most unless a backlog uses up what is reserved, and none at all when
//! nothing moved.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::event::{Cursor, GapRecord, IdScheme, Nanos, Sightings};

mod attempt;
mod budget;
mod copied;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz_tests;
mod ledger;
mod losses;
mod origin;
mod permissions;
mod seal;
mod state_dir;
mod writer;

pub(crate) use attempt::try_directory;
pub(crate) use budget::Budget;
pub(crate) use ledger::{Ledger, RESERVE};
pub(crate) use losses::Losses;
pub(crate) use origin::{CheckpointError, Loaded, Origin};
pub(crate) use permissions::Remark;
pub(crate) use state_dir::Store;
pub(crate) use writer::CheckpointWriter;

/// Everything that is kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct State {
    /// The node's name as of the first start: it is a label, so it must not change in silence.
    pub(crate) node: String,
    /// That of the cluster likewise, empty where it has none; `None` if a version wrote this that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    pub(crate) pairs: Vec<Pair>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inputs: Vec<Seen>,
    /// When the file that this stands in was made, by the word of the file system: a copy was made later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) born: Option<Nanos>,
}

/// The generations that were seen of one input.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Seen {
    pub(crate) input: String,
    /// The live log, by which an input with a new name is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    pub(crate) generations: Sightings,
}

/// One output's progress in one input.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Pair {
    pub(crate) input: String,
    pub(crate) output: String,
    /// The output's type and endpoint, by which one with a new name is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    pub(crate) cursor: Cursor,
    /// Nothing was sent further than so many bytes beyond the cursor, in any generation. [`ALL`]: no such bound is known.
    pub(crate) reserved: u64,
    /// Where the output put what it sent: where to look for what is in doubt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<String>,
    /// What the ids were made of under which anything was ever sent: under all of these it is looked up. None in a checkpoint of
    /// version 0.1.0, which sent under [`IdScheme::Position`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ids: Vec<IdScheme>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<FileMark>,
    /// Gaps that were detected and that the cursor has not passed: so many as may be under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gaps: Vec<GapRecord>,
    /// Gaps that the cursor has passed.
    #[serde(default, skip_serializing_if = "Losses::is_empty")]
    pub(crate) losses: Losses,
}

/// Everything that exists may have been sent.
pub(crate) const ALL: u64 = u64::MAX;

/// How long a file output's file was, and which of its files, when the cursor stood where it stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct FileMark {
    /// Counts rotations.
    pub(crate) sequence: u64,
    /// Bytes.
    pub(crate) length: u64,
}

impl State {
    /// What is known of a pair.
    pub(crate) fn pair(&self, input: &str, output: &str) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.input == input && pair.output == output)
    }

    /// What was seen of an input.
    pub(crate) fn seen(&self, input: &str) -> Sightings {
        let seen = self.inputs.iter().find(|seen| seen.input == input);
        seen.map(|seen| seen.generations.clone()).unwrap_or_default()
    }
}
