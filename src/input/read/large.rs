//! The one buffer of the process for lines of many megabytes: only one such line is in memory at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::input::shared::Shared;

/// A line longer than this needs the buffer.
pub(crate) const LARGE: usize = 4 << 20;

/// The lock for large lines, shared by all readers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Large(Arc<Mutex<bool>>);

/// The right to hold a large line, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Mutex<bool>>);

impl Large {
    /// Waits for the buffer; `None` once the input is stopped.
    pub(crate) fn take(&self, shared: &Shared) -> Option<Permit> {
        loop {
            let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !*taken {
                *taken = true;
                return Some(Permit(Arc::clone(&self.0)));
            }
            drop(taken);
            // Polling is enough: large lines are rare, and a request takes longer than this.
            if !shared.pause(Instant::now() + Duration::from_millis(5)) {
                return None;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}
