//! Splits the body of a webhook request into lines, one event each.
//!
//! The API server's webhook backend posts an `EventList`. Its items are the bytes that the log backend writes for the
//! same events, but `kind` and `apiVersion` stand at the list only. [`ListSplitter`] takes the body in pieces of any
//! size, and appends the lines that the log would hold. It also takes a single event, and an array of events and lists.
//!
//! - A line is an item byte for byte, without the blanks between tokens. `kind` and `apiVersion` are put in front if
//!   the item lacks them. The bytes of strings never change.
//! - A line begins with `{` and holds no control character, whatever the body is: JSON forbids these in strings.
//! - The splitter does not parse the body into a tree. Memory is bounded: it holds the first MiB of an object at most,
//!   until it knows what to put in front, and one bit for each level of nesting.
//! - If a part of the body is unreadable, the whole events before it are kept. The readable part of the event with the
//!   fault becomes a *torn* line. It is never a whole JSON object, and holds no event that a reader would accept.
//! - An element that is valid JSON but no object is passed over, and the events after it are kept too.
//!
//! `list_splitter/outline.rs` knows which object is a list and which an event, `item.rs` writes the lines, and
//! `short_text.rs` keeps names. `piece.rs` says where the splitter is, `split_body.rs` what it has found. Tokens and
//! grammar are those of the room `json`.

use crate::json::{
    BLOCK, ByteKinds, Grammar, GrammarFault, TokenWalk, byte_kinds, next, same_container, state,
    state_of,
};

mod item;
mod outline;
mod piece;
mod short_text;
mod split_body;

#[cfg(test)]
mod property_tests;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod reference_tests;
#[cfg(test)]
mod tests;

use outline::Outline;
use piece::BodyPiece;

pub use split_body::{SplitBody, UnreadableBody};

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
    /// Whether the rest of the body cannot be read.
    ended: bool,
}

impl ListSplitter {
    /// Takes the next bytes of the body and appends lines to `lines`. An event may be appended in parts. If the rest of
    /// it turns out to be unreadable, its line is ended there or in [`Self::finish`].
    pub fn push(&mut self, bytes: &[u8], lines: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        let mut piece = BodyPiece::new(bytes, self.taken, lines);
        let mut kinds = [ByteKinds::default(); BLOCKS];
        for part in bytes.chunks(BLOCK * BLOCKS) {
            byte_kinds(part, &mut kinds);
            for (block, kinds) in part.chunks(BLOCK).zip(&kinds) {
                if let Err((bit, why)) = self.block(block, kinds, &mut piece) {
                    self.fail(piece.block + bit, why, &mut piece);
                    return;
                }
                piece.block += block.len();
            }
        }
        self.outline.end_piece(&mut piece);
        self.taken += bytes.len() as u64;
    }

    /// Ends the body, and the line of an event that is not whole.
    pub fn finish(mut self, lines: &mut Vec<u8>) -> SplitBody {
        if !self.ended && !self.grammar.is_done() {
            let why = match (self.grammar.depth(), self.outline.is_in_item()) {
                (0, _) => "the body is empty",
                (_, true) => "the body ends within an event",
                (_, false) => "the body ends before its last bracket",
            };
            let mut piece = BodyPiece::new(&[], self.taken, lines);
            self.fail(0, why, &mut piece);
        }
        self.outline.split
    }

    /// Reads a block. The error is the place in the block and what is wrong there.
    #[inline]
    fn block(
        &mut self,
        block: &[u8],
        kinds: &ByteKinds,
        piece: &mut BodyPiece<'_>,
    ) -> Result<(), (usize, &'static str)> {
        let found = self.tokens.step(block, kinds);
        piece.found = found;
        self.outline.begin_block(piece);
        let mut row = self.grammar.row();
        let mut watch = self.outline.watch(self.grammar.depth());
        let mut tokens = found.tokens;
        while tokens != 0 {
            let bit = tokens.trailing_zeros() as usize;
            tokens &= tokens - 1;
            let Some(&byte) = block.get(bit) else { break };
            let paired = found.paired >> bit & 1 == 1;
            let to = next(row, byte, paired);
            if to < state::STATES {
                if watch.stops(to) {
                    let quote = (paired || byte == b'"').then(|| bit + usize::from(paired));
                    self.outline.token([state_of(row), to], quote, bit, piece);
                    watch = self.outline.watch(self.grammar.depth());
                }
                row = same_container(row, to);
            } else {
                self.grammar.set_row(row);
                self.bracket(to, byte, bit, piece).map_err(|why| (bit, why))?;
                row = self.grammar.row();
                watch = self.outline.watch(self.grammar.depth());
            }
        }
        self.grammar.set_row(row);
        if let Some(bit) = found.bad {
            return Err((bit, "a string holds what JSON does not allow"));
        }
        self.outline.end_block(block.len(), piece);
        Ok(())
    }

    /// Takes a bracket, or a byte that has no place.
    #[inline]
    fn bracket(
        &mut self,
        to: u8,
        byte: u8,
        bit: usize,
        piece: &mut BodyPiece<'_>,
    ) -> Result<(), &'static str> {
        match to {
            state::OPEN_OBJECT | state::OPEN_ARRAY => {
                if self.outline.watches(self.grammar.depth()) {
                    self.outline.value(byte, bit, piece);
                }
                self.grammar.open(to == state::OPEN_OBJECT).map_err(why)
            }
            state::CLOSE_OBJECT | state::CLOSE_ARRAY => {
                self.grammar.close();
                if self.outline.watches(self.grammar.depth()) {
                    self.outline.close(self.grammar.depth(), bit, piece);
                }
                Ok(())
            }
            _ => Err(why(self.grammar.fault(byte))),
        }
    }

    /// Nothing can be read from this place of the piece on.
    fn fail(&mut self, at: usize, why: &'static str, piece: &mut BodyPiece<'_>) {
        self.ended = true;
        self.outline.tear(at, piece);
        self.outline.note(piece.start + at as u64, why);
    }
}

fn why(fault: GrammarFault) -> &'static str {
    match fault {
        GrammarFault::Syntax => "no JSON",
        GrammarFault::NoContainer => "neither an object nor an array",
        GrammarFault::AfterEnd => "text after the end",
        GrammarFault::TooDeep => "more than 100,000 levels",
    }
}
