//! The cursor: how much of an input one output has acknowledged (its low watermark in each generation). The reader
//! starts from the cursor, the pipeline advances it, and the checkpoint stores it.
//!
//! The cursor moves only over bytes that are delivered, stored as dead letters, or reported as a gap.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::marks::{Mark, Marks};
use super::{Fingerprint, Nanos};

/// What one output has acknowledged of one input. In each generation this is the contiguous prefix only.
///
/// Generations whose file is neither on disk nor held open any more are forgotten.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Cursor {
    /// What is acknowledged of each generation.
    pub generations: BTreeMap<Fingerprint, Progress>,
    /// Events older than this are skipped: `start_at` with an age, fixed at the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Nanos>,
    /// Files whose first event is older existed before this output did, so a missing file between them is not reported
    /// as a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched: Option<Nanos>,
}

/// How far one generation has been acknowledged.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Progress {
    /// Decompressed bytes up to the end of a line.
    pub offset: u64,
    /// Everything up to its end is acknowledged, a torn line at the end included.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub complete: bool,
    /// Time of the last event before `offset` that has one. A following event without a time inherits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Nanos>,
    /// The bytes just before `offset`; `None` at 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// Marks further back, until the generation is complete.
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub marks: Marks,
    /// How often the file was found altered below `offset`. Events read after an alteration get other ids.
    #[serde(rename = "altered", default, skip_serializing_if = "is_default")]
    pub alterations: u32,
    /// Events that begin below this offset may have been delivered before the file was altered, under earlier ids.
    /// Outputs check for duplicates.
    #[serde(rename = "again", default, skip_serializing_if = "is_default")]
    pub maybe_delivered_below: u64,
    /// A gap between this generation and its successor, if there was one, is reported; no further check is needed.
    #[serde(rename = "followed", default, skip_serializing_if = "is_default")]
    pub successor_checked: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Cursor {
    /// Whether everything of a generation is acknowledged.
    pub fn is_complete(&self, fingerprint: Fingerprint) -> bool {
        self.generations.get(&fingerprint).is_some_and(|progress| progress.complete)
    }
}

/// The file of a file output at the moment when the cursor was where it is: which of its files, and how long.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct FileMark {
    /// Counts rotations.
    pub sequence: u64,
    /// Bytes.
    pub length: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_an_earlier_version_is_understood() {
        let text = r#"{"generations":{"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a":{"offset":7,"mark":{"length":5,"hash":"0b0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}}}}"#;
        let cursor: Cursor = serde_json::from_str(text).unwrap();
        let progress = &cursor.generations[&Fingerprint([10; 16])];
        assert_eq!(
            (progress.offset, progress.maybe_delivered_below, progress.marks.is_empty()),
            (7, 0, true)
        );
        // It also writes no field that was not there.
        assert_eq!(serde_json::to_string(&cursor).unwrap(), text);
    }
}
