//! Rate limit, `max_bytes_per_second`: after an outage the agents of a fleet must not overload the output (throttle).

use std::time::{Duration, Instant};

/// Lets this many bytes a second pass, on average over a second.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: Option<u64>,
    /// When the rate has caught up with the bytes that have passed.
    paid: Instant,
}

impl Rate {
    pub(super) fn new(per_second: Option<u64>, now: Instant) -> Self {
        Self { per_second, paid: now }
    }

    /// How long to wait before this many bytes may pass; they count as passed.
    pub(super) fn wait(&mut self, bytes: u64, now: Instant) -> Duration {
        let Some(per_second) = self.per_second else { return Duration::ZERO };
        let wait = self.paid.saturating_duration_since(now);
        let cost = Duration::from_nanos(
            u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(per_second.max(1)))
                .unwrap_or(u64::MAX),
        );
        self.paid = self.paid.max(now) + cost;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_passes_than_was_allowed() {
        let start = Instant::now();
        let (mut rate, mut now) = (Rate::new(Some(1000), start), start);
        for _ in 0..10 {
            now += rate.wait(500, now);
        }
        assert_eq!(now - start, Duration::from_millis(4500));
        assert_eq!(Rate::new(None, start).wait(u64::MAX, start), Duration::ZERO);
    }
}
