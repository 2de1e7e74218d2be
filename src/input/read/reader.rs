//! Reads the generations of one input for one output: oldest first, each from that output's cursor.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::assembly::{Anomalies, Limits};
use super::large::{Large, Permit};
use super::open::{Filled, Open};
use super::start;
use crate::config::StartAt;
use crate::event::{
    Batch, Cursor, Fingerprint, Key, Marks, Nanos, Progress, SeenGenerations, Sightings,
    TransformStats,
};
use crate::input::file::generation::{FileId, Generation};
use crate::input::loss::altered::altered_print;
use crate::input::loss::gone::{Gone, Losses};
use crate::input::loss::missed_rotation::Unseen;
use crate::input::now::Now;
use crate::input::pulse::Pulse;
use crate::input::shared::{Reading, Shared, View};
use crate::telemetry::{GapReason, Heartbeat, LogLimiter};

/// An item that a reader returns.
#[derive(Debug)]
pub(crate) enum ReaderItem {
    /// The first look is done: the cursor at which an output without a checkpoint starts.
    Started(Cursor),
    Chunk(Box<Chunk>),
    Gap(Gap),
}

/// Events, or a stretch without any, and the progress that the cursor makes once they are acknowledged.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Positions are under the batch's own `generation`, which for an altered file is not the catalogue's.
    pub(crate) batch: Batch,
    pub(crate) generation: Fingerprint,
    pub(crate) progress: Progress,
    pub(crate) told: Anomalies,
    /// Name of the file it was read from.
    pub(crate) file: Arc<str>,
    /// Bytes of the generation that an earlier process may have seen.
    pub(crate) existed: u64,
    /// The file was altered, so some of these events may have been delivered before: duplicates are possible.
    pub(crate) again: bool,
    /// Held by a line that needs the one large buffer of the process.
    pub(crate) permit: Option<Permit>,
}

impl Chunk {
    /// A chunk without events: it only says that a generation was read to its end.
    fn end(generation: Fingerprint, file: Arc<str>, progress: Progress) -> Self {
        let offset = progress.offset;
        let batch = Batch {
            generation: altered_print(generation, progress.alterations),
            earlier: Vec::new(),
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

/// A stretch of bytes that this output has lost.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) reason: GapReason,
    pub(crate) generation: Fingerprint,
    pub(crate) file: Arc<str>,
    /// Where it begins.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// More than `bytes` may be lost.
    pub(crate) at_least: bool,
    /// Time of the last event before the gap and of the first event after it, as far as known.
    pub(crate) from: Option<Nanos>,
    pub(crate) to: Option<Nanos>,
    pub(crate) progress: Progress,
}

/// Returns the chunks and gaps of one input to one output. See the header of this file.
pub(crate) struct Reader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: Key,
    pub(crate) limits: Limits,
    pub(crate) max_age: Duration,
    pub(crate) large: Large,
    reading: Reading,
    pub(crate) cursor: Cursor,
    /// Where to start, decided at the first look; `None` after it.
    start_at: Option<StartAt>,
    /// Since when the first look has been postponed.
    unsure: Option<Instant>,
    /// When this process started.
    started: Nanos,
    /// Bytes of each generation at the first look.
    existed: Option<HashMap<Fingerprint, u64>>,
    pub(crate) losses: Losses,
    /// Every generation ever seen of the input.
    roll: Arc<SeenGenerations>,
    /// The generations that earlier processes saw.
    remembered: Sightings,
    pub(crate) unseen: Unseen,
    /// The number of the last look, and the generations in it that may hold unread bytes, oldest first.
    pending: (u64, Vec<Arc<Generation>>),
    pub(crate) open: Option<Open>,
    /// The plain file in which each generation was last read, to recognise a copy, which may be shorter.
    pub(crate) files: HashMap<Fingerprint, FileId>,
    /// Generations that are not read for now, and until when.
    pub(crate) resting: HashMap<Fingerprint, Postponed>,
    /// Files of a finite list that cannot be read any further.
    pub(crate) given_up: HashSet<Fingerprint>,
    /// Limits the log lines about disk errors.
    pub(crate) unreadable: LogLimiter<io::ErrorKind>,
    pub(crate) pulse: Pulse,
}

/// Why reading a generation is postponed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Postponed {
    /// Its `.gz` may still be being written.
    Until(Instant),
    /// It ends in a large unfinished line: nothing can be read while the file has this length.
    Length(u64),
}

impl Reader {
    #[expect(clippy::too_many_arguments, reason = "only `Input::reader` calls it")]
    pub(crate) fn new(
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

    /// Reports to the agent's health that the reader makes progress.
    pub(crate) fn shown_by(self, heart: Heartbeat) -> Self {
        Self { pulse: self.pulse.shown_by(heart), ..self }
    }

    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Blocks until there is a chunk or gap and returns it; `None` once the input is stopped or a finite list is
    /// read.
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

    /// Whether a finite list is read as far as possible. An unfinished last line of the live log is left unread.
    fn is_finished(&self, view: &View) -> bool {
        let read = |generation: &Arc<Generation>| {
            let progress = self.cursor.generations.get(&generation.fingerprint);
            !generation.closed
                || self.given_up.contains(&generation.fingerprint)
                || progress.is_some_and(|progress| progress.complete)
        };
        self.shared.is_finite() && view.generations.iter().all(read)
    }

    /// One pass over the generations; `None` if none has anything new.
    pub(crate) fn poll(&mut self, view: &View, now: Now) -> Option<ReaderItem> {
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

    /// Resets the progress of a generation to read a stretch again whose delivery was abandoned. Nothing after it has
    /// been read.
    pub(crate) fn rewind(&mut self, generation: Fingerprint, progress: Progress) {
        self.open = None;
        self.resting.remove(&generation);
        self.pending.0 = 0;
        self.advance(generation, progress);
    }

    /// Whether an output with `start_at = "beginning"` should postpone its first look: a file that is unreadable for
    /// a moment would count as gone before the output existed.
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
        // The length of a compressed file is unknown until it is read to its end.
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
        // Generations that were gone before this output existed are no loss to it.
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

    /// Skips, until the next look, the generations that are finished: there may be a thousand old backups.
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

    pub(crate) fn advance(&mut self, fingerprint: Fingerprint, progress: Progress) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.insert(fingerprint, (progress.offset, progress.complete));
        drop(reading);
        if progress.complete && !progress.successor_checked {
            self.unseen.finished(fingerprint);
        }
        self.cursor.generations.insert(fingerprint, progress);
    }

    /// Bytes of a generation that an earlier process may have seen. A generation found after the first look is new
    /// only if its first event is younger than this process.
    pub(crate) fn existed(&self, generation: &Generation) -> u64 {
        let first = self.existed.as_ref().and_then(|existed| existed.get(&generation.fingerprint));
        let old = generation.time.is_none_or(|time| time < self.started);
        first.copied().unwrap_or(if old { u64::MAX } else { 0 })
    }
}
