//! Counts the results of each generation's events, for the summary of a replay.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::Fingerprint;

/// The events of one generation, for one output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct EventCount {
    /// Events that were read and selected.
    pub(crate) events: u64,
    /// Of these, dropped by the policy or by `where`.
    pub(crate) left_out: u64,
    /// Events that the output now holds, whoever sent them.
    pub(crate) stored: u64,
    /// Of these, found by a look-up, hence not sent.
    pub(crate) found: u64,
    /// Stored as dead letters.
    pub(crate) refused: u64,
    /// Gaps: stretches that cannot be read any more.
    pub(crate) gaps: u64,
}

impl EventCount {
    /// Sent and acknowledged.
    pub(crate) fn delivered(&self) -> u64 {
        self.stored.saturating_sub(self.found)
    }
}

/// Shared by all pipelines of an output.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<HashMap<Fingerprint, EventCount>>);

impl Counts {
    fn lock(&self) -> MutexGuard<'_, HashMap<Fingerprint, EventCount>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, generation: Fingerprint, add: impl FnOnce(&mut EventCount)) {
        add(self.lock().entry(generation).or_default());
    }

    pub(crate) fn of(&self, generation: Fingerprint) -> EventCount {
        self.lock().get(&generation).copied().unwrap_or_default()
    }

    /// Events of all generations so far.
    pub(crate) fn events(&self) -> u64 {
        self.lock().values().map(|count| count.events).sum()
    }
}
