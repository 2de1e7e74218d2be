//! The log's side of a comparison: each event as a short record, sorted by time.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use super::expect::{Delivered, Expect};
use super::sort::{Room, Sorted, Sorter};
use crate::event::{Batch, Fingerprint};
use crate::output::{Digest, EventIdentity, MILLI, Queryable};

/// Bytes of an [`DiskEvent`] in its sortable form.
pub(super) const SIZE: usize = 60;
/// Hours in a row without an event that are still queried, to find extra events there. A longer silence is not.
const SILENCE: i64 = 7 * 24;
const HOUR: i64 = 3_600_000;

/// One event on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DiskEvent {
    /// Milliseconds since 1970.
    pub(super) millis: i64,
    pub(super) sent: EventIdentity,
    pub(super) expect: Expect,
    /// Nanoseconds within the millisecond.
    pub(super) nanos: u32,
    /// Index into the generations that were read.
    pub(super) generation: u32,
    pub(super) offset: u64,
    /// Bytes up to the next event that would be sent.
    pub(super) length: u32,
}

/// A generation that was read.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) file: Arc<str>,
    /// Times of its first and last event, in milliseconds.
    pub(crate) times: Option<(i64, i64)>,
}

/// A half-open range of time, in whole milliseconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) since: i64,
    pub(crate) until: i64,
}

/// Reads the log into sortable records.
pub(crate) struct Log<'a> {
    output: Queryable<'a>,
    digest: &'a Digest,
    delivered: &'a Delivered,
    range: Stretch,
    sorter: Sorter<SIZE>,
    generations: Vec<Generation>,
    known: HashMap<Fingerprint, u32>,
    /// Hours with events that must be in the store, and the first and last time of such an event.
    hours: BTreeSet<i64>,
    span: Option<(i64, i64)>,
    events: u64,
    bytes: u64,
}

/// The whole log, sorted.
pub(crate) struct Sides {
    pub(super) sorted: Sorted<SIZE>,
    pub(crate) generations: Vec<Generation>,
    /// The time ranges to query the store for.
    pub(crate) stretches: Vec<Stretch>,
    /// Average bytes of a line.
    pub(super) usual: usize,
}

impl<'a> Log<'a> {
    pub(crate) fn new(
        output: Queryable<'a>,
        digest: &'a Digest,
        delivered: &'a Delivered,
        range: Stretch,
        room: &Room,
    ) -> Self {
        Self {
            output,
            digest,
            delivered,
            range,
            sorter: Sorter::new(room),
            generations: Vec::new(),
            known: HashMap::new(),
            hours: BTreeSet::new(),
            span: None,
            events: 0,
            bytes: 0,
        }
    }

    /// Number of events so far that must be in the store.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Adds the events of a batch, read from `file`. `drops`: the transform may leave some out.
    ///
    /// # Errors
    /// If there is no room to sort them.
    pub(crate) fn take(
        &mut self,
        file: &Arc<str>,
        batch: &mut Batch,
        drops: bool,
        transform: impl FnOnce(&mut Batch),
    ) -> io::Result<()> {
        let generation = self.generation(batch.generation, file);
        let before = if drops { self.entries(generation, batch) } else { Vec::new() };
        transform(batch);
        let after = self.entries(generation, batch);
        let mut kept = after.iter().map(|entry| entry.offset).peekable();
        for mut entry in before {
            if kept.next_if_eq(&entry.offset).is_none() {
                entry.expect = Expect::Dropped;
                self.push(entry)?;
            }
        }
        after.into_iter().try_for_each(|entry| self.push(entry))
    }

    fn generation(&mut self, fingerprint: Fingerprint, file: &Arc<str>) -> u32 {
        *self.known.entry(fingerprint).or_insert_with(|| {
            let number = u32::try_from(self.generations.len()).unwrap_or(u32::MAX);
            self.generations.push(Generation { fingerprint, file: Arc::clone(file), times: None });
            number
        })
    }

    fn entries(&self, generation: u32, batch: &Batch) -> Vec<DiskEvent> {
        let mut entries = Vec::with_capacity(batch.events.len());
        for (index, event) in batch.events.iter().enumerate() {
            let next = batch.events.get(index + 1).map_or(batch.end, |next| next.offset);
            entries.push(DiskEvent {
                millis: event.time.div_euclid(MILLI),
                sent: self.output.identity(batch, index, self.digest),
                expect: self.delivered.expect(batch.position(index), event.time),
                nanos: u32::try_from(event.time.rem_euclid(MILLI)).unwrap_or_default(),
                generation,
                offset: event.offset,
                length: u32::try_from(next.saturating_sub(event.offset)).unwrap_or(u32::MAX).max(1),
            });
        }
        entries
    }

    fn push(&mut self, entry: DiskEvent) -> io::Result<()> {
        let Stretch { since, until } = self.range;
        let at = entry.millis;
        if at < since || at >= until {
            return Ok(());
        }
        if entry.expect == Expect::Stored {
            self.hours.insert(at.div_euclid(HOUR));
            self.span = Some(around(self.span, at));
            self.events += 1;
            self.bytes += u64::from(entry.length);
        }
        if let Some(generation) = self.generations.get_mut(entry.generation as usize) {
            generation.times = Some(around(generation.times, at));
        }
        self.sorter.push(entry.to_bytes())
    }

    /// # Errors
    /// If there is no room to sort the events.
    pub(crate) fn finish(self) -> io::Result<Sides> {
        let usual = self.bytes / self.events.max(1);
        Ok(Sides {
            stretches: stretches(&self.hours, self.span),
            sorted: self.sorter.finish()?,
            generations: self.generations,
            usual: usize::try_from(usual).unwrap_or(usize::MAX),
        })
    }
}

fn around(span: Option<(i64, i64)>, at: i64) -> (i64, i64) {
    span.map_or((at, at), |(first, last)| (first.min(at), last.max(at)))
}

/// The hours with events, and short silences between them, as ranges of time.
fn stretches(hours: &BTreeSet<i64>, span: Option<(i64, i64)>) -> Vec<Stretch> {
    let Some((first, last)) = span else { return Vec::new() };
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for &hour in hours {
        match joined.last_mut() {
            Some((_, end)) if hour - *end <= SILENCE => *end = hour + 1,
            _ => joined.push((hour, hour + 1)),
        }
    }
    let within = |(from, to): (i64, i64)| Stretch {
        since: (from * HOUR).max(first),
        until: (to * HOUR).min(last + 1),
    };
    joined.into_iter().map(within).collect()
}

impl DiskEvent {
    /// Sorts by time, then by identity, then events that must be in the store first.
    pub(super) fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let mut at = 0;
        let mut put = |piece: &[u8]| {
            bytes[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        };
        // Flips the sign bit, so that times before 1970 sort first.
        put(&(self.millis.cast_unsigned() ^ (1 << 63)).to_be_bytes());
        put(&self.sent.identity.0);
        put(&[self.expect as u8]);
        put(&self.sent.content.to_be_bytes());
        put(&self.sent.fallback.to_be_bytes());
        put(&self.nanos.to_be_bytes()[1..]);
        put(&self.generation.to_be_bytes());
        put(&self.offset.to_be_bytes());
        put(&self.length.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let mut rest = &bytes[..];
        let mut take = |bytes| number(&mut rest, bytes);
        let millis = (take(8) ^ (1 << 63)).cast_signed();
        let identity = (u128::from(take(8)) << 64 | u128::from(take(8))).to_be_bytes();
        let expect = Expect::of(u8::try_from(take(1)).unwrap_or_default());
        let (content, fallback) = (take(8), take(8));
        let cut = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            millis,
            sent: EventIdentity { identity: Fingerprint(identity), content, fallback },
            expect,
            nanos: cut(take(3)),
            generation: cut(take(4)),
            offset: take(8),
            length: cut(take(4)),
        }
    }
}

/// The next `bytes` bytes as a big-endian number.
pub(super) fn number(rest: &mut &[u8], bytes: usize) -> u64 {
    let (front, back) = rest.split_at(bytes.min(rest.len()));
    *rest = back;
    front.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_is_sorted_by_time_first() {
        let entry = |millis, expect| DiskEvent {
            millis,
            sent: EventIdentity { identity: Fingerprint([9; 16]), content: u64::MAX, fallback: 7 },
            expect,
            nanos: 999_999,
            generation: 3,
            offset: 1 << 55,
            length: 12,
        };
        let all = [
            entry(-5, Expect::Stored),
            entry(-1, Expect::Dropped),
            entry(0, Expect::Stored),
            entry(0, Expect::Pending),
            entry(1 << 42, Expect::Refused),
        ];
        let bytes = all.map(DiskEvent::to_bytes);
        assert!(bytes.is_sorted());
        assert_eq!(bytes.map(|bytes| DiskEvent::from_bytes(&bytes)), all);
    }

    #[test]
    fn a_long_silence_is_not_asked_for() {
        let hours = BTreeSet::from([0, 1, 100, 100_000]);
        let found = stretches(&hours, Some((1, 100_000 * HOUR + 5)));
        let wanted = [(1, 101 * HOUR), (100_000 * HOUR, 100_000 * HOUR + 6)];
        assert_eq!(found, wanted.map(|(since, until)| Stretch { since, until }));
        assert_eq!(stretches(&hours, None), []);
    }
}
