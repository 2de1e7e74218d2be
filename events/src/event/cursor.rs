//! The cursor: how much of an input one output has acknowledged (its low watermark in each generation). The reader
//! starts from it, the pipeline advances it, and the checkpoint stores it.
//!
//! The cursor moves only over bytes that are delivered, stored as dead letters, or reported as a gap.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Fingerprint, Marks, Nanos};

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

/// Hash of the bytes just before an offset. With it the reader notices that a file was truncated or replaced, and does
/// not read on at the wrong place.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Mark {
    /// Number of bytes, at most 4096.
    pub length: u32,
    /// Keyed hash of these bytes.
    pub hash: Fingerprint,
}

impl Mark {
    /// Bytes hashed: the end of the last line, which holds its time stamps.
    pub const LENGTH: usize = 4096;

    /// The mark of the offset at which the bytes `before` end.
    pub fn of(before: &[u8], key: &Key) -> Option<Self> {
        let bytes = &before[before.len().saturating_sub(Self::LENGTH)..];
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length > 0)?;
        Some(Self { length, hash: key.hash(bytes) })
    }
}

/// A secret of this node. It keys the hashes on disk, so that nobody can guess the content of a line from them.
#[derive(Clone)]
pub struct Key(pub [u8; 32]);

impl Cursor {
    /// Whether everything of a generation is acknowledged.
    pub fn is_complete(&self, fingerprint: Fingerprint) -> bool {
        self.generations.get(&fingerprint).is_some_and(|progress| progress.complete)
    }
}

impl Key {
    /// 128 bits of HMAC-SHA-256.
    pub fn hash(&self, bytes: &[u8]) -> Fingerprint {
        // HMAC accepts a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return Fingerprint([0; 16]);
        };
        mac.update(bytes);
        Fingerprint::cut(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
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
    fn a_mark_depends_on_the_bytes_and_on_the_key() {
        let (key, other) = (Key([1; 32]), Key([2; 32]));
        let mark = Mark::of(b"line\n", &key).unwrap();
        assert_eq!(Mark::of(b"line\n", &key), Some(mark));
        assert_ne!(Mark::of(b"lime\n", &key), Some(mark));
        assert_ne!(Mark::of(b"line\n", &other), Some(mark));
        assert_eq!(Mark::of(b"", &key), None);
    }

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
