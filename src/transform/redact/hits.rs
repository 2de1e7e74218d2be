//! The places of a line or a text that deserve a look.

use std::ops::Range;

use super::patterns::What;
use super::vector_search::{Found, look};
use super::{base64_runs, written};

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
    pub(super) fn push(&mut self, at: usize, what: What) {
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

    /// In the order of their places, each once.
    pub(super) fn order(&mut self) {
        if self.all.len() > 1 {
            self.all.sort_by_key(|hit| hit.at);
            self.all.dedup();
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

    /// Those in the text of a string that stands at `at`, from those in the string as it is written: searching for all of
    /// them once more would cost as much again. `None` if escapes may hide more.
    pub(super) fn read(&self, raw: &[u8], at: Range<usize>, text: &[u8]) -> Option<Self> {
        let here = self.within(at.clone());
        // Behind another backslash it is no escape of this string but part of its text.
        let escapes = |hit: &Hit| {
            let before = raw.get(..hit.at as usize - at.start).unwrap_or_default();
            before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
        };
        let hidden = here.iter().any(|hit| hit.what == What::Escape && escapes(hit));
        // What `<` and `&` mean to the words around them shows only in the text.
        if self.overflow || hidden || memchr::memmem::find(raw, b"\\u").is_some() {
            return None;
        }
        let places = here.iter().map(|hit| hit.at as usize - at.start);
        let places = written::texts(raw, places)?;
        let mut hits = Self::default();
        for (place, hit) in places.into_iter().zip(here) {
            if hit.what != What::Run {
                hits.push(place, hit.what);
            }
        }
        // The letter of an escape goes on a run.
        if here.iter().any(|hit| hit.what == What::Run) {
            look(text, |found| match found {
                Found::Run(run) if base64_runs::is_secret(&text[run.clone()]) => {
                    hits.push(run.start, What::Run);
                }
                _ => {}
            });
        }
        hits.order();
        Some(hits)
    }
}
