//! Helpers that the tests of this module share.

use crate::event::{Event, Record, pieces};

/// Reads a line that is one event, or the remainder of one, and calls `see` with it.
pub(super) fn record(line: &[u8], see: impl FnOnce(&Record<'_>)) {
    let mut found = Vec::new();
    pieces(line, true, |piece| found.push(piece));
    let [piece] = found[..] else { panic!("{} pieces", found.len()) };
    let event = Event {
        offset: 0,
        whole: piece.whole,
        form: piece.form,
        line: piece.at,
        time: piece.time.unwrap_or_default(),
        fields: piece.fields,
        depth: piece.depth,
    };
    see(&Record { event: &event, line });
}
