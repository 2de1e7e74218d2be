//! Statistics of the state directory: whether the checkpoint can be written, and how many bytes the agent keeps
//! there.

use std::sync::{Mutex, PoisonError};

use super::number::{CounterValue, GaugeValue, Stamp};
use super::time::Time;

/// The checkpoint and the disk budget of this process.
#[derive(Debug, Default)]
pub(crate) struct DiskStats {
    pub(crate) checkpoint_errors: CounterValue,
    pub(crate) checkpoint_saved: Stamp,
    /// Bytes of everything that the agent wrote below `state_dir`.
    pub(crate) state_bytes: GaugeValue,
    checkpoint_error: Mutex<Option<String>>,
    spent: Mutex<Option<String>>,
    forged: Mutex<Option<String>>,
}

impl DiskStats {
    pub(crate) fn saved(&self, now: Time) {
        self.checkpoint_saved.set(Some(now));
        set(&self.checkpoint_error, None);
    }

    /// Records a failed save. `error` says what failed and what to do about it.
    pub(crate) fn save_failed(&self, error: String) {
        self.checkpoint_errors.inc();
        set(&self.checkpoint_error, Some(error));
    }

    /// The last error; `None` while the checkpoint can be written.
    pub(crate) fn checkpoint_error(&self) -> Option<String> {
        get(&self.checkpoint_error)
    }

    /// `Some` says which bound of `disk` is reached and by how much; `None` means that there is room.
    pub(crate) fn set_spent(&self, spent: Option<String>) {
        set(&self.spent, spent);
    }

    /// `Some` says which checkpoint failed authentication when this process started, and why.
    pub(crate) fn set_forged(&self, forged: Option<String>) {
        set(&self.forged, forged);
    }

    pub(crate) fn forged(&self) -> Option<String> {
        get(&self.forged)
    }

    pub(crate) fn spent(&self) -> Option<String> {
        get(&self.spent)
    }
}

fn set(lock: &Mutex<Option<String>>, value: Option<String>) {
    *lock.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

fn get(lock: &Mutex<Option<String>>) -> Option<String> {
    lock.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
