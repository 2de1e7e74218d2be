//! Reads on in one generation: opens its file at the cursor, fills a batch, and handles truncation, copies and
//! over-long lines.

use std::sync::Arc;
use std::time::Instant;

use super::assembly::Assembly;
use super::large::{LARGE, Permit};
use super::reader::{Chunk, Gap, Postponed, Reader};
use crate::event::{Batch, Earlier, Fingerprint, Mark, Marks, Progress, TransformStats};
use crate::input::file::generation::Generation;
use crate::input::file::source::{Source, Trouble};
use crate::input::loss::altered::{altered_print, earlier_prints};
use crate::input::loss::barren::{Barren, LONGEST};
use crate::input::loss::unreadable;
use crate::input::now::Now;

/// Bytes read at once of a line that is longer than a batch.
pub(crate) const STRIDE: usize = 1 << 20;

/// The generation being read.
pub(crate) struct Open {
    fingerprint: Fingerprint,
    source: Source,
    /// Bytes read that are not part of a whole line yet.
    rest: Vec<u8>,
    barren: Barren,
}

/// The result of reading one generation.
pub(crate) enum Filled {
    Chunk(Box<Chunk>),
    Gap(Gap),
    /// There is nothing more for now.
    Drained,
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

impl Reader {
    pub(crate) fn fill(&mut self, generation: &Arc<Generation>, now: Now) -> Filled {
        let progress = self.cursor.generations.get(&generation.fingerprint);
        let length = generation.length_now();
        if generation.unread
            || !has_more(generation, length, progress)
            || self.given_up.contains(&generation.fingerprint)
        {
            return Filled::Drained;
        }
        let progress = progress.cloned().unwrap_or_default();
        if self.rests(generation, length, now) {
            return Filled::Drained;
        }
        loop {
            let was_open = self.is_open(generation.fingerprint);
            let filled = match self.open(generation, length, &progress) {
                Ok(None) => self.read(generation, length, &progress, now),
                Ok(Some(filled)) => Ok(filled),
                Err(trouble) => Err(trouble),
            };
            return match filled {
                Ok(filled) => filled,
                Err(Trouble::Replaced) if was_open => {
                    self.open = None;
                    continue;
                }
                Err(trouble) => self.failed(generation, &progress, trouble, now),
            };
        }
    }

    fn is_open(&self, fingerprint: Fingerprint) -> bool {
        self.open.as_ref().is_some_and(|open| open.fingerprint == fingerprint)
    }

    fn rests(&mut self, generation: &Generation, length: u64, now: Now) -> bool {
        let rests = match self.resting.get(&generation.fingerprint) {
            None => return false,
            Some(Postponed::Until(until)) => now.steady < *until,
            Some(Postponed::Length(before)) => *before == length && !generation.closed,
        };
        if !rests {
            self.resting.remove(&generation.fingerprint);
        }
        rests
    }

    /// Opens a generation, unless it is open already. Returns a result at once if there is nothing to read in it.
    fn open(
        &mut self,
        generation: &Generation,
        length: u64,
        progress: &Progress,
    ) -> Result<Option<Filled>, Trouble> {
        let compressed = generation.is_compressed();
        let before = self.files.get(&generation.fingerprint).copied();
        let other = |id| !compressed && before.is_some_and(|before| before != id);
        let moved = generation.held.as_ref().is_some_and(|held| other(held.id));
        // An open plain file need not be exchanged for its `.gz`.
        if self.is_open(generation.fingerprint)
            && (compressed || (!moved && length >= progress.offset))
        {
            return Ok(None);
        }
        let held = generation.open()?;
        if other(held.id) && length <= progress.offset {
            return Ok(Some(self.end_of_copy(generation, progress)));
        }
        let id = held.id;
        let source =
            match Source::open(held.clone(), progress.offset, &generation.probe, &self.pulse) {
                Ok(source) if self.is_unaltered(&source, progress)? => source,
                Ok(_) | Err(Trouble::Short) => {
                    return Ok(Some(Filled::Gap(self.altered(generation, &held, progress)?)));
                }
                Err(other) => return Err(other),
            };
        if !compressed {
            self.files.insert(generation.fingerprint, id);
        }
        let (rest, barren) = (Vec::new(), Barren::default());
        self.open = Some(Open { fingerprint: generation.fingerprint, source, rest, barren });
        Ok(None)
    }

    /// Somebody copied the log and truncated it (copytruncate). The original was read at least as far as the copy
    /// goes.
    fn end_of_copy(&mut self, generation: &Generation, progress: &Progress) -> Filled {
        self.open = None;
        if !generation.closed {
            return Filled::Drained;
        }
        let assembly = Assembly::new(Vec::new(), progress.offset, progress.time, None);
        Filled::Chunk(Box::new(self.chunk(generation, progress, assembly, true, None)))
    }

    fn read(
        &mut self,
        generation: &Generation,
        length: u64,
        progress: &Progress,
        now: Now,
    ) -> Result<Filled, Trouble> {
        let Some(mut open) = self.open.take() else { return Ok(Filled::Drained) };
        if generation.closed && open.barren.is_too_much() {
            return Err(Trouble::Barren { rest: open.source.behind() });
        }
        let time = progress.time.or(generation.time).or_else(|| generation.file_time());
        let rest = std::mem::take(&mut open.rest);
        let mut assembly = Assembly::new(rest, progress.offset, time, self.cursor.since);
        let mut permit = None;
        let complete = match self.gather(&mut open, &mut assembly, &mut permit, generation, now)? {
            End::Found => false,
            End::Complete => true,
            End::Nothing => {
                open.rest = assembly.bytes;
                self.open = Some(open);
                return Ok(Filled::Drained);
            }
            End::TooLarge => {
                self.resting.insert(generation.fingerprint, Postponed::Length(length));
                return Ok(Filled::Drained);
            }
        };
        open.barren.count(&assembly, progress.offset);
        open.rest = assembly.bytes.split_off(assembly.done);
        // In-flight batches should use only the memory that they fill, not the capacity of their buffers.
        assembly.bytes.shrink_to_fit();
        assembly.events.shrink_to_fit();
        self.open = (!complete).then_some(open);
        Ok(Filled::Chunk(Box::new(self.chunk(generation, progress, assembly, complete, permit))))
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
            if unfinished > limits.max_line_bytes && assembly.give_up() {
                continue;
            }
            if unfinished > limits.max_line_bytes {
                let passed = self.pass_over(assembly, &mut open.source, generation.closed)?;
                return Ok(if passed { End::Found } else { End::TooLarge });
            }
            let least = if unfinished > limits.max_bytes { STRIDE } else { 4096 };
            let room = limits.max_bytes.saturating_sub(assembly.bytes.len()).max(least);
            match open.source.read(&mut assembly.bytes, room) {
                Ok(0) => {}
                Ok(_) => continue,
                // Whole lines before the damage are sent first; the next read meets the damage again.
                Err(Trouble::Damaged { .. }) if !assembly.is_empty() => return Ok(End::Found),
                Err(Trouble::Damaged { .. })
                    if assembly.unfinished() > 0 && unreadable::settled(generation, now) =>
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

    fn chunk(
        &mut self,
        generation: &Generation,
        from: &Progress,
        assembly: Assembly,
        complete: bool,
        permit: Option<Permit>,
    ) -> Chunk {
        let end = assembly.end();
        let tail = assembly.tail();
        let mark = match Mark::of(&tail, &self.key) {
            None if end == from.offset => from.mark,
            mark => mark,
        };
        let passed = from.mark.map(|mark| Earlier { at: from.offset, time: from.time, mark });
        // A complete generation does not change any more, so it needs no marks.
        let marks = if complete {
            Marks::default()
        } else {
            from.marks.moved(passed, end, &tail, &self.key)
        };
        drop(tail);
        let time = assembly.times.last;
        let pause = from.pause.max(assembly.times.pause);
        let progress = Progress { offset: end, complete, time, pause, mark, marks, ..from.clone() };
        self.advance(generation.fingerprint, progress.clone());
        let batch = Batch {
            generation: altered_print(generation.fingerprint, from.alterations),
            earlier: earlier_prints(generation.fingerprint, from.alterations),
            start: from.offset,
            end,
            bytes: assembly.bytes,
            events: assembly.events,
            passed: TransformStats::default(),
        };
        Chunk {
            batch,
            generation: generation.fingerprint,
            progress,
            told: assembly.told,
            file: Arc::clone(&generation.name),
            existed: self.existed(generation),
            again: from.offset < from.maybe_delivered_below,
            permit,
        }
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
