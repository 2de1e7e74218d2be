//! Signs that other processes send events under the names of this log: this machine before it was rolled back to a
//! snapshot, or another machine with the same names.
//!
//! All pipelines of the agent share these signs: a sign that one store gives holds for the other stores too. In a
//! replay, each output has signs of its own.

use std::sync::atomic::{AtomicBool, Ordering};

/// The signs that were seen so far.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    earlier: AtomicBool,
    others: AtomicBool,
}

impl Lives {
    /// The output holds an event of this log that this process never sent and its checkpoint does not cover.
    pub(super) fn suspect(&self) {
        self.earlier.store(true, Ordering::Relaxed);
    }

    /// Whether the checkpoint may be older than the events that were sent, so that everything on disk is in doubt.
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
