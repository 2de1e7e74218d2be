//! The hits of the prefilter: places of a line or a text that may hold a secret.

use std::cell::Cell;
use std::ops::Range;

use super::ahead::WayToHit;
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

/// The hits of a line, for a walk that asks for the next one again and again. The places that it asks about grow, but
/// for a few steps back.
#[derive(Debug)]
pub(super) struct HitLookup<'h> {
    pub(super) all: &'h Hits,
    /// The index of the hit that the last question found.
    near: Cell<usize>,
    /// The way to the next hit.
    pub(super) ahead: WayToHit,
}

/// How many hits are passed one by one before a binary search.
const STEPS: usize = 4;

impl<'h> HitLookup<'h> {
    pub(super) fn new(all: &'h Hits) -> Self {
        Self { all, near: Cell::new(0), ahead: WayToHit::default() }
    }

    /// The place of the first hit at or after `at`.
    #[inline]
    pub(super) fn next(&self, at: usize) -> usize {
        self.place(self.index(at))
    }

    /// The hits that begin in a range.
    pub(super) fn within(&self, at: &Range<usize>) -> &'h [Hit] {
        let rest = &self.all.all[self.index(at.start)..];
        let count = rest.iter().take_while(|hit| (hit.at as usize) < at.end).count();
        &rest[..count]
    }

    /// The place of a hit by its index; beyond any line if there is none.
    #[inline]
    fn place(&self, index: usize) -> usize {
        self.all.all.get(index).map_or(usize::MAX, |hit| hit.at as usize)
    }

    /// The index of the first hit at or after `at`.
    #[inline]
    fn index(&self, at: usize) -> usize {
        let near = self.near.get();
        if near == 0 || self.place(near - 1) < at {
            for index in near..near + STEPS {
                if self.place(index) >= at {
                    self.near.set(index);
                    return index;
                }
            }
        }
        let index = self.all.all.partition_point(|hit| (hit.at as usize) < at);
        self.near.set(index);
        index
    }
}
