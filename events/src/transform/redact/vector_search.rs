//! SIMD search, 64 bytes of a text per step. It finds long stretches of one class of bytes, rare bytes, and
//! candidates for patterns.
//!
//! The search for patterns is Teddy (<https://github.com/BurntSushi/aho-corasick/tree/master/src/packed/teddy>) for
//! all patterns at once. It looks four consecutive bytes up by their halves (nibbles). The result has one bit for
//! each group of patterns, and a set bit means that one pattern of the group may match there. `build.rs` assigns
//! patterns to groups and chooses the four bytes by which each is searched. The crate `fearless_simd` selects the
//! vector instructions that the processor has.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, u8x16, u8x64};

use super::patterns::{DEPTH, GROUPS};
use super::stretches::{BLOCK, RUN, WORD, WordStretch};
use crate::json::LEVEL;

/// Bytes that one step reads: the block, and the bytes after it that a pattern beginning in the block needs.
const READ: usize = BLOCK + DEPTH - 1;

/// A find in a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// Letters, digits, `_` and `-`; [`WORD`] bytes or more.
    Word(Range<usize>),
    /// Characters of base64; [`RUN`] bytes or more.
    Run(Range<usize>),
    /// `@` or `$`.
    Sign(usize),
    /// A candidate: a pattern may match around this place.
    Maybe(usize),
}

/// For each nibble, the groups with a pattern that has it, at each of the four places.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) low: [[[u8; 16]; DEPTH]; GROUPS / 8],
    pub(super) high: [[[u8; 16]; DEPTH]; GROUPS / 8],
}

/// The state carried from one part of a text to the next.
#[derive(Debug, Default)]
pub(super) struct SearchState {
    words: WordStretch<WORD>,
    runs: WordStretch<RUN>,
    /// A byte was not ASCII.
    pub(super) other_letters: bool,
    /// There was a backslash.
    pub(super) escapes: bool,
}

impl SearchState {
    /// Searches one part of a text. All parts but the last have a multiple of [`BLOCK`] bytes, and each begins where
    /// the previous one ended.
    pub(super) fn sweep(
        &mut self,
        text: &[u8],
        at: Range<usize>,
        tables: &Tables,
        found: &mut Vec<Found>,
    ) {
        dispatch!(*LEVEL, simd => each_block(simd, text, at, #[inline(always)] |block| {
            self.stretches(&block, found);
            places(&block, tables, found);
        }));
    }

    /// Ends the search at the end of the text.
    pub(super) fn end(&mut self, at: usize, found: &mut Vec<Found>) {
        self.words.step(at, 0, |word| found.push(Found::Word(word)));
        self.runs.step(at, 0, |run| found.push(Found::Run(run)));
    }

    /// Finds words, runs and signs in a block.
    #[expect(clippy::inline_always, reason = "vector instructions are chosen where it is called")]
    #[inline(always)]
    fn stretches<S: Simd>(&mut self, block: &Block<'_, S>, found: &mut Vec<Found>) {
        let (simd, at) = (block.simd, block.at);
        let bytes = block.bytes(0);
        let (low, high) = halves(bytes);
        let classes = look_up(&CLASSES.0, low) & look_up(&CLASSES.1, high);
        let is = |byte| bytes.simd_eq(u8x64::splat(simd, byte));
        self.other_letters |= block.mine(!is_zero(bytes & 0x80)) != 0;
        self.escapes |= block.mine(!is_zero(classes & BACKSLASH)) != 0;
        self.words.step(at, block.mine(!is_zero(classes & WORDS)), |word| {
            found.push(Found::Word(word));
        });
        self.runs.step(at, block.mine(!is_zero(classes)), |run| found.push(Found::Run(run)));
        let mut signs = block.mine((is(b'@') | is(b'$')).to_bitmask());
        while signs != 0 {
            found.push(Found::Sign(at + signs.trailing_zeros() as usize));
            signs &= signs - 1;
        }
    }
}

/// Calls `each` with the words, runs and signs of a text, in order within each kind.
pub(super) fn look(text: &[u8], each: impl FnMut(Found)) {
    look_with(*LEVEL, text).into_iter().for_each(each);
}

fn look_with(level: Level, text: &[u8]) -> Vec<Found> {
    let (mut state, mut found) = (SearchState::default(), Vec::new());
    dispatch!(level, simd => each_block(simd, text, 0..text.len(), #[inline(always)] |block| {
        state.stretches(&block, &mut found);
    }));
    state.end(text.len(), &mut found);
    found
}

/// Finds candidates for patterns in a part of a text.
pub(super) fn candidates(text: &[u8], at: Range<usize>, tables: &Tables, found: &mut Vec<Found>) {
    dispatch!(*LEVEL, simd => each_block(simd, text, at, #[inline(always)] |block| places(&block, tables, found)));
}

/// Finds candidates for patterns that begin in a block.
#[expect(clippy::inline_always, reason = "vector instructions are chosen where it is called")]
#[inline(always)]
fn places<S: Simd>(block: &Block<'_, S>, tables: &Tables, found: &mut Vec<Found>) {
    let mut groups = [u8x64::splat(block.simd, u8::MAX); 2];
    for place in 0..DEPTH {
        let (low, high) = halves(block.bytes(place));
        let [first, second] = groups;
        groups = [
            first & look_up(&tables.low[0][place], low) & look_up(&tables.high[0][place], high),
            second & look_up(&tables.low[1][place], low) & look_up(&tables.high[1][place], high),
        ];
    }
    let mut places = block.mine(!is_zero(groups[0] | groups[1]));
    while places != 0 {
        found.push(Found::Maybe(block.at + places.trailing_zeros() as usize));
        places &= places - 1;
    }
}

/// A block of a text, with the following bytes that a step reads.
struct Block<'a, S> {
    simd: S,
    at: usize,
    read: &'a [u8; READ],
    /// A bit for each byte that belongs to the searched range.
    mine: u64,
}

#[expect(clippy::inline_always, reason = "vector instructions are chosen where it is called")]
#[inline(always)]
fn each_block<S: Simd>(
    simd: S,
    text: &[u8],
    within: Range<usize>,
    mut each: impl FnMut(Block<'_, S>),
) {
    let mut padded;
    for at in within.clone().step_by(BLOCK) {
        let read = if let Some(read) = text[at..].first_chunk() {
            read
        } else {
            padded = [0; READ];
            padded[..text.len() - at].copy_from_slice(&text[at..]);
            &padded
        };
        let mine = match within.end - at {
            rest @ 1..BLOCK => (1 << rest) - 1,
            _ => u64::MAX,
        };
        each(Block { simd, at, read, mine });
    }
}

impl<S: Simd> Block<'_, S> {
    /// The bytes of the block, or those `behind` places further on.
    #[expect(clippy::inline_always, reason = "vector instructions are chosen where it is called")]
    #[inline(always)]
    fn bytes(&self, behind: usize) -> u8x64<S> {
        u8x64::from_slice(self.simd, &self.read[behind..behind + BLOCK])
    }

    fn mine(&self, bits: u64) -> u64 {
        bits & self.mine
    }
}

/// The lower and the upper nibble of each byte.
#[expect(clippy::inline_always, reason = "vector instructions are chosen where it is called")]
#[inline(always)]
fn halves<S: Simd>(bytes: u8x64<S>) -> (u8x64<S>, u8x64<S>) {
    (bytes & 0x0f, bytes >> 4)
}

/// The table's entry for each nibble.
#[expect(clippy::inline_always, reason = "vector instructions are chosen where it is called")]
#[inline(always)]
fn look_up<S: Simd>(table: &[u8; 16], halves: u8x64<S>) -> u8x64<S> {
    let table = u8x16::from_slice(halves.token(), table);
    u8x64::block_splat(table).swizzle_dyn_within_blocks(halves)
}

/// A bit for each byte that is zero.
#[expect(clippy::inline_always, reason = "vector instructions are chosen where it is called")]
#[inline(always)]
fn is_zero<S: Simd>(bytes: u8x64<S>) -> u64 {
    bytes.simd_eq(u8x64::splat(bytes.token(), 0)).to_bitmask()
}

/// The bits of [`CLASSES`] that stand for words.
const WORDS: u8 = 0b1_1111;
/// The bit of [`CLASSES`] that stands for a backslash.
const BACKSLASH: u8 = 1 << 6;

/// For each nibble (lower ones first), the classes that the byte may belong to: five for words, two more for runs.
const CLASSES: ([u8; 16], [u8; 16]) = {
    let (mut low, mut high) = ([0; 16], [0; 16]);
    // `-`, digits, `_`.
    (low[0xd], high[0x2]) = (1, 1 | 1 << 5);
    high[0x3] = 1 << 1;
    (low[0xf], high[0x5]) = (1 << 4, 1 << 4 | 1 << 3 | BACKSLASH);
    // A to O, P to Z.
    (high[0x4], high[0x6], high[0x7]) = (1 << 2, 1 << 2, 1 << 3);
    let mut half = 0;
    while half < 16 {
        if half < 10 {
            low[half] |= 1 << 1;
        }
        if half > 0 {
            low[half] |= 1 << 2;
        }
        if half < 11 {
            low[half] |= 1 << 3;
        }
        half += 1;
    }
    // `+` and `/`, a backslash.
    low[0xb] |= 1 << 5;
    low[0xf] |= 1 << 5;
    low[0xc] |= BACKSLASH;
    (low, high)
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::levels;

    /// A reference implementation that looks at one byte after the other.
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
            let mut slow: Vec<_> = slowly(text.as_bytes(), WORD, is_word).into_iter().map(Found::Word).collect();
            let runs = slowly(text.as_bytes(), RUN, |byte| is_word(byte) || b"+/\\".contains(&byte));
            slow.extend(runs.into_iter().map(Found::Run));
            slow.extend(text.bytes().enumerate().filter(|(_, byte)| b"@$".contains(byte)).map(|(at, _)| Found::Sign(at)));
            for level in levels() {
                let all = look_with(level, text.as_bytes());
                for found in &slow {
                    prop_assert!(all.contains(found), "{found:?} {level:?}");
                }
                prop_assert_eq!(all.len(), slow.len());
            }
        }
    }

    #[test]
    fn every_byte_is_of_its_kinds() {
        for byte in 0..=u8::MAX {
            let all = look_with(Level::new(), &[byte; 40]);
            assert_eq!(all.contains(&Found::Word(0..40)), is_word(byte), "{byte}");
            let run = is_word(byte) || b"+/\\".contains(&byte);
            assert_eq!(all.contains(&Found::Run(0..40)), run, "{byte}");
            assert_eq!(all.contains(&Found::Sign(7)), b"@$".contains(&byte), "{byte}");
        }
    }
}
