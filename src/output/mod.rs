//! Outputs: one file per back end (Loki, Elasticsearch and `OpenSearch`, a file), and the types for what their answers
//! mean.
//!
//! An output takes the picked events of a batch, makes one request, and turns the answer into [`Verdict`]s. It never
//! retries, backs off or keeps state between requests: the pipeline does that. Only `http.rs` sends requests. Every
//! text about an answer leaves this module through `door.rs`, which redacts credentials.

use std::ops::Range;
use std::time::Duration;

use crate::event::{Batch, IdScheme, Nanos};
use door::Texts as _;

#[cfg(test)]
mod any_answer_tests;
mod connect;
mod credentials;
mod door;
mod elasticsearch;
mod file;
mod file_opening;
mod file_tail;
mod finding;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz_tests;
#[cfg(test)]
#[path = "tests/hostile.rs"]
mod hostile_tests;
mod http;
mod likeness;
mod loki;
pub(crate) mod memory;
mod meter;
mod no_answer;
mod scan_cursor;
mod secrets;
mod stranger;

pub(crate) use elasticsearch::Elasticsearch;
pub(crate) use file::{File, Mark as FileMark};
pub(crate) use finding::{Finding, FindingState};
pub(crate) use likeness::{Digest, EventIdentity};
pub(crate) use loki::Loki;
pub(crate) use meter::{Ended, Exchange, Meter};
pub(crate) use scan_cursor::{MILLI, ScanCursor, ScanPage, Stored};

use secrets::Secrets;

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
    Retry { after: Option<Duration>, reason: Reason, answer: String },
    /// In doubt: nobody knows whether it was stored. Look it up before sending it again.
    Doubt { reason: Reason, answer: String },
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

/// Why an event is retried: the `reason` label of `auditrail_output_retries_total`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Reason {
    /// No connection, so nothing was sent.
    Connect,
    /// No answer within the timeout.
    Timeout,
    /// The connection was lost before the answer was complete.
    ConnectionLost,
    /// HTTP 429: a rate limit, or a full queue.
    Throttled,
    /// HTTP 5xx.
    ServerError,
    /// The answer could not be parsed.
    BadAnswer,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// One verdict for all picks.
    Whole(Verdict),
    /// One verdict per pick, in the same order.
    Each(Vec<Verdict>),
}

/// The result of a look-up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LookUp {
    /// For each pick, in the same order: whether it is stored.
    Found(Vec<bool>),
    /// The store cannot be queried (no read permission, no such API): send again; duplicates are possible.
    Unavailable { answer: String },
    /// The look-up failed for now: ask again.
    Retry { after: Option<Duration>, reason: Reason, answer: String },
}

/// Whether the store holds any event of a time range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Held {
    Yes,
    /// Certain: the store answered for the whole range.
    No,
    /// The store cannot be queried.
    Unavailable {
        answer: String,
    },
    /// The query failed for now: ask again.
    Retry {
        after: Option<Duration>,
        reason: Reason,
        answer: String,
    },
}

/// The output of one input.
pub(crate) enum Output {
    Loki(Box<Loki>),
    Elasticsearch(Box<Elasticsearch>),
    File(File),
}

impl Output {
    /// The secrets to redact in texts from this output.
    fn secrets(&self) -> Option<Secrets> {
        match self {
            Self::Loki(loki) => Some(loki.secrets()),
            Self::Elasticsearch(elasticsearch) => Some(elasticsearch.secrets()),
            Self::File(_) => None,
        }
    }

    /// The same output, which reports each request to `meter`.
    pub(crate) fn metered(mut self, meter: Meter) -> Self {
        match &mut self {
            Self::Loki(loki) => loki.set_meter(meter),
            Self::Elasticsearch(elasticsearch) => elasticsearch.set_meter(meter),
            Self::File(file) => file.set_meter(meter),
        }
        self
    }

    /// Where a look-up has to search for events that are sent under this configuration.
    pub(crate) fn scope(&self) -> String {
        match self {
            Self::Loki(loki) => loki.scope(),
            Self::Elasticsearch(elasticsearch) => elasticsearch.scope(),
            Self::File(_) => String::new(),
        }
    }

    /// The events of a batch, in groups that may share a request.
    pub(crate) fn groups(&self, batch: &Batch) -> Vec<Vec<EventRef>> {
        if let Self::Loki(loki) = self {
            return loki.groups(batch);
        }
        vec![(0..).zip(&batch.events).map(|(event, _)| EventRef::new(event)).collect()]
    }

    /// Makes one request.
    pub(crate) async fn send(&self, batch: &Batch, picks: &[EventRef]) -> Answer {
        let answer = match self {
            Self::Loki(loki) => loki.send(batch, picks).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.send(batch, picks).await,
            Self::File(file) => {
                let answer = tokio::task::block_in_place(|| file.send(batch, picks));
                if file.has_no_reader() {
                    // Nobody needs the answer any more: the task that waits for the reader to leave ends this one.
                    std::future::pending::<()>().await;
                }
                answer
            }
        };
        answer.shown(|| self.secrets())
    }

    /// How the document ids are built; `None` for outputs without ids.
    pub(crate) fn id_scheme(&self) -> Option<IdScheme> {
        match self {
            Self::Elasticsearch(elasticsearch) => Some(elasticsearch.id_scheme()),
            Self::Loki(_) | Self::File(_) => None,
        }
    }

    /// Which picks are stored in `scope`. `trusting`: this node has probably sent the picks, so a document with the
    /// right id counts even if the store does not show its content.
    pub(crate) async fn look_up(
        &self,
        scope: &str,
        batch: &Batch,
        picks: &[EventRef],
        trusting: bool,
    ) -> LookUp {
        let found = match self {
            Self::Loki(loki) => loki.look_up(scope, batch, picks).await,
            Self::Elasticsearch(elasticsearch) => {
                elasticsearch.look_up(scope, batch, picks, trusting).await
            }
            Self::File(file) => tokio::task::block_in_place(|| file.look_up(batch, picks)),
        };
        found.shown(|| self.secrets())
    }

    /// The identity of an event of a batch in this store, and a digest of what is stored of it; `None` for a file,
    /// which `verify` does not compare.
    pub(crate) fn likeness(
        &self,
        batch: &Batch,
        index: usize,
        digest: &Digest,
    ) -> Option<EventIdentity> {
        match self {
            Self::Loki(_) => Some(loki::likeness(batch.record(index), digest)),
            Self::Elasticsearch(elasticsearch) => {
                Some(elasticsearch.likeness(batch, index, digest))
            }
            Self::File(_) => None,
        }
    }

    /// The next page of all that `scope` holds. Makes one request; the first call may make more.
    pub(crate) async fn scan(
        &self,
        scope: &str,
        walk: &mut ScanCursor,
        digest: &Digest,
    ) -> ScanPage {
        let told = match self {
            Self::Loki(loki) => loki.scan(scope, walk, digest).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.scan(scope, walk, digest).await,
            Self::File(_) => ScanPage::Unavailable { answer: "a file is not compared".to_owned() },
        };
        told.shown(|| self.secrets())
    }

    /// Whether the store shows several events of the same time, stream and line as one.
    pub(crate) fn hides_repeats(&self) -> bool {
        matches!(self, Self::Loki(_))
    }

    /// Whether `scope` holds any event of this time range. Asked before the first push of a replay: if there is none,
    /// no event needs to be looked up.
    pub(crate) async fn holds_any(&self, scope: &str, range: Range<Nanos>) -> Held {
        let held = match self {
            Self::Loki(loki) => loki.holds_any(scope, range).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.holds_any(scope, range).await,
            Self::File(_) => {
                Held::Unavailable { answer: "a file is not searched by time".to_owned() }
            }
        };
        held.shown(|| self.secrets())
    }

    /// What the store would refuse, hide or delete of events of this time range; reported before the first push of a
    /// replay. If any finding is a failure, the caller should send nothing.
    pub(crate) async fn preflight(&self, times: Range<Nanos>) -> Vec<Finding> {
        let findings = match self {
            Self::Loki(loki) => loki.preflight(times).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.preflight(times).await,
            Self::File(file) => file.check(),
        };
        findings.shown(|| self.secrets())
    }

    /// The time of the newest entry in the stream that all events share if `stream_per_hour` is off (Loki only); `None`
    /// if unknown. Loki refuses events that are much older.
    pub(crate) async fn newest(&self) -> Option<Nanos> {
        match self {
            Self::Loki(loki) => loki.newest().await,
            Self::Elasticsearch(_) | Self::File(_) => None,
        }
    }

    /// What would go wrong with this output, and what to do about it.
    pub(crate) async fn check(&self) -> Vec<Finding> {
        let findings = match self {
            Self::Loki(loki) => loki.check().await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.check().await,
            Self::File(file) => file.check(),
        };
        findings.shown(|| self.secrets())
    }
}

/// The verdict on a request that got no answer.
fn unanswered(failure: http::Failure) -> Verdict {
    match failure {
        http::Failure::NotSent { answer } => {
            Verdict::Retry { after: None, reason: Reason::Connect, answer }
        }
        http::Failure::Lost { reason, answer } => Verdict::Doubt { reason, answer },
        http::Failure::Setup { answer, hint } => Verdict::Stop { answer, hint },
    }
}
