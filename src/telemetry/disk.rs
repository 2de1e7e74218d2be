//! Statistics of the state directory: whether the checkpoint can be written, and how many bytes the agent keeps
//! there.

use std::sync::{Mutex, PoisonError};

use super::errors::{ErrorList, Failing};
use super::number::{CounterValue, GaugeValue, Stamp};
use super::time::Time;

/// The checkpoint and the disk budget of this process.
#[derive(Debug, Default)]
pub(crate) struct DiskStats {
    pub(crate) checkpoint_errors: CounterValue,
    pub(crate) checkpoint_saved: Stamp,
    /// Bytes of everything that the agent wrote below `state_dir`.
    pub(crate) state_bytes: GaugeValue,
    /// `disk.max_bytes`.
    pub(super) max_bytes: GaugeValue,
    /// Free bytes on its file system.
    pub(crate) free_bytes: GaugeValue,
    /// When the first of the writes failed that all failed since.
    pub(super) unsaved_since: Stamp,
    pub(super) spent_since: Stamp,
    pub(super) errors: ErrorList,
    checkpoint_error: Mutex<Option<String>>,
    spent: Mutex<Option<String>>,
    forged: Mutex<Option<String>>,
}

impl DiskStats {
    pub(crate) fn saved(&self, now: Time) {
        self.checkpoint_saved.set(Some(now));
        self.unsaved_since.set(None);
        set(&self.checkpoint_error, None);
    }

    /// Records a failed save. `error` says what failed and what to do about it.
    pub(crate) fn save_failed(&self, now: Time, error: String) {
        self.checkpoint_errors.inc();
        self.unsaved_since.set(self.unsaved_since.get().or(Some(now)));
        let what = format!("the checkpoint cannot be saved: {error}");
        self.errors.note(Failing::Own(what), now);
        set(&self.checkpoint_error, Some(error));
    }

    /// The last error; `None` while the checkpoint can be written.
    pub(crate) fn checkpoint_error(&self) -> Option<String> {
        get(&self.checkpoint_error)
    }

    /// `Some` says which bound of `disk` is reached and by how much; `None` means that there is room.
    pub(crate) fn set_spent(&self, now: Time, spent: Option<String>) {
        let since = spent.as_ref().map(|_| self.spent_since.get().unwrap_or(now));
        self.spent_since.set(since);
        if let (Some(spent), Some(since)) = (&spent, since) {
            let what = format!("the disk budget is spent: {spent}");
            self.errors.lasts(Failing::Own(what), since, now);
        }
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
