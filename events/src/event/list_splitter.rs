//! Splits the body of a webhook request into lines, one event each.
//!
//! The API server's webhook backend posts an `EventList`. Its items are the bytes that the log backend writes for the
//! same events, but `kind` and `apiVersion` stand at the list only. [`ListSplitter`] takes the body in pieces of any
//! size, and appends the lines that the log would hold. It also takes a single event, and an array of events and lists.
//!
//! - A line is an item byte for byte, without the blanks between tokens. `kind` and `apiVersion` are put in front if
//!   the item has none (`list_splitter/item.rs`). The bytes of strings never change.
//! - A line begins with `{` and holds no control character, whatever the body is: JSON forbids these in strings.
//! - The body is walked and not parsed into a tree. Memory is bounded: the splitter holds at most the first
//!   [`DECIDED_AFTER`] bytes of an object until it knows what to put in front, and one bit for each level of nesting.
//! - If the body is not readable to its end, all items before the fault are kept. What was readable of the item with
//!   the fault becomes a *torn* line, which is never a whole object.
//!
//! `list_splitter/outline.rs` knows which object is a list and which an item, `item.rs` writes the lines, `short_text.rs`
//! keeps names. The tokens and the grammar are those of the room `json`.

use crate::json::{BLOCK, ByteKinds, Grammar, GrammarFault, TokenWalk, byte_kinds};

mod item;
mod outline;
mod short_text;

#[cfg(test)]
mod tests;

use outline::{Outline, Piece};

/// An object is decided from what its first bytes hold: whether it is a list, and which of `kind` and `apiVersion` it
/// lacks. Later members do not count. In bytes of the body.
const DECIDED_AFTER: u64 = 1 << 20;

/// Blocks whose bytes are classified at once.
const BLOCKS: usize = 64;

/// Splits the body of a webhook request into lines, one event each, as the API server's log backend writes them.
#[derive(Debug, Default)]
pub struct ListSplitter {
    tokens: TokenWalk,
    grammar: Grammar,
    outline: Outline,
    /// Bytes of the body in earlier pieces.
    taken: u64,
    /// Whether anything but blanks was seen.
    begun: bool,
    /// Whether the rest of the body cannot be read.
    ended: bool,
}

/// What a body held.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SplitBody {
    /// Whole events, each a line.
    pub events: u64,
    /// The first part of the body that is no event.
    pub unreadable: Option<UnreadableBody>,
}

/// A fault in a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnreadableBody {
    /// The place of the fault, in bytes from the beginning of the body.
    pub at: u64,
    /// What is wrong there.
    pub why: &'static str,
}

impl ListSplitter {
    /// Takes the next bytes of the body and appends lines to `lines`. It appends bytes of an item before the item is
    /// whole. If the rest of the item turns out to be unreadable, its line is ended all the same.
    pub fn push(&mut self, bytes: &[u8], lines: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        let mut piece = Piece { bytes, start: self.taken, lines };
        let mut kinds = [ByteKinds::default(); BLOCKS];
        for (index, part) in bytes.chunks(BLOCK * BLOCKS).enumerate() {
            byte_kinds(part, &mut kinds);
            let mut from = index * BLOCK * BLOCKS;
            for (block, kinds) in part.chunks(BLOCK).zip(&kinds) {
                if let Err((at, why)) = self.block(block, kinds, from, &mut piece) {
                    self.fail(at, why, &mut piece);
                    return;
                }
                from += block.len();
            }
        }
        self.outline.pause(&mut piece);
        self.taken += bytes.len() as u64;
    }

    /// Ends the body.
    pub fn finish(mut self, lines: &mut Vec<u8>) -> SplitBody {
        if !self.ended && !self.grammar.is_done() {
            let why = match (self.begun, self.outline.is_in_item()) {
                (false, _) => "the body is empty",
                (true, true) => "the body ends within an event",
                (true, false) => "the body ends before its last bracket",
            };
            let mut piece = Piece { bytes: &[], start: self.taken, lines };
            self.fail(0, why, &mut piece);
        }
        self.outline.split
    }

    /// Reads a block that begins at `from` in the piece. The error is the place in the piece and what is wrong there.
    #[inline]
    fn block(
        &mut self,
        block: &[u8],
        kinds: &ByteKinds,
        from: usize,
        piece: &mut Piece<'_>,
    ) -> Result<(), (usize, &'static str)> {
        let found = self.tokens.step(block, kinds);
        let mut tokens = found.tokens;
        while tokens != 0 {
            let bit = tokens.trailing_zeros() as usize;
            tokens &= tokens - 1;
            let Some(&byte) = block.get(bit) else { break };
            let at = from + bit;
            let step = self.grammar.step(byte).map_err(|fault| (at, self.why(fault)))?;
            self.outline.copy(byte, at, piece);
            if step.depth <= self.outline.watched {
                self.begun |= !byte.is_ascii_whitespace();
                self.outline.step(step, byte, at, piece).map_err(|why| (at, why))?;
            }
        }
        if let Some(bit) = found.bad {
            return Err((from + bit, "a string holds what JSON does not allow"));
        }
        self.outline.check_length(from + block.len(), piece);
        Ok(())
    }

    fn why(&self, fault: GrammarFault) -> &'static str {
        match fault {
            GrammarFault::TooDeep => "more than 100,000 levels",
            GrammarFault::Syntax if self.grammar.is_done() => "text after the end of the document",
            GrammarFault::Syntax => "no JSON",
        }
    }

    /// Nothing can be read from this place of the piece on.
    fn fail(&mut self, at: usize, why: &'static str, piece: &mut Piece<'_>) {
        self.ended = true;
        self.outline.tear(at, piece);
        self.outline.note(piece.start + at as u64, why);
    }
}
