//! Shrinks (truncates) an event that is larger than the output accepts, step by step, until it fits.
//!
//! The steps remove, in this order and no further than needed: `managedFields`, `last-applied-configuration`,
//! `responseObject`, `requestObject`, the patches of webhooks, other annotations, `extra` and `groups` of the users.
//! If that is not enough, an extract of the envelope remains, in which long strings are cut (`extract.rs`). A line of
//! the legacy text format loses the ends of its values; a line that cannot be parsed loses its tail (`text.rs`).
//!
//! Promised: the result fits, and it is JSON if the line was. Its annotation (`note.rs`) says what is missing, how long
//! the event was, and a keyed digest (HMAC) of the event: with the node's key, one can prove that a line from a
//! backup is this event. The event still says who did what to which object, when, from where and with what result.
//! The same event always becomes the same bytes.
//! Not promised: removing the largest part first. Events that the API server itself truncated get no special
//! treatment.

use super::cuts::Cuts;
use super::step::{ActionDetail, EventWork, TransformAction, TransformStep};
use crate::event::{Fields, Form, Key, pieces};

mod cut;
mod extract;
mod note;
mod order;
mod parts;
#[cfg(test)]
mod tests;
mod text;

use note::Note;
pub use order::ShrinkOrder;
use parts::ShrinkStep;
pub(super) use parts::place_of_annotation;

/// The smallest limit in bytes that can be guaranteed: an extract fits it whatever the event holds.
pub(super) const MIN_LIMIT: usize = 4096;

/// The step that shrinks.
pub struct Shrinking {
    /// Size limit of an event in bytes.
    pub limit: usize,
    /// Key for the digest.
    pub key: Key,
    /// Which bodies matter most to the output.
    pub order: ShrinkOrder,
}

impl TransformStep for Shrinking {
    const ACTIONS: &'static [TransformAction] = &[TransformAction {
        detail: ActionDetail::Cuts,
        ..TransformAction::new(Some("shrunk"), "shrunk")
    }];

    fn finish(&self, work: &mut EventWork<'_>) {
        let (original, changed) = (work.record.line, &mut *work.changed);
        let shrunk = if !work.is_changed {
            shrink(original, original, self, changed)
        } else if changed.len() - work.begin > self.limit {
            let line = changed.split_off(work.begin);
            let shrunk = shrink(&line, original, self, changed);
            if shrunk.is_none() {
                changed.extend_from_slice(&line);
            }
            shrunk
        } else {
            None
        };
        if let Some(shrunk) = shrunk {
            work.is_changed = true;
            work.done.cuts = shrunk.cuts;
            work.done.parse_again = true;
            work.did(0);
        }
    }
}

/// How an event was shrunk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Shrunk {
    pub cuts: Cuts,
    /// Its new length in bytes.
    pub length: usize,
}

/// Appends the shrunk form of a line that is longer than the limit (which is raised to [`MIN_LIMIT`]). Returns
/// `None` and appends nothing if the line fits.
///
/// `line` is the event after all other changes, `original` the event as it stands in the file. The annotation gives
/// the length and the digest of `original`.
pub(super) fn shrink(
    line: &[u8],
    original: &[u8],
    shrinking: &Shrinking,
    out: &mut Vec<u8>,
) -> Option<Shrunk> {
    let (limit, key) = (shrinking.limit.max(MIN_LIMIT), &shrinking.key);
    if line.len() <= limit {
        return None;
    }
    let note = Note { bytes: original.len(), digest: key.hash(original) };
    let begin = out.len();
    let cuts = match form(line) {
        (Form::Json, fields) => json(line, &fields, (limit, shrinking.order), &note, out),
        (Form::Legacy, _) => text::legacy(line, limit, &note, out),
        (Form::Unreadable, _) => text::unreadable(line, limit, &note, out),
    };
    Some(Shrunk { cuts, length: out.len() - begin })
}

/// The format of the line after all changes, and the places of its fields in it.
fn form(line: &[u8]) -> (Form, Fields) {
    let mut found = None;
    pieces(line, true, |piece| {
        let whole = piece.at.range() == (0..line.len());
        found = whole.then_some((piece.form, piece.fields));
    });
    found.unwrap_or((Form::Unreadable, Fields::default()))
}

fn json(
    line: &[u8],
    fields: &Fields,
    (limit, order): (usize, ShrinkOrder),
    note: &Note,
    out: &mut Vec<u8>,
) -> Cuts {
    let begin = out.len();
    let mut cuts = Cuts::default();
    let mut step = ShrinkStep::new(line, fields, order);
    for cut in order.cuts() {
        if !step.take(cut) {
            continue;
        }
        cuts.add(cut);
        out.truncate(begin);
        step.edits.apply(line, out);
        if note.insert(cuts, begin, limit, out) {
            return cuts;
        }
    }
    let mut cap = limit / 4;
    loop {
        let mut cuts = cuts;
        out.truncate(begin);
        extract::extract(line, cap, order, &mut cuts, out);
        // The smallest extract fits every allowed limit.
        if note.insert(cuts, begin, limit, out) || cap <= extract::SMALLEST {
            return cuts;
        }
        cap = (cap / 2).max(extract::SMALLEST);
    }
}
