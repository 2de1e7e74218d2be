//! When everything is refused for its content, the content is not what is wrong.
//!
//! One poisonous event among good ones becomes a dead letter. But where nothing is taken at all, it is the mapping, a
//! limit or the path, and to put aside event after event would empty the log into the dead letters.

use std::sync::{Mutex, PoisonError};

/// Events refused in a row, with none delivered in between, that are put aside; what comes then stops the pipeline.
const MOST: u64 = 100;

/// Counts what was put aside since something was delivered.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<u64>);

impl Circuit {
    /// The output took something: it works.
    pub(super) fn delivered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = 0;
    }

    /// Whether so many more may be put aside; they count if so.
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
