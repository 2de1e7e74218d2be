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
    /// Reads both clocks.
    pub(crate) fn read(waits: Waits) -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now(), waits }
    }
}
