//! The checkpoint and the state directory: how far each output has acknowledged each input, and how far beyond that
//! point events may have been sent.
//!
//! `format.rs` frames the checkpoint file, `seal.rs` authenticates it with an HMAC, `copied.rs` recognises a restored
//! copy. `state_dir.rs` is the directory with its lock and the node's key, `permissions.rs` checks owners and modes
//! there, `origin.rs` holds the result of loading and the errors. `ledger.rs` is the state that one pipeline shares
//! with the checkpoint writer, and `allowance.rs` says when the pipeline may send: the three kinds of ledger.
//! `resend_window.rs` says what is sent again after a back end was away. `writer.rs`
//! is the task that writes, `losses.rs` the lasting counts of gaps, `budget.rs` the bounds on disk space.
//!
//! Promised: an error never moves a cursor. A pipeline sends only bytes that the last written checkpoint reserves.
//! One write serves all pipelines; there is at most one per `checkpoint_interval` unless a backlog uses up the
//! reservation, and none when nothing moved.
//! Not promised: that the events after the cursor were not sent. After a kill, those within the reservation are in
//! doubt.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::event::{Cursor, FileMark, GapRecord, IdScheme, Nanos, Sightings};

mod allowance;
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
mod resend_window;
mod seal;
mod state_dir;
mod writer;

pub(crate) use allowance::RESERVE;
pub(crate) use attempt::try_directory;
pub(crate) use budget::Budget;
pub(crate) use ledger::Ledger;
pub(crate) use losses::Losses;
pub(crate) use origin::{CheckpointError, Loaded, Origin};
pub(crate) use permissions::Remark;
pub(crate) use state_dir::Store;
pub(crate) use writer::CheckpointWriter;

/// The content of the checkpoint file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct State {
    /// The node's name at the first start. It is a label of the events, so it must not change unnoticed.
    pub(crate) node: String,
    /// The cluster's name at the first start, empty if it has none; `None` in a checkpoint of a version that did not
    /// store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    pub(crate) pairs: Vec<Pair>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inputs: Vec<Seen>,
    /// Birth time of the file that holds this state, as the file system reports it. A copy of the file has a later
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) born: Option<Nanos>,
}

/// The generations seen of one input.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Seen {
    pub(crate) input: String,
    /// Path of the live log. It identifies an input that was renamed in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    pub(crate) generations: Sightings,
}

/// One output's progress in one input.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Pair {
    pub(crate) input: String,
    pub(crate) output: String,
    /// The output's type and endpoint. They identify an output that was renamed in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    pub(crate) cursor: Cursor,
    /// The pipeline sent nothing further than this many bytes beyond the cursor, in any generation. [`ALL`]: no bound
    /// is known.
    pub(crate) reserved: u64,
    /// Where the resend window begins, if it is not empty: what the output acknowledged after it may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resend: Option<Cursor>,
    /// The scopes in which the output may have stored events. The agent queries them for events in doubt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<String>,
    /// Every scheme of event ids that this pair has ever sent under. The agent looks events in doubt up under each of
    /// them. Empty in a checkpoint of version 0.1.0, which sent under [`IdScheme::Position`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ids: Vec<IdScheme>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<FileMark>,
    /// Detected gaps that the cursor has not passed. Bounded by the number of gaps that may be in flight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gaps: Vec<GapRecord>,
    /// Gaps that the cursor has passed.
    #[serde(default, skip_serializing_if = "Losses::is_empty")]
    pub(crate) losses: Losses,
}

/// Value of [`Pair::reserved`] without a bound: every byte that exists may have been sent.
pub(crate) const ALL: u64 = u64::MAX;

impl Pair {
    /// The cursor whose generations have to be kept.
    pub(crate) fn needed(&self) -> &Cursor {
        self.resend.as_ref().unwrap_or(&self.cursor)
    }
}

impl State {
    /// The stored progress of a pair of input and output.
    pub(crate) fn pair(&self, input: &str, output: &str) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.input == input && pair.output == output)
    }

    /// The generations seen of an input.
    pub(crate) fn seen(&self, input: &str) -> Sightings {
        let seen = self.inputs.iter().find(|seen| seen.input == input);
        seen.map(|seen| seen.generations.clone()).unwrap_or_default()
    }
}
