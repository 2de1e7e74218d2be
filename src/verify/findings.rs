//! The result of a comparison: counts for each hour, and every event that is missing or has different content.

use std::collections::BTreeMap;
use std::io;
use std::ops::{AddAssign, Range};

use super::log::{DiskEvent, Generation, number};
use super::sort::{Iter, Room, Sorted, Sorter};
use crate::event::{Fingerprint, Nanos};
use crate::output::MILLI;

/// Bytes of a [`Noted`] in its sortable form.
const SIZE: usize = 1 + 4 + 8 + 4 + 8;
/// Most separate ranges of one generation. Beyond that they are joined, which is safe: a resend deduplicates by
/// look-up first.
const RANGES: usize = 4096;
const HOUR: i64 = 3_600_000;

/// Counts of events.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Tally {
    /// Events on disk that must be in the store.
    pub(crate) on_disk: u64,
    /// Events found in the store: those of `on_disk`, plus the doubled and extra ones.
    pub(crate) in_store: u64,
    pub(crate) missing: u64,
    /// Duplicates: more copies in the store than on disk.
    pub(crate) doubled: u64,
    /// Events in the store that are not on disk, though they should be.
    pub(crate) extra: u64,
    /// Events whose content in the store differs.
    pub(crate) different: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.on_disk += other.on_disk;
        self.in_store += other.in_store;
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.extra += other.extra;
        self.different += other.different;
    }
}

/// Counts of events that are not part of any hour's counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Beside {
    /// On disk, and not delivered by the agent yet.
    pub(crate) pending: u64,
    /// On disk, and not in the store because it is a dead letter.
    pub(crate) refused: u64,
    /// In the store, though the present policy or `where` leaves it out.
    pub(crate) dropped: u64,
    /// Gap reports in the store.
    pub(crate) gaps: u64,
    /// In the store, from files that were not read.
    pub(crate) elsewhere: u64,
}

/// The fault of an event on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    Missing = 0,
    Different = 1,
}

/// One event on disk with a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Noted {
    pub(crate) fault: Fault,
    /// Index into [`Findings::generations`].
    pub(crate) generation: u32,
    pub(crate) offset: u64,
    length: u32,
    pub(crate) time: Nanos,
}

/// The result of a comparison.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) hours: BTreeMap<i64, Tally>,
    pub(crate) total: Tally,
    pub(crate) beside: Beside,
    pub(crate) generations: Vec<Generation>,
    noted: Sorted<SIZE>,
}

/// Collects the findings during a comparison.
pub(super) struct Taking {
    hours: BTreeMap<i64, Tally>,
    pub(super) beside: Beside,
    noted: Sorter<SIZE>,
}

impl Taking {
    pub(super) fn new(room: &Room) -> Self {
        Self { hours: BTreeMap::new(), beside: Beside::default(), noted: Sorter::new(room) }
    }

    /// The counts of the hour that contains this millisecond.
    pub(super) fn hour(&mut self, millis: i64) -> &mut Tally {
        self.hours.entry(millis.div_euclid(HOUR)).or_default()
    }

    /// # Errors
    /// If there is no room to store it.
    pub(super) fn note(&mut self, fault: Fault, entry: &DiskEvent) -> io::Result<()> {
        let DiskEvent { millis, nanos, generation, offset, length, .. } = *entry;
        let time = millis.saturating_mul(MILLI).saturating_add(nanos.into());
        self.noted.push(Noted { fault, generation, offset, length, time }.to_bytes())
    }

    /// # Errors
    /// As [`Taking::note`].
    pub(super) fn finish(self, generations: Vec<Generation>) -> io::Result<Findings> {
        let Self { mut hours, beside, noted } = self;
        hours.retain(|_, tally| *tally != Tally::default());
        let mut total = Tally::default();
        for tally in hours.values() {
            total += *tally;
        }
        Ok(Findings { hours, total, beside, generations, noted: noted.finish()? })
    }
}

impl Findings {
    /// Iterates over the events with this fault, by file and position.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub(crate) fn each(&self, fault: Fault) -> io::Result<Each<'_>> {
        Ok(Each { iter: self.noted.read()?, fault })
    }

    /// The offsets at which missing events begin, as ranges. They contain no other event that would be sent, unless
    /// there were more than [`RANGES`] and some were joined.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub(crate) fn missing(&self) -> io::Result<Missing> {
        let mut missing = Missing::new();
        let mut each = self.each(Fault::Missing)?;
        while let Some(Noted { generation, offset, length, .. }) = each.next()? {
            let Some(generation) = self.generations.get(generation as usize) else { continue };
            let ranges = missing.entry(generation.fingerprint).or_default();
            let end = offset.saturating_add(length.into());
            match ranges.last_mut() {
                Some(last) if last.end >= offset => last.end = last.end.max(end),
                _ => ranges.push(offset..end),
            }
            if ranges.len() > RANGES {
                join(ranges);
            }
        }
        Ok(missing)
    }
}

/// For each generation, the offsets at which missing events begin: sorted ranges that do not touch.
pub(crate) type Missing = BTreeMap<Fingerprint, Vec<Range<u64>>>;

/// Joins ranges across the smaller half of the gaps between them.
fn join(ranges: &mut Vec<Range<u64>>) {
    let mut gaps: Vec<u64> =
        ranges.windows(2).map(|pair| pair[1].start.saturating_sub(pair[0].end)).collect();
    gaps.sort_unstable();
    let widest = gaps.get(gaps.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges.drain(..) {
        match joined.last_mut() {
            Some(last) if range.start.saturating_sub(last.end) <= widest => last.end = range.end,
            _ => joined.push(range),
        }
    }
    *ranges = joined;
}

/// Iterates over the events with one fault.
#[derive(Debug)]
pub(crate) struct Each<'a> {
    iter: Iter<'a, SIZE>,
    fault: Fault,
}

impl Each<'_> {
    /// # Errors
    /// If the disk cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Noted>> {
        while let Some(bytes) = self.iter.next()? {
            let noted = Noted::from_bytes(&bytes);
            if noted.fault == self.fault {
                return Ok(Some(noted));
            }
        }
        Ok(None)
    }
}

impl Noted {
    /// Sorts by fault, then by position.
    fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[0] = self.fault as u8;
        bytes[1..5].copy_from_slice(&self.generation.to_be_bytes());
        bytes[5..13].copy_from_slice(&self.offset.to_be_bytes());
        bytes[13..17].copy_from_slice(&self.length.to_be_bytes());
        bytes[17..].copy_from_slice(&self.time.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let mut rest = &bytes[..];
        let mut take = |bytes| number(&mut rest, bytes);
        let cut = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            fault: if take(1) == 0 { Fault::Missing } else { Fault::Different },
            generation: cut(take(4)),
            offset: take(8),
            length: cut(take(4)),
            time: take(8).cast_signed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_back_and_is_sorted_by_position() {
        let noted =
            |fault, generation, offset| Noted { fault, generation, offset, length: 7, time: -3 };
        let all = [
            noted(Fault::Missing, 0, 1 << 40),
            noted(Fault::Missing, 1, 5),
            noted(Fault::Different, 0, 0),
        ];
        assert!(all.map(Noted::to_bytes).is_sorted());
        assert_eq!(all.map(|noted| Noted::from_bytes(&noted.to_bytes())), all);
    }

    #[test]
    fn too_many_stretches_are_joined_where_little_lies_between() {
        let mut ranges = vec![0..1, 2..3, 100..101, 103..104, 1000..1001];
        join(&mut ranges);
        assert_eq!(ranges, [0..3, 100..104, 1000..1001]);
    }
}
