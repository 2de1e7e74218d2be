//! Statistics of the requests of one pipeline: duration, result and bytes sent.

use std::time::Duration;

use super::number::{CounterValue, Counts, Histogram};
use crate::event::{Label, labels};

labels! {
    /// The result of a request without an HTTP status.
    pub(crate) Outcome {
        /// No connection, so nothing was sent.
        Connect = "connect",
        /// No answer in time.
        Timeout = "timeout",
        /// The connection ended before the answer did.
        ConnectionLost = "connection_lost",
        /// A file output appended its lines.
        Written = "written",
        /// A file output failed to append its lines.
        WriteFailed = "write_failed",
        /// A status outside the range that HTTP defines.
        Other = "other",
    }
}

/// The statuses that HTTP defines: each class from 1xx to 5xx.
const STATUSES: std::ops::Range<u16> = 100..600;

/// Upper bounds in seconds: from a local back end that answers at once to the longest usual timeout.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Updated once per request, never for an event.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(super) took: Histogram,
    pub(super) sent_bytes: CounterValue,
    statuses: Box<[CounterValue]>,
    outcomes: Counts<Outcome>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            took: Histogram::new(&BOUNDS),
            sent_bytes: CounterValue::default(),
            statuses: STATUSES.map(|_| CounterValue::default()).collect(),
            outcomes: Counts::default(),
        }
    }
}

impl Requests {
    pub(crate) fn answered(&self, status: u16, took: Duration, sent: u64) {
        let at = status.checked_sub(STATUSES.start).map(usize::from);
        match at.and_then(|at| self.statuses.get(at)) {
            Some(count) => count.inc(),
            None => self.outcomes.of(Outcome::Other).inc(),
        }
        self.ended(took, sent);
    }

    pub(crate) fn unanswered(&self, outcome: Outcome, took: Duration, sent: u64) {
        self.outcomes.of(outcome).inc();
        self.ended(took, sent);
    }

    fn ended(&self, took: Duration, sent: u64) {
        self.took.observe(took);
        self.sent_bytes.add(sent);
    }

    /// Number of requests by status or outcome, for those that have occurred.
    pub(super) fn by_code(&self) -> Vec<(String, u64)> {
        let statuses = STATUSES.zip(&self.statuses).map(|(code, n)| (code.to_string(), n.get()));
        let outcomes = Outcome::ALL
            .iter()
            .map(|outcome| (outcome.text().to_owned(), self.outcomes.of(*outcome).get()));
        statuses.chain(outcomes).filter(|(_, n)| *n > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_counts_under_one_code_and_a_status_that_does_not_exist_under_other() {
        let requests = Requests::default();
        let moment = Duration::from_millis(3);
        for status in [0, 99, 100, 204, 204, 599, 600, 999, u16::MAX] {
            requests.answered(status, moment, 10);
        }
        requests.unanswered(Outcome::Timeout, Duration::from_secs(31), 7);
        let found = requests.by_code();
        let found: Vec<_> = found.iter().map(|(code, n)| (code.as_str(), *n)).collect();
        assert_eq!(found, [("100", 1), ("204", 2), ("599", 1), ("timeout", 1), ("other", 5)]);
        let (buckets, _) = requests.took.read();
        assert_eq!(buckets.iter().map(|(_, n)| n).sum::<u64>(), 10);
        assert_eq!(buckets.last().unwrap().1, 1);
        assert_eq!(requests.sent_bytes.get(), 97);
    }
}
