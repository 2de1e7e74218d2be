//! The times of successive events: the time that an event without one inherits, and the longest pause of the log.

use crate::event::Nanos;

/// The times of the last events read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Time of the last event that has one.
    pub(crate) last: Option<Nanos>,
    /// Longest time between two events that follow each other.
    pub(crate) pause: Nanos,
}

impl Times {
    /// Starts after an event that was created at `last`; `None`: after none that has a time.
    pub(crate) fn after(last: Option<Nanos>) -> Self {
        Self { last, pause: 0 }
    }

    /// The time of the next event: its own, else that of the event before it.
    pub(crate) fn next(&mut self, own: Option<Nanos>) -> Nanos {
        if let (Some(this), Some(last)) = (own, self.last) {
            self.pause = self.pause.max(this.saturating_sub(last));
        }
        self.last = own.or(self.last);
        self.last.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_counts_and_a_time_that_goes_back_is_none() {
        let mut times = Times::after(Some(10));
        let own = [Some(12), None, Some(11), Some(20), Some(21)];
        assert_eq!(own.map(|own| times.next(own)), [12, 12, 11, 20, 21]);
        assert_eq!((times.last, times.pause), (Some(21), 9));
    }
}
