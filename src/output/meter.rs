//! Reports each request of an output for metrics: how it ended, how long it took, how many bytes were sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exchange::{Failure, Response};
use crate::event::RetryReason;

/// One finished request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exchange {
    pub(crate) ended: Ended,
    /// Time until the last byte of the answer, or until the request was given up.
    pub(crate) took: Duration,
    /// Bytes of the body as sent, after compression.
    pub(crate) sent: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// The server answered with this HTTP status, whatever the body says.
    Answered(u16),
    Unanswered(RetryReason),
    /// Whether the lines were appended to a file.
    Appended(bool),
}

/// Receives the reports. Called once per request, on the thread that made it.
#[derive(Clone, Default)]
pub(crate) struct Meter(Option<Arc<dyn Fn(Exchange) + Send + Sync>>);

impl Meter {
    pub(crate) fn new(take: impl Fn(Exchange) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(take)))
    }

    /// Reports a request with a body of `sent` bytes that began at `began`. [`Failure::Setup`] is not reported: that
    /// request was never made.
    pub(super) fn exchanged(
        &self,
        began: Instant,
        sent: usize,
        led_to: &Result<Response, Failure>,
    ) {
        let (ended, sent) = match led_to {
            Ok(response) => (Ended::Answered(response.status), sent),
            Err(Failure::NotSent { .. }) => (Ended::Unanswered(RetryReason::Connect), 0),
            Err(Failure::Lost { reason, .. }) => (Ended::Unanswered(*reason), sent),
            Err(Failure::Setup { .. }) => return,
        };
        self.report(began, sent, ended);
    }

    pub(super) fn report(&self, began: Instant, sent: usize, ended: Ended) {
        if let Some(take) = &self.0 {
            take(Exchange { ended, took: began.elapsed(), sent: sent as u64 });
        }
    }
}
