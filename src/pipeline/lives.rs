//! Signs that this process is not the only one that sends as this log: another life of this machine, from before it was
//! rolled back to a snapshot, or another machine with its names.
//!
//! All pipelines of a process share them: what one store shows of an earlier life holds for the other stores too.

use std::sync::atomic::{AtomicBool, Ordering};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    earlier: AtomicBool,
    others: AtomicBool,
}

impl Lives {
    /// An event of this log was stored that this process never sent and its checkpoint does not know of.
    pub(super) fn suspect(&self) {
        self.earlier.store(true, Ordering::Relaxed);
    }

    /// Whether the checkpoint may be older than what was sent, so that everything on disk is in doubt.
    pub(super) fn has_earlier(&self) -> bool {
        self.earlier.load(Ordering::Relaxed)
    }

    /// Documents that are no events of this log have ids of this log.
    pub(super) fn others_wrote(&self) {
        self.others.store(true, Ordering::Relaxed);
    }

    pub(super) fn others_write(&self) -> bool {
        self.others.load(Ordering::Relaxed)
    }
}
