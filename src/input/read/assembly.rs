//! Assembles bytes, as they are read, into a batch of whole events. Cuts lines, recognises torn lines, NUL holes and
//! over-long lines, and counts them in [`Anomalies`].

use std::borrow::Cow;
use std::ops::Range;

use crate::event::{
    Event, Form, Format, GapReason, Mark, Nanos, OddLine, Piece, RecordKind, plain, unwrap,
};
use crate::input::file::lines::{Cut, blank, cut};
use crate::input::file::parts::{NextPart, Parts, join};
use crate::input::file::skim::Skim;
use crate::own_log::is_marker;

/// When a batch is full, and the longest line that is kept whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most bytes of a batch. A longer line is a batch of its own.
    pub(crate) bytes: usize,
    /// Most events of a batch.
    pub(crate) events: usize,
    /// Longest line kept whole; at most 1 GiB.
    pub(crate) line_bytes: usize,
}

/// Shortest run of NUL bytes that is cut out of the buffer; removing a shorter one is not worth moving the bytes
/// after it.
const HOLE: usize = 4096;

/// Bytes of the file kept in their original form after lines were rewritten in place: enough for the marks of a
/// cursor.
const RAW: usize = 2 * Mark::LENGTH;

/// Everything found that is no event, for the counters and the log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Anomalies {
    /// Torn lines: remains of events that were never finished.
    pub(crate) torn: u32,
    pub(crate) torn_bytes: u64,
    /// NUL bytes where text should be.
    pub(crate) hole_bytes: u64,
    /// Lines longer than `max_line_bytes`, shipped without their bodies.
    pub(crate) over_long: u32,
    pub(crate) over_long_bytes: u64,
    /// Whole lines that are not events.
    pub(crate) unreadable: u32,
    /// Lines that were skipped: messages of the server itself, comments, headings.
    pub(crate) passed_over: u32,
    /// The format that the first unreadable line seems to have.
    pub(crate) format: Option<Format>,
    /// The damaged stretches, in file order.
    pub(crate) damage: Vec<Damage>,
}

/// The most damaged stretches that a batch lists separately: a file can consist of nothing else. Later ones are
/// merged.
const APART: usize = 64;

/// A stretch that cannot be delivered, or only in part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Damage {
    pub(crate) reason: GapReason,
    /// Offset in the generation, as is `end`.
    pub(crate) offset: u64,
    pub(crate) end: u64,
    pub(crate) bytes: u64,
    /// How many stretches were merged into this one.
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

/// What is known of the file's bytes before the processed ones, which may be overwritten.
#[derive(Debug, Default)]
struct RawTail {
    /// From this index up to [`Assembly::done`], nothing was removed or overwritten.
    solid: usize,
    /// The original file bytes before `solid`, as far as they are needed.
    bytes: Vec<u8>,
}

/// A batch being assembled: the bytes read and the events found so far.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: Vec<Event>,
    /// Offset of `bytes[0]` in the generation, without the correction in `skipped`.
    start: u64,
    /// Bytes by which offsets are ahead of `bytes`: more was read of an over-long line than is kept.
    skipped: i64,
    /// The bytes before this index are processed.
    pub(crate) done: usize,
    raw: RawTail,
    /// Whole lines after `done` that are the first parts of a split line, waiting for its last part.
    parts: Option<Parts>,
    /// This many bytes after `done` and `parts` contain no end of line.
    seen: usize,
    /// Time of the last event that has one. An event without a time inherits it.
    pub(crate) time: Option<Nanos>,
    /// Events older than this are dropped.
    since: Option<Nanos>,
    pub(crate) told: Anomalies,
    skim: Option<Skim>,
}

impl Assembly {
    /// `bytes` are left over from an earlier read and begin at the offset `start`.
    pub(crate) fn new(
        bytes: Vec<u8>,
        start: u64,
        time: Option<Nanos>,
        since: Option<Nanos>,
    ) -> Self {
        Self { bytes, start, time, since, ..Self::default() }
    }

    /// The offset just after the processed bytes.
    pub(crate) fn end(&self) -> u64 {
        (self.start + self.done as u64).saturating_add_signed(self.skipped)
    }

    /// Bytes of a line whose end has not been read.
    pub(crate) fn unfinished(&self) -> usize {
        self.bytes.len() - self.done
    }

    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.done >= limits.bytes || self.events.len() >= limits.events
    }

    /// Whether there is nothing to send and nothing was skipped.
    pub(crate) fn is_empty(&self) -> bool {
        self.done == 0 && self.skipped == 0
    }

    /// Processes every line that has been read to its end, until the batch is full.
    pub(crate) fn take_lines(&mut self, limits: &Limits) {
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

    /// Processes a line that was read up to its newline.
    fn line(&mut self, length: usize) {
        let from = self.ahead();
        let line = &self.bytes[from..from + length];
        let Some(parts) = &mut self.parts else {
            if self.is_plain(length) || is_marker(&self.bytes[from..from + length]) {
                self.done += length + 1;
            } else if let Some(parts) = Parts::begin(&self.bytes[from..from + length]) {
                self.parts = Some(parts);
            } else {
                self.odd(length, true, length + 1);
            }
            return;
        };
        match parts.next(line) {
            NextPart::More => {}
            NextPart::Last => self.joined(true),
            NextPart::Foreign => {
                self.joined(false);
                self.line(length);
            }
        }
    }

    /// Takes the line at `done` if it is a plain event and nothing else.
    fn is_plain(&mut self, length: usize) -> bool {
        let (at, begin) = (self.done, self.end());
        let Self { bytes, events, time, since, .. } = self;
        plain(&bytes[at..at + length], |piece| {
            *time = piece.time.or(*time);
            let own = time.unwrap_or_default();
            if since.is_none_or(|since| own >= since) {
                events.push(piece.event(at, begin, own));
            }
        })
    }

    /// Processes a line that is not a plain event and advances by `consumed` bytes.
    fn odd(&mut self, length: usize, ended: bool, consumed: usize) {
        self.keep_raw(self.done + consumed);
        self.push(self.done..self.done + length, ended);
        self.done += consumed;
    }

    /// Joins the parts of a split line and processes it; `whole` says that the last part is there.
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

    /// Stops waiting for the last part of a split line. Returns whether one was being waited for.
    pub(crate) fn give_up(&mut self) -> bool {
        let waits = self.parts.is_some();
        self.joined(false);
        waits
    }

    /// Saves the original file bytes up to `end`, which may be overwritten.
    fn keep_raw(&mut self, end: usize) {
        let (raw, new) = (&mut self.raw.bytes, &self.bytes[self.raw.solid..end]);
        let kept = RAW.saturating_sub(new.len()).min(raw.len());
        raw.drain(..raw.len() - kept);
        raw.extend_from_slice(&new[new.len().saturating_sub(RAW)..]);
        self.raw.solid = end;
    }

    /// Skips a hole of NUL bytes. A hole can be as large as the log, so a large one is not kept in memory.
    fn step_over(&mut self, length: usize) {
        if length < HOLE {
            self.done += length;
            return;
        }
        self.bytes.drain(self.done..self.done + length);
        self.skipped += signed(length);
        self.forget_raw();
    }

    /// Call it when the bytes before `done` differ from the bytes before that offset in the file.
    fn forget_raw(&mut self) {
        self.raw = RawTail { solid: self.done, bytes: Vec::new() };
    }

    /// The processed bytes directly before [`Assembly::end`], exactly as they are in the file.
    pub(crate) fn tail(&self) -> Cow<'_, [u8]> {
        let (raw, tail) = (&*self.raw.bytes, &self.bytes[self.raw.solid..self.done]);
        if raw.is_empty() { tail.into() } else { [raw, tail].concat().into() }
    }

    /// Processes the rest of a file to which nothing more will be written: its last line may be torn.
    pub(crate) fn take_tail(&mut self) {
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

    /// Skips a line that is longer than `max_line_bytes`. Call it with more of the line each time, until it returns
    /// that the end of the line was read. A shortened line then takes its place. `last` says that no more bytes
    /// follow.
    pub(crate) fn skim(&mut self, last: bool) -> bool {
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
        // The line's position is its beginning.
        let begin = self.end() - (length - end.unwrap_or(rest.len()) as u64);
        self.told.over_long += 1;
        self.told.over_long_bytes += length;
        self.told.damaged(GapReason::OverLongLine, begin, length);
        let line = super::shorten::shortened(&kept, length);
        self.bytes.extend_from_slice(&line);
        self.push_at(self.done..self.done + line.len(), end.is_some(), begin);
        self.done += line.len();
        // The shortened line differs from the bytes in the file.
        self.forget_raw();
        // Offsets count the bytes in the file, not those of the shortened line.
        let consumed = end.map_or(rest.len(), |newline| newline + 1);
        self.skipped += signed(consumed) - signed(line.len());
        self.bytes.extend_from_slice(&rest[consumed..]);
        true
    }

    fn push(&mut self, line: Range<usize>, ended: bool) {
        let begin = self.end() + (line.start - self.done) as u64;
        self.push_at(line, ended, begin);
    }

    /// Finds the events in a line, which begins at the offset `begin` of its generation.
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
        self.time = piece.time.or(self.time);
        let time = self.time.unwrap_or_default();
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
