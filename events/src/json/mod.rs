//! JSON as it is written: finding members and values in a line, undoing escapes, writing them. The ground floor of the
//! crate: it imports no other room, and every room that looks into an event's line uses it.
//!
//! `walk.rs` walks through objects and arrays, `block.rs` skips over them 64 bytes at a time, `unescape.rs` undoes
//! escapes and `escape.rs` writes them. `tokens.rs` and `grammar.rs` check JSON that arrives in pieces, strictly;
//! `quoted.rs` tells what is inside strings, and `strict.rs` uses them on a whole text. `processor.rs` knows the vector
//! instructions. No file here parses JSON into a tree, so no body can do harm. Only answers and state files are read with
//! `serde_json`.

mod block;
mod escape;
mod grammar;
mod processor;
mod quoted;
mod strict;
mod tokens;
mod unescape;
mod walk;

pub(crate) use block::container_end_or_open;
#[cfg(test)]
pub(crate) use grammar::DEEPEST;
pub(crate) use grammar::{Grammar, GrammarFault, next, same_container, state, state_of};
pub(crate) use processor::LEVEL;
#[cfg(test)]
pub(crate) use processor::levels;
pub(crate) use tokens::{BLOCK, BlockTokens, ByteKinds, TokenWalk, byte_kinds};

pub use escape::{escape, escape_go, escape_like_server, escaped};
pub use strict::is_strict;
pub use unescape::{unescape, unescape_bytes, unescape_go};
pub use walk::{
    Member, Value, blank, elements, inside, is_key, member, members, skip, string, string_end,
    value, visit_elements, visit_members,
};

/// A range of bytes of a line, counted from the line's start. An empty range means that the field is absent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A range of a line or buffer. The input hands out no line of 4 GiB, so 32 bits are enough.
    pub fn new(start: usize, end: usize) -> Self {
        let cut = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: cut(start), end: cut(end) }
    }

    /// The range as an index into the line.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether the field is absent.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}
