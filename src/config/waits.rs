//! How long an input waits before it believes what it sees.

use std::time::Duration;

/// No keys of the file: these are facts about how logs are written. Tests that play years of them take shorter ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// A rotated file that did not grow for so long is closed: a second writer would have shown itself.
    pub(crate) closed: Duration,
    /// A gzip file that breaks off may still be on its way here; it is damaged once nobody wrote to it for so long.
    pub(crate) settled: Duration,
    /// A generation that no listing shows is lost after this; renames take less.
    pub(crate) lost: Duration,
    /// A pinned plain file and its `.gz` are both kept for so long: most are passed by then, and nothing need be
    /// decompressed.
    pub(crate) two_copies: Duration,
    /// A damaged file that may not be complete yet is tried again after this.
    pub(crate) again: Duration,
}

impl Waits {
    /// Everywhere but in tests.
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
