//! The scan of a time range for `verify`: everything that a store holds of an output, in order of time, one page per
//! request.
//!
//! Each page begins with the last moment of the page before it, so that no event is missed if many share a time, and a
//! request may be repeated at any point. [`Stored::place`] identifies duplicates that a page returns again. The store
//! keeps no state for the scan, except an Elasticsearch scroll if a single moment holds more events than a page.

use std::time::Duration;

use super::{LookUp, Reason};
use crate::event::{Fingerprint, Nanos};

/// Bytes of events that one page should return. Loki's components send each other 4 MiB at most, and Loki retries for a
/// long time before it reports that limit.
pub(super) const PAGE: usize = 2 << 20;
/// Most events of one page: Loki's default for `max_entries_limit_per_query`.
pub(super) const MOST: usize = 5000;
/// The finest time resolution that all stores have, in nanoseconds.
pub(crate) const MILLI: Nanos = 1_000_000;

/// One event as it is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stored {
    /// Milliseconds since 1970.
    pub(crate) millis: i64,
    pub(crate) identity: Fingerprint,
    /// A digest of the content; `None` if the event is too large to be read.
    pub(crate) content: Option<u64>,
    /// Identifies the stored copy: the same however often and under whichever scope the scan finds it.
    pub(crate) place: u64,
    /// The generation in its id, if the store uses our ids.
    pub(crate) generation: Option<Fingerprint>,
    /// The record of a gap (lost bytes of a log), not an event.
    pub(crate) gap: bool,
}

/// The position of a scan in its time range.
#[derive(Clone, Debug)]
pub(crate) struct ScanCursor {
    /// The range that is left: `from` is inclusive, `until` exclusive.
    pub(super) from: Nanos,
    pub(super) until: Nanos,
    /// Events to ask for in the next page.
    pub(super) limit: usize,
    /// A page was full of events of one moment: do not ask for fewer.
    pub(super) crowded: bool,
    /// Estimated bytes per event.
    pub(super) usual: usize,
    /// Loki: the time span of one query, and its upper bound.
    pub(super) window: Nanos,
    pub(super) longest: Nanos,
    /// Elasticsearch: whether the search can filter by node; `None` until the store was asked.
    pub(super) filter: Option<bool>,
    /// Elasticsearch: leave out the long fields, since a single document is too large.
    pub(super) bare: bool,
    /// Elasticsearch: the scroll over a moment with more events than a page; empty if it has yet to begin.
    pub(super) scroll: Option<String>,
}

/// The result of one request of a scan.
#[derive(Debug)]
pub(crate) enum ScanPage {
    /// The events of one page; more may follow.
    Page(Vec<Stored>),
    End,
    /// The request failed for now: ask again.
    Retry {
        after: Option<Duration>,
        reason: Reason,
        answer: String,
    },
    /// The store cannot be queried.
    Unavailable {
        answer: String,
    },
}

const HOUR: Nanos = 3_600_000_000_000;

impl ScanCursor {
    /// `usual`: estimated bytes per line. `from` and `until` are whole milliseconds.
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

    /// Restarts the scan of the same store with another time range.
    pub(crate) fn again(&mut self, from: Nanos, until: Nanos) {
        (self.from, self.until, self.crowded, self.bare) = (from, until, false, false);
        self.scroll = None;
    }

    /// The number of events that fill a page, by the current estimate.
    pub(super) fn fitting(&self) -> usize {
        (PAGE / self.usual.max(1)).clamp(1, MOST)
    }

    /// Adapts the size of the next page to the one that was received.
    pub(super) fn learn(&mut self, events: usize, bytes: usize) {
        if let Some(usual) = bytes.checked_div(events) {
            self.usual = usual.max(1);
        }
        if !self.crowded {
            self.limit = self.fitting().min(self.limit * 2).max(2);
        }
    }

    /// A page was too large: ask for fewer events.
    pub(super) fn shrink(&mut self) {
        self.limit = if self.limit > 2 { (self.limit / 4).max(2) } else { 1 };
    }
}

impl From<LookUp> for ScanPage {
    /// Turns the failure of a look-up request into the result of a scan.
    fn from(end: LookUp) -> Self {
        match end {
            LookUp::Retry { after, reason, answer } => Self::Retry { after, reason, answer },
            LookUp::Unavailable { answer } => Self::Unavailable { answer },
            LookUp::Found(_) => Self::End,
        }
    }
}
