//! Logs that say a thing once: when it changes, from time to time while it lasts, and no more often than once a minute
//! where it goes back and forth. What was left out is counted.

use std::time::{Duration, Instant};

/// Shortest time between two lines of one state that comes and goes.
const FLIP: Duration = Duration::from_mins(1);

/// Remembers what was said. `S` is the closed set of things there are to say, one value a state.
#[derive(Debug)]
pub(crate) struct LogLimiter<S> {
    again_after: Duration,
    flip_after: Duration,
    last: Option<S>,
    /// When each state was said.
    said: Vec<(S, Instant)>,
    unsaid: u64,
}

impl<S: Copy + PartialEq> LogLimiter<S> {
    /// A state that lasts is said again after so long.
    pub(crate) fn every(again_after: Duration) -> Self {
        let flip_after = Duration::ZERO;
        Self { again_after, flip_after, last: None, said: Vec::new(), unsaid: 0 }
    }

    /// The same of a state that may go back and forth with every request: each is said once a minute at most. The one to
    /// begin with needs no word.
    pub(crate) fn flipping(again_after: Duration, first: S) -> Self {
        Self { flip_after: FLIP, last: Some(first), ..Self::every(again_after) }
    }

    /// Whether to log this state now, and if so how often it or another came up unsaid since the last time.
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

    /// A rate limit lets one request in two through.
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
