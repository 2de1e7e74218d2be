//! A gap: a stretch of the log that one output has lost. Every gap of the input is made with
//! [`Gap::rest`].

use std::sync::Arc;

use crate::event::{Fingerprint, GapReason, Nanos, Progress};

/// A stretch of bytes that this output has lost.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) reason: GapReason,
    pub(crate) generation: Fingerprint,
    pub(crate) file: Arc<str>,
    /// Where it begins.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// More than `bytes` may be lost.
    pub(crate) at_least: bool,
    /// Time of the last event before the gap and of the first event after it, as far as known.
    pub(crate) from: Option<Nanos>,
    pub(crate) to: Option<Nanos>,
    /// The reader's progress in the generation once the gap is reported.
    pub(crate) progress: Progress,
}

/// How much is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LostBytes {
    Exactly(u64),
    AtLeast(u64),
}

impl Gap {
    /// A gap from the end of `before` on. Nothing more is read of the generation, unless the caller replaces
    /// `progress`.
    pub(crate) fn rest(
        reason: GapReason,
        (generation, file): (Fingerprint, Arc<str>),
        before: Progress,
        lost: LostBytes,
    ) -> Self {
        let (bytes, at_least) = match lost {
            LostBytes::Exactly(bytes) => (bytes, false),
            LostBytes::AtLeast(bytes) => (bytes, true),
        };
        Self {
            reason,
            generation,
            file,
            offset: before.offset,
            bytes,
            at_least,
            from: before.time,
            to: None,
            progress: Progress { complete: true, ..before },
        }
    }
}
