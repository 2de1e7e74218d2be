//! Where events go: one file a back end, and the words in which its answers are understood.
//!
//! An output takes picked events of a batch, makes one request, and turns the answer into [`Verdict`]s. It never
//! retries, waits or remembers: that is the pipeline's. `http.rs` is the only file from which requests leave.

use std::time::Duration;

mod http;

/// One event of a batch that is to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pick {
    /// Index into the batch's events.
    pub(crate) event: u32,
    /// In the form that no store refuses for the shape of a body (Elasticsearch; others ignore it).
    pub(crate) safe: bool,
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
    /// Something in it will never be taken; the rest may have been stored. Look it up, then halve it; alone it is refused.
    Split { answer: String },
    /// Too large as one request, and nothing of it stored: halve it; alone it is refused.
    TooLarge { answer: String },
    /// The store will take it in the safe form.
    Safe { answer: String },
    /// Will never be taken, for its content.
    Refuse { answer: String },
    /// Outside the time range that the store accepts: all that was not stored is refused, without halving.
    OutOfRange { answer: String },
    /// The configuration, here or there, is wrong; nothing goes before it is mended.
    Stop { answer: String, hint: String },
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
    /// An earlier process ended before the answer came.
    Restart,
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
