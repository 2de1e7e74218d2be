//! How far readers of this process may read the live file: up to the last byte that is durable.
//!
//! The kernel shows bytes to readers before they are on the disk. If a reader handed such bytes to an output and the
//! machine lost power, the sender, which got no answer, would send the body again: its events would be stored twice,
//! under other positions.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// (device, inode) of a file.
type LiveFileId = (u64, u64);

/// The live file and its durable length. Rotated files are durable as a whole.
#[derive(Default)]
pub(crate) struct Committed {
    live: Mutex<Option<(LiveFileId, Arc<AtomicU64>)>>,
    wake: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
}

impl Committed {
    /// The durable length of a file, which grows; `None` if it is not the live file.
    pub(crate) fn length_of(&self, file: LiveFileId) -> Option<Arc<AtomicU64>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.as_ref().filter(|(id, _)| *id == file).map(|(_, length)| Arc::clone(length))
    }

    /// Calls this whenever more is durable.
    pub(crate) fn wakes(&self, wake: impl Fn() + Send + Sync + 'static) {
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(wake));
    }

    /// Another file is written to from now on. Everything in the one before is durable.
    pub(super) fn begin(&self, file: LiveFileId, length: u64) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        *live = Some((file, Arc::new(AtomicU64::new(length))));
    }

    /// The live file is durable up to `length`.
    pub(super) fn advance(&self, length: u64) {
        if let Some((_, known)) = &*self.live.lock().unwrap_or_else(PoisonError::into_inner) {
            known.store(length, Relaxed);
        }
        self.wake();
    }

    /// Tells readers that there may be something to read.
    pub(super) fn wake(&self) {
        if let Some(wake) = &*self.wake.lock().unwrap_or_else(PoisonError::into_inner) {
            wake();
        }
    }
}

impl fmt::Debug for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committed").field("live", &self.live).finish_non_exhaustive()
    }
}
