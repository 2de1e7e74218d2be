//! Finds long stretches of one class of bytes across blocks.

use std::ops::Range;

/// Bytes searched in one step.
pub(super) const BLOCK: usize = 64;
/// The shortest word that is looked up, in bytes.
pub(super) const WORD: usize = 16;
/// The shortest run, in bytes; it encodes 24 bytes (192 bits).
pub(super) const RUN: usize = 32;

/// Follows the stretches of one class from block to block.
#[derive(Debug, Default)]
pub(super) struct WordStretch<const SHORTEST: usize> {
    /// Number of bytes of the class right before the block.
    before: usize,
}

impl<const SHORTEST: usize> WordStretch<SHORTEST> {
    /// Calls `each` with the stretches that end in the block at `at`; each set bit of `ones` is a byte of the class.
    #[expect(clippy::inline_always, reason = "part of the search with vector instructions")]
    #[inline(always)]
    pub(super) fn step(&mut self, at: usize, ones: u64, mut each: impl FnMut(Range<usize>)) {
        let first = ones.trailing_ones() as usize;
        if first == BLOCK {
            self.before += BLOCK;
            return;
        }
        if self.before + first >= SHORTEST {
            each(at - self.before..at + first);
        }
        self.before = ones.leading_ones() as usize;
        let mut starts = starts::<SHORTEST>(ones) & u64::MAX << first;
        while starts != 0 {
            let start = starts.trailing_zeros() as usize;
            let end = start + (ones >> start).trailing_ones() as usize;
            if end == BLOCK {
                // It goes on in the next block.
                break;
            }
            each(at + start..at + end);
            starts &= u64::MAX << end;
        }
    }
}

/// The places where at least `SHORTEST` ones follow each other.
fn starts<const SHORTEST: usize>(mut ones: u64) -> u64 {
    let mut known = 1;
    while known < SHORTEST {
        let more = known.min(SHORTEST - known);
        ones &= ones >> more;
        known += more;
    }
    ones
}
