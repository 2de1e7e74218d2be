//! Reads the generations of one input for one output: each from where that output stands, oldest first.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};

use super::assembly::{Assembly, Limits, Told};
use super::catalogue::{Generation, Place};
use super::large::{LARGE, Large, Permit};
use super::shared::{Reading, Shared, View};
use super::source::{Source, Trouble};
use super::start;
use crate::config::StartAt;
use crate::event::{Batch, Cursor, Fingerprint, Key, Mark, Nanos, Progress};
use crate::telemetry::GapReason;

/// A gzip file that breaks off may still be on its way here; it is damaged once nobody wrote to it for so long.
const SETTLED: Duration = Duration::from_secs(10);
/// Bytes read at once of a line that is longer than a batch.
const STRIDE: usize = 1 << 20;
/// A generation that no listing shows is lost after this; renames take less.
const LOST: Duration = Duration::from_secs(3);

/// Stands for the name of a file that was gone before this process saw it.
const UNSEEN: &str = "?";

/// What a reader has to say.
#[derive(Debug)]
pub(crate) enum News {
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
    pub(crate) told: Told,
    /// Name of the file it was read from.
    pub(crate) file: Arc<str>,
    /// Bytes of the generation that an earlier process may have seen.
    pub(crate) existed: u64,
    /// Held by a line that needs the process's one large buffer.
    pub(crate) permit: Option<Permit>,
}

/// A stretch that is lost to this output.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) reason: GapReason,
    pub(crate) generation: Fingerprint,
    pub(crate) file: Arc<str>,
    /// Where it begins.
    pub(crate) offset: u64,
    /// At least so many bytes.
    pub(crate) bytes: u64,
    pub(crate) progress: Progress,
}

/// See the module.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    key: Key,
    limits: Limits,
    max_age: Duration,
    large: Large,
    reading: Reading,
    cursor: Cursor,
    /// What to do at the first look; `None` once it is done.
    start_at: Option<StartAt>,
    /// When this process began.
    started: Nanos,
    /// Bytes of each generation at the first look.
    existed: Option<HashMap<Fingerprint, u64>>,
    known: HashMap<Fingerprint, Known>,
    /// Looks that `known` has taken in; it is gone through again only after another, or while something is missed.
    looked: u64,
    missing: bool,
    open: Option<Open>,
}

/// What is remembered of a generation in case it is lost.
struct Known {
    name: Arc<str>,
    length: u64,
    missed: Option<Instant>,
}

/// The generation being read.
struct Open {
    print: Fingerprint,
    source: Source,
    /// Read, but not part of a whole line yet.
    rest: Vec<u8>,
}

/// How far the reading of one generation went.
enum Filled {
    Chunk(Box<Chunk>),
    Gap(Gap),
    /// Nothing more for now.
    Drained,
}

impl Reader {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, by `Input::reader`, which names each"
    )]
    pub(super) fn new(
        shared: Arc<Shared>,
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
            .map(|(print, progress)| (*print, (progress.offset, progress.complete)));
        let reading = Arc::new(Mutex::new(reading.collect()));
        let (existed, known, open) = (None, HashMap::new(), None);
        Self {
            shared,
            key,
            limits,
            max_age,
            large,
            reading,
            cursor,
            start_at,
            started,
            existed,
            known,
            looked: 0,
            missing: false,
            open,
        }
    }

    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The next chunk or gap, as soon as there is one; `None` once the input is stopped.
    pub(crate) fn next(&mut self) -> Option<News> {
        loop {
            let (view, news) = self.shared.view();
            if self.shared.is_stopped() {
                return None;
            }
            if let Some(something) = self.poll(&view) {
                return Some(something);
            }
            if !self.shared.wait(news, Duration::from_secs(1)) {
                return None;
            }
        }
    }

    /// One pass over the generations; `None` if there is nothing new in any.
    fn poll(&mut self, view: &View) -> Option<News> {
        if view.looks == 0 {
            return None;
        }
        if let Some(started) = self.first_look(view) {
            return Some(started);
        }
        if let Some(gap) = self.lost(view) {
            return Some(News::Gap(gap));
        }
        for generation in view.generations.iter() {
            match self.fill(generation) {
                Filled::Chunk(chunk) => return Some(News::Chunk(chunk)),
                Filled::Gap(gap) => return Some(News::Gap(gap)),
                Filled::Drained => {}
            }
        }
        None
    }

    /// Reads a stretch again that was given up half-way: nothing after it has been read.
    pub(crate) fn rewind(&mut self, generation: Fingerprint, progress: Progress) {
        self.open = None;
        self.advance(generation, progress);
    }

    fn first_look(&mut self, view: &View) -> Option<News> {
        if self.existed.is_none() {
            // Of a compressed file nobody knows the length before its end.
            let length = |generation: &Generation| match generation.place {
                Place::Gzip => u64::MAX,
                Place::Held(_) | Place::Plain => generation.length,
            };
            self.existed = Some(
                view.generations
                    .iter()
                    .map(|generation| (generation.print, length(generation)))
                    .collect(),
            );
        }
        let start_at = self.start_at.take()?;
        self.cursor = start::cursor(start_at, &view.generations, self.started, &self.key);
        for (print, progress) in self.cursor.generations.clone() {
            self.advance(print, progress);
        }
        Some(News::Started(self.cursor.clone()))
    }

    /// Looks for a generation that was begun, or at least seen, and can be read nowhere any more.
    fn lost(&mut self, view: &View) -> Option<Gap> {
        if self.looked == view.looks && !self.missing {
            return None;
        }
        self.looked = view.looks;
        for generation in view.generations.iter() {
            let known = Known {
                name: Arc::clone(&generation.name),
                length: generation.length,
                missed: None,
            };
            self.known.insert(generation.print, known);
        }
        for (print, progress) in &self.cursor.generations {
            if !progress.complete && !self.known.contains_key(print) {
                self.known.insert(
                    *print,
                    Known { name: Arc::from(UNSEEN), length: progress.offset, missed: None },
                );
            }
        }
        let mut lost = None;
        self.missing = false;
        let (cursor, missing) = (&self.cursor, &mut self.missing);
        self.known.retain(|print, known| {
            if view.generations.iter().any(|generation| generation.print == *print) {
                return true;
            }
            let progress = cursor.generations.get(print).cloned().unwrap_or_default();
            if progress.complete {
                return false;
            }
            *missing = true;
            if known.missed.get_or_insert_with(Instant::now).elapsed() < LOST || lost.is_some() {
                return true;
            }
            let bytes = known.length.saturating_sub(progress.offset);
            lost = Some((*print, Arc::clone(&known.name), bytes, progress));
            false
        });
        let (generation, file, bytes, progress) = lost?;
        let offset = progress.offset;
        let progress = Progress { complete: true, ..progress };
        self.advance(generation, progress.clone());
        // What was read to its last byte while it was there had no more.
        (bytes > 0 || &*file == UNSEEN).then_some(Gap {
            reason: GapReason::BackupGone,
            generation,
            file,
            offset,
            bytes,
            progress,
        })
    }

    fn advance(&mut self, print: Fingerprint, progress: Progress) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.insert(print, (progress.offset, progress.complete));
        drop(reading);
        self.cursor.generations.insert(print, progress);
    }

    /// Reads on in one generation.
    fn fill(&mut self, generation: &Generation) -> Filled {
        let progress = self.cursor.generations.get(&generation.print);
        if progress
            .is_some_and(|progress| progress.complete && generation.length <= progress.offset)
        {
            return Filled::Drained;
        }
        let progress = progress.cloned().unwrap_or_default();
        let plain = !matches!(generation.place, Place::Gzip);
        // A finished file that grew has a second writer; what it wrote is as good as the rest.
        let nothing_new = generation.length <= progress.offset && !generation.live;
        if (progress.complete && !plain)
            || (nothing_new && plain && (progress.complete || !generation.closed))
        {
            return Filled::Drained;
        }
        match self.read(generation, progress.clone()) {
            Ok(filled) => filled,
            Err(Trouble::Damaged(error)) => self.damaged(generation, progress, &error),
            // The next look tells what became of it.
            Err(Trouble::Replaced | Trouble::Io(_)) => {
                self.open = None;
                Filled::Drained
            }
        }
    }

    fn damaged(
        &mut self,
        generation: &Generation,
        progress: Progress,
        error: &io::Error,
    ) -> Filled {
        self.open = None;
        let modified = fs::metadata(&generation.path).and_then(|meta| meta.modified());
        if modified
            .is_ok_and(|time| SystemTime::now().duration_since(time).unwrap_or_default() < SETTLED)
        {
            return Filled::Drained;
        }
        tracing::warn!(file = %generation.path.display(), offset = progress.offset, %error, "backup is damaged, the rest of it is lost");
        let offset = progress.offset;
        let bytes = generation.length.saturating_sub(offset);
        let progress = Progress { complete: true, ..progress };
        self.advance(generation.print, progress.clone());
        let (generation, file) = (generation.print, Arc::clone(&generation.name));
        Filled::Gap(Gap {
            reason: GapReason::DamagedGzip,
            generation,
            file,
            offset,
            bytes,
            progress,
        })
    }

    /// Opens a generation, unless it is open; says so if it is not what it was.
    fn open(
        &mut self,
        generation: &Generation,
        progress: &Progress,
    ) -> Result<Option<Gap>, Trouble> {
        let shrunk = match &generation.place {
            Place::Held(file) if generation.length < progress.offset => {
                file.metadata()?.len() < progress.offset
            }
            _ => false,
        };
        if self.open.as_ref().is_some_and(|open| open.print == generation.print) && !shrunk {
            return Ok(None);
        }
        let at = progress.offset;
        let plain = |file| Source::plain(file, at, generation.probe.clone());
        let source = match &generation.place {
            Place::Held(file) => plain(Arc::clone(file)),
            Place::Plain => plain(Arc::new(fs::File::open(&generation.path)?)),
            Place::Gzip => Source::gzip(&generation.path, at)?,
        };
        if let Some(mark) = progress.mark
            && !source.matches(mark, &self.key)?
        {
            return Ok(Some(self.altered(generation, progress)));
        }
        self.open = Some(Open { print: generation.print, source, rest: Vec::new() });
        Ok(None)
    }

    /// The file no longer holds what was acknowledged: it is read anew, under ids of its own.
    fn altered(&mut self, generation: &Generation, progress: &Progress) -> Gap {
        self.open = None;
        let again = Progress { altered: progress.altered + 1, ..Progress::default() };
        self.advance(generation.print, again.clone());
        let bytes = progress.offset.saturating_sub(generation.length);
        let (file, generation) = (Arc::clone(&generation.name), generation.print);
        Gap {
            reason: GapReason::Truncated,
            generation,
            file,
            offset: progress.offset,
            bytes,
            progress: again,
        }
    }

    fn read(&mut self, generation: &Generation, progress: Progress) -> Result<Filled, Trouble> {
        if let Some(gap) = self.open(generation, &progress)? {
            return Ok(Filled::Gap(gap));
        }
        let Some(Open { source, rest, .. }) = &mut self.open else { return Ok(Filled::Drained) };
        let time = progress.time.or(generation.time);
        let mut assembly =
            Assembly::new(std::mem::take(rest), progress.offset, time, self.cursor.since);
        let (limits, mut permit, mut lingered, mut complete) = (self.limits, None, false, false);
        loop {
            assembly.take_lines(&limits);
            let unfinished = assembly.unfinished();
            if assembly.is_full(&limits) || (unfinished > LARGE && !assembly.is_empty()) {
                break;
            }
            if unfinished > LARGE && permit.is_none() {
                let Some(got) = self.large.take(&self.shared) else { return Ok(Filled::Drained) };
                permit = Some(got);
            }
            if unfinished > limits.max_line_bytes {
                pass_over(&mut assembly, source)?;
                break;
            }
            let room = limits
                .max_bytes
                .saturating_sub(assembly.bytes.len())
                .max(if unfinished > limits.max_bytes { STRIDE } else { 4096 });
            let got = match source.read(&mut assembly.bytes, room) {
                // Whole lines before the damage go first; the next reading meets it again.
                Err(Trouble::Damaged(_)) if !assembly.is_empty() => break,
                Err(Trouble::Damaged(error)) => {
                    assembly.take_tail();
                    if assembly.is_empty() {
                        return Err(Trouble::Damaged(error));
                    }
                    break;
                }
                other => other?,
            };
            if got > 0 {
                continue;
            }
            if generation.closed {
                assembly.take_tail();
                complete = true;
                break;
            }
            if assembly.is_empty() {
                *rest = assembly.bytes;
                return Ok(Filled::Drained);
            }
            if lingered || !generation.live {
                break;
            }
            // More is likely to come: one request for all of it is cheaper than one for each event.
            lingered = true;
            self.shared.pause(Instant::now() + self.max_age);
        }
        *rest = assembly.bytes.split_off(assembly.done);
        Ok(Filled::Chunk(Box::new(self.chunk(generation, &progress, assembly, complete, permit))))
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
        let mark = Mark::of(&assembly.bytes, &self.key);
        // A shortened line is not what the file holds.
        let mark = if assembly.told.over_long > 0 { None } else { mark.or(from.mark) };
        let progress =
            Progress { offset: end, complete, time: assembly.time, mark, altered: from.altered };
        self.advance(generation.print, progress.clone());
        if complete {
            self.open = None;
        }
        let batch = Batch {
            generation: altered_print(generation.print, from.altered),
            start: from.offset,
            end,
            bytes: assembly.bytes,
            events: assembly.events,
        };
        Chunk {
            batch,
            generation: generation.print,
            progress,
            told: assembly.told,
            file: Arc::clone(&generation.name),
            existed: self.existed(generation),
            permit,
        }
    }

    /// A generation that came to light later is new only if its first event is.
    fn existed(&self, generation: &Generation) -> u64 {
        let first = self.existed.as_ref().and_then(|existed| existed.get(&generation.print));
        let old = generation.time.is_none_or(|time| time < self.started);
        first.copied().unwrap_or(if old { u64::MAX } else { 0 })
    }
}

/// Reads a line that is too long to its end, keeping only its envelope.
fn pass_over(assembly: &mut Assembly, source: &mut Source) -> Result<(), Trouble> {
    let mut last = false;
    while !assembly.skim(last) {
        last = source.read(&mut assembly.bytes, STRIDE)? == 0;
    }
    Ok(())
}

/// The fingerprint that positions are given under.
fn altered_print(print: Fingerprint, altered: u32) -> Fingerprint {
    if altered == 0 {
        return print;
    }
    Fingerprint::cut(
        &Sha256::new().chain_update(print.0).chain_update(altered.to_be_bytes()).finalize(),
    )
}
