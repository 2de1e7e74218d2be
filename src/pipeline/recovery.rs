//! Since when an output answers again. Just after a silence, its answers may not yet show everything that was sent to
//! it.
//!
//! A server that did not run (frozen, swapped out, behind a cut cable) finds the earlier requests in its buffers. It
//! processes them in any order, even if the sender timed out long ago. A look-up in that moment finds less than the
//! server will hold a moment later.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::RetryReason;

/// The longest time that an output needs to process its buffers after it wakes.
const LONGEST: Duration = Duration::from_secs(2);

/// Shared by all deliveries of a pipeline.
#[derive(Debug, Default)]
pub(super) struct RecoveryGrace(Mutex<Option<Instant>>);

/// Whether no answer came, so that the request may still arrive.
pub(super) fn is_unheard(reason: RetryReason) -> bool {
    match reason {
        RetryReason::Connect
        | RetryReason::Timeout
        | RetryReason::ConnectionLost
        | RetryReason::Restart => true,
        RetryReason::Throttled | RetryReason::ServerError | RetryReason::BadAnswer => false,
    }
}

impl RecoveryGrace {
    /// The output answered.
    pub(super) fn heard(&self) {
        self.lock().get_or_insert_with(Instant::now);
    }

    /// The output answered or was silent, according to the reason.
    pub(super) fn heard_or_not(&self, reason: RetryReason) {
        match reason {
            RetryReason::Connect | RetryReason::Timeout => *self.lock() = None,
            // A server that breaks a connection is awake.
            _ => self.heard(),
        }
    }

    /// When to look up again, if the look-up at `asked` came too soon after a silence. That is a quarter of the
    /// request time-out, at most two seconds, after the first answer.
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
        let (waking, before) = (RecoveryGrace::default(), Instant::now());
        let timeout = Duration::from_secs(4);
        waking.heard();
        let settled = waking.settled_at(before, timeout).unwrap();
        assert!(settled >= before + Duration::from_secs(1));
        assert_eq!(waking.settled_at(settled, timeout), None);
        waking.heard();
        assert_eq!(waking.settled_at(settled, timeout), None, "more answers change nothing");
        waking.heard_or_not(RetryReason::Timeout);
        waking.heard_or_not(RetryReason::Throttled);
        assert!(waking.settled_at(before, timeout) >= Some(settled), "a silence does");
    }
}
