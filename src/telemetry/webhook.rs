//! Statistics of one receiver of the API server's webhook, and of its spool.

use std::sync::Arc;

use super::number::{CounterValue, GaugeValue};

/// Every status that the receiver answers (`src/receive/answer.rs`).
const STATUSES: [u16; 8] = [200, 400, 401, 405, 408, 413, 415, 503];

/// Counts since the process started.
#[derive(Debug, Default)]
pub(crate) struct WebhookStats {
    /// The input's name.
    pub(super) input: Arc<str>,
    answers: [CounterValue; STATUSES.len()],
    /// Events stored.
    pub(super) events: CounterValue,
    /// Events of bodies that were stored already.
    pub(super) repeated: CounterValue,
    /// Bytes of the spool on disk.
    pub(crate) spool_bytes: GaugeValue,
    /// The most bytes that it may have.
    pub(crate) spool_max_bytes: GaugeValue,
}

impl WebhookStats {
    pub(super) fn new(input: &str) -> Self {
        Self { input: input.into(), ..Self::default() }
    }

    /// A request was answered with this status.
    pub(crate) fn answered(&self, status: u16) {
        if let Some(at) = STATUSES.iter().position(|known| *known == status) {
            self.answers[at].inc();
        }
    }

    /// The answers by status.
    pub(super) fn by_status(&self) -> Vec<(String, u64)> {
        let counted = STATUSES.iter().zip(&self.answers);
        counted.map(|(status, count)| (status.to_string(), count.get())).collect()
    }

    /// A body was stored, or had been before.
    pub(crate) fn stored(&self, events: u64, is_repeated: bool) {
        if is_repeated { &self.repeated } else { &self.events }.add(events);
    }
}
