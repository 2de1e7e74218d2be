//! Compares both sides one millisecond at a time, each sorted by identity: which events one side has and the other
//! lacks.
//!
//! Events are a multiset: an event that is on disk twice must be in the store twice, and any further copy is a
//! duplicate. If many copies share one millisecond, only the first [`COPIES`] are compared by content and the rest
//! are counted.

use std::io;

use super::coverage::Coverage;
use super::expect::Expect;
use super::findings::{Fault, Findings, Taking};
use super::log::{DiskEvent, SIZE as ENTRY, Sides, number};
use super::remote::{Store, StoreError};
use super::sort::{Iter, Room, Sorter};
use crate::event::Fingerprint;
use crate::output::Stored;

/// Most copies of one event in one millisecond that are compared by content.
const COPIES: usize = 256;

/// Why a comparison failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot sort the events")]
    Disk(#[from] io::Error),
}

/// Compares both sides. `hides_repeats`: the store shows copies that are equal in everything as one.
pub(super) async fn compare(
    sides: Sides,
    mut store: Store<'_>,
    coverage: &Coverage,
    hides_repeats: bool,
    room: &Room,
) -> Result<Findings, CompareError> {
    let mut taking = Taking::new(room);
    let mut log = Ahead::new(sides.sorted.read()?)?;
    loop {
        let next = [log.next.map(|entry| entry.millis), store.peek().await?];
        let Some(millis) = next.into_iter().flatten().min() else { break };
        let mut stored = Sorter::<COPY>::new(room);
        while let Some(one) = store.next(millis).await? {
            stored.push(Copy::new(&one, coverage).to_bytes())?;
        }
        let stored = stored.finish()?;
        let mut moment =
            Moment { millis, hides_repeats, log: &mut log, stored: stored.read()?, next: None };
        moment.go(&mut taking)?;
    }
    Ok(taking.finish(sides.generations)?)
}

/// The entries of the log, with a look-ahead of one.
struct Ahead<'a> {
    iter: Iter<'a, ENTRY>,
    next: Option<DiskEvent>,
}

impl<'a> Ahead<'a> {
    fn new(iter: Iter<'a, ENTRY>) -> io::Result<Self> {
        let mut ahead = Self { iter, next: None };
        ahead.step()?;
        Ok(ahead)
    }

    fn step(&mut self) -> io::Result<Option<DiskEvent>> {
        let next = self.iter.next()?.map(|bytes| DiskEvent::from_bytes(&bytes));
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// The next entry, if it belongs to this event.
    fn of(&mut self, millis: i64, identity: Fingerprint) -> io::Result<Option<DiskEvent>> {
        let is_it = |entry: &DiskEvent| entry.millis == millis && entry.sent.identity == identity;
        if self.next.as_ref().is_some_and(is_it) { self.step() } else { Ok(None) }
    }
}

/// Bytes of a [`struct@Copy`] in its sortable form.
const COPY: usize = 16 + 8 + 1 + 1 + 8;

/// One copy of an event in the store, within the present millisecond.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Copy {
    identity: Fingerprint,
    place: u64,
    kind: StoredKind,
    content: Option<u64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum StoredKind {
    /// It belongs to a file that was read, as far as its time and its id tell.
    Ours = 0,
    Elsewhere = 1,
    Gap = 2,
}

impl Copy {
    fn new(stored: &Stored, coverage: &Coverage) -> Self {
        let kind = match stored.gap {
            true => StoredKind::Gap,
            false if coverage.covers(stored.millis, stored.generation) => StoredKind::Ours,
            false => StoredKind::Elsewhere,
        };
        let Stored { identity, place, content, .. } = *stored;
        Self { identity, place, kind, content }
    }

    /// Sorts by identity, then by place, so that a copy that the store returned twice is adjacent to itself.
    fn to_bytes(self) -> [u8; COPY] {
        let mut bytes = [0; COPY];
        bytes[..16].copy_from_slice(&self.identity.0);
        bytes[16..24].copy_from_slice(&self.place.to_be_bytes());
        bytes[24] = self.kind as u8;
        bytes[25] = u8::from(self.content.is_some());
        bytes[26..].copy_from_slice(&self.content.unwrap_or_default().to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; COPY]) -> Self {
        let mut rest = &bytes[16..];
        let mut take = |bytes| number(&mut rest, bytes);
        let place = take(8);
        let kind = match take(1) {
            0 => StoredKind::Ours,
            1 => StoredKind::Elsewhere,
            _ => StoredKind::Gap,
        };
        let known = take(1) == 1;
        let content = take(8);
        let identity = Fingerprint::cut(&bytes[..16]);
        Self { identity, place, kind, content: known.then_some(content) }
    }
}

/// One millisecond of both sides.
struct Moment<'a, 'b> {
    millis: i64,
    hides_repeats: bool,
    log: &'a mut Ahead<'b>,
    stored: Iter<'a, COPY>,
    next: Option<Copy>,
}

impl Moment<'_, '_> {
    fn go(&mut self, taking: &mut Taking) -> io::Result<()> {
        self.next = self.copy(None)?;
        loop {
            let entry = self.log.next.filter(|entry| entry.millis == self.millis);
            let identities =
                [entry.map(|entry| entry.sent.identity), self.next.map(|copy| copy.identity)];
            let Some(identity) = identities.into_iter().flatten().min() else { return Ok(()) };
            self.event(identity, taking)?;
        }
    }

    /// The next copy, skipping repetitions of `before` that the store returned again.
    fn copy(&mut self, before: Option<Copy>) -> io::Result<Option<Copy>> {
        while let Some(bytes) = self.stored.next()? {
            let copy = Copy::from_bytes(&bytes);
            let again =
                |before: Copy| (before.identity, before.place) == (copy.identity, copy.place);
            if !before.is_some_and(again) {
                return Ok(Some(copy));
            }
        }
        Ok(None)
    }

    /// Compares everything that both sides have of one event.
    fn event(&mut self, identity: Fingerprint, taking: &mut Taking) -> io::Result<()> {
        let mut copies = Copies::default();
        while let Some(copy) = self.next.filter(|copy| copy.identity == identity) {
            self.next = self.copy(Some(copy))?;
            match copy.kind {
                StoredKind::Gap => taking.beside.gaps += 1,
                kind => copies.take(copy.content, kind),
            }
        }
        let mut entries = Vec::new();
        while entries.len() < COPIES
            && let Some(entry) = self.log.of(self.millis, identity)?
        {
            entries.push(entry);
        }
        let on_disk = !entries.is_empty();
        let shown = self.pair(entries, &mut copies, taking)?;
        // The entries beyond those that are compared by content.
        while let Some(entry) = self.log.of(self.millis, identity)? {
            if copies.any() || self.is_shown(&shown, &entry) {
                self.there(&entry, taking);
            } else {
                self.absent(&entry, taking)?;
            }
        }
        let (ours, elsewhere) = copies.left();
        let tally = taking.hour(self.millis);
        if on_disk {
            tally.doubled += ours + elsewhere;
            tally.in_store += ours + elsewhere;
        } else {
            tally.extra += ours;
            tally.in_store += ours;
            taking.beside.elsewhere += elsewhere;
        }
        Ok(())
    }

    /// Finds a copy for each entry: one with its content, or else any. Returns the contents and times that were
    /// found.
    fn pair(
        &self,
        entries: Vec<DiskEvent>,
        copies: &mut Copies,
        taking: &mut Taking,
    ) -> io::Result<Vec<(u64, u32)>> {
        let (mut shown, mut left) = (Vec::new(), Vec::new());
        for entry in entries {
            if copies.like(&entry) {
                shown.push((entry.sent.content, entry.nanos));
                self.there(&entry, taking);
            } else {
                left.push(entry);
            }
        }
        for entry in left {
            if self.is_shown(&shown, &entry) {
                self.there(&entry, taking);
            } else if copies.any() {
                self.there(&entry, taking);
                if entry.expect == Expect::Stored {
                    taking.hour(self.millis).different += 1;
                    taking.note(Fault::Different, &entry)?;
                }
            } else {
                self.absent(&entry, taking)?;
            }
        }
        Ok(shown)
    }

    /// Whether the store shows this entry and another, equal one as a single event.
    fn is_shown(&self, shown: &[(u64, u32)], entry: &DiskEvent) -> bool {
        self.hides_repeats && shown.contains(&(entry.sent.content, entry.nanos))
    }

    fn there(&self, entry: &DiskEvent, taking: &mut Taking) {
        match entry.expect {
            Expect::Stored => {
                let tally = taking.hour(self.millis);
                tally.on_disk += 1;
                tally.in_store += 1;
            }
            Expect::Dropped => taking.beside.dropped += 1,
            Expect::Pending | Expect::Refused => {}
        }
    }

    fn absent(&self, entry: &DiskEvent, taking: &mut Taking) -> io::Result<()> {
        match entry.expect {
            Expect::Stored => {
                let tally = taking.hour(self.millis);
                tally.on_disk += 1;
                tally.missing += 1;
                taking.note(Fault::Missing, entry)?;
            }
            Expect::Pending => taking.beside.pending += 1,
            Expect::Refused => taking.beside.refused += 1,
            Expect::Dropped => {}
        }
        Ok(())
    }
}

/// The copies of one event in the store that are not matched with an entry yet.
#[derive(Debug, Default)]
struct Copies {
    looked_at: Vec<(Option<u64>, StoredKind)>,
    /// Number of copies beyond those, by kind.
    ours: u64,
    elsewhere: u64,
}

impl Copies {
    fn take(&mut self, content: Option<u64>, kind: StoredKind) {
        if self.looked_at.len() < COPIES {
            self.looked_at.push((content, kind));
        } else {
            *if kind == StoredKind::Ours { &mut self.ours } else { &mut self.elsewhere } += 1;
        }
    }

    /// Removes a copy whose content matches the entry's, in the usual or in the fallback form.
    fn like(&mut self, entry: &DiskEvent) -> bool {
        let sent = entry.sent;
        let is_like = |content: Option<u64>| {
            content.is_none_or(|content| content == sent.content || content == sent.fallback)
        };
        let found = self.looked_at.iter().position(|(content, _)| is_like(*content));
        found.map(|at| self.looked_at.swap_remove(at)).is_some()
    }

    /// Removes any copy.
    fn any(&mut self) -> bool {
        if self.looked_at.pop().is_some() {
            return true;
        }
        for more in [&mut self.ours, &mut self.elsewhere] {
            if *more > 0 {
                *more -= 1;
                return true;
            }
        }
        false
    }

    /// Number of unmatched copies: ours, and elsewhere.
    fn left(&self) -> (u64, u64) {
        let ours = self.looked_at.iter().filter(|(_, kind)| *kind == StoredKind::Ours).count();
        let elsewhere = self.looked_at.len() - ours;
        (self.ours + ours as u64, self.elsewhere + elsewhere as u64)
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
