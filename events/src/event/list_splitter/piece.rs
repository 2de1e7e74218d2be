//! A piece of the body with the block that is being read, and where its lines go.

use crate::json::BlockTokens;

/// Places in it are counted from its first byte, those of a block (`bit`) from the first byte of the block.
pub(super) struct BodyPiece<'a> {
    pub(super) bytes: &'a [u8],
    /// Place of its first byte in the body.
    pub(super) start: u64,
    pub(super) lines: &'a mut Vec<u8>,
    /// Where the block begins.
    pub(super) block: usize,
    /// The tokens of the block.
    pub(super) found: BlockTokens,
}

impl<'a> BodyPiece<'a> {
    pub(super) fn new(bytes: &'a [u8], start: u64, lines: &'a mut Vec<u8>) -> Self {
        Self { bytes, start, lines, block: 0, found: BlockTokens::default() }
    }

    /// The place in the body of a place in the piece.
    pub(super) fn in_body(&self, at: usize) -> u64 {
        self.start + at as u64
    }

    /// The place of the quote that ends the string whose opening quote is at `bit`, if it is in the block.
    #[inline]
    pub(super) fn closing_quote(&self, bit: usize) -> Option<usize> {
        let behind = self.found.quotes & (u64::MAX << 1 << bit);
        (behind != 0).then(|| self.block + behind.trailing_zeros() as usize)
    }
}
