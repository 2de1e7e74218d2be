//! A walk remembers the objects and arrays around the next hit. So it reads the bytes before a hit once, and not once
//! for each object and array around it.

use crate::json::container_end_or_open;

/// Levels that are remembered. A walk asks about the first levels of a body only.
const LEVELS: usize = 16;

/// The objects and arrays around the next hit.
#[derive(Debug, Default)]
pub(super) struct WayToHit {
    /// Where the value that is walked ends, if it is known.
    pub(super) end: Option<usize>,
    /// The place of the hit that was looked for last.
    hit: usize,
    /// Where the objects and arrays around it begin, from the outermost one on. Never more than [`LEVELS`].
    around: Vec<usize>,
    /// The same for a look that is not over.
    open: Vec<usize>,
}

impl WayToHit {
    /// Looks for the end of the object or array at `at`, up to the hit. Returns the end, or `None` if the hit is in it.
    pub(super) fn end_before(&mut self, line: &[u8], at: usize, hit: usize) -> Option<usize> {
        if self.hit == hit && self.around.contains(&at) {
            return None;
        }
        let end = container_end_or_open(line.get(..hit)?, at, &mut self.open, LEVELS);
        if end.is_none() && self.hit != hit {
            self.hit = hit;
            std::mem::swap(&mut self.around, &mut self.open);
        }
        end
    }

    /// Where the element of this array begins that the hit is in, if it is an object or array and is known.
    pub(super) fn element(&self, array: usize, hit: usize) -> Option<usize> {
        let mut around = self.around.iter().filter(|_| self.hit == hit);
        around.find(|at| **at == array)?;
        around.next().copied()
    }
}
