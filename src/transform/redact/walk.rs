//! Walks through a body as it is written, only where there is something to look at, and blanks what is secret.
//!
//! No recursion: open objects and arrays are frames on a stack, and what is deeper than [`DEEPEST`] is blanked whole.
//! Text that is JSON itself has a walk of its own, up to [`NESTED`] of them inside of each other. What a key means
//! is in `member.rs`, what an element means in `array_element.rs`, how something is blanked in `blank.rs`.

use std::cell::Cell;
use std::ops::Range;

use super::Redaction;
use super::context::Context;
use super::custom::Steps;
use super::frame::{Flags, Frame};
use super::hits::Hits;
use crate::event::walk::{string_end, value};
use crate::transform::edit::Edits;

/// Levels of objects and arrays that are walked through. The server accepts ten thousand, no client needs fifty.
pub(super) const DEEPEST: usize = 256;
/// Levels of JSON inside of strings.
pub(super) const NESTED: u8 = 4;
/// Levels at which it is worth to find out first whether anything stands in a value: doing so reads it twice.
const GUIDED: usize = 8;
const NEAR: usize = 256;

/// A member whose meaning is known only when its object ends: where its key and where its value begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) key: usize,
    pub(super) value: usize,
}

/// One walk through one value.
pub(super) struct Walk<'w> {
    pub(super) redaction: &'w Redaction,
    pub(super) context: &'w Context<'w>,
    pub(super) line: &'w [u8],
    pub(super) hits: &'w Hits,
    /// A stretch in which there are none, and where it ends: most that is asked for is in it again.
    quiet: Cell<(usize, usize)>,
    pub(super) edits: &'w mut Edits,
    /// How many walks this one is inside of.
    pub(super) nested: u8,
    /// The screen saw something in the key that is being looked at.
    pub(super) seen: bool,
    pub(super) frames: Vec<Frame>,
    /// `data` and the like of what may turn out to be a Secret.
    pub(super) data: Vec<Member>,
    /// `value` of what may turn out to be suspicious.
    pub(super) values: Vec<Member>,
    pub(super) steps: Steps,
    /// Columns of a Table that are secret.
    pub(super) columns: Vec<usize>,
}

impl<'w> Walk<'w> {
    pub(super) fn new(
        redaction: &'w Redaction,
        context: &'w Context<'w>,
        (line, hits): (&'w [u8], &'w Hits),
        edits: &'w mut Edits,
        nested: u8,
    ) -> Self {
        Self {
            redaction,
            context,
            line,
            hits,
            quiet: Cell::new((1, 0)),
            edits,
            nested,
            seen: false,
            frames: Vec::with_capacity(GUIDED),
            data: Vec::new(),
            values: Vec::new(),
            steps: Steps::default(),
            columns: Vec::new(),
        }
    }

    /// Walks through the value that begins at `from`; answers where it ends, or `None` if it cannot be read.
    pub(super) fn root(&mut self, from: usize, flags: Flags) -> Option<usize> {
        let at = match self.line.get(from)? {
            b'{' | b'[' => self.open(from, flags)?,
            b'"' => {
                let end = string_end(self.line, from + 1)?;
                if flags.has(Flags::SECRET.with(Flags::DATA)) {
                    self.blank(from..end + 1, false);
                } else {
                    self.text(from + 1..end, flags, false);
                }
                end + 1
            }
            _ => {
                let end = scalar_end(self.line, from)?;
                if flags.has(Flags::SECRET.with(Flags::DATA)) {
                    self.blank(from..end, false);
                }
                end
            }
        };
        self.all(at)
    }

    /// Goes on until all frames are closed.
    fn all(&mut self, mut at: usize) -> Option<usize> {
        while let Some(frame) = self.frames.last_mut() {
            at = blank(self.line, at);
            let byte = *self.line.get(at)?;
            if byte == if frame.object { b'}' } else { b']' } {
                at += 1;
                self.close();
                continue;
            }
            if std::mem::replace(&mut frame.begun, true) {
                if byte != b',' {
                    return None;
                }
                at = blank(self.line, at + 1);
            }
            at = if frame.object { self.key(at)? } else { self.element(at)? };
        }
        Some(at)
    }

    /// Reads a key and passes on to its value.
    fn key(&mut self, at: usize) -> Option<usize> {
        if self.line.get(at) != Some(&b'"') {
            return None;
        }
        let end = string_end(self.line, at + 1)?;
        let colon = blank(self.line, end + 1);
        if self.line.get(colon) != Some(&b':') {
            return None;
        }
        self.member(at + 1..end, blank(self.line, colon + 1))
    }

    /// Steps into an object or array, or over it if there is nothing to be found in it.
    pub(super) fn open(&mut self, at: usize, flags: Flags) -> Option<usize> {
        if self.frames.len() >= DEEPEST {
            let (_, end) = value(self.line, at)?;
            self.blank(at..end, false);
            return Some(end);
        }
        if self.frames.len() < GUIDED && !flags.everything() && !self.hits.structural {
            let next = self.next_hit(at);
            if next >= self.line.len() {
                return value(self.line, at).map(|(_, end)| end);
            }
            // What is near is reached sooner by walking. What ends before the next hit has none; to see whether it does, no
            // more has to be read than what stands before that hit.
            if next > at + NEAR
                && let Some((_, end)) = value(&self.line[..next], at)
            {
                return Some(end);
            }
        }
        let mut frame = Frame::new(self.line[at] == b'{', flags);
        frame.data = self.data.len();
        frame.values = self.values.len();
        frame.steps = self.steps.enter(flags.has(Flags::ROOT) && frame.object, self.context);
        self.frames.push(frame);
        Some(at + 1)
    }

    /// Decides on what could not be decided before.
    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        for index in frame.values..self.values.len() {
            self.decide(self.values[index], &frame);
        }
        self.values.truncate(frame.values);
        if frame.secret {
            let mut done = 0;
            for index in frame.data..self.data.len() {
                let Member { key, value: at } = self.data[index];
                if at >= done {
                    done = self.blank_tree(key, at).unwrap_or(done);
                }
            }
            self.data.truncate(frame.data);
        }
        self.steps.leave(frame.steps);
    }

    /// Whether the screen saw anything in a stretch.
    pub(super) fn any_hit(&self, at: &Range<usize>) -> bool {
        self.next_hit(at.start) < at.end
    }

    /// Where the first is at or behind a place.
    fn next_hit(&self, at: usize) -> usize {
        let (from, to) = self.quiet.get();
        if from <= at && at <= to {
            return to;
        }
        let (last, next) = self.hits.around(at);
        let next = next.unwrap_or(usize::MAX);
        self.quiet.set((last.map_or(0, |last| last + 1), next));
        next
    }

    pub(super) fn flags(&self) -> Flags {
        self.frames.last().map_or(Flags::NONE, |frame| frame.flags)
    }

    /// Deals with a value of which nothing more is known than where it stands.
    pub(super) fn any(&mut self, at: usize, flags: Flags) -> Option<usize> {
        match self.line.get(at)? {
            b'{' | b'[' => self.open(at, flags),
            b'"' => {
                let end = string_end(self.line, at + 1)?;
                self.text(at + 1..end, flags, false);
                Some(end + 1)
            }
            _ => scalar_end(self.line, at),
        }
    }

    /// The same for one that is to be left alone.
    pub(super) fn over(&self, at: usize) -> Option<usize> {
        match self.line.get(at)? {
            b'{' | b'[' | b'"' => value(self.line, at).map(|(_, end)| end),
            _ => scalar_end(self.line, at),
        }
    }
}

/// The end of a number or literal; `None` for what is neither.
pub(super) fn scalar_end(line: &[u8], from: usize) -> Option<usize> {
    let rest = &line[from..];
    let length = rest.iter().position(|byte| b",}] \t\r\n".contains(byte)).unwrap_or(rest.len());
    let word = &rest[..length];
    let number = || word.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
    let known = matches!(word, b"true" | b"false" | b"null") || length > 0 && number();
    known.then_some(from + length)
}

pub(super) fn blank(line: &[u8], mut at: usize) -> usize {
    while matches!(line.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// A stretch of quotes and what is between.
pub(super) fn quoted(inside: &Range<usize>) -> Range<usize> {
    inside.start - 1..inside.end + 1
}
