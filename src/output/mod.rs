//! Where events go: one file a back end, and the words in which its answers are understood.
//!
//! An output takes picked events of a batch, makes one request, and turns the answer into [`Verdict`]s. It never
//! retries, waits or remembers: that is the pipeline's. `http.rs` is the only file from which requests leave, and
//! `door.rs` the only way by which words about answers do: without credentials.

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
pub(crate) use finding::{Finding, State as FindingState};
pub(crate) use likeness::{Digest, EventIdentity};
pub(crate) use loki::Loki;
pub(crate) use meter::{Ended, Exchange, Meter};
pub(crate) use scan_cursor::{MILLI, ScanPage, Stored, Walk};

use secrets::Secrets;

/// One event of a batch that is to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EventRef {
    /// Index into the batch's events.
    pub(crate) event: u32,
    /// In the form that no store refuses for the shape of a body (Elasticsearch; others ignore it).
    pub(crate) fallback: bool,
    /// Under the id that an event goes by where so many before are taken by other documents (likewise).
    pub(crate) other: u8,
}

impl EventRef {
    /// Ids that are tried where those before are taken by other documents.
    pub(crate) const MOST_OTHERS: u8 = 8;

    pub(crate) fn new(event: u32) -> Self {
        Self { event, fallback: false, other: 0 }
    }
}

/// What an answer, or the lack of one, means for what was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Stored, now or earlier.
    Delivered,
    /// Not stored, will be taken later.
    Retry { after: Option<Duration>, reason: Reason, answer: String },
    /// Stored or not, nobody can say: look it up before it is sent again.
    Doubt { reason: Reason, answer: String },
    /// Something in it will not be taken; the rest may have been stored. Look it up, then halve it. An event alone is
    /// refused if the words are the store's `own`, and waits for the operator otherwise.
    Split { own: bool, answer: String },
    /// Too large as one request, and nothing of it stored: halve it; alone as with `Split`.
    TooLarge { own: bool, answer: String },
    /// The store will take it in the safe form.
    UseFallbackForm { answer: String },
    /// Will never be taken, for its content.
    Refuse { answer: String },
    /// Outside the time range that the store accepts: all that was not stored is refused, without halving.
    OutOfRange { answer: String },
    /// Something is stored under its id already: it has to be compared.
    Taken { answer: String },
    /// Something in it is taken later, or once something is mended; the rest may have been stored. Look it up; what is
    /// missing waits.
    Wait { answer: String, hint: String },
    /// The configuration, here or there, is wrong; nothing goes before it is mended.
    Stop { answer: String, hint: String },
    /// The store did not say this, and nobody knows what became of the request: stop, and look up before it is sent again.
    Stranger { answer: String, hint: String },
}

/// Why something is tried again; the `reason` label of `auditrail_output_retries_total`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Reason {
    /// No connection, so nothing was sent.
    Connect,
    /// No answer within the time-out.
    Timeout,
    /// The connection ended before the answer did.
    ConnectionLost,
    /// 429: rate or queue.
    Throttled,
    /// 5xx.
    ServerError,
    /// An answer that could not be understood.
    BadAnswer,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// One verdict for all picks.
    Whole(Verdict),
    /// One for each pick, in their order.
    Each(Vec<Verdict>),
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LookUp {
    /// For each pick, in their order: is it stored?
    Found(Vec<bool>),
    /// It cannot be asked (no right to read, no such interface): send again, repeats are possible.
    Unavailable { answer: String },
    /// Ask again.
    Retry { after: Option<Duration>, reason: Reason, answer: String },
}

/// Whether anything is stored of a stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Held {
    Yes,
    /// For certain: the store answered for all of it.
    No,
    /// It cannot be asked.
    Unavailable {
        answer: String,
    },
    /// Ask again.
    Retry {
        after: Option<Duration>,
        reason: Reason,
        answer: String,
    },
}

/// One output for one input.
pub(crate) enum Output {
    Loki(Box<Loki>),
    Elasticsearch(Box<Elasticsearch>),
    File(File),
}

impl Output {
    /// What must not be shown of what this output says.
    fn secrets(&self) -> Option<Secrets> {
        match self {
            Self::Loki(loki) => Some(loki.secrets()),
            Self::Elasticsearch(elasticsearch) => Some(elasticsearch.secrets()),
            Self::File(_) => None,
        }
    }

    /// The same, with each request reported to `meter`.
    pub(crate) fn metered(mut self, meter: Meter) -> Self {
        match &mut self {
            Self::Loki(loki) => loki.set_meter(meter),
            Self::Elasticsearch(elasticsearch) => elasticsearch.set_meter(meter),
            Self::File(file) => file.set_meter(meter),
        }
        self
    }

    /// Where a look-up has to search for what is sent under this configuration.
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

    /// One request.
    pub(crate) async fn send(&self, batch: &Batch, picks: &[EventRef]) -> Answer {
        let answer = match self {
            Self::Loki(loki) => loki.send(batch, picks).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.send(batch, picks).await,
            Self::File(file) => {
                let answer = tokio::task::block_in_place(|| file.send(batch, picks));
                if file.has_no_reader() {
                    // The answer is of no more use: who waits for that ends this task.
                    std::future::pending::<()>().await;
                }
                answer
            }
        };
        answer.shown(|| self.secrets())
    }

    /// What its ids are made of, where it has any.
    pub(crate) fn id_scheme(&self) -> Option<IdScheme> {
        match self {
            Self::Elasticsearch(elasticsearch) => Some(elasticsearch.id_scheme()),
            Self::Loki(_) | Self::File(_) => None,
        }
    }

    /// Which picks are stored in `scope`. `trusting`: this node has probably sent them, so that a document with the id of
    /// one counts even where the store does not show it.
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

    /// What tells an event of a batch from others in this store, and what is stored of it; `None` for a file, which is
    /// not compared.
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

    /// The next page of what `scope` holds. One request, but for the first.
    pub(crate) async fn scan(&self, scope: &str, walk: &mut Walk, digest: &Digest) -> ScanPage {
        let told = match self {
            Self::Loki(loki) => loki.scan(scope, walk, digest).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.scan(scope, walk, digest).await,
            Self::File(_) => ScanPage::Unavailable { answer: "a file is not compared".to_owned() },
        };
        told.shown(|| self.secrets())
    }

    /// Whether the store shows several events of one time, stream and line as one.
    pub(crate) fn hides_repeats(&self) -> bool {
        matches!(self, Self::Loki(_))
    }

    /// Is anything at all stored in `scope` with an event time in this stretch? Asked before the first push of a
    /// replay: where nothing is, nothing needs to be looked up.
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

    /// What the store would refuse, hide or delete of events of this stretch of time: told before the first push of a
    /// replay. Where one of them is a failure, nothing should be sent.
    pub(crate) async fn preflight(&self, times: Range<Nanos>) -> Vec<Finding> {
        let findings = match self {
            Self::Loki(loki) => loki.preflight(times).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.preflight(times).await,
            Self::File(file) => file.check(),
        };
        findings.shown(|| self.secrets())
    }

    /// The time of the newest entry in the stream that all events go to where hours have none of their own (Loki),
    /// where it is known: what is much older is refused there.
    pub(crate) async fn newest(&self) -> Option<Nanos> {
        match self {
            Self::Loki(loki) => loki.newest().await,
            Self::Elasticsearch(_) | Self::File(_) => None,
        }
    }

    /// What would go wrong, and what to do about it.
    pub(crate) async fn check(&self) -> Vec<Finding> {
        let findings = match self {
            Self::Loki(loki) => loki.check().await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.check().await,
            Self::File(file) => file.check(),
        };
        findings.shown(|| self.secrets())
    }
}

/// The verdict where there is no answer.
fn unanswered(failure: http::Failure) -> Verdict {
    match failure {
        http::Failure::NotSent { answer } => {
            Verdict::Retry { after: None, reason: Reason::Connect, answer }
        }
        http::Failure::Lost { reason, answer } => Verdict::Doubt { reason, answer },
        http::Failure::Setup { answer, hint } => Verdict::Stop { answer, hint },
    }
}
