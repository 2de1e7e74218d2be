//! Reads the generations of one input for one output: oldest first, each from that output's cursor.
//!
//! `position.rs` says how far it is, `open.rs` reads a file, and the detectors in `loss/` say what is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::chunk::{Chunk, ReaderItem};
use super::open::FileReader;
use super::position::ReadPosition;
use super::rewinds::Rewinds;
use crate::event::{Cursor, Fingerprint, Progress, SeenGenerations, Sightings};
use crate::input::file::generation::Generation;
use crate::input::loss::gone::{Gone, KnownGenerations};
use crate::input::loss::hold_budget;
use crate::input::loss::missed_rotation::MissedRotations;
use crate::input::now::Now;
use crate::input::shared::{Reading, Shared, View};
use crate::telemetry::Heartbeat;

/// Returns the chunks and gaps of one input to one output. See the header of this file.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    position: ReadPosition,
    pub(crate) files: FileReader,
    known: KnownGenerations,
    missed: MissedRotations,
    /// The generations that earlier processes saw, until the first look.
    remembered: Sightings,
    rewinds: Rewinds,
    /// The number of the last look, and the generations in it that may hold unread bytes, oldest first.
    pending: (u64, Vec<Arc<Generation>>),
}

impl Reader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        roll: Arc<SeenGenerations>,
        position: ReadPosition,
        files: FileReader,
    ) -> Self {
        let remembered = roll.known();
        let (known, missed) = (KnownGenerations::new(roll), MissedRotations::default());
        let (rewinds, pending) = (Rewinds::default(), (0, Vec::new()));
        Self { shared, position, files, known, missed, remembered, rewinds, pending }
    }

    /// Reports to the agent's health that the reader makes progress.
    pub(crate) fn shown_by(self, heart: Heartbeat) -> Self {
        Self { files: self.files.shown_by(heart), ..self }
    }

    pub(crate) fn reading(&self) -> &Reading {
        self.position.reading()
    }

    /// By which the reader is asked to go back.
    pub(crate) fn rewinds(&self) -> Rewinds {
        self.rewinds.clone()
    }

    /// Blocks until there is a chunk or gap and returns it; `None` once the input is stopped or a finite list is
    /// read.
    pub(crate) fn next(&mut self) -> Option<ReaderItem> {
        loop {
            if let Some(cursor) = self.rewinds.take() {
                self.go_back(cursor);
                return Some(ReaderItem::Rewound);
            }
            let (view, news) = self.shared.view();
            self.files.pulse().turn().ok()?;
            let polled = self.poll(&view, Now::read(self.shared.waits));
            self.files.pulse().rest();
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
            let fingerprint = generation.fingerprint;
            !generation.closed
                || self.files.has_given_up(fingerprint)
                || self.position.is_complete(fingerprint)
        };
        self.shared.is_finite() && view.generations.iter().all(read)
    }

    /// One pass over the generations; `None` if none has anything new.
    pub(crate) fn poll(&mut self, view: &View, now: Now) -> Option<ReaderItem> {
        if view.looks == 0 || self.position.is_too_early(view, now) {
            return None;
        }
        let item = self
            .first_look(view)
            .or_else(|| self.released())
            .or_else(|| self.gone(view, now))
            .or_else(|| self.missed(view, now))
            .or_else(|| self.read(view, now))?;
        match &item {
            ReaderItem::Started(_) | ReaderItem::Rewound => {}
            ReaderItem::Chunk(chunk) => self.advance(chunk.generation, chunk.progress.clone()),
            ReaderItem::Gap(gap) => self.advance(gap.generation, gap.progress.clone()),
        }
        Some(item)
    }

    /// Resets the progress of a generation to read a stretch again whose delivery was abandoned. Nothing after it has
    /// been read.
    pub(crate) fn rewind(&mut self, generation: Fingerprint, progress: Progress) {
        self.files.rewind(generation);
        self.pending.0 = 0;
        self.advance(generation, progress);
    }

    /// Goes back to a cursor: what was read after it is read again.
    fn go_back(&mut self, cursor: Cursor) {
        let read: Vec<_> = self.position.cursor().generations.keys().copied().collect();
        for fingerprint in read {
            self.files.rewind(fingerprint);
            if !cursor.generations.contains_key(&fingerprint) {
                self.position.forget(fingerprint);
            }
        }
        self.pending.0 = 0;
        for (fingerprint, progress) in cursor.generations {
            self.position.advance(fingerprint, progress);
        }
    }

    fn first_look(&mut self, view: &View) -> Option<ReaderItem> {
        if !self.position.take_in(view) {
            return None;
        }
        let remembered = std::mem::take(&mut self.remembered);
        let Some(cursor) = self.position.start(view, &remembered, self.files.key()) else {
            self.missed = MissedRotations::new(&remembered, view, self.position.cursor());
            return None;
        };
        for (fingerprint, progress) in cursor.generations.clone() {
            self.advance(fingerprint, progress);
        }
        Some(ReaderItem::Started(cursor))
    }

    /// The next generation that was released because the hold budget was exceeded. A reader that was waiting for its
    /// output all the time gets it too, even if no look of its own ever showed the file.
    fn released(&mut self) -> Option<ReaderItem> {
        loop {
            let generation = self.shared.spent(|one| self.position.is_complete(one))?;
            let gap = hold_budget::gap(&generation, self.position.progress(generation.fingerprint));
            if gap.bytes > 0 || gap.at_least {
                return Some(ReaderItem::Gap(gap));
            }
            self.advance(gap.generation, gap.progress);
        }
    }

    /// The next generation that nothing shows any more.
    fn gone(&mut self, view: &View, now: Now) -> Option<ReaderItem> {
        loop {
            match self.known.next_gone(view, self.position.cursor(), now)? {
                Gone::Lost(gap) => return Some(ReaderItem::Gap(gap)),
                Gone::Read { fingerprint, file, progress } => {
                    let end = Chunk::end(fingerprint, file, progress);
                    return Some(ReaderItem::Chunk(Box::new(end)));
                }
                Gone::Forgotten(fingerprint) => self.position.forget(fingerprint),
            }
        }
    }

    /// The next hole after a generation that was read to its end.
    fn missed(&mut self, view: &View, now: Now) -> Option<ReaderItem> {
        if self.shared.is_finite() {
            return None;
        }
        self.missed.next(view, &self.known, self.position.cursor(), now).map(ReaderItem::Gap)
    }

    /// The next events.
    fn read(&mut self, view: &View, now: Now) -> Option<ReaderItem> {
        self.list(view);
        for generation in &self.pending.1 {
            let read = self.files.fill(generation, self.position.cursor(), &self.known, now);
            let Some(mut item) = read else { continue };
            if let ReaderItem::Chunk(chunk) = &mut item {
                chunk.existed = self.position.existed(generation);
            }
            return Some(item);
        }
        None
    }

    /// Skips, until the next look, the generations that are finished: there may be a thousand old backups.
    fn list(&mut self, view: &View) {
        if self.pending.0 == view.looks {
            return;
        }
        let pending = view.generations.iter().filter(|generation| {
            !generation.is_compressed() || !self.position.is_complete(generation.fingerprint)
        });
        self.pending = (view.looks, pending.cloned().collect());
        let shown: HashSet<_> = view.generations.iter().map(|one| one.fingerprint).collect();
        self.files.retain(|fingerprint| shown.contains(fingerprint));
    }

    fn advance(&mut self, fingerprint: Fingerprint, progress: Progress) {
        if progress.complete && !progress.successor_checked {
            self.missed.finished(fingerprint);
        }
        self.position.advance(fingerprint, progress);
    }
}
