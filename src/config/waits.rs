//! Timeouts of an input: how long it waits before it decides that a file is complete, damaged or lost.

use std::time::Duration;

/// Not configurable: these are facts about how logs are written. Tests that simulate years of logs use shorter ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// A rotated file that has not grown for this long is closed: a second writer would have written by then.
    pub(crate) closed: Duration,
    /// A truncated gzip file may still be being copied. It counts as damaged if nobody has written to it for this long.
    pub(crate) settled: Duration,
    /// A generation that no scan has found for this long is lost; a rename takes less.
    pub(crate) lost: Duration,
    /// A pinned plain file is kept this long beside its `.gz`. Most are acknowledged by then, so that nothing has to be
    /// decompressed.
    pub(crate) two_copies: Duration,
    /// A damaged file that may be incomplete is tried again after this.
    pub(crate) again: Duration,
}

impl Waits {
    /// The values used outside of tests.
    pub(crate) const USUAL: Self = Self {
        closed: Duration::from_secs(2),
        settled: Duration::from_secs(10),
        lost: Duration::from_secs(3),
        two_copies: Duration::from_secs(10),
        again: Duration::from_secs(1),
    };
}

impl Default for Waits {
    fn default() -> Self {
        Self::USUAL
    }
}
