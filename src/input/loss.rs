//! Notices generations that were begun, or at least seen, and can be read nowhere any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::generation::Generation;
use super::names::{is_numbered, server_stamp};
use super::now::Now;
use super::shared::View;
use crate::event::{Cursor, Fingerprint, Nanos, Progress, SeenGenerations};

/// What was read to its end and is gone is remembered for so long, in case somebody puts it back.
const FORGOTTEN: Duration = Duration::from_hours(1);
/// Stands for the name of a file that was gone before any process noted it.
const UNSEEN: &str = "?";

/// What is remembered of a generation in case it is lost.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct LossState {
    /// `None`: it was gone before any process noted it.
    name: Option<Arc<str>>,
    /// When it was last seen.
    length: u64,
    /// How long it was before it became shorter.
    cut: u64,
    /// Nothing can have been added since.
    complete: bool,
    /// Time of its first event.
    time: Option<Nanos>,
    /// This process has seen it.
    seen: bool,
    /// It is still remembered, so that it has to be known here as well.
    rolled: bool,
    /// See [`Generation::unnamed`].
    unnamed: Option<Nanos>,
    /// It was live, and an earlier process may have seen it last.
    live: bool,
    /// It could never be read.
    unread: bool,
    /// The last look that showed it.
    looks: u64,
    missed: Option<Instant>,
}

/// The generations that one reader has to account for.
#[derive(Debug, Default)]
pub(super) struct Losses {
    known: HashMap<Fingerprint, LossState>,
    /// Looks taken in. All is gone through again only after another, or while something is missed.
    looks: u64,
    missed: bool,
}

/// What became of a generation that is gone.
#[derive(Debug, PartialEq)]
pub(super) enum Gone {
    /// So many bytes of it were never read, or more.
    Lost { fingerprint: Fingerprint, name: Arc<str>, bytes: u64, at_least: bool },
    /// It was read as far as anybody knows.
    Read { fingerprint: Fingerprint, name: Arc<str> },
    /// So long ago that nothing need be known of it.
    Forgotten { fingerprint: Fingerprint },
}

impl Losses {
    /// The next generation to be given up, if there is one.
    pub(super) fn next(
        &mut self,
        view: &View,
        roll: &SeenGenerations,
        cursor: &Cursor,
        now: Now,
    ) -> Option<Gone> {
        // Where nothing is shown, or something cannot be read, the disk may be another one, or come later.
        if view.unsure || (self.looks == view.looks && !self.missed) {
            return None;
        }
        if self.looks != view.looks {
            self.take_in(view, roll, cursor);
        }
        self.missed = false;
        let hidden = view.generations.iter().any(|generation| generation.unread);
        let mut gone: Option<((Option<Nanos>, Fingerprint), Gone)> = None;
        for (fingerprint, known) in &mut self.known {
            if known.looks == view.looks {
                known.missed = None;
                continue;
            }
            let progress = cursor.generations.get(fingerprint);
            let complete = progress.is_some_and(|progress| progress.complete);
            self.missed |= !complete;
            let missed = now.steady.duration_since(*known.missed.get_or_insert(now.steady));
            let patience = if complete { FORGOTTEN } else { now.waits.lost };
            if missed < patience || (complete && known.rolled) || (hidden && known.may_be_renamed())
            {
                continue;
            }
            // Of several the oldest first.
            let place = (known.time, *fingerprint);
            if gone.as_ref().is_none_or(|(other, _)| place < *other) {
                gone = Some((place, known.gone(*fingerprint, progress)));
            }
        }
        let gone = gone.map(|(_, gone)| gone);
        if let Some(Gone::Forgotten { fingerprint }) = &gone {
            self.known.remove(fingerprint);
        }
        // There may be more of them.
        self.missed |= gone.is_some();
        gone
    }

    /// Time of the first event of a generation.
    pub(super) fn first_event(&self, fingerprint: Fingerprint) -> Option<Nanos> {
        self.known.get(&fingerprint)?.time
    }

    /// Name of a generation's file, as last seen.
    pub(super) fn name(&self, fingerprint: Fingerprint) -> Option<Arc<str>> {
        self.known.get(&fingerprint)?.name.clone()
    }

    /// When a generation's file had lost its last name, if only we kept it.
    pub(super) fn unnamed(&self, fingerprint: Fingerprint) -> Option<Nanos> {
        self.known.get(&fingerprint)?.unnamed
    }

    /// Time of the first event of the next generation that is known after one.
    pub(super) fn after(&self, fingerprint: Fingerprint, last: Option<Nanos>) -> Option<Nanos> {
        let last = last.max(self.first_event(fingerprint))?;
        let others = self.known.iter().filter(|(other, _)| **other != fingerprint);
        others.filter_map(|(_, known)| known.time).filter(|time| *time > last).min()
    }

    /// Between which times the events of a lost generation were made: after the last one that was read before it, and
    /// before the first there is after it. Of a file that could never be opened only its name tells where it belongs.
    pub(super) fn span(
        &self,
        fingerprint: Fingerprint,
        cursor: &Cursor,
    ) -> (Option<Nanos>, Option<Nanos>) {
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

    /// A file is found cut or altered: answers how long it was, as far as known. Of one that only grew nobody can tell
    /// that it was cut in between, so only what became shorter is sure.
    pub(super) fn cut(&mut self, generation: &Generation) -> u64 {
        let Some(known) = self.known.get(&generation.fingerprint) else { return 0 };
        if generation.length_now() < known.length { known.length } else { known.cut }
    }

    fn take_in(&mut self, view: &View, roll: &SeenGenerations, cursor: &Cursor) {
        self.looks = view.looks;
        self.known.values_mut().for_each(|known| known.rolled = false);
        // What came and went while this reader was busy is there too.
        roll.each(|fingerprint, sighting, seen| {
            let known = self.known.entry(fingerprint).or_default();
            if known.name.as_ref() != Some(&sighting.file) {
                known.name = Some(Arc::clone(&sighting.file));
            }
            (known.length, known.cut) = (sighting.length, sighting.cut);
            (known.complete, known.time) = (sighting.complete, sighting.time);
            (known.seen, known.rolled) = (seen, true);
            (known.live, known.unread) = (sighting.live, sighting.unread);
        });
        self.known.retain(|fingerprint, known| !known.unread || !roll.is_resolved(*fingerprint));
        for generation in view.generations.iter() {
            let known = self.known.entry(generation.fingerprint).or_default();
            (known.looks, known.missed) = (view.looks, None);
            known.unnamed = known.unnamed.or(generation.unnamed);
        }
        for (fingerprint, progress) in &cursor.generations {
            let length = progress.offset;
            self.known
                .entry(*fingerprint)
                .or_insert_with(|| LossState { length, ..LossState::default() });
        }
    }
}

impl LossState {
    /// Whether its file may stand there under another name by now, so that one that cannot be read may be it.
    fn may_be_renamed(&self) -> bool {
        self.name
            .as_ref()
            .is_none_or(|name| is_numbered(name) || (self.live && server_stamp(name).is_none()))
    }

    /// What became of it, now that it is gone.
    fn gone(&self, fingerprint: Fingerprint, progress: Option<&Progress>) -> Gone {
        if progress.is_some_and(|progress| progress.complete) {
            return Gone::Forgotten { fingerprint };
        }
        let offset = progress.map_or(0, |progress| progress.offset);
        let bytes = self.cut.max(self.length).saturating_sub(offset);
        // Of a file that was live when an earlier process last saw it nobody knows whether it held more.
        let unknown = !self.seen && !self.complete;
        let name = self.name.clone().unwrap_or_else(|| Arc::from(UNSEEN));
        if bytes > 0 || unknown {
            Gone::Lost { fingerprint, name, bytes, at_least: !self.complete }
        } else {
            Gone::Read { fingerprint, name }
        }
    }
}
