//! Reads the generations of one input for one output: each from where that output stands, oldest first.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::altered::altered_print;
use super::assembly::{Anomalies, Limits};
use super::generation::{FileId, Generation};
use super::large::{Large, Permit};
use super::loss::{Gone, Losses};
use super::missed_rotation::Unseen;
use super::now::Now;
use super::open::{Filled, Open};
use super::pulse::Pulse;
use super::shared::{Reading, Shared, View};
use super::start;
use crate::config::StartAt;
use crate::event::{
    Batch, Cursor, Fingerprint, Key, Marks, Nanos, Progress, SeenGenerations, Sightings,
    TransformStats,
};
use crate::telemetry::{GapReason, Heartbeat, LogLimiter};

/// What a reader has to say.
#[derive(Debug)]
pub(crate) enum ReaderItem {
    /// The first look: where reading starts, for an output that knew nothing.
    Started(Cursor),
    Chunk(Box<Chunk>),
    Gap(Gap),
}

/// Events, or a stretch without any, and what the cursor becomes once they are acknowledged.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Positions are under its `generation`, which for an altered file is not the catalogue's.
    pub(crate) batch: Batch,
    pub(crate) generation: Fingerprint,
    pub(crate) progress: Progress,
    pub(crate) told: Anomalies,
    /// Name of the file it was read from.
    pub(crate) file: Arc<str>,
    /// Bytes of the generation that an earlier process may have seen.
    pub(crate) existed: u64,
    /// Its file was altered, and some of it may have been delivered before.
    pub(crate) again: bool,
    /// Held by a line that needs the process's one large buffer.
    pub(crate) permit: Option<Permit>,
}

impl Chunk {
    /// Nothing but the news that a generation was read to its end.
    fn end(generation: Fingerprint, file: Arc<str>, progress: Progress) -> Self {
        let offset = progress.offset;
        let batch = Batch {
            generation: altered_print(generation, progress.alterations),
            earlier: Vec::new(),
            by_content: false,
            start: offset,
            end: offset,
            bytes: Vec::new(),
            events: Vec::new(),
            passed: TransformStats::default(),
        };
        let (told, again, permit) = (Anomalies::default(), false, None);
        Self { batch, generation, progress, told, file, existed: 0, again, permit }
    }
}

/// A stretch that is lost to this output.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) reason: GapReason,
    pub(crate) generation: Fingerprint,
    pub(crate) file: Arc<str>,
    /// Where it begins.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// More may be lost than `bytes` says.
    pub(crate) at_least: bool,
    /// Time of the last event before it and of the first after it, as far as known.
    pub(crate) from: Option<Nanos>,
    pub(crate) to: Option<Nanos>,
    pub(crate) progress: Progress,
}

/// See the module.
pub(crate) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) key: Key,
    pub(super) limits: Limits,
    pub(super) max_age: Duration,
    pub(super) large: Large,
    reading: Reading,
    pub(super) cursor: Cursor,
    /// What to do at the first look; `None` once it is done.
    start_at: Option<StartAt>,
    /// Since when the first look is put off.
    unsure: Option<Instant>,
    /// When this process began.
    started: Nanos,
    /// Bytes of each generation at the first look.
    existed: Option<HashMap<Fingerprint, u64>>,
    pub(super) losses: Losses,
    /// What was ever seen of the input.
    roll: Arc<SeenGenerations>,
    /// What earlier processes have seen of it.
    remembered: Sightings,
    pub(super) unseen: Unseen,
    /// The generations of the last look that may hold something to read, oldest first, and which look that was.
    pending: (u64, Vec<Arc<Generation>>),
    pub(super) open: Option<Open>,
    /// The plain file in which each generation was last read: to tell a copy, which may be shorter.
    pub(super) files: HashMap<Fingerprint, FileId>,
    /// Generations that are of no use before a moment.
    pub(super) resting: HashMap<Fingerprint, Postponed>,
    /// Files of a finite list that cannot be read any further.
    pub(super) given_up: HashSet<Fingerprint>,
    /// Errors of the disk that were said.
    pub(super) unreadable: LogLimiter<io::ErrorKind>,
    pub(super) pulse: Pulse,
}

/// Why a generation is not read for now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Postponed {
    /// Its `.gz` may still be on its way here.
    Until(Instant),
    /// It ends in a large line whose end is not there yet: nothing to be done while it has this length.
    Length(u64),
}

impl Reader {
    #[expect(clippy::too_many_arguments, reason = "only `Input::reader` calls it")]
    pub(super) fn new(
        shared: Arc<Shared>,
        roll: Arc<SeenGenerations>,
        key: Key,
        limits: Limits,
        max_age: Duration,
        large: Large,
        cursor: Option<Cursor>,
        start_at: Option<StartAt>,
        started: Nanos,
    ) -> Self {
        let cursor = cursor.unwrap_or_default();
        let reading = cursor
            .generations
            .iter()
            .map(|(fingerprint, progress)| (*fingerprint, (progress.offset, progress.complete)));
        let pulse = shared.pulse();
        Self {
            shared,
            key,
            limits,
            max_age,
            large,
            reading: Arc::new(Mutex::new(reading.collect())),
            cursor,
            start_at,
            unsure: None,
            started,
            existed: None,
            losses: Losses::default(),
            remembered: roll.known(),
            roll,
            unseen: Unseen::default(),
            pending: (0, Vec::new()),
            open: None,
            files: HashMap::new(),
            resting: HashMap::new(),
            given_up: HashSet::new(),
            unreadable: LogLimiter::every(Duration::from_mins(5)),
            pulse,
        }
    }

    /// Shows in the agent's health whether the reading goes on.
    pub(crate) fn shown_by(self, heart: Heartbeat) -> Self {
        Self { pulse: self.pulse.shown_by(heart), ..self }
    }

    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The next chunk or gap, as soon as there is one; `None` once the input is stopped, or a finite list is read.
    pub(crate) fn next(&mut self) -> Option<ReaderItem> {
        loop {
            let (view, news) = self.shared.view();
            self.pulse.turn().ok()?;
            let polled = self.poll(&view, Now::now(self.shared.waits));
            self.pulse.rest();
            if polled.is_some() {
                return polled;
            }
            if self.is_finished(&view) || !self.shared.wait(news, Duration::from_secs(1)) {
                return None;
            }
        }
    }

    /// Whether a finite list is read, as far as it can be: of the log itself an unfinished line is left.
    fn is_finished(&self, view: &View) -> bool {
        let read = |generation: &Arc<Generation>| {
            let progress = self.cursor.generations.get(&generation.fingerprint);
            !generation.closed
                || self.given_up.contains(&generation.fingerprint)
                || progress.is_some_and(|progress| progress.complete)
        };
        self.shared.is_finite() && view.generations.iter().all(read)
    }

    /// One pass over the generations; `None` if there is nothing new in any.
    pub(super) fn poll(&mut self, view: &View, now: Now) -> Option<ReaderItem> {
        if view.looks == 0 || self.is_too_early(view, now) {
            return None;
        }
        if let Some(started) = self.first_look(view) {
            return Some(started);
        }
        if let Some(gap) = self.spent() {
            return Some(ReaderItem::Gap(gap));
        }
        if let Some(gone) = self.lost(view, now) {
            return Some(gone);
        }
        if let Some(gap) = self.unseen(view, now) {
            return Some(ReaderItem::Gap(gap));
        }
        self.list(view);
        for at in 0..self.pending.1.len() {
            let generation = Arc::clone(&self.pending.1[at]);
            match self.fill(&generation, now) {
                Filled::Chunk(chunk) => return Some(ReaderItem::Chunk(chunk)),
                Filled::Gap(gap) => return Some(ReaderItem::Gap(gap)),
                Filled::Drained => {}
            }
        }
        None
    }

    /// Reads a stretch again that was given up half-way: nothing after it has been read.
    pub(crate) fn rewind(&mut self, generation: Fingerprint, progress: Progress) {
        self.open = None;
        self.resting.remove(&generation);
        self.pending.0 = 0;
        self.advance(generation, progress);
    }

    /// Whether an output that wants all there is had better begin after the next look: what is hidden for a moment would
    /// count as gone before it was there.
    fn is_too_early(&mut self, view: &View, now: Now) -> bool {
        self.start_at == Some(StartAt::Beginning)
            && view.unsure
            && !view.generations.is_empty()
            && now.steady.duration_since(*self.unsure.get_or_insert(now.steady)) < now.waits.lost
    }

    fn first_look(&mut self, view: &View) -> Option<ReaderItem> {
        if self.existed.is_some() {
            return None;
        }
        // Of a compressed file nobody knows the length before its end.
        let length = |generation: &Generation| {
            if generation.is_compressed() { u64::MAX } else { generation.length }
        };
        let existed = view.generations.iter();
        self.existed =
            Some(existed.map(|generation| (generation.fingerprint, length(generation))).collect());
        let remembered = std::mem::take(&mut self.remembered);
        let Some(start_at) = self.start_at.take() else {
            self.unseen = Unseen::new(&remembered, view, &self.cursor);
            return None;
        };
        self.cursor = start::cursor(start_at, &view.generations, self.started, &self.key);
        // What was gone before an output was there is no loss to it.
        for (fingerprint, sighting) in remembered {
            if !view.generations.iter().any(|generation| generation.fingerprint == fingerprint) {
                let offset = sighting.length;
                let passed = Progress { offset, complete: true, ..Progress::default() };
                self.cursor.generations.insert(fingerprint, passed);
            }
        }
        let newest = view.generations.iter().filter_map(|generation| generation.time).max();
        self.cursor.watched = Some(newest.unwrap_or(Nanos::MIN));
        for (fingerprint, progress) in self.cursor.generations.clone() {
            self.advance(fingerprint, progress);
        }
        Some(ReaderItem::Started(self.cursor.clone()))
    }

    /// Leaves out, until the next look, what needs no second thought: there may be a thousand old backups.
    fn list(&mut self, view: &View) {
        if self.pending.0 == view.looks {
            return;
        }
        let done = |fingerprint| {
            self.cursor.generations.get(fingerprint).is_some_and(|done| done.complete)
        };
        let pending = view
            .generations
            .iter()
            .filter(|generation| !generation.is_compressed() || !done(&generation.fingerprint));
        self.pending = (view.looks, pending.cloned().collect());
        let fingerprints: HashSet<_> = view.generations.iter().map(|one| one.fingerprint).collect();
        self.resting.retain(|fingerprint, _| fingerprints.contains(fingerprint));
        self.files.retain(|fingerprint, _| fingerprints.contains(fingerprint));
    }

    fn lost(&mut self, view: &View, now: Now) -> Option<ReaderItem> {
        loop {
            let (generation, file, lost) =
                match self.losses.next(view, &self.roll, &self.cursor, now)? {
                    Gone::Forgotten { fingerprint } => {
                        self.cursor.generations.remove(&fingerprint);
                        self.reading
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .remove(&fingerprint);
                        continue;
                    }
                    Gone::Read { fingerprint, name } => (fingerprint, name, None),
                    Gone::Lost { fingerprint, name, bytes, at_least } => {
                        (fingerprint, name, Some((bytes, at_least)))
                    }
                };
            let before = self.cursor.generations.get(&generation).cloned().unwrap_or_default();
            let offset = before.offset;
            let (from, to) = self.losses.span(generation, &self.cursor);
            let marks = Marks::default();
            let progress = Progress { complete: true, successor_checked: true, marks, ..before };
            self.advance(generation, progress.clone());
            let Some((bytes, at_least)) = lost else {
                return Some(ReaderItem::Chunk(Box::new(Chunk::end(generation, file, progress))));
            };
            let reason = GapReason::BackupGone;
            let gap = Gap { reason, generation, file, offset, bytes, at_least, from, to, progress };
            return Some(ReaderItem::Gap(gap));
        }
    }

    pub(super) fn advance(&mut self, fingerprint: Fingerprint, progress: Progress) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.insert(fingerprint, (progress.offset, progress.complete));
        drop(reading);
        if progress.complete && !progress.successor_checked {
            self.unseen.finished(fingerprint);
        }
        self.cursor.generations.insert(fingerprint, progress);
    }

    /// Bytes of a generation that an earlier process may have seen. One that came to light later is new only if its
    /// first event is.
    pub(super) fn existed(&self, generation: &Generation) -> u64 {
        let first = self.existed.as_ref().and_then(|existed| existed.get(&generation.fingerprint));
        let old = generation.time.is_none_or(|time| time < self.started);
        first.copied().unwrap_or(if old { u64::MAX } else { 0 })
    }
}
