//! The scan of a time range: everything that a store holds of an output, in order of time, one page per request.
//! `verify` and Loki's look-up read so.
//!
//! Each page begins with the last moment of the page before it. So no event is missed if many share a time, and a
//! request may be repeated at any point. [`Stored::place`] identifies duplicates that a page returns again.
//!
//! Each store has a `Pager`: a [`ScanCursor`], and what only that store needs. The store itself keeps no state for the
//! scan, except an Elasticsearch scroll if a single moment holds more events than a page.

use std::ops::Range;

use super::QueryError;
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

/// The events of one page; more may follow. `None` at the end.
pub(crate) type ScanPage = Result<Option<Vec<Stored>>, QueryError>;

/// The position of a scan in its time range, as far as every store has it.
#[derive(Clone, Debug)]
pub(super) struct ScanCursor {
    /// The range that is left: `from` is inclusive, `until` exclusive.
    pub(super) from: Nanos,
    pub(super) until: Nanos,
    /// Events to ask for in the next page.
    pub(super) limit: usize,
    /// A page was full of events of one moment: do not ask for fewer.
    pub(super) crowded: bool,
    /// Estimated bytes per event.
    usual: usize,
}

impl ScanCursor {
    /// `usual`: estimated bytes per line. The ends of the range are whole milliseconds.
    pub(super) fn new(range: Range<Nanos>, usual: usize) -> Self {
        let Range { start: from, end: until } = range;
        let mut cursor = Self { from, until, limit: 1, crowded: false, usual: usual.max(256) };
        cursor.limit = cursor.fitting();
        cursor
    }

    /// Restarts the scan of the same store with another time range.
    pub(super) fn again(&mut self, range: Range<Nanos>) {
        (self.from, self.until, self.crowded) = (range.start, range.end, false);
    }

    pub(super) fn is_done(&self) -> bool {
        self.from >= self.until
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
