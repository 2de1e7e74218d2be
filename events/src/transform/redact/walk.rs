//! Walks through the JSON of a body as it is written, only where there is a hit, and redacts the secrets.
//!
//! No recursion: open objects and arrays are frames on a stack, and anything deeper than [`DEEPEST`] is redacted
//! whole. JSON inside a string gets a walk of its own, up to [`NESTED`] walks inside each other. `member.rs` handles
//! keys, `array_element.rs` elements, and `blank.rs` writes the edits.

use std::ops::Range;

use super::Redaction;
use super::context::Context;
use super::custom::Steps;
use super::flags::Flags;
use super::frame::Frame;
use super::hits::{HitLookup, Hits, Reach};
use super::waiting::{Member, Skipped, Waiting, WaitingMark};
use crate::json::{blank, string_end, value};
use crate::transform::edit::Edits;

/// Depth of objects and arrays up to which the walk goes. The API server accepts ten thousand levels; no client needs
/// fifty.
pub(super) const DEEPEST: usize = 256;
/// Levels of JSON inside strings.
pub(super) const NESTED: u8 = 4;
/// Depth up to which it pays to check first whether a value has hits at all; the check reads the value twice.
const GUIDED: usize = 8;
/// A hit within this many bytes is near: the walk goes there without skipping. Tests have short bodies.
const NEAR: usize = if cfg!(test) { 8 } else { 256 };
/// How many values without hits a walk skips if it has to remember them. It walks all others, so memory is bounded.
const MOST_SKIPPED: usize = if cfg!(test) { 4 } else { 1 << 16 };

/// The walk through one value.
pub(super) struct Walk<'w> {
    pub(super) redaction: &'w Redaction,
    pub(super) context: &'w Context<'w>,
    pub(super) line: &'w [u8],
    pub(super) hits: HitLookup<'w>,
    pub(super) edits: &'w mut Edits,
    /// Number of walks around this one.
    pub(super) nested: u8,
    /// The prefilter has a hit in the current key.
    pub(super) seen: bool,
    /// How far the hits reach.
    pub(super) reach: Reach,
    pub(super) frames: Vec<Frame>,
    pub(super) waiting: Waiting,
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
            hits: HitLookup::new(hits),
            edits,
            nested,
            seen: false,
            reach: hits.reach,
            frames: Vec::with_capacity(GUIDED),
            waiting: Waiting::default(),
            steps: Steps::default(),
            columns: Vec::new(),
        }
    }

    /// Walks through the value that begins at `from`. Returns where it ends, or `None` if it cannot be parsed.
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

    /// Continues until all frames are closed.
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

    /// Reads a key and handles its member.
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

    /// Walks through the value in a range.
    pub(super) fn whole(&mut self, at: &Range<usize>, flags: Flags) -> Option<usize> {
        self.hits.ahead.end = Some(at.end);
        let end = self.root(at.start, flags);
        self.hits.ahead.end = None;
        end
    }

    /// Enters an object or array, or skips it if it has no hits.
    pub(super) fn open(&mut self, at: usize, flags: Flags) -> Option<usize> {
        if self.frames.len() >= DEEPEST {
            let (_, end) = value(self.line, at)?;
            self.blank(at..end, false);
            return Some(end);
        }
        if self.frames.len() < GUIDED && !flags.everything() && self.may_skip() {
            let next = self.hits.next(at);
            let whole = self.hits.ahead.end;
            if let Some(end) = whole.filter(|end| *end <= next && self.is_plain()) {
                // Nothing that follows has a hit.
                self.frames.clear();
                return Some(end);
            }
            let end = if next >= self.line.len() {
                Some(value(self.line, at)?.1)
            } else if next > at + NEAR && !(self.frames.is_empty() && whole.is_some()) {
                // If the value ends before the next hit, it has none.
                self.hits.ahead.end_before(self.line, at, next)
            } else {
                // It is known that the hit is in it, or walking reaches the hit sooner.
                None
            };
            if end.is_some() {
                if self.reach == Reach::Object {
                    self.waiting.skipped.push(Skipped { at, flags });
                }
                return end;
            }
        }
        let mut frame = Frame::new(at, self.line[at] == b'{', flags);
        frame.waiting = WaitingMark {
            data: self.waiting.data.len(),
            values: self.waiting.values.len(),
            skipped: self.waiting.skipped.len(),
        };
        frame.steps = self.steps.enter(flags.has(Flags::ROOT) && frame.object, self.context);
        self.frames.push(frame);
        Some(at + 1)
    }

    /// Whether what was read so far does not matter for what follows, if that has no hits.
    fn is_plain(&self) -> bool {
        self.reach == Reach::Place
            && self.waiting.values.is_empty()
            && self.columns.is_empty()
            && self.frames.iter().all(Frame::is_plain)
    }

    /// The element that an array goes on with: elements without hits are passed over where the place of the next hit
    /// is known.
    pub(super) fn next_element(&self, at: usize) -> usize {
        let known = |frame: &Frame| self.hits.ahead.element(frame.start, self.hits.next(at));
        let plain = self.frames.last().filter(|frame| frame.is_plain());
        let next = plain.filter(|_| self.reach == Reach::Place).and_then(known);
        next.map_or(at, |next| next.max(at))
    }

    /// Whether values without hits are skipped.
    fn may_skip(&self) -> bool {
        match self.reach {
            Reach::Place => true,
            Reach::Object => self.waiting.skipped.len() < MOST_SKIPPED,
            Reach::Everywhere => false,
        }
    }

    /// Decides on the members that had to wait for the end of the object.
    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        for index in frame.waiting.values..self.waiting.values.len() {
            self.decide(self.waiting.values[index], &frame);
        }
        self.waiting.values.truncate(frame.waiting.values);
        if frame.secret {
            self.walk_skipped(frame.waiting.skipped);
            let mut data = self.waiting.data.split_off(frame.waiting.data);
            data.sort_unstable_by_key(|member| member.key);
            let mut done = 0;
            for Member { key, value: at } in data {
                if at >= done {
                    done = self.blank_tree(key, at).unwrap_or(done);
                }
            }
        }
        self.steps.leave(frame.steps);
    }

    /// Walks the values of a Secret that were skipped, from an index on, since they may hold data.
    fn walk_skipped(&mut self, first: usize) {
        for Skipped { at, flags } in self.waiting.skipped.split_off(first) {
            let source = (self.line, self.hits.all);
            let mut walk =
                Walk::new(self.redaction, self.context, source, &mut *self.edits, self.nested);
            walk.reach = Reach::Everywhere;
            let end = walk.root(at, flags);
            let data = walk.waiting.data;
            self.waiting.data.extend(data);
            if end.is_none()
                && let Some(end) = self.over(at)
            {
                self.blank(at..end, false);
            }
        }
    }

    /// Whether the prefilter has a hit in a range.
    pub(super) fn any_hit(&self, at: &Range<usize>) -> bool {
        self.hits.next(at.start) < at.end
    }

    pub(super) fn flags(&self) -> Flags {
        self.frames.last().map_or(Flags::NONE, |frame| frame.flags)
    }

    /// Handles a value, given only its place.
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

    /// Skips a value without changing it; returns where it ends.
    pub(super) fn over(&self, at: usize) -> Option<usize> {
        match self.line.get(at)? {
            b'{' | b'[' | b'"' => value(self.line, at).map(|(_, end)| end),
            _ => scalar_end(self.line, at),
        }
    }
}

/// The end of a number or literal; `None` if it is neither.
pub(super) fn scalar_end(line: &[u8], from: usize) -> Option<usize> {
    let rest = &line[from..];
    let length = rest.iter().position(|byte| b",}] \t\r\n".contains(byte)).unwrap_or(rest.len());
    let word = &rest[..length];
    let number = || word.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
    let known = matches!(word, b"true" | b"false" | b"null") || length > 0 && number();
    known.then_some(from + length)
}

/// The range with the quotes around it.
pub(super) fn quoted(inside: &Range<usize>) -> Range<usize> {
    inside.start - 1..inside.end + 1
}
