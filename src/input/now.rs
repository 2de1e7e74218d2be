//! The time, handed in from outside so that tests need not wait.

use std::time::{Instant, SystemTime};

use crate::config::Waits;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// For how long something has lasted.
    pub(super) steady: Instant,
    /// To compare with the times of files.
    pub(super) wall: SystemTime,
    /// How much of it has to pass for what.
    pub(super) waits: Waits,
}

impl Now {
    #[expect(clippy::self_named_constructors, reason = "it is what it says")]
    pub(super) fn now(waits: Waits) -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now(), waits }
    }
}
