//! All that a store holds of an output in a stretch of time, in the order of time, a page a request: for `verify`.
//!
//! A page begins with the last moment of the one before it, so that nothing is missed where many events share one, and
//! a request may be repeated at any point; [`Stored::place`] tells what was handed out twice. Nothing is kept open in
//! the store but where a single moment holds more than fits into a page.

use std::time::Duration;

use super::{LookUp, Reason};
use crate::event::{Fingerprint, Nanos};

/// Bytes of events that one page is meant to bring. Loki's own parts send each other 4 MiB at the most, and it tries for
/// long before it says so.
pub(super) const PAGE: usize = 2 << 20;
/// Most events of one page: Loki's default for `max_entries_limit_per_query`.
pub(super) const MOST: usize = 5000;
/// The finest time that all stores tell apart.
pub(crate) const MILLI: Nanos = 1_000_000;

/// One event as it is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stored {
    /// Milliseconds since 1970.
    pub(crate) millis: i64,
    pub(crate) identity: Fingerprint,
    /// `None`: too large to be looked at.
    pub(crate) content: Option<u64>,
    /// Where it lies: the same for the same copy, however often and under whichever scope it is found.
    pub(crate) place: u64,
    /// The generation in its id, where the store has ids of ours.
    pub(crate) generation: Option<Fingerprint>,
    /// No event of a log, but word of a stretch that is lost.
    pub(crate) gap: bool,
}

/// How far a stretch of time has been asked for.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// Asked for from here on, and up to but not including there.
    pub(super) from: Nanos,
    pub(super) until: Nanos,
    /// Events of the next page.
    pub(super) limit: usize,
    /// A page was full of one moment: do not ask for less.
    pub(super) crowded: bool,
    /// Bytes that an event has, about.
    pub(super) usual: usize,
    /// Loki: how long a stretch one question is about, and how long it may be.
    pub(super) window: Nanos,
    pub(super) longest: Nanos,
    /// Elasticsearch: the store was asked what it is, and how to find what is ours.
    pub(super) filter: Option<bool>,
    /// Elasticsearch: leave out what is long, since a document alone is too large.
    pub(super) bare: bool,
    /// Elasticsearch: the scroll over a moment with more events than a page has.
    pub(super) scroll: Option<String>,
}

/// What a request brought.
#[derive(Debug)]
pub(crate) enum ScanPage {
    /// More may follow.
    Page(Vec<Stored>),
    End,
    /// Ask again.
    Retry {
        after: Option<Duration>,
        reason: Reason,
        answer: String,
    },
    /// It cannot be asked.
    Unavailable {
        answer: String,
    },
}

const HOUR: Nanos = 3_600_000_000_000;

impl Walk {
    /// `usual`: bytes of a line, about. Both ends are whole milliseconds.
    pub(crate) fn new(from: Nanos, until: Nanos, usual: usize) -> Self {
        let (window, longest) = (HOUR, 24 * HOUR);
        let mut walk = Self {
            from,
            until,
            limit: 1,
            crowded: false,
            usual: usual.max(256),
            window,
            longest,
            filter: None,
            bare: false,
            scroll: None,
        };
        walk.limit = walk.fitting();
        walk
    }

    /// The same store, another stretch.
    pub(crate) fn again(&mut self, from: Nanos, until: Nanos) {
        (self.from, self.until, self.crowded, self.bare) = (from, until, false, false);
        self.scroll = None;
    }

    /// As many events as make a page, as far as is known.
    pub(super) fn fitting(&self) -> usize {
        (PAGE / self.usual.max(1)).clamp(1, MOST)
    }

    /// A page came: the next one is made to fit.
    pub(super) fn learn(&mut self, events: usize, bytes: usize) {
        if let Some(usual) = bytes.checked_div(events) {
            self.usual = usual.max(1);
        }
        if !self.crowded {
            self.limit = self.fitting().min(self.limit * 2).max(2);
        }
    }

    /// A page was too large: ask for less.
    pub(super) fn shrink(&mut self) {
        self.limit = if self.limit > 2 { (self.limit / 4).max(2) } else { 1 };
    }
}

impl From<LookUp> for ScanPage {
    /// What a request of a look-up ended with.
    fn from(end: LookUp) -> Self {
        match end {
            LookUp::Retry { after, reason, answer } => Self::Retry { after, reason, answer },
            LookUp::Unavailable { answer } => Self::Unavailable { answer },
            LookUp::Found(_) => Self::End,
        }
    }
}
