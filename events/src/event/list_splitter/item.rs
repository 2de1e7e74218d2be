//! Writes an item as a line: copies it without the blanks between its tokens, and holds it until it is known what to
//! put in front.

use super::piece::BodyPiece;
use crate::json::BLOCK;

/// An object is decided from what its first bytes hold: whether it is a list, and which of `kind` and `apiVersion` it
/// lacks. Later members do not count. In bytes of the body.
pub(super) const DECIDED_AFTER: u64 = 1 << 16;

/// The version of events for which the body names none.
const VERSION: &[u8] = b"audit.k8s.io/v1";

/// An object that is, or may be, an event.
#[derive(Debug, Default)]
pub(super) struct OpenItem {
    /// Whether it may still turn out to be a list.
    pub(super) maybe_list: bool,
    /// Whether it has a member `kind`.
    pub(super) kind: bool,
    /// Whether it has a member `apiVersion`.
    pub(super) version: bool,
    /// Place of its `{` in the body.
    start: u64,
    /// The place in the piece up to which it is copied.
    copied: usize,
    /// Whether its beginning is written.
    beginning: Beginning,
    /// Its bytes until then.
    held: Vec<u8>,
    /// The last byte written.
    last: u8,
}

/// How far the beginning of an item is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Beginning {
    /// It is not, since it is unknown what to put in front.
    #[default]
    Held,
    /// A comma has to follow what was put in front, unless the object is empty.
    CommaDue,
    /// Wholly.
    Written,
}

impl OpenItem {
    /// Begins with the object at this place of the piece.
    pub(super) fn begin(&mut self, maybe_list: bool, at: usize, piece: &BodyPiece<'_>) {
        let mut held = std::mem::take(&mut self.held);
        held.clear();
        *self = Self { maybe_list, start: piece.in_body(at), copied: at, held, ..Self::default() };
    }

    /// Whether its beginning is too long to be held up to this place.
    #[inline]
    pub(super) fn is_long(&self, at: usize, piece: &BodyPiece<'_>) -> bool {
        self.beginning == Beginning::Held && piece.in_body(at) - self.start > DECIDED_AFTER
    }

    /// The block has ended at this place.
    #[inline]
    pub(super) fn end_block(&mut self, at: usize, piece: &mut BodyPiece<'_>) {
        // Blocks without blanks are copied together.
        if piece.found.blanks != 0 {
            self.copy_until(at, piece);
        }
    }

    /// The piece has ended.
    pub(super) fn end_piece(&mut self, piece: &mut BodyPiece<'_>) {
        self.copy_until(piece.bytes.len(), piece);
        self.copied = 0;
    }

    /// Copies what is before this place, which is in the block or at its end.
    fn copy_until(&mut self, at: usize, piece: &mut BodyPiece<'_>) {
        let BodyPiece { bytes, block, ref found, .. } = *piece;
        if self.copied < block {
            self.put(bytes.get(self.copied..block).unwrap_or_default(), piece.lines);
            self.copied = block;
        }
        if at <= self.copied {
            return;
        }
        // From here to `at` it is one block at most.
        let (from, to) = (self.copied - block, at - block);
        let mut keep = !found.blanks >> from << from & u64::MAX >> (BLOCK - to);
        while keep != 0 {
            let from = keep.trailing_zeros();
            let to = from + (keep >> from).trailing_ones();
            let run = bytes.get(block + from as usize..block + to as usize);
            self.put(run.unwrap_or_default(), piece.lines);
            keep &= u64::MAX.unbounded_shl(to);
        }
        self.copied = at;
    }

    /// The next bytes of it, without blanks.
    #[inline]
    fn put(&mut self, bytes: &[u8], lines: &mut Vec<u8>) {
        if self.beginning == Beginning::Held {
            self.held.extend_from_slice(bytes);
            return;
        }
        if self.beginning == Beginning::CommaDue
            && let Some(first) = bytes.first()
        {
            self.beginning = Beginning::Written;
            if *first != b'}' {
                lines.push(b',');
            }
        }
        lines.extend_from_slice(bytes);
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    /// Writes what stands before this place, with `kind` and `apiVersion` in front if the item lacks them. `version` is
    /// that of the list.
    pub(super) fn decide(&mut self, version: &[u8], at: usize, piece: &mut BodyPiece<'_>) {
        self.copy_until(at, piece);
        if self.beginning != Beginning::Held {
            return;
        }
        let complete = self.kind && self.version;
        self.beginning = if complete { Beginning::Written } else { Beginning::CommaDue };
        self.maybe_list = false;
        let lines = &mut *piece.lines;
        lines.push(b'{');
        self.last = b'{';
        if !self.kind {
            lines.extend_from_slice(br#""kind":"Event""#);
        }
        if !self.version {
            let comma: &[u8] = if self.kind { b"" } else { b"," };
            let version = if version.is_empty() { VERSION } else { version };
            for part in [comma, br#""apiVersion":""#, version, b"\""] {
                lines.extend_from_slice(part);
            }
        }
        let held = std::mem::take(&mut self.held);
        self.put(held.get(1..).unwrap_or_default(), lines);
        self.held = held;
        self.held.clear();
    }

    /// Ends the line of an item that cannot be read further. A reader looks for a whole event at the end of a torn
    /// line, and a client could have put one there: so the line never ends with a bracket.
    pub(super) fn tear(&mut self, lines: &mut Vec<u8>) {
        if self.last == b'}' {
            lines.push(b',');
        }
        lines.push(b'\n');
    }
}
