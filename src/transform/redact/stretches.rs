//! Finds long stretches of one kind of bytes, and bytes that are rare, 64 at a time.

use std::ops::Range;

use wide::u8x16;

/// Bytes looked at in one step.
const BLOCK: usize = 64;
/// Bytes of the shortest word that is looked up.
pub(super) const WORD: usize = 16;
/// Bytes of the shortest run: 24 bytes of what it encodes, or 192 bits.
pub(super) const RUN: usize = 32;

/// What stands somewhere in a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// Letters, digits, `_` and `-`, [`WORD`] or more.
    Word(Range<usize>),
    /// What base64 is written with, [`RUN`] or more.
    Run(Range<usize>),
    /// `@` or `$`.
    Sign(usize),
}

/// Hands out the words, runs and signs in a text: each kind in its order. Answers whether all of it is ASCII.
pub(super) fn look(text: &[u8], mut each: impl FnMut(Found)) -> bool {
    let (mut words, mut runs) = (Stretch::<WORD>::default(), Stretch::<RUN>::default());
    let mut ascii = true;
    let mut step = |at: usize, block: &[u8; BLOCK]| {
        let [mut word, mut run, mut sign, mut other] = [0; 4];
        let (parts, _) = block.as_chunks::<16>();
        for part in parts.iter().rev() {
            let bytes = u8x16::new(*part);
            let in_word = in_word(bytes);
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            word = word << 16 | bits(in_word);
            run = run << 16 | bits(in_word | is(b'+') | is(b'/') | is(b'\\'));
            sign = sign << 16 | bits(is(b'@') | is(b'$'));
            other = other << 16 | bits(bytes);
        }
        ascii &= other == 0;
        words.step(at, word, |stretch| each(Found::Word(stretch)));
        runs.step(at, run, |stretch| each(Found::Run(stretch)));
        while sign != 0 {
            each(Found::Sign(at + sign.trailing_zeros() as usize));
            sign &= sign - 1;
        }
    };
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        step(index * BLOCK, block);
    }
    // Nothing goes on into the byte 0.
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    step(text.len() - rest.len(), &last);
    ascii
}

/// Which bytes are those of words.
fn in_word(bytes: u8x16) -> u8x16 {
    let within = |bytes: u8x16, first: u8, last: u8| {
        let from = bytes - u8x16::splat(first);
        from.min(u8x16::splat(last - first)).simd_eq(from)
    };
    // One bit folds the case of letters.
    within(bytes | u8x16::splat(0x20), b'a', b'z')
        | within(bytes, b'0', b'9')
        | bytes.simd_eq(u8x16::splat(b'_'))
        | bytes.simd_eq(u8x16::splat(b'-'))
}

/// The highest bit of each byte.
fn bits(bytes: u8x16) -> u64 {
    u64::from(bytes.to_bitmask())
}

/// Follows the stretches of one kind from block to block.
#[derive(Default)]
struct Stretch<const SHORTEST: usize> {
    /// Bytes of the kind right before the block.
    before: usize,
}

impl<const SHORTEST: usize> Stretch<SHORTEST> {
    /// Hands out the stretches that end in a block that begins at `at`; `ones` are its bytes of the kind.
    fn step(&mut self, at: usize, ones: u64, mut each: impl FnMut(Range<usize>)) {
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
                // It goes on.
                break;
            }
            each(at + start..at + end);
            starts &= u64::MAX << end;
        }
    }
}

/// Where so many ones follow each other.
fn starts<const SHORTEST: usize>(mut ones: u64) -> u64 {
    let mut known = 1;
    while known < SHORTEST {
        let more = known.min(SHORTEST - known);
        ones &= ones >> more;
        known += more;
    }
    ones
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One byte after the other.
    fn slowly(text: &[u8], shortest: usize, is: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
        let mut all = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let length = text[at..].iter().take_while(|byte| is(**byte)).count();
            if length >= shortest {
                all.push(at..at + length);
            }
            at += length + 1;
        }
        all
    }

    fn is_word(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b"_-".contains(&byte)
    }

    proptest! {
        #[test]
        fn each_stretch_and_sign_is_found_once(
            parts in prop::collection::vec(prop_oneof!["[a-z]{0,40}", "[A-Z0-9+/_-]{0,70}", "[ -~]{0,3}", "[ -ÿ]?"], 0..9),
        ) {
            let text = parts.concat();
            let mut all = Vec::new();
            let ascii = look(text.as_bytes(), |found| all.push(found));
            let mut slow: Vec<_> = slowly(text.as_bytes(), WORD, is_word).into_iter().map(Found::Word).collect();
            let runs = slowly(text.as_bytes(), RUN, |byte| is_word(byte) || b"+/\\".contains(&byte));
            slow.extend(runs.into_iter().map(Found::Run));
            slow.extend(text.bytes().enumerate().filter(|(_, byte)| b"@$".contains(byte)).map(|(at, _)| Found::Sign(at)));
            prop_assert_eq!(ascii, text.is_ascii());
            for found in &slow {
                prop_assert!(all.contains(found), "{found:?}");
            }
            prop_assert_eq!(all.len(), slow.len());
        }
    }

    #[test]
    fn every_byte_is_of_its_kinds() {
        for byte in 0..=u8::MAX {
            let mut all = Vec::new();
            let ascii = look(&[byte; 40], |found| all.push(found));
            assert_eq!(ascii, byte.is_ascii());
            assert_eq!(all.contains(&Found::Word(0..40)), is_word(byte), "{byte}");
            let run = is_word(byte) || b"+/\\".contains(&byte);
            assert_eq!(all.contains(&Found::Run(0..40)), run, "{byte}");
            assert_eq!(all.contains(&Found::Sign(7)), b"@$".contains(&byte), "{byte}");
        }
    }
}
