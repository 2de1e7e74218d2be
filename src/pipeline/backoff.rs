//! Retry back-off: how long to wait before the next try. The number of tries is not limited.

use std::time::Duration;

use crate::config::Retry;

/// Exponential back-off: doubles with each try, with jitter, so that the agents of a fleet do not retry all at once.
#[derive(Debug)]
pub(super) struct Backoff {
    bounds: Retry,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(bounds: Retry) -> Self {
        Self { bounds, next: bounds.min }
    }

    /// The next pause: between half and all of the current step, but no less than the back end asked for
    /// (`Retry-After`).
    pub(super) fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.bounds.max);
        let jittered = step.mul_f64(rand::random_range(0.5..=1.0));
        asked.map_or(jittered, |asked| asked.mul_f64(rand::random_range(1.0..=1.2)).max(jittered))
    }

    /// The longest pause, for a failure that a person has to fix.
    pub(super) fn longest(&mut self) -> Duration {
        self.next = self.bounds.max;
        self.pause(None)
    }

    /// Starts again at the shortest pause, after a success.
    pub(super) fn reset(&mut self) {
        self.next = self.bounds.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds_and_honour_retry_after() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut backoff = Backoff::new(Retry { min, max });
        let pauses: Vec<_> = (0..10).map(|_| backoff.pause(None)).collect();
        assert!(pauses[0] <= min && pauses.iter().all(|pause| *pause >= min / 2 && *pause <= max));
        assert!(pauses[9] >= max / 2);
        let asked = backoff.pause(Some(Duration::from_secs(5)));
        assert!(asked >= Duration::from_secs(5) && asked <= Duration::from_secs(6));
        backoff.reset();
        assert!(backoff.pause(None) <= min);
    }
}
