//! How the last reload of the configuration went.

use std::sync::atomic::{AtomicBool, Ordering};

use super::number::Stamp;
use super::time::Time;

/// A start counts as one that went well.
#[derive(Debug, Default)]
pub(crate) struct ReloadStats {
    failed: AtomicBool,
    last_success: Stamp,
}

impl ReloadStats {
    pub(crate) fn succeeded(&self, now: Time) {
        self.last_success.set(Some(now));
        self.failed.store(false, Ordering::Relaxed);
    }

    /// What was there before stays in force.
    pub(crate) fn failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_ok(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn last_success(&self) -> Option<Time> {
        self.last_success.get()
    }
}
