//! Limits log lines about a state: one when the state changes, one from time to time while it lasts, and at most one
//! a minute for a state that flips. It counts the suppressed lines.

use std::time::{Duration, Instant};

/// Shortest time between two lines about the same state when states flip.
const FLIP: Duration = Duration::from_mins(1);

/// Remembers which states were logged and when. `S` is a closed set of states.
#[derive(Debug)]
pub(crate) struct LogLimiter<S> {
    again_after: Duration,
    flip_after: Duration,
    last: Option<S>,
    /// When each state was last logged.
    said: Vec<(S, Instant)>,
    unsaid: u64,
}

impl<S: Copy + PartialEq> LogLimiter<S> {
    /// Logs a lasting state again after this time.
    pub(crate) fn every(again_after: Duration) -> Self {
        let flip_after = Duration::ZERO;
        Self { again_after, flip_after, last: None, said: Vec::new(), unsaid: 0 }
    }

    /// As `every`, for states that may flip with every request: each is logged at most once a minute. The state
    /// `first` is not logged at the beginning.
    pub(crate) fn flipping(again_after: Duration, first: S) -> Self {
        Self { flip_after: FLIP, last: Some(first), ..Self::every(again_after) }
    }

    /// Whether to log this state now; `Some` is the number of lines suppressed since the last one.
    pub(crate) fn now(&mut self, state: S, now: Instant) -> Option<u64> {
        let before = self.said.iter_mut().find(|(said, _)| *said == state);
        let lasts = self.last == Some(state);
        let wait = if lasts { self.again_after } else { self.flip_after };
        match before {
            Some((_, at)) if now.saturating_duration_since(*at) < wait => {
                self.unsaid += 1;
                return None;
            }
            None if lasts => return None,
            Some((_, at)) => *at = now,
            None => self.said.push((state, now)),
        }
        self.last = Some(state);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_failures_make_one_line_and_one_more_after_the_interval_with_their_number() {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            Up,
            Down,
        }
        let mut say = LogLimiter::every(Duration::from_mins(5));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(say.now(State::Down, at(0)), Some(0));
        assert!((1..300).all(|second| say.now(State::Down, at(second)).is_none()));
        assert_eq!(say.now(State::Down, at(300)), Some(299));
        assert_eq!(say.now(State::Up, at(301)), Some(0));
        assert_eq!(say.now(State::Up, at(302)), None);
        assert_eq!(say.now(State::Down, at(303)), Some(1));
    }

    /// A rate limit of the back end lets every second request through.
    #[test]
    fn a_state_that_flips_five_times_a_second_makes_a_line_a_minute_with_the_number_left_out() {
        let mut say = LogLimiter::flipping(Duration::from_mins(5), "takes");
        let start = Instant::now();
        let mut said = Vec::new();
        for tenth in 0..1200_u64 {
            let state = if tenth % 2 == 0 { "limited" } else { "takes" };
            let at = start + Duration::from_millis(tenth * 100);
            said.extend(say.now(state, at).map(|left_out| (state, tenth / 10, left_out)));
        }
        let expected = [("limited", 0, 0), ("takes", 0, 0), ("limited", 60, 598), ("takes", 60, 0)];
        assert_eq!(said, expected);
    }

    #[test]
    fn the_state_to_begin_with_is_said_only_once_it_comes_back() {
        let mut say = LogLimiter::flipping(Duration::from_mins(5), true);
        let now = Instant::now();
        assert_eq!((say.now(true, now), say.now(true, now)), (None, None));
        assert_eq!((say.now(false, now), say.now(true, now)), (Some(0), Some(0)));
    }
}
