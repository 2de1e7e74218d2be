//! Finds the tokens of JSON that arrives in pieces, 64 bytes at a time, and leaves out what is inside strings.
//!
//! A token is a byte that the grammar has to look at (`grammar.rs`): each byte outside of strings that is not blank,
//! the opening quotes of strings, and a blank that ends a number. A colon or comma and the quote that follows it
//! directly are one token. The bytes of a string are checked here: control characters and unknown escapes are no JSON.
//! Broken UTF-8 and lone surrogates are accepted, as the API server's audit log may hold them.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, u8x64};

use super::processor::LEVEL;
use super::quoted::{QuoteWalk, Quoted};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;

/// One bit for each byte of a block: the kinds of bytes that can be told without what stands before them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ByteKinds {
    quotes: u64,
    backslashes: u64,
    /// Colons and commas.
    separators: u64,
    /// Braces and brackets.
    brackets: u64,
    /// Space, tab, line feed, carriage return.
    blanks: u64,
    /// Below U+0020.
    controls: u64,
}

/// Finds the kinds of the bytes in each block. The last block may be shorter; its other bits are zero.
pub(crate) fn byte_kinds(bytes: &[u8], kinds: &mut [ByteKinds]) {
    kinds_with(*LEVEL, bytes, kinds);
}

fn kinds_with(level: Level, bytes: &[u8], kinds: &mut [ByteKinds]) {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let (whole, last) = kinds.split_at_mut(blocks.len().min(kinds.len()));
    // A byte that is of no kind.
    let mut padded = [b'0'; BLOCK];
    padded[..rest.len()].copy_from_slice(rest);
    dispatch!(level, simd => {
        for (block, kinds) in blocks.iter().zip(whole) {
            *kinds = kinds_of(simd, block);
        }
        if let (false, Some(kinds)) = (rest.is_empty(), last.first_mut()) {
            *kinds = kinds_of(simd, &padded);
        }
    });
}

#[expect(clippy::inline_always, reason = "vector instructions are chosen where it is called")]
#[inline(always)]
fn kinds_of<S: Simd>(simd: S, block: &[u8; BLOCK]) -> ByteKinds {
    let bytes = u8x64::from_slice(simd, block);
    let is = |byte| bytes.simd_eq(u8x64::splat(simd, byte));
    // `[` and `{`, `]` and `}` differ in this bit only, and no other byte becomes one of them by it.
    let folded = bytes | 0x20;
    ByteKinds {
        quotes: is(b'"').to_bitmask(),
        backslashes: is(b'\\').to_bitmask(),
        separators: (is(b',') | is(b':')).to_bitmask(),
        brackets: (folded.simd_eq(u8x64::splat(simd, b'{'))
            | folded.simd_eq(u8x64::splat(simd, b'}')))
        .to_bitmask(),
        blanks: (is(b' ') | is(b'\n') | is(b'\t') | is(b'\r')).to_bitmask(),
        controls: bytes.simd_lt(u8x64::splat(simd, b' ')).to_bitmask(),
    }
}

/// The state carried from one block to the next.
#[derive(Debug, Default)]
pub(crate) struct TokenWalk {
    quoted: QuoteWalk,
    /// A bit for each of the next bytes that has to be a hexadecimal digit.
    digits: u64,
    /// 1 if the last byte may have been part of a number.
    scalar: u64,
}

/// What is found in a block: one bit for each byte, as far as the strings are valid.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BlockTokens {
    pub(crate) tokens: u64,
    /// The tokens that are a colon or comma and the quote after it.
    pub(crate) paired: u64,
    /// The quotes that begin or end a string.
    pub(crate) quotes: u64,
    /// The blanks between tokens.
    pub(crate) blanks: u64,
    /// The first byte of a string that is no JSON.
    pub(crate) bad: Option<usize>,
}

impl TokenWalk {
    /// Reads the next block. Only the last block of a piece is shorter than [`BLOCK`]; it is not empty.
    #[inline]
    pub(crate) fn step(&mut self, block: &[u8], kinds: &ByteKinds) -> BlockTokens {
        let mine = u64::MAX >> (BLOCK - block.len());
        let (mut found, Quoted { string, escaped, .. }) = self.structure(block.len(), kinds);
        let mut bad = kinds.controls & string;
        if escaped & mine | self.digits != 0 {
            bad |= self.bad_escapes(block, escaped & string & mine);
        }
        if bad != 0 {
            let first = bad.trailing_zeros();
            let before = (1 << first) - 1;
            found.bad = Some(first as usize);
            found.tokens &= before;
            found.quotes &= before;
        }
        found
    }

    /// The same for a block of this length, whatever bytes its strings hold.
    #[inline]
    pub(super) fn structure(&mut self, length: usize, kinds: &ByteKinds) -> (BlockTokens, Quoted) {
        let mine = u64::MAX >> (BLOCK - length);
        let quoted = self.quoted.step_short(kinds.quotes, kinds.backslashes, length);
        let Quoted { quotes, string, .. } = quoted;
        let outside = !(string | quotes) & mine;
        let blanks = kinds.blanks & outside;
        let scalar = outside & !(blanks | kinds.separators | kinds.brackets);
        let ends = blanks & (scalar << 1 | self.scalar);
        self.scalar = scalar >> (length - 1);
        let opening = quotes & string;
        let paired = kinds.separators & outside & opening >> 1;
        let tokens = (opening & !(paired << 1)) | (outside & !blanks) | ends;
        (BlockTokens { tokens, paired, quotes, blanks, bad: None }, quoted)
    }

    /// Whether the bytes so far end inside a string.
    pub(super) fn is_in_string(&self) -> bool {
        self.quoted.is_in_string()
    }

    /// The escaped bytes that no escape has, and those after `\u` that are no hexadecimal digits.
    fn bad_escapes(&mut self, block: &[u8], mut escaped: u64) -> u64 {
        let mut digits = u128::from(self.digits);
        let mut bad = 0;
        while escaped != 0 {
            let at = escaped.trailing_zeros();
            match block.get(at as usize) {
                Some(b'u') => digits |= 0b1_1110 << at,
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
                _ => bad |= 1 << at,
            }
            escaped &= escaped - 1;
        }
        for (at, byte) in block.iter().enumerate() {
            if digits == 0 {
                break;
            }
            if digits >> at & 1 == 1 && !byte.is_ascii_hexdigit() {
                bad |= 1 << at;
            }
        }
        // An escape has four digits, so few bits are left.
        self.digits = u64::try_from(digits >> block.len()).unwrap_or_default();
        bad
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::levels;

    /// Reference implementation, byte by byte.
    fn slowly(block: &[u8]) -> ByteKinds {
        let bits = |fits: &dyn Fn(u8) -> bool| {
            (0..).zip(block).fold(0, |bits, (at, byte)| bits | u64::from(fits(*byte)) << at)
        };
        ByteKinds {
            quotes: bits(&|byte| byte == b'"'),
            backslashes: bits(&|byte| byte == b'\\'),
            separators: bits(&|byte| b",:".contains(&byte)),
            brackets: bits(&|byte| b"{}[]".contains(&byte)),
            blanks: bits(&|byte| b" \t\n\r".contains(&byte)),
            controls: bits(&|byte| byte < b' '),
        }
    }

    proptest! {
        #[test]
        fn bytes_are_of_the_same_kinds_on_every_processor(
            text in prop::collection::vec(prop_oneof![any::<u8>(), b' '..=b'}', Just(b'\n')], 0..300),
        ) {
            let slow: Vec<_> = text.chunks(BLOCK).map(slowly).collect();
            for level in levels() {
                let mut found = vec![ByteKinds::default(); slow.len()];
                kinds_with(level, &text, &mut found);
                prop_assert_eq!(&found, &slow, "{:?}", level);
            }
        }
    }

    #[test]
    fn every_byte_is_of_its_kinds() {
        for byte in 0..=u8::MAX {
            let mut found = [ByteKinds::default(); 2];
            byte_kinds(&[byte; BLOCK + 1], &mut found);
            assert_eq!(found, [slowly(&[byte; BLOCK]), slowly(&[byte])], "{byte}");
        }
    }
}
