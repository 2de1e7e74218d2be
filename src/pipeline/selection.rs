//! Which events of a finite list of files a replay ships: those of a time range, or those at certain positions.
//!
//! A file is not opened if its stamps show that it has no event of the range. An event's time can lie outside its
//! file's stamps, if a clock was set, or if the API server did not write the line. Such an event counts as if it were
//! at the nearest end of the stamps. So ranges that together cover all time select every event exactly once.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::event::{Batch, Fingerprint, Nanos};

/// Events are written a little out of order: the buffered modes of the API server hold them for up to half a minute
/// (`--audit-log-batch-max-wait`), and the stamp in a file name is the time of the first write after the last event.
const SLACK: Nanos = 300_000_000_000;

/// The times that a file's events may have according to its stamps, both ends included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    from: Nanos,
    to: Nanos,
}

/// Offsets at which events begin, by generation: sorted, disjoint ranges.
pub(crate) type Ranges = BTreeMap<Fingerprint, Vec<Range<u64>>>;

/// The selected time range and positions.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// `since` is inclusive, `until` is exclusive.
    pub(crate) since: Option<Nanos>,
    pub(crate) until: Option<Nanos>,
    /// By file. A file without an entry has no bounds.
    pub(crate) spans: BTreeMap<Fingerprint, Span>,
    /// `None`: events at all positions.
    pub(crate) only: Option<Ranges>,
}

impl Span {
    /// `first` is the time of the file's first event, `rotated` the time in the name that the API server gave it at
    /// rotation.
    pub(crate) fn new(first: Option<Nanos>, rotated: Option<Nanos>) -> Self {
        let from = first.map_or(Nanos::MIN, |first| first.saturating_sub(SLACK));
        let to = rotated.map_or(Nanos::MAX, |rotated| rotated.saturating_add(SLACK));
        Self { from, to: to.max(from) }
    }

    fn clamp(self, time: Nanos) -> Nanos {
        time.clamp(self.from, self.to)
    }
}

impl Selection {
    /// Whether a file can hold a selected event.
    pub(crate) fn concerns(&self, generation: Fingerprint, span: Span) -> bool {
        let wanted = self.only.as_ref().is_none_or(|only| only.contains_key(&generation));
        wanted
            && self.since.is_none_or(|since| span.to >= since)
            && self.until.is_none_or(|until| span.from < until)
    }

    /// Removes events that are not selected.
    pub(super) fn apply(&self, batch: &mut Batch) {
        let generation = batch.generation;
        if self.since.is_some() || self.until.is_some() {
            let span = self.spans.get(&generation).copied().unwrap_or(Span::new(None, None));
            batch.events.retain(|event| {
                let time = span.clamp(event.time);
                self.since.is_none_or(|since| time >= since)
                    && self.until.is_none_or(|until| time < until)
            });
        }
        if let Some(only) = &self.only {
            let ranges = only.get(&generation).map_or(&[][..], Vec::as_slice);
            batch.events.retain(|event| holds(ranges, event.offset));
        }
    }
}

fn holds(ranges: &[Range<u64>], offset: u64) -> bool {
    let at = ranges.partition_point(|range| range.end <= offset);
    ranges.get(at).is_some_and(|range| range.contains(&offset))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn positions_are_found_in_their_stretches_alone() {
        let ranges = [2..5, 7..8];
        let held: Vec<u64> = (0..10).filter(|offset| holds(&ranges, *offset)).collect();
        assert_eq!(held, [2, 3, 4, 7]);
    }

    proptest! {
        #[test]
        fn every_event_falls_into_one_part_of_any_partition_whatever_its_time(
            mut cuts in proptest::collection::vec(-2 * SLACK..8 * SLACK, 0..6),
            first in proptest::option::of(0..4 * SLACK),
            rotated in proptest::option::of(-SLACK..4 * SLACK),
            times in proptest::collection::vec(-4 * SLACK..10 * SLACK, 1..40),
        ) {
            cuts.sort_unstable();
            let span = Span::new(first, rotated);
            let ends = || cuts.iter().map(|cut| Some(*cut));
            let parts = std::iter::once(None).chain(ends()).zip(ends().chain([None]));
            let mut seen = vec![0; times.len()];
            for (since, until) in parts {
                let part = Selection { since, until, ..Selection::default() };
                if !part.concerns(Fingerprint([1; 16]), span) {
                    continue;
                }
                for (seen, time) in seen.iter_mut().zip(&times) {
                    let time = span.clamp(*time);
                    *seen += i32::from(
                        since.is_none_or(|since| time >= since)
                            && until.is_none_or(|until| time < until),
                    );
                }
            }
            prop_assert!(seen.iter().all(|times| *times == 1), "{seen:?}");
        }
    }
}
