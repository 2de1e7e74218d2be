//! Since when a back end has been answering: what it says just after a silence is not yet all that it was sent.
//!
//! A server that stood still (frozen, swapped out, behind a cut cable) finds what it was sent meanwhile in its buffers,
//! takes it in any order, and does not care that the sender has long given up. Asked in that moment what it holds, it
//! says less than it will hold a moment later.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::output::Reason;

/// Longest time for a back end to take what it finds when it wakes.
const LONGEST: Duration = Duration::from_secs(2);

/// Shared by all deliveries of a pipeline.
#[derive(Debug, Default)]
pub(super) struct Waking(Mutex<Option<Instant>>);

/// Whether no answer came: the attempt may still arrive.
pub(super) fn is_unheard(reason: Reason) -> bool {
    match reason {
        Reason::Connect | Reason::Timeout | Reason::ConnectionLost => true,
        Reason::Throttled | Reason::ServerError | Reason::BadAnswer => false,
    }
}

impl Waking {
    /// It answered.
    pub(super) fn heard(&self) {
        self.lock().get_or_insert_with(Instant::now);
    }

    /// It answered, or was silent, as the reason says.
    pub(super) fn heard_or_not(&self, reason: Reason) {
        match reason {
            Reason::Connect | Reason::Timeout => *self.lock() = None,
            // Who breaks a connection is awake.
            _ => self.heard(),
        }
    }

    /// When to ask again, where the question of this moment came too soon after a silence: a quarter of the time-out of
    /// a request, at most two seconds, after the first answer.
    pub(super) fn settled_at(&self, asked: Instant, timeout: Duration) -> Option<Instant> {
        let settled = (*self.lock())? + LONGEST.min(timeout / 4);
        (asked < settled).then_some(settled)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_a_while_after_the_first_answer_is_believed() {
        let (waking, before) = (Waking::default(), Instant::now());
        let timeout = Duration::from_secs(4);
        waking.heard();
        let settled = waking.settled_at(before, timeout).unwrap();
        assert!(settled >= before + Duration::from_secs(1));
        assert_eq!(waking.settled_at(settled, timeout), None);
        waking.heard();
        assert_eq!(waking.settled_at(settled, timeout), None, "more answers change nothing");
        waking.heard_or_not(Reason::Timeout);
        waking.heard_or_not(Reason::Throttled);
        assert!(waking.settled_at(before, timeout) >= Some(settled), "a silence does");
    }
}
