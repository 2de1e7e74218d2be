//! Searches a text for all patterns at once, ignoring the case of letters.

use std::ops::Range;

use super::patterns::{COMMANDS, DEPTH, FOLD, LINE, Patterns, What};
use super::vector_search::Tables;

include!(concat!(env!("OUT_DIR"), "/places.rs"));

/// Some patterns, in the groups that `build.rs` chose, and a table to look them up.
#[derive(Debug)]
pub(super) struct PatternSearch {
    /// Lookup tables for candidate places.
    pub(super) tables: Tables,
    /// Sorted by slot.
    patterns: Vec<Pattern>,
    /// For each slot, the range of its patterns.
    slots: Box<[(u16, u16); SLOTS]>,
}

#[derive(Debug)]
struct Pattern {
    bytes: &'static [u8],
    what: What,
    /// Offset in the pattern of the bytes by which it is searched for.
    offset: usize,
    /// Its first eight bytes, and a mask of the bits that have to match.
    head: u64,
    mask: u64,
}

const HEAD: usize = 8;
/// The table has a slot for each value of a hash of the bytes by which patterns are searched for.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 10;
/// The length of the shortest patterns. They are searched for by all their bytes.
const SHORTEST: usize = DEPTH - 1;
const FOLDS: u64 = u64::from_le_bytes([FOLD; HEAD]);

/// The slot of the patterns with these bytes. Only the first `length` bytes count.
fn slot(bytes: [u8; DEPTH], length: usize) -> usize {
    let mut word = u32::from_le_bytes(bytes) | u32::from_le_bytes([FOLD; DEPTH]);
    if length < DEPTH {
        word &= u32::MAX >> 8;
    }
    (word.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS)) as usize
}

impl PatternSearch {
    /// The search for every line.
    pub(super) fn line() -> Self {
        Self::new(LINE, LINE_PLACES)
    }

    /// The additional search for command lines and strings with several lines.
    pub(super) fn commands() -> Self {
        Self::new(COMMANDS, COMMANDS_PLACES)
    }

    fn new(patterns: Patterns, places: &[(u8, u8)]) -> Self {
        let mut tables = Tables::default();
        for ((bytes, _), (group, offset)) in patterns.iter().zip(places) {
            let (group, offset) = (usize::from(*group), usize::from(*offset));
            let (set, bit) = (group / 8, 1 << (group % 8));
            for place in 0..DEPTH {
                let (low, high) = (&mut tables.low[set][place], &mut tables.high[set][place]);
                match bytes.get(offset + place) {
                    Some(byte) => {
                        low[usize::from(byte & 15)] |= bit;
                        high[usize::from((byte | FOLD) >> 4)] |= bit;
                        high[usize::from((byte & !FOLD) >> 4)] |= bit;
                    }
                    // The pattern is shorter, so any byte may follow.
                    None => low.iter_mut().chain(high).for_each(|half| *half |= bit),
                }
            }
        }
        let with_places = patterns.iter().zip(places);
        let mut patterns: Vec<_> = with_places
            .map(|((bytes, what), (_, offset))| Pattern::new(bytes, *what, usize::from(*offset)))
            .collect();
        patterns.sort_by_key(Pattern::slot);
        let mut slots = Box::new([(0, 0); SLOTS]);
        for (index, pattern) in (0..).zip(&patterns) {
            let slot = &mut slots[pattern.slot()];
            *slot = (if slot.1 == 0 { index } else { slot.0 }, index + 1);
        }
        Self { tables, patterns, slots }
    }

    /// Calls `each` for the patterns whose search bytes are at `at`, if the whole pattern is within the range.
    pub(super) fn at(
        &self,
        text: &[u8],
        within: &Range<usize>,
        at: usize,
        mut each: impl FnMut(usize, What),
    ) {
        let mut bytes = [0; DEPTH];
        match text[at..].first_chunk() {
            Some(all) => bytes = *all,
            None => bytes[..text.len() - at].copy_from_slice(&text[at..]),
        }
        for length in [SHORTEST, DEPTH] {
            let (from, to) = self.slots[slot(bytes, length)];
            for pattern in &self.patterns[from.into()..to.into()] {
                if let Some(start) = at.checked_sub(pattern.offset)
                    && start >= within.start
                    && start + pattern.bytes.len() <= within.end
                    && pattern.length() == length
                    && pattern.begins(&text[start..])
                {
                    each(start, pattern.what);
                }
            }
        }
    }
}

impl Pattern {
    fn new(bytes: &'static [u8], what: What, offset: usize) -> Self {
        let (mut head, mut mask) = ([0; HEAD], [0; HEAD]);
        for (at, byte) in bytes.iter().take(HEAD).enumerate() {
            (head[at], mask[at]) = (byte | FOLD, u8::MAX);
        }
        let [head, mask] = [head, mask].map(u64::from_le_bytes);
        Self { bytes, what, offset, head, mask }
    }

    /// The number of bytes by which it is searched for.
    fn length(&self) -> usize {
        self.bytes.len().clamp(SHORTEST, DEPTH)
    }

    fn slot(&self) -> usize {
        let mut bytes = [0; DEPTH];
        let length = self.length();
        bytes[..length].copy_from_slice(&self.bytes[self.offset..self.offset + length]);
        slot(bytes, length)
    }

    /// Whether a text begins with the pattern.
    fn begins(&self, text: &[u8]) -> bool {
        let same = |(byte, other): (&u8, &u8)| byte | FOLD == other | FOLD;
        match text.first_chunk() {
            Some(head) => {
                (u64::from_le_bytes(*head) | FOLDS) & self.mask == self.head
                    && text[HEAD..].iter().zip(self.bytes.iter().skip(HEAD)).all(same)
            }
            None => text.len() >= self.bytes.len() && text.iter().zip(self.bytes).all(same),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vector_search::{Found, candidates};
    use super::*;

    /// The places in a text where a pattern matches.
    fn found(search: &PatternSearch, text: &[u8]) -> Vec<usize> {
        let (mut maybe, mut found) = (Vec::new(), Vec::new());
        let all = 0..text.len();
        candidates(text, all.clone(), &search.tables, &mut maybe);
        for one in maybe {
            let Found::Maybe(at) = one else { continue };
            search.at(text, &all, at, |at, _| found.push(at));
        }
        found
    }

    #[test]
    fn each_pattern_is_found_anywhere_in_any_case() {
        for (search, patterns) in
            [(PatternSearch::line(), LINE), (PatternSearch::commands(), COMMANDS)]
        {
            for (pattern, _) in patterns {
                for before in [0, 1, 3, 30, 61, 62, 63, 64, 120] {
                    for behind in [0, 1, 2, 70] {
                        let mut text = vec![b'\x7e'; before];
                        text.extend_from_slice(pattern);
                        text.resize(text.len() + behind, b'\x7e');
                        assert!(found(&search, &text).contains(&before), "{pattern:?}");
                        assert!(
                            found(&search, &text.to_ascii_uppercase()).contains(&before),
                            "{pattern:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_search_stops_rarely_in_events_that_the_sample_does_not_have() {
        let recorded = include_bytes!("../../../../tests/data/audit-events.ndjson");
        let mut found = Vec::new();
        candidates(recorded, 0..recorded.len(), &PatternSearch::line().tables, &mut found);
        let each = recorded.len() / found.len();
        assert!(each > 80, "once in {each} bytes");
    }
}
