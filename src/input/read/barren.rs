//! Decides when to stop reading a finished file that holds no event for too long.
//!
//! A file of half a megabyte can decompress to gigabytes of newlines, or of lines that are no events. The server
//! never wrote such a file, but reading it delays the events after it. So after too much work without an event, the
//! rest of the file becomes a gap. The work is counted in bytes of text. A power cut or a truncation leaves NUL bytes
//! by the gigabyte. They are skipped hundreds of times faster, so they count less.

use super::assembly::Assembly;
use crate::event::{Form, RecordKind};
use crate::input::file::lines::work;

/// The most work without an event.
const MOST: u64 = 256 << 20;
/// The longest line whose end is searched for, in bytes. `max_line_bytes` is at most a quarter of it.
pub(super) const LONGEST: u64 = 4 << 30;
/// The work of a line in addition to its bytes: it is searched for events, and sent if it holds none.
const LINE: u64 = 64;

/// The work since the last event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Barren(u64);

impl Barren {
    /// Adds the work of the bytes read since an offset.
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
