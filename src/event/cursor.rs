//! How far an output has come in an input: what the reader starts from, the pipeline moves and the checkpoint keeps.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Fingerprint, Marks, Nanos};

/// What one output has acknowledged of one input: in each generation the contiguous prefix only.
///
/// Generations that are neither on disk nor held open any more are forgotten.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Cursor {
    pub(crate) generations: BTreeMap<Fingerprint, Progress>,
    /// Events older than this are passed over: `start_at` with an age, fixed at the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Nanos>,
    /// Files that began earlier were there before the output was: what is missing between them is no loss to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watched: Option<Nanos>,
}

/// How far one generation has been acknowledged.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Progress {
    /// Decompressed bytes; the end of a line.
    pub(crate) offset: u64,
    /// Nothing is missing at its end, torn tail included.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) complete: bool,
    /// Time of the last event before `offset` that has one: what an undated event after it inherits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<Nanos>,
    /// Longest time, in nanoseconds, that passed between two events before `offset` which follow each other; as far as it was
    /// measured.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) pause: Nanos,
    /// The bytes just before `offset`; `None` at 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<Mark>,
    /// Places further back, as long as it is not complete.
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub(crate) marks: Marks,
    /// How often the file was found changed below `offset`, and what follows the change read under other ids.
    #[serde(rename = "altered", default, skip_serializing_if = "is_default")]
    pub(crate) alterations: u32,
    /// What begins below this may have been delivered before the file was altered, under earlier ids.
    #[serde(rename = "again", default, skip_serializing_if = "is_default")]
    pub(crate) maybe_delivered_below: u64,
    /// A gap behind it, if there was one, was reported: its successor needs no look any more.
    #[serde(rename = "followed", default, skip_serializing_if = "is_default")]
    pub(crate) successor_checked: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Recognises the bytes just before an offset, so that a file which shrank or was replaced is not read on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Mark {
    /// How many bytes, at most 4096.
    pub(crate) length: u32,
    /// Keyed hash of them.
    pub(crate) hash: Fingerprint,
}

impl Mark {
    /// Bytes looked at: the end of the last line, which holds its time stamps.
    pub(crate) const LENGTH: usize = 4096;

    /// The mark of an offset that `before` leads up to.
    pub(crate) fn of(before: &[u8], key: &Key) -> Option<Self> {
        let bytes = &before[before.len().saturating_sub(Self::LENGTH)..];
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length > 0)?;
        Some(Self { length, hash: key.hash(bytes) })
    }
}

/// A secret of this node, so that a hash on disk lets nobody guess what a line held.
#[derive(Clone)]
pub(crate) struct Key(pub(crate) [u8; 32]);

impl Key {
    /// 128 bits of HMAC-SHA-256.
    pub(crate) fn hash(&self, bytes: &[u8]) -> Fingerprint {
        // A key of any length is a valid one for HMAC.
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
        // And writes nothing that was not there.
        assert_eq!(serde_json::to_string(&cursor).unwrap(), text);
    }
}
