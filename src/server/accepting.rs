//! The pauses and log lines of an accept loop: it slows down under a flood of connections, survives a lack of file
//! descriptors, and logs little.

use std::io;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::disk::descriptors;
use crate::telemetry::LogLimiter;

/// After this many evictions the loop rests: at most 20,000 connections a second. A flood waits in the kernel's queue
/// meanwhile.
const BURST: u32 = 100;
const REST: Duration = Duration::from_millis(5);
/// Pause after a failed accept: descriptors become free when connections end.
const FAILED: Duration = Duration::from_millis(50);
/// Time between two log lines about a lasting failure, or about a flood.
const AGAIN: Duration = Duration::from_mins(10);

/// The state of one accept loop.
pub(crate) struct Accepting {
    /// For the log: what clients connect to.
    what: &'static str,
    evicted: u32,
    failures: LogLimiter<bool>,
    floods: LogLimiter<()>,
}

impl Accepting {
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            evicted: 0,
            failures: LogLimiter::every(AGAIN),
            floods: LogLimiter::every(AGAIN),
        }
    }

    /// A connection was accepted; `evicts`: another one was evicted for it.
    pub(crate) async fn accepted(&mut self, evicts: bool) {
        if !evicts {
            return;
        }
        if let Some(unsaid) = self.floods.now((), Instant::now()) {
            tracing::warn!(
                repeated = (unsaid > 0).then_some(unsaid),
                "too many connections to the {}, the oldest idle ones are closed: a client opens them without asking anything; restrict who can reach the port",
                self.what
            );
        }
        self.evicted += 1;
        if self.evicted.is_multiple_of(BURST) {
            sleep(REST).await;
        } else {
            // Lets the evicted connection close before the next one is accepted.
            tokio::task::yield_now().await;
        }
    }

    /// A connection could not be accepted.
    pub(crate) async fn failed(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            return tokio::task::yield_now().await; // The client has left already.
        }
        let spent = descriptors::is_spent(error);
        if let Some(unsaid) = self.failures.now(spent, Instant::now()) {
            tracing::warn!(
                error = descriptors::tell(error),
                way_out = spent.then_some(descriptors::WAY_OUT),
                repeated = (unsaid > 0).then_some(unsaid),
                "cannot accept a connection to the {}, trying again",
                self.what
            );
        }
        sleep(FAILED).await;
    }
}
