//! Logs that say a thing once: when it changes, and from time to time while it lasts.

use std::time::{Duration, Instant};

/// Remembers what was said last. `S` is the closed set of things there are to say, one value a state.
#[derive(Debug)]
pub(crate) struct Say<S> {
    again_after: Duration,
    last: Option<(S, Instant)>,
    unsaid: u64,
}

impl<S: PartialEq> Say<S> {
    /// A state that lasts is said again after so long.
    pub(crate) fn every(again_after: Duration) -> Self {
        Self { again_after, last: None, unsaid: 0 }
    }

    /// Whether to log this state now, and if so how often it, or the one before it, came up unsaid since the last time.
    pub(crate) fn now(&mut self, state: S, now: Instant) -> Option<u64> {
        if let Some((last, said)) = &self.last
            && *last == state
            && now.saturating_duration_since(*said) < self.again_after
        {
            self.unsaid += 1;
            return None;
        }
        self.last = Some((state, now));
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_failures_make_one_line_and_one_more_after_the_interval_with_their_number() {
        #[derive(PartialEq)]
        enum State {
            Up,
            Down,
        }
        let mut say = Say::every(Duration::from_mins(5));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(say.now(State::Down, at(0)), Some(0));
        assert!((1..300).all(|second| say.now(State::Down, at(second)).is_none()));
        assert_eq!(say.now(State::Down, at(300)), Some(299));
        assert_eq!(say.now(State::Up, at(301)), Some(0));
        assert_eq!(say.now(State::Up, at(302)), None);
        assert_eq!(say.now(State::Down, at(303)), Some(1));
    }
}
