//! When to stop reading a finished file that goes on and on without an event.
//!
//! A file of half a megabyte can unpack to gigabytes of newlines, or of lines that are no events. The server never wrote
//! such a file, but reading it keeps the events behind it waiting. So what follows so much of nothing is told as a gap.
//! What is counted is the work, in bytes of text; NUL bytes, which a power cut or a truncation leaves by the gigabyte, are
//! passed over hundreds of times faster.

use super::assembly::Assembly;
use crate::event::{Form, RecordKind};

/// Work without one event in it that is too much.
const MOST: u64 = 256 << 20;
/// Longest line whose end is looked for, in bytes. `max_line_bytes` is at most a quarter of it.
pub(super) const LONGEST: u64 = 4 << 30;
/// What a line costs beside its bytes: it is searched for events, and sent where it has none.
const LINE: u64 = 64;
/// NUL bytes that cost as much as one of text.
const HOLE: u64 = 256;

/// The work since the last event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Barren(u64);

impl Barren {
    /// Takes in what was read from an offset on.
    pub(super) fn count(&mut self, read: &Assembly, from: u64) {
        let is_event = |form, whole| form != Form::Unreadable && whole == RecordKind::Event;
        if read.events.iter().any(|event| is_event(event.form, event.whole)) {
            self.0 = 0;
            return;
        }
        let holes = read.told.hole_bytes;
        let lines = read.events.len() as u64 + u64::from(read.told.passed_over);
        self.0 += work(read.end() - from, holes) + lines * LINE;
    }

    pub(super) fn is_too_much(self) -> bool {
        self.0 > MOST
    }
}

/// The work of going over so many bytes, of which some are NUL.
pub(super) fn work(bytes: u64, holes: u64) -> u64 {
    bytes.saturating_sub(holes) + holes / HOLE
}
