//! Notices lost generations: ones that were begun, or at least seen, and cannot be read anywhere any more. Reports
//! their unread bytes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gap::{Gap, LostBytes};
use crate::event::{
    Cursor, Fingerprint, GapReason, LastSeen, Marks, Nanos, Progress, SeenGenerations,
};
use crate::input::file::generation::Generation;
use crate::input::file::names::{is_numbered, server_stamp};
use crate::input::now::Now;
use crate::input::shared::View;

/// A generation that was read to its end and is gone is remembered this long, in case somebody restores the file.
const FORGOTTEN: Duration = Duration::from_hours(1);
/// Name shown for a file that was gone before any process recorded it.
const UNSEEN: &str = "?";

/// The facts remembered about a generation in case it is lost.
#[derive(Debug, Default)]
struct LossState {
    /// `None`: it was gone before any process recorded it.
    last: Option<LastSeen>,
    /// This process has seen it.
    seen: bool,
    /// [`SeenGenerations`] still remembers it, so it must be remembered here too.
    rolled: bool,
    /// See [`Generation::unnamed`].
    unnamed: Option<Nanos>,
    /// Number of the last look that showed it.
    looks: u64,
    missed: Option<Instant>,
}

/// The generations that one reader has to account for.
pub(crate) struct KnownGenerations {
    /// Every generation ever seen of the input.
    roll: Arc<SeenGenerations>,
    known: HashMap<Fingerprint, LossState>,
    /// Number of the last look taken in. All generations are checked again only after another look, or while one is
    /// missing.
    looks: u64,
    missed: bool,
}

/// A generation that is gone.
pub(crate) enum Gone {
    /// Some bytes of it were never read.
    Lost(Gap),
    /// As far as is known, all of it was read.
    Read { fingerprint: Fingerprint, file: Arc<str>, progress: Progress },
    /// It was read and has been gone so long that nothing more is remembered of it.
    Forgotten(Fingerprint),
}

impl KnownGenerations {
    pub(crate) fn new(roll: Arc<SeenGenerations>) -> Self {
        Self { roll, known: HashMap::new(), looks: 0, missed: false }
    }

    /// The next generation to be given up as lost, if there is one.
    pub(crate) fn next_gone(&mut self, view: &View, cursor: &Cursor, now: Now) -> Option<Gone> {
        // If no log is there at all, or a file cannot be read, another disk may be mounted, or the right one later.
        if view.unsure || (self.looks == view.looks && !self.missed) {
            return None;
        }
        if self.looks != view.looks {
            self.take_in(view, cursor);
        }
        self.missed = false;
        let hidden = view.generations.iter().any(|generation| generation.unread);
        let mut gone: Option<((Option<Nanos>, Fingerprint), bool)> = None;
        for (fingerprint, known) in &mut self.known {
            if known.looks == view.looks {
                known.missed = None;
                continue;
            }
            let complete = cursor.is_complete(*fingerprint);
            self.missed |= !complete;
            let missed = now.steady.duration_since(*known.missed.get_or_insert(now.steady));
            let patience = if complete { FORGOTTEN } else { now.waits.lost };
            if missed < patience || (complete && known.rolled) || (hidden && known.may_be_renamed())
            {
                continue;
            }
            // The oldest comes first.
            let place = (known.first_event(), *fingerprint);
            if gone.is_none_or(|(other, _)| place < other) {
                gone = Some((place, complete));
            }
        }
        let ((_, fingerprint), complete) = gone?;
        // There may be more of them.
        self.missed = true;
        if complete {
            self.known.remove(&fingerprint);
            return Some(Gone::Forgotten(fingerprint));
        }
        self.gone(fingerprint, cursor)
    }

    /// The state of a generation that was not read to its end, now that it is gone.
    fn gone(&self, fingerprint: Fingerprint, cursor: &Cursor) -> Option<Gone> {
        let known = self.known.get(&fingerprint)?;
        let before = cursor.generations.get(&fingerprint).cloned().unwrap_or_default();
        let before = Progress { successor_checked: true, marks: Marks::default(), ..before };
        let seen = known.last.as_ref();
        let file = seen.map_or_else(|| Arc::from(UNSEEN), |last| Arc::clone(&last.file));
        let length = seen.map_or(0, |last| last.cut.max(last.length));
        let bytes = length.saturating_sub(before.offset);
        let complete = seen.is_some_and(|last| last.complete);
        // If a file was live when an earlier process last saw it, nobody knows whether it held more.
        if bytes == 0 && (known.seen || complete) {
            let progress = Progress { complete: true, ..before };
            return Some(Gone::Read { fingerprint, file, progress });
        }
        let lost = if complete { LostBytes::Exactly(bytes) } else { LostBytes::AtLeast(bytes) };
        let (from, to) = self.span(fingerprint, cursor);
        let gap = Gap::rest(GapReason::BackupGone, (fingerprint, file), before, lost);
        Some(Gone::Lost(Gap { from, to, ..gap }))
    }

    /// Time of the first event of a generation.
    pub(crate) fn first_event(&self, fingerprint: Fingerprint) -> Option<Nanos> {
        self.known.get(&fingerprint)?.first_event()
    }

    /// Name of a generation's file, as last seen.
    pub(crate) fn name(&self, fingerprint: Fingerprint) -> Option<Arc<str>> {
        Some(Arc::clone(&self.known.get(&fingerprint)?.last.as_ref()?.file))
    }

    /// When a generation's file lost its last name, apart from the agent's own link.
    pub(crate) fn unnamed(&self, fingerprint: Fingerprint) -> Option<Nanos> {
        self.known.get(&fingerprint)?.unnamed
    }

    /// Time of the first event of the next known generation after one.
    pub(crate) fn after(&self, fingerprint: Fingerprint, last: Option<Nanos>) -> Option<Nanos> {
        let last = last.max(self.first_event(fingerprint))?;
        let others = self.known.iter().filter(|(other, _)| **other != fingerprint);
        others.filter_map(|(_, known)| known.first_event()).filter(|time| *time > last).min()
    }

    /// The time span of a lost generation's events: after the last event read before it, and before the first known
    /// event after it. For a file that could never be opened, only its name says where it belongs.
    fn span(&self, fingerprint: Fingerprint, cursor: &Cursor) -> (Option<Nanos>, Option<Nanos>) {
        let read = cursor.generations.get(&fingerprint).and_then(|progress| progress.time);
        if let Some(from) = read.or_else(|| self.first_event(fingerprint)) {
            return (Some(from), self.after(fingerprint, Some(from)));
        }
        let stamp_of = |fingerprint| self.name(fingerprint).and_then(|name| server_stamp(&name));
        let stamp = stamp_of(fingerprint);
        let read = || cursor.generations.iter().filter_map(|(of, one)| Some((*of, one.time?)));
        let older = read().filter(|(of, _)| stamp_of(*of).is_some_and(|other| Some(other) < stamp));
        let earlier = read().filter(|(_, time)| stamp.is_none_or(|stamp| *time <= stamp));
        let latest = |(_, time): (Fingerprint, Nanos)| time;
        let before = older.map(latest).max().or_else(|| earlier.map(latest).max());
        (before, stamp.or_else(|| self.after(fingerprint, before)))
    }

    /// How long a file that was truncated or altered was before, as far as known. A file that is longer now may have
    /// been truncated in between; only a shorter one surely was.
    pub(crate) fn length_before(&self, generation: &Generation) -> u64 {
        let known = self.known.get(&generation.fingerprint);
        let Some(last) = known.and_then(|known| known.last.as_ref()) else { return 0 };
        if generation.length_now() < last.length { last.length } else { last.cut }
    }

    fn take_in(&mut self, view: &View, cursor: &Cursor) {
        self.looks = view.looks;
        self.known.values_mut().for_each(|known| known.rolled = false);
        // The record also has generations that were created and deleted while this reader was busy.
        self.roll.each(|fingerprint, sighting, seen| {
            let known = self.known.entry(fingerprint).or_default();
            (known.last, known.seen, known.rolled) = (Some(sighting.clone()), seen, true);
        });
        let unread = |known: &LossState| known.last.as_ref().is_some_and(|last| last.unread);
        self.known
            .retain(|fingerprint, known| !unread(known) || !self.roll.is_resolved(*fingerprint));
        for generation in view.generations.iter() {
            let known = self.known.entry(generation.fingerprint).or_default();
            (known.looks, known.missed) = (view.looks, None);
            known.unnamed = known.unnamed.or(generation.unnamed);
        }
        for fingerprint in cursor.generations.keys() {
            self.known.entry(*fingerprint).or_default();
        }
    }
}

impl LossState {
    fn first_event(&self) -> Option<Nanos> {
        self.last.as_ref()?.time
    }

    /// Whether its file may be there under another name by now, so that an unreadable file may be this one.
    fn may_be_renamed(&self) -> bool {
        self.last.as_ref().is_none_or(|last| {
            is_numbered(&last.file) || (last.live && server_stamp(&last.file).is_none())
        })
    }
}
