//! Finds the places that deserve a look, at the speed of memory: most events have none and are left alone.
//!
//! What this screen does not see is never blanked, so that it knows a piece of every word and shape that any other
//! file of this room acts on. What it sees too much of costs time only. Escapes can hide a word from it; they
//! are themselves a place to look at.

use std::ops::Range;

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{AhoCorasick, BuildError, PatternID};

use super::patterns::{LONG, SHORT, What, confirm, lead};
use super::runs;

/// A place that deserves a look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hit {
    pub(super) at: u32,
    pub(super) what: What,
}

/// The hits of a line or a text, in their order.
#[derive(Debug, Default)]
pub(super) struct Hits {
    all: Vec<Hit>,
    /// One concerns what stands around it: all has to be walked through.
    pub(super) structural: bool,
    /// There were too many; those that are missing nobody knows.
    pub(super) overflow: bool,
}

/// Hits of one line or text, for memory's sake. A list of a hundred thousand Secrets has fewer.
const MOST: usize = 1 << 20;

impl Hits {
    fn push(&mut self, at: usize, what: What) {
        match u32::try_from(at) {
            Ok(at) if self.all.len() < MOST => self.all.push(Hit { at, what }),
            _ => self.overflow = true,
        }
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        (self.structural, self.overflow) = (false, false);
    }

    /// Adds those of a stretch that begins at `at`.
    pub(super) fn extend(&mut self, at: usize, other: &Self) {
        other.all.iter().for_each(|hit| self.push(at + hit.at as usize, hit.what));
        self.structural |= other.structural;
        self.overflow |= other.overflow;
    }

    /// The same, with places counted from `at` on.
    pub(super) fn back(&mut self, at: usize) {
        for hit in &mut self.all {
            hit.at = hit.at.saturating_sub(u32::try_from(at).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those that begin in a stretch.
    pub(super) fn within(&self, at: Range<usize>) -> &[Hit] {
        let first = self.all.partition_point(|hit| (hit.at as usize) < at.start);
        let count = self.all[first..].partition_point(|hit| (hit.at as usize) < at.end);
        &self.all[first..first + count]
    }

    /// The last before a place, and the first at or behind it.
    pub(super) fn around(&self, at: usize) -> (Option<usize>, Option<usize>) {
        let next = self.all.partition_point(|hit| (hit.at as usize) < at);
        let place = |hit: &Hit| hit.at as usize;
        (self.all[..next].last().map(place), self.all.get(next).map(place))
    }
}

/// Searches for all patterns at once.
#[derive(Debug)]
pub(super) struct Screen {
    sets: [Set; 2],
    /// Takes every place for one that deserves a look, so that tests can tell what is missed otherwise.
    #[cfg(test)]
    pub(super) wary: bool,
}

/// Some of the patterns.
#[derive(Debug)]
struct Set {
    patterns: &'static [(&'static [u8], What)],
    /// With vector instructions, where the processor has them.
    packed: Option<Searcher>,
    plain: AhoCorasick,
}

/// Bytes looked at in one go; small enough for the nearest cache.
const CHUNK: usize = 4096;
/// A pattern that begins in one chunk ends within this.
const OVERLAP: usize = 16;

impl Screen {
    pub(super) fn new() -> Result<Self, BuildError> {
        Ok(Self {
            sets: [Set::new(LONG)?, Set::new(SHORT)?],
            #[cfg(test)]
            wary: false,
        })
    }

    /// The hits in a text.
    pub(super) fn hits(&self, text: &[u8]) -> Hits {
        let mut hits = Hits::default();
        self.hits_beside(text, &[], &mut Folded::default(), &mut hits);
        hits
    }

    /// Adds the hits in a text, but for stretches of it, in order, that leave it anyway or were looked at before.
    pub(super) fn hits_beside(
        &self,
        text: &[u8],
        gone: &[Range<usize>],
        folded: &mut Folded,
        hits: &mut Hits,
    ) {
        #[cfg(test)]
        if self.wary {
            hits.structural = true;
            (0..text.len()).for_each(|at| hits.push(at, What::Escape));
        }
        let mut from = 0;
        for gone in gone {
            if from < gone.start {
                self.search(text, from..gone.start, folded, hits);
            }
            from = from.max(gone.end);
        }
        self.search(text, from..text.len(), folded, hits);
        self.flush(text, folded, hits);
        if hits.all.len() > 1 {
            hits.all.sort_by_key(|hit| hit.at);
            hits.all.dedup();
        }
    }

    /// Adds the hits in a stretch of a text.
    pub(super) fn hits_within(
        &self,
        text: &[u8],
        at: Range<usize>,
        folded: &mut Folded,
        hits: &mut Hits,
    ) {
        self.search(text, at, folded, hits);
        self.flush(text, folded, hits);
    }

    /// Adds the hits in a stretch; those of patterns, once what was folded is flushed.
    fn search(&self, text: &[u8], at: Range<usize>, folded: &mut Folded, hits: &mut Hits) {
        let mut from = at.start;
        loop {
            let chunk = &text[from..at.end.min(from + CHUNK)];
            if folded.bytes.len() + chunk.len() > CHUNK {
                self.flush(text, folded, hits);
            }
            folded.push(chunk, from);
            if from + CHUNK >= at.end {
                break;
            }
            from += CHUNK - OVERLAP;
        }
        let stretch = &text[at.clone()];
        runs::runs(stretch, |run| {
            if !runs::is_continue(&stretch[run.clone()]) {
                hits.push(at.start + run.start, What::Run);
            }
        });
    }

    /// Searches what was folded for patterns.
    fn flush(&self, text: &[u8], folded: &mut Folded, hits: &mut Hits) {
        for set in &self.sets {
            set.search(&folded.bytes, |at, what| {
                let at = folded.place(at);
                if confirm(text, at, what, &mut hits.structural) {
                    hits.push(at, what);
                }
            });
        }
        folded.bytes.clear();
        folded.parts.clear();
    }
}

/// Stretches of a text in lower case, one behind the other: searching many short ones at once costs less. Kept from line
/// to line, so that most cost no allocation.
#[derive(Debug, Default)]
pub(super) struct Folded {
    bytes: Vec<u8>,
    /// Where each begins here and in the text.
    parts: Vec<(usize, usize)>,
}

impl Folded {
    fn push(&mut self, text: &[u8], at: usize) {
        if !self.parts.is_empty() {
            // No folded byte is 0, and so no pattern has it.
            self.bytes.push(0);
        }
        self.parts.push((self.bytes.len(), at));
        // One bit folds the case of letters; what it does to other bytes, it does to the patterns too.
        self.bytes.extend(text.iter().map(|byte| byte | 0x20));
    }

    /// Where a folded byte stands in the text.
    fn place(&self, at: usize) -> usize {
        let part = self.parts.iter().rev().find(|(start, _)| *start <= at);
        part.map_or(at, |(start, place)| place + at - start)
    }
}

impl Set {
    fn new(patterns: &'static [(&'static [u8], What)]) -> Result<Self, BuildError> {
        let mut builder = Config::new()
            .match_kind(MatchKind::LeftmostFirst)
            .heuristic_pattern_limits(false)
            .builder();
        builder.extend(patterns.iter().map(|(pattern, _)| pattern));
        let plain = AhoCorasick::builder()
            .match_kind(aho_corasick::MatchKind::LeftmostFirst)
            .build(patterns.iter().map(|(pattern, _)| pattern))?;
        Ok(Self { patterns, packed: builder.build(), plain })
    }

    fn found(&self, at: usize, pattern: PatternID, each: &mut impl FnMut(usize, What)) {
        let (pattern, what) = self.patterns[pattern.as_usize()];
        each(at + lead(pattern), what);
    }

    fn search(&self, folded: &[u8], mut each: impl FnMut(usize, What)) {
        match &self.packed {
            // Shorter ones are searched slowly by it.
            Some(packed) if folded.len() >= packed.minimum_len() => {
                for found in packed.find_iter(folded) {
                    self.found(found.start(), found.pattern(), &mut each);
                }
            }
            _ => {
                for found in self.plain.find_iter(folded) {
                    self.found(found.start(), found.pattern(), &mut each);
                }
            }
        }
    }
}
