//! The time, handed in from outside so that tests need not wait.

use std::time::{Instant, SystemTime};

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// For how long something has lasted.
    pub(super) steady: Instant,
    /// To compare with the times of files.
    pub(super) wall: SystemTime,
}

impl Now {
    #[expect(clippy::self_named_constructors, reason = "it is what it says")]
    pub(super) fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }
}
