//! Turns bytes, as they are read, into a batch of whole events.

use std::borrow::Cow;
use std::ops::Range;

use super::lines::{Cut, blank, cut};
use super::parts::{NextPart, Parts, join};
use super::skim::Skim;
use super::times::Times;
use crate::event::{Event, Form, Format, Mark, Nanos, OddLine, Piece, RecordKind, plain, unwrap};
use crate::telemetry::GapReason;

/// When a batch is full, and what is too long for one.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "as the configuration calls them")]
pub(crate) struct Limits {
    pub(crate) max_bytes: usize,
    pub(crate) max_events: usize,
    /// Longest line kept whole; at most 1 GiB.
    pub(crate) max_line_bytes: usize,
}

/// NUL bytes in a row that are worth the copying of what follows them.
const HOLE: usize = 4096;

/// Bytes of the file kept beside what was written over them: enough for the marks of a cursor.
const RAW: usize = 2 * Mark::LENGTH;

/// What was met that is no event, to be counted and said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Anomalies {
    /// Remains of events that were never finished.
    pub(crate) torn: u32,
    pub(crate) torn_bytes: u64,
    /// NUL bytes where text should be.
    pub(crate) hole_bytes: u64,
    /// Lines shipped without their bodies, for their length.
    pub(crate) over_long: u32,
    pub(crate) over_long_bytes: u64,
    /// Whole lines that are no events.
    pub(crate) unreadable: u32,
    /// Lines that were left out: messages of the server itself, comments, headings.
    pub(crate) passed_over: u32,
    /// What the first of the unreadable lines looks like.
    pub(crate) format: Option<Format>,
    /// Where what is lost stood, in the order it was met.
    pub(crate) damage: Vec<Damage>,
}

/// Stretches of one kind that are told apart in a batch, at most: a file can be made of nothing else.
const APART: usize = 64;

/// A stretch of which nothing, or not all, can be delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Damage {
    pub(crate) reason: GapReason,
    /// In the generation, as is `end`.
    pub(crate) offset: u64,
    pub(crate) end: u64,
    pub(crate) bytes: u64,
    /// How many stretches this is.
    pub(crate) times: u64,
}

impl Anomalies {
    fn damaged(&mut self, reason: GapReason, offset: u64, bytes: u64) {
        let end = offset + bytes;
        let new = Damage { reason, offset, end, bytes, times: 1 };
        if self.damage.len() < APART {
            return self.damage.push(new);
        }
        match self.damage.iter_mut().rev().find(|last| last.reason == reason) {
            Some(last) => {
                last.end = end;
                last.bytes += bytes;
                last.times += 1;
            }
            None => self.damage.push(new),
        }
    }
}

/// A batch in the making: bytes that were read, and the events found so far.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) bytes: Vec<u8>,
    pub(super) events: Vec<Event>,
    /// Offset in the generation of `bytes[0]`, without what `skipped` says.
    start: u64,
    /// By how many bytes offsets are ahead of `bytes`: of an over-long line more was read than is kept.
    skipped: i64,
    /// The bytes up to here are dealt with.
    pub(super) done: usize,
    /// From here up to `done` nothing was left out or written over.
    solid: usize,
    /// What stood in the file before `solid`, as far as it is needed.
    raw: Vec<u8>,
    /// Whole lines after `done` that wait for the last part of theirs.
    parts: Option<Parts>,
    /// So many bytes after `done` and `parts` hold no end of line.
    seen: usize,
    pub(super) times: Times,
    /// Events older than this are passed over.
    since: Option<Nanos>,
    pub(super) told: Anomalies,
    skim: Option<Skim>,
}

impl Assembly {
    /// `bytes` are the rest of an earlier reading, which begin at the offset `start`.
    pub(super) fn new(
        bytes: Vec<u8>,
        start: u64,
        time: Option<Nanos>,
        since: Option<Nanos>,
    ) -> Self {
        let (events, told) = (Vec::new(), Anomalies::default());
        let (skipped, done, solid, seen, skim) = (0, 0, 0, 0, None);
        let (raw, parts) = (Vec::new(), None);
        Self {
            bytes,
            events,
            start,
            skipped,
            done,
            solid,
            raw,
            parts,
            seen,
            times: Times::after(time),
            since,
            told,
            skim,
        }
    }

    /// The offset one past what is dealt with.
    pub(super) fn end(&self) -> u64 {
        (self.start + self.done as u64).saturating_add_signed(self.skipped)
    }

    /// Bytes of a line whose end has not been read.
    pub(super) fn unfinished(&self) -> usize {
        self.bytes.len() - self.done
    }

    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.done >= limits.max_bytes || self.events.len() >= limits.max_events
    }

    /// Nothing to send and nothing to step over.
    pub(super) fn is_empty(&self) -> bool {
        self.done == 0 && self.skipped == 0
    }

    /// Deals with every line that has been read to its end, until the batch is full.
    pub(super) fn take_lines(&mut self, limits: &Limits) {
        while !self.is_full(limits) {
            if self.parts.is_none() && self.seen == 0 {
                self.done += blank(&self.bytes[self.done..]);
            }
            let from = self.ahead();
            let Some(found) = cut(&self.bytes[from..], self.seen) else {
                self.seen = self.bytes.len() - from;
                return;
            };
            self.seen = 0;
            match found {
                Cut::Line(length) => self.line(length),
                Cut::Broken(_) | Cut::Hole(_) if self.give_up() => {}
                Cut::Broken(length) => {
                    self.odd(length, false, length);
                }
                Cut::Hole(length) => {
                    self.told.hole_bytes += length as u64;
                    self.told.damaged(GapReason::NulHole, self.end(), length as u64);
                    self.step_over(length);
                }
            }
        }
    }

    /// Where the next line begins.
    fn ahead(&self) -> usize {
        self.done + self.parts.as_ref().map_or(0, |parts| parts.bytes)
    }

    /// Deals with a line that was read to its newline.
    fn line(&mut self, length: usize) {
        let from = self.ahead();
        let line = &self.bytes[from..from + length];
        let Some(parts) = &mut self.parts else {
            if self.is_plain(length) {
                self.done += length + 1;
            } else if let Some(parts) = Parts::begin(&self.bytes[from..from + length]) {
                self.parts = Some(parts);
            } else {
                self.odd(length, true, length + 1);
            }
            return;
        };
        match parts.next(line) {
            NextPart::OpenFile => {}
            NextPart::Last => self.joined(true),
            NextPart::Foreign => {
                self.joined(false);
                self.line(length);
            }
        }
    }

    /// Takes the line at `done` if it is an event and nothing else.
    fn is_plain(&mut self, length: usize) -> bool {
        let (at, begin) = (self.done, self.end());
        let Self { bytes, events, times, since, .. } = self;
        plain(&bytes[at..at + length], |piece| {
            let own = times.next(piece.time);
            if since.is_none_or(|since| own >= since) {
                events.push(piece.event(at, begin, own));
            }
        })
    }

    /// Deals with a line that is not simply an event; `consumed` bytes are dealt with by that.
    fn odd(&mut self, length: usize, ended: bool, consumed: usize) {
        self.keep_raw(self.done + consumed);
        self.push(self.done..self.done + length, ended);
        self.done += consumed;
    }

    /// Deals with the parts of one line; `whole` says that the last one is there.
    fn joined(&mut self, whole: bool) {
        let Some(parts) = self.parts.take() else { return };
        // The last line of a file may have no newline.
        let end = (self.done + parts.bytes).min(self.bytes.len());
        self.keep_raw(end);
        let (text, passed) = join(&mut self.bytes[self.done..end]);
        self.told.passed_over += passed;
        self.push(self.done + text.start..self.done + text.end, whole);
        self.done = end;
    }

    /// Gives up the wait for the last part of a line. Answers whether there was one.
    pub(super) fn give_up(&mut self) -> bool {
        let waits = self.parts.is_some();
        self.joined(false);
        waits
    }

    /// Keeps what stands in the file up to `end`, which may be written over.
    fn keep_raw(&mut self, end: usize) {
        let new = &self.bytes[self.solid..end];
        let kept = RAW.saturating_sub(new.len()).min(self.raw.len());
        self.raw.drain(..self.raw.len() - kept);
        self.raw.extend_from_slice(&new[new.len().saturating_sub(RAW)..]);
        self.solid = end;
    }

    /// A hole can be as large as the log: a large one is not kept, so that it is told as one.
    fn step_over(&mut self, length: usize) {
        if length < HOLE {
            self.done += length;
            return;
        }
        self.bytes.drain(self.done..self.done + length);
        self.skipped += signed(length);
        self.forget_raw();
    }

    /// What stands before `done` is not what stands before that place in the file.
    fn forget_raw(&mut self) {
        self.raw.clear();
        self.solid = self.done;
    }

    /// The bytes dealt with that stand in the file just so before [`Assembly::end`].
    pub(super) fn tail(&self) -> Cow<'_, [u8]> {
        let tail = &self.bytes[self.solid..self.done];
        if self.raw.is_empty() { tail.into() } else { [&*self.raw, tail].concat().into() }
    }

    /// Deals with a tail that will never be finished.
    pub(super) fn take_tail(&mut self) {
        let from = self.ahead();
        if let Some(parts) = &mut self.parts {
            let whole = from < self.bytes.len()
                && matches!(parts.next(&self.bytes[from..]), NextPart::Last);
            self.joined(whole);
        }
        let length = self.unfinished();
        if length > 0 && !self.is_plain(length) {
            self.odd(length, false, length);
        } else {
            self.done += length;
        }
    }

    /// Passes over a line that is longer than allowed: called with more of it each time, until its end has been read.
    /// What is kept of it takes its place. Answers whether the end has come; `last` says that nothing follows.
    pub(super) fn skim(&mut self, last: bool) -> bool {
        let rest = &self.bytes[self.done..];
        let end = memchr::memchr(b'\n', rest);
        let skim = self.skim.get_or_insert_default();
        skim.push(&rest[..end.unwrap_or(rest.len())]);
        if end.is_none() && !last {
            self.skipped += signed(rest.len());
            self.bytes.truncate(self.done);
            self.seen = 0;
            return false;
        }
        let rest = self.bytes.split_off(self.done);
        let (kept, length) = self.skim.take().unwrap_or_default().finish();
        // The position of the line is where it began.
        let begin = self.end() - (length - end.unwrap_or(rest.len()) as u64);
        self.told.over_long += 1;
        self.told.over_long_bytes += length;
        self.told.damaged(GapReason::OverLongLine, begin, length);
        let line = super::shorten::shortened(&kept, length);
        self.bytes.extend_from_slice(&line);
        self.push_at(self.done..self.done + line.len(), end.is_some(), begin);
        self.done += line.len();
        // A shortened line is not what the file holds.
        self.forget_raw();
        // Offsets count what stood in the file, not what took its place.
        let consumed = end.map_or(rest.len(), |newline| newline + 1);
        self.skipped += signed(consumed) - signed(line.len());
        self.bytes.extend_from_slice(&rest[consumed..]);
        true
    }

    fn push(&mut self, line: Range<usize>, ended: bool) {
        let begin = self.end() + (line.start - self.done) as u64;
        self.push_at(line, ended, begin);
    }

    /// Finds the events in a line, which stands at the offset `begin` of its generation.
    fn push_at(&mut self, at: Range<usize>, ended: bool, begin: u64) {
        if self.bytes[at.clone()].trim_ascii().is_empty() {
            return;
        }
        let unreadable = self.told.unreadable;
        let mut bytes = std::mem::take(&mut self.bytes);
        let line = &mut bytes[at.clone()];
        let mut last = Form::Legacy;
        let mut each = |piece: Piece| {
            last = piece.form;
            self.piece(piece, at.start, begin);
        };
        if !plain(line, &mut each) {
            match unwrap(line, ended, each) {
                OddLine::Events => {}
                OddLine::Foreign => self.told.unreadable += u32::from(last == Form::Json),
                OddLine::Passed => self.told.passed_over += 1,
            }
        }
        if self.told.unreadable > unreadable && self.told.format.is_none() {
            self.told.format = Some(Format::of_text(&bytes[at]));
        }
        self.bytes = bytes;
    }

    fn piece(&mut self, piece: Piece, at: usize, begin: u64) {
        let time = self.times.next(piece.time);
        let wanted = self.since.is_none_or(|since| time >= since);
        match (piece.form, piece.whole) {
            (_, RecordKind::Torn) => {
                let bytes = u64::from(piece.at.end - piece.at.start);
                self.told.torn += 1;
                self.told.torn_bytes += bytes;
                if wanted {
                    let offset = begin + u64::from(piece.at.start);
                    self.told.damaged(GapReason::TornLine, offset, bytes);
                }
            }
            (Form::Unreadable, RecordKind::Event) => self.told.unreadable += 1,
            _ => {}
        }
        if wanted {
            self.events.push(piece.event(at, begin, time));
        }
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
