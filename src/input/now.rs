//! The current time, passed in as an argument so that tests need not wait.

use std::time::{Instant, SystemTime};

use crate::config::Waits;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Monotonic clock, to measure durations.
    pub(crate) steady: Instant,
    /// Wall clock, to compare with file times.
    pub(crate) wall: SystemTime,
    /// The configured waiting times.
    pub(crate) waits: Waits,
}

impl Now {
    #[expect(clippy::self_named_constructors, reason = "it is what it says")]
    pub(crate) fn now(waits: Waits) -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now(), waits }
    }
}
