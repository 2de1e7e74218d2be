//! What the answers of an output mean for the events of a request: the words that every output shares.

use std::time::Duration;

use super::exchange::Failure;
use crate::event::RetryReason;

/// One event of a batch that an output should send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EventRef {
    /// Index into the batch's events.
    pub(crate) event: u32,
    /// Send the event in safe form (the fallback), which no store refuses for the shape of its body (Elasticsearch
    /// only).
    pub(crate) fallback: bool,
    /// How many ids of this event are taken by other documents: send it under the next one (Elasticsearch only).
    pub(crate) other: u8,
}

impl EventRef {
    /// Ids that are tried after the first one, while each is taken by another document.
    pub(crate) const MOST_OTHERS: u8 = 8;

    pub(crate) fn new(event: u32) -> Self {
        Self { event, fallback: false, other: 0 }
    }
}

/// What the answer to a request, or the lack of one, means for the events in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Stored, by this request or an earlier one.
    Delivered,
    /// Not stored. The store will take it later: retry after a back-off.
    Retry { after: Option<Duration>, reason: RetryReason, answer: String },
    /// In doubt: nobody knows whether it was stored. Look it up before sending it again.
    Doubt { reason: RetryReason, answer: String },
    /// The store will not take some event of the request; it may have stored the others. Look the events up, then halve
    /// the request. A single event is refused (a dead letter) if the answer is in the store's `own` words; otherwise it
    /// waits for the operator.
    Split { own: bool, answer: String },
    /// Too large as one request, and nothing of it was stored: halve it. A single event is handled as with `Split`.
    TooLarge { own: bool, answer: String },
    /// The store will take it in safe form (the fallback).
    UseFallbackForm { answer: String },
    /// The store will never take it because of its content: a dead letter.
    Refuse { answer: String },
    /// Outside the time range that the store accepts. Every event that was not stored is refused, without halving.
    OutOfRange { answer: String },
    /// Another document may have its id: compare the stored document with the event.
    Taken { answer: String },
    /// The store will take some event later, or once the operator has fixed something; it may have stored the others.
    /// Look the events up; the missing ones wait.
    Wait { answer: String, hint: String },
    /// The configuration of the agent or of the store is wrong: stop the output until the operator fixes it.
    Stop { answer: String, hint: String },
    /// Something other than the store answered, so nobody knows whether the request was processed: stop the output, and
    /// look the events up before sending them again.
    Stranger { answer: String, hint: String },
}

impl Verdict {
    /// The answer in words for people; `None` if there is nothing to say about it.
    pub(crate) fn answer(&self) -> Option<&str> {
        match self {
            Self::Delivered => None,
            Self::Retry { answer, .. }
            | Self::Doubt { answer, .. }
            | Self::Split { answer, .. }
            | Self::TooLarge { answer, .. }
            | Self::UseFallbackForm { answer }
            | Self::Refuse { answer }
            | Self::OutOfRange { answer }
            | Self::Taken { answer }
            | Self::Wait { answer, .. }
            | Self::Stop { answer, .. }
            | Self::Stranger { answer, .. } => Some(answer),
        }
    }
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// One verdict for all picks.
    Whole(Verdict),
    /// One verdict per pick, in the same order.
    Each(Vec<Verdict>),
}

/// Why a store gave no usable answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum QueryError {
    /// The store cannot be queried (no read permission, no such API): send again; duplicates are possible.
    Unavailable { answer: String },
    /// The query failed for now: ask again.
    Retry { after: Option<Duration>, reason: RetryReason, answer: String },
}

/// The result of a look-up. For each pick, in the same order: whether it is stored.
pub(crate) type LookUp = Result<Vec<bool>, QueryError>;

/// The verdict on a request that got no answer.
pub(super) fn unanswered(failure: Failure) -> Verdict {
    match failure {
        Failure::NotSent { answer } => {
            Verdict::Retry { after: None, reason: RetryReason::Connect, answer }
        }
        Failure::Lost { reason, answer } => Verdict::Doubt { reason, answer },
        Failure::Setup { answer, hint } => Verdict::Stop { answer, hint },
    }
}
