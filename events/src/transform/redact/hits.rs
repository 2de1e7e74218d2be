//! The hits of the prefilter: places of a line or a text that may hold a secret.

use std::cell::Cell;
use std::ops::Range;

use super::patterns::What;
use super::vector_search::{Found, look};
use super::{base64_runs, written};

/// One place that may hold a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hit {
    pub(super) at: u32,
    pub(super) what: What,
}

/// How far hits reach beyond their places.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Reach {
    #[default]
    Place,
    /// One says that an object is a Secret: other members of the object matter, which have no hits.
    Object,
    /// Any place may hold a secret, so everything has to be walked.
    Everywhere,
}

impl Reach {
    pub(super) fn at_least(&mut self, other: Self) {
        *self = (*self).max(other);
    }
}

/// The hits of a line or a text, in order.
#[derive(Debug, Default)]
pub(super) struct Hits {
    all: Vec<Hit>,
    pub(super) reach: Reach,
    /// There were too many hits, and some are missing.
    pub(super) overflow: bool,
}

/// Maximum number of hits in one line or text, to bound memory. A list of a hundred thousand Secrets has fewer.
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
        (self.reach, self.overflow) = (Reach::Place, false);
    }

    /// Adds the hits of a range that begins at `at`.
    pub(super) fn extend(&mut self, at: usize, other: &Self) {
        other.all.iter().for_each(|hit| self.push(at + hit.at as usize, hit.what));
        self.reach.at_least(other.reach);
        self.overflow |= other.overflow;
    }

    /// Makes the places relative to `at`.
    pub(super) fn back(&mut self, at: usize) {
        for hit in &mut self.all {
            hit.at = hit.at.saturating_sub(u32::try_from(at).unwrap_or(u32::MAX));
        }
    }

    /// Sorts the hits by place and removes duplicates.
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

    /// The hits that begin in a range.
    pub(super) fn within(&self, at: Range<usize>) -> &[Hit] {
        let first = self.all.partition_point(|hit| (hit.at as usize) < at.start);
        let count = self.all[first..].partition_point(|hit| (hit.at as usize) < at.end);
        &self.all[first..first + count]
    }

    /// The last hit before a place, and the first at or after it.
    pub(super) fn around(&self, at: usize) -> (Option<usize>, Option<usize>) {
        let next = self.all.partition_point(|hit| (hit.at as usize) < at);
        let place = |hit: &Hit| hit.at as usize;
        (self.all[..next].last().map(place), self.all.get(next).map(place))
    }

    /// Translates the hits in a string as it is written (at `at`) to places in its decoded text. Searching the text
    /// again would cost as much as the first search. `None` if escapes may hide more hits.
    pub(super) fn read(&self, raw: &[u8], at: Range<usize>, text: &[u8]) -> Option<Self> {
        let here = self.within(at.clone());
        // After another backslash it is not an escape of this string but part of its text.
        let escapes = |hit: &Hit| {
            let before = raw.get(..hit.at as usize - at.start).unwrap_or_default();
            before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
        };
        let hidden = here.iter().any(|hit| hit.what == What::Escape && escapes(hit));
        // The effect of an escaped `<` or `&` on the words around it shows only in the decoded text.
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
        // The letter of an escape may extend a run.
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

/// The hits of a line, for a walk that asks again and again for the next one.
#[derive(Debug)]
pub(super) struct HitLookup<'h> {
    pub(super) all: &'h Hits,
    /// A cached range without hits, and where it ends; most queries fall into it again.
    quiet: Cell<(usize, usize)>,
}

impl<'h> HitLookup<'h> {
    pub(super) fn new(all: &'h Hits) -> Self {
        Self { all, quiet: Cell::new((1, 0)) }
    }

    /// The place of the first hit at or after `at`.
    pub(super) fn next(&self, at: usize) -> usize {
        let (from, to) = self.quiet.get();
        if from <= at && at <= to {
            return to;
        }
        let (last, next) = self.all.around(at);
        let next = next.unwrap_or(usize::MAX);
        self.quiet.set((last.map_or(0, |last| last + 1), next));
        next
    }
}
