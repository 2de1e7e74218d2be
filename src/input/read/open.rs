//! Reads on in one generation: opens its file at the cursor, fills a batch, and handles truncation, copies and
//! over-long lines.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assembly::{Assembly, Limits};
use super::barren::{Barren, LONGEST};
use super::chunk::{Chunk, ReaderItem};
use super::failures::{ReadFailures, is_settled_file};
use super::large::{LARGE, Large, Permit};
use crate::event::{Cursor, Fingerprint, Key, Nanos, Progress};
use crate::input::file::generation::{FileId, Generation, OpenFile};
use crate::input::file::source::{Source, Trouble};
use crate::input::loss::altered;
use crate::input::loss::gap::Gap;
use crate::input::loss::gone::KnownGenerations;
use crate::input::now::Now;
use crate::input::pulse::Pulse;
use crate::input::shared::Shared;
use crate::telemetry::Heartbeat;

/// Bytes read at once of a line that is longer than a batch.
pub(crate) const STRIDE: usize = 1 << 20;

/// Reads the files of generations for one output.
pub(crate) struct FileReader {
    shared: Arc<Shared>,
    key: Key,
    pub(crate) limits: Limits,
    /// How long a batch of the live log waits for more events.
    max_age: Duration,
    large: Large,
    pulse: Pulse,
    open: Option<Open>,
    /// The plain file from which each generation was last read. It shows whether another file is a copy, and a copy
    /// may be shorter.
    files: HashMap<Fingerprint, FileId>,
    failures: ReadFailures,
}

/// The generation being read.
struct Open {
    fingerprint: Fingerprint,
    source: Source,
    /// Bytes read that are not part of a whole line yet.
    rest: Vec<u8>,
    barren: Barren,
}

/// Why reading stopped.
enum End {
    /// The events found are to be sent.
    Found,
    /// Nothing more will ever be written.
    Complete,
    /// There is no whole line yet.
    Nothing,
    /// A large line is unfinished. It is not kept in memory; it is read again once the file is longer.
    TooLarge,
}

impl FileReader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        key: Key,
        limits: Limits,
        max_age: Duration,
        large: Large,
    ) -> Self {
        let pulse = shared.pulse();
        let (files, failures) = (HashMap::new(), ReadFailures::new());
        Self { shared, key, limits, max_age, large, pulse, open: None, files, failures }
    }

    pub(super) fn shown_by(self, heart: Heartbeat) -> Self {
        Self { pulse: self.pulse.shown_by(heart), ..self }
    }

    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn has_given_up(&self, fingerprint: Fingerprint) -> bool {
        self.failures.has_given_up(fingerprint)
    }

    /// Forgets where it is in a generation, which is to be read again from an earlier offset.
    pub(super) fn rewind(&mut self, fingerprint: Fingerprint) {
        self.open = None;
        self.failures.forget(fingerprint);
    }

    /// Forgets the generations that are not shown any more.
    pub(super) fn retain(&mut self, shown: impl Fn(&Fingerprint) -> bool) {
        self.failures.retain(&shown);
        self.files.retain(|fingerprint, _| shown(fingerprint));
    }

    /// Reads on in a generation from a cursor; `None` if there is nothing more for now.
    pub(super) fn fill(
        &mut self,
        generation: &Generation,
        cursor: &Cursor,
        known: &KnownGenerations,
        now: Now,
    ) -> Option<ReaderItem> {
        let progress = cursor.generations.get(&generation.fingerprint);
        let length = generation.length_now();
        if generation.unread
            || !has_more(generation, length, progress)
            || self.has_given_up(generation.fingerprint)
        {
            return None;
        }
        let progress = progress.cloned().unwrap_or_default();
        if self.failures.rests(generation, length, now) {
            return None;
        }
        loop {
            let was_open = self.is_open(generation.fingerprint);
            let filled = match self.open(generation, length, &progress, known) {
                Ok(ControlFlow::Continue(())) => {
                    self.read(generation, length, &progress, cursor.since, now)
                }
                Ok(ControlFlow::Break(item)) => Ok(item),
                Err(trouble) => Err(trouble),
            };
            let trouble = match filled {
                Ok(item) => return item,
                Err(trouble) => trouble,
            };
            self.open = None;
            if !(was_open && matches!(trouble, Trouble::Replaced)) {
                let finite = self.shared.is_finite();
                let gap = self.failures.failed(generation, &progress, trouble, now, finite)?;
                let to = known.after(generation.fingerprint, progress.time);
                return Some(ReaderItem::Gap(Gap { to, ..gap }));
            }
        }
    }

    fn is_open(&self, fingerprint: Fingerprint) -> bool {
        self.open.as_ref().is_some_and(|open| open.fingerprint == fingerprint)
    }

    /// Opens a generation, unless it is open already. Breaks with a result if there is nothing to read in it.
    fn open(
        &mut self,
        generation: &Generation,
        length: u64,
        progress: &Progress,
        known: &KnownGenerations,
    ) -> Result<ControlFlow<Option<ReaderItem>>, Trouble> {
        let compressed = generation.is_compressed();
        let before = self.files.get(&generation.fingerprint).copied();
        let other = |id| !compressed && before.is_some_and(|before| before != id);
        let moved = generation.held.as_ref().is_some_and(|held| other(held.id));
        // An open plain file need not be exchanged for its `.gz`.
        if self.is_open(generation.fingerprint)
            && (compressed || (!moved && length >= progress.offset))
        {
            return Ok(ControlFlow::Continue(()));
        }
        let held = generation.open()?;
        if other(held.id) && length <= progress.offset {
            return Ok(ControlFlow::Break(self.end_of_copy(generation, progress)));
        }
        let id = held.id;
        let unaltered = |source: &Source| {
            progress.mark.map_or(Ok(true), |mark| source.matches(mark, &self.key))
        };
        let source =
            match Source::open(held.clone(), progress.offset, &generation.probe, &self.pulse) {
                Ok(source) if unaltered(&source)? => source,
                Ok(_) | Err(Trouble::Short) => {
                    let gap = self.altered(generation, &held, progress, known)?;
                    return Ok(ControlFlow::Break(Some(ReaderItem::Gap(gap))));
                }
                Err(other) => return Err(other),
            };
        if !compressed {
            self.files.insert(generation.fingerprint, id);
        }
        let (rest, barren) = (Vec::new(), Barren::default());
        self.open = Some(Open { fingerprint: generation.fingerprint, source, rest, barren });
        Ok(ControlFlow::Continue(()))
    }

    /// Somebody copied the log and truncated it (copytruncate). The original was read at least as far as the copy
    /// goes.
    fn end_of_copy(&mut self, generation: &Generation, progress: &Progress) -> Option<ReaderItem> {
        self.open = None;
        if !generation.closed {
            return None;
        }
        let assembly = Assembly::new(Vec::new(), progress.offset, progress.time, None);
        let chunk = Chunk::read(generation, progress, assembly, true, &self.key);
        Some(ReaderItem::Chunk(Box::new(chunk)))
    }

    fn altered(
        &mut self,
        generation: &Generation,
        held: &OpenFile,
        progress: &Progress,
        known: &KnownGenerations,
    ) -> Result<Gap, Trouble> {
        self.open = None;
        let unchanged = altered::unchanged(generation, held, progress, &self.key, &self.pulse)?;
        Ok(altered::gap(generation, progress, unchanged, known.length_before(generation)))
    }

    fn read(
        &mut self,
        generation: &Generation,
        length: u64,
        progress: &Progress,
        since: Option<Nanos>,
        now: Now,
    ) -> Result<Option<ReaderItem>, Trouble> {
        let Some(mut open) = self.open.take() else { return Ok(None) };
        if generation.closed && open.barren.is_too_much() {
            return Err(Trouble::Barren { rest: open.source.behind() });
        }
        let time = progress.time.or(generation.time).or_else(|| generation.file_time());
        let rest = std::mem::take(&mut open.rest);
        let mut assembly = Assembly::new(rest, progress.offset, time, since);
        let mut permit = None;
        let complete = match self.gather(&mut open, &mut assembly, &mut permit, generation, now)? {
            End::Found => false,
            End::Complete => true,
            End::Nothing => {
                open.rest = assembly.bytes;
                self.open = Some(open);
                return Ok(None);
            }
            End::TooLarge => {
                self.failures.wait_for_growth(generation.fingerprint, length);
                return Ok(None);
            }
        };
        open.barren.count(&assembly, progress.offset);
        open.rest = assembly.bytes.split_off(assembly.done);
        // In-flight batches should use only the memory that they fill, not the capacity of their buffers.
        assembly.bytes.shrink_to_fit();
        assembly.events.shrink_to_fit();
        self.open = (!complete).then_some(open);
        let chunk = Chunk::read(generation, progress, assembly, complete, &self.key);
        Ok(Some(ReaderItem::Chunk(Box::new(Chunk { permit, ..chunk }))))
    }

    /// Reads until the batch is full or the file ends.
    fn gather(
        &self,
        open: &mut Open,
        assembly: &mut Assembly,
        permit: &mut Option<Permit>,
        generation: &Generation,
        now: Now,
    ) -> Result<End, Trouble> {
        let limits = &self.limits;
        let mut lingered = false;
        loop {
            self.pulse.turn()?;
            assembly.take_lines(limits);
            let unfinished = assembly.unfinished();
            if assembly.is_full(limits) || (unfinished > LARGE && !assembly.is_empty()) {
                return Ok(End::Found);
            }
            if unfinished > LARGE && permit.is_none() {
                *permit = self.large.take(&self.shared);
                if permit.is_none() {
                    return Ok(End::TooLarge);
                }
            }
            if unfinished > limits.line_bytes && assembly.give_up() {
                continue;
            }
            if unfinished > limits.line_bytes {
                let passed = self.pass_over(assembly, &mut open.source, generation.closed)?;
                return Ok(if passed { End::Found } else { End::TooLarge });
            }
            let least = if unfinished > limits.bytes { STRIDE } else { 4096 };
            let room = limits.bytes.saturating_sub(assembly.bytes.len()).max(least);
            match open.source.read(&mut assembly.bytes, room) {
                Ok(0) => {}
                Ok(_) => continue,
                // Whole lines before the damage are sent first; the next read meets the damage again.
                Err(Trouble::Damaged { .. }) if !assembly.is_empty() => return Ok(End::Found),
                Err(Trouble::Damaged { .. })
                    if assembly.unfinished() > 0 && is_settled_file(generation, now) =>
                {
                    assembly.take_tail();
                    return Ok(End::Found);
                }
                Err(other) => return Err(other),
            }
            if generation.closed {
                assembly.take_tail();
                return Ok(End::Complete);
            }
            if assembly.is_empty() {
                return Ok(if unfinished > LARGE { End::TooLarge } else { End::Nothing });
            }
            if lingered || !generation.live {
                return Ok(End::Found);
            }
            // More events are likely to follow: one request for many is cheaper than one for each.
            lingered = true;
            self.pulse.rest();
            self.shared.pause(Instant::now() + self.max_age);
        }
    }

    /// Skips an over-long line to its end, keeping only its envelope; `false` if its end has not been written yet.
    fn pass_over(
        &self,
        assembly: &mut Assembly,
        source: &mut Source,
        closed: bool,
    ) -> Result<bool, Trouble> {
        let (begin, mut last) = (assembly.end(), false);
        while !assembly.skim(last) {
            self.pulse.turn()?;
            if closed && assembly.end() - begin > LONGEST {
                return Err(Trouble::Barren { rest: source.behind() });
            }
            last = source.read(&mut assembly.bytes, STRIDE)? == 0;
            if last && !closed {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a generation may hold bytes that are not read yet.
fn has_more(generation: &Generation, length: u64, progress: Option<&Progress>) -> bool {
    let (offset, complete) = progress.map_or((0, false), |done| (done.offset, done.complete));
    if generation.is_compressed() {
        return !complete;
    }
    // A finished file that grew has a second writer, whose events are read too. A live file that shrank was
    // truncated.
    length > offset || (!complete && (generation.closed || (generation.live && length < offset)))
}
