//! Circuit breaker: if the output refuses everything, the content of the events is not the cause.
//!
//! A single poison event among good ones becomes a dead letter. If the output takes nothing at all, the cause is the
//! mapping, a limit or the path. Storing event after event would then empty the whole log into the dead letters.

use std::sync::{Mutex, PoisonError};

/// At most this many events in a row, with none delivered in between, become dead letters; the next one stops the
/// output.
const MOST: u64 = 100;

/// Counts the events that became dead letters since the last delivery.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<u64>);

impl Circuit {
    /// The output took an event, so it works.
    pub(super) fn delivered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = 0;
    }

    /// Whether this many more events may become dead letters. If so, they count.
    pub(super) fn admits(&self, events: usize) -> bool {
        let mut in_a_row = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = in_a_row.saturating_add(events as u64);
        if more <= MOST {
            *in_a_row = more;
        }
        more <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_in_a_row_pass_and_one_that_is_delivered_begins_anew() {
        let circuit = Circuit::default();
        assert!(circuit.admits(60) && circuit.admits(40) && !circuit.admits(1));
        circuit.delivered();
        assert!(!circuit.admits(101) && circuit.admits(100) && !circuit.admits(1));
    }
}
