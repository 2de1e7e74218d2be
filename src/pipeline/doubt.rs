//! What may have been sent by an earlier process, whose answers nobody heard.
//!
//! The checkpoint reserves so many bytes beyond each cursor before they are sent, so after a kill just these are in
//! doubt, as far as they existed when this process began. Events written since cannot have been sent.

use std::collections::HashSet;
use std::time::Instant;

use crate::checkpoint::{ALL, Origin, Pair};
use crate::event::{Cursor, Fingerprint};
use crate::input::Chunk;

/// The stretches in doubt of one pair.
#[derive(Debug)]
pub(crate) struct Doubts {
    /// Where the earlier process stood.
    cursor: Cursor,
    reserved: u64,
    /// What is left of the reservation for generations that it had not begun, in the order they are read.
    unbegun: u64,
    /// Where it sent to.
    pub(super) scopes: Vec<String>,
    /// The earlier attempts have passed their own time-outs by then.
    pub(super) until: Instant,
    /// Files that are read from their beginning again, because they are not what they were.
    again: HashSet<Fingerprint>,
}

impl Doubts {
    /// What is in doubt for a pair, given where its checkpoint came from. Nothing is, after a clean end or at a first
    /// start; everything that exists is, if the last checkpoint could not be read.
    pub(crate) fn new(pair: &Pair, origin: &Origin, scope: &str, until: Instant) -> Self {
        let reserved = match origin {
            Origin::First => 0,
            Origin::Current => pair.reserved,
            Origin::Previous(_) | Origin::Lost(_) => ALL,
        };
        let mut scopes = pair.scopes.clone();
        if !scopes.iter().any(|other| other == scope) {
            scopes.push(scope.to_owned());
        }
        Self {
            cursor: pair.cursor.clone(),
            reserved,
            unbegun: reserved,
            scopes,
            until,
            again: HashSet::new(),
        }
    }

    /// How much is in doubt, at most, beyond each cursor.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// All that is read of this generation from now on may have been sent before, under other positions.
    pub(super) fn read_again(&mut self, generation: Fingerprint) {
        self.again.insert(generation);
    }

    /// Whether a chunk may have been sent before.
    pub(super) fn holds(&mut self, chunk: &Chunk) -> bool {
        let (start, end) = (chunk.batch.start, chunk.batch.end);
        self.holds_range(chunk.generation, start, end, chunk.existed)
    }

    fn holds_range(&mut self, generation: Fingerprint, start: u64, end: u64, existed: u64) -> bool {
        if self.again.contains(&generation) {
            return true;
        }
        if self.reserved == 0 || start >= existed {
            return false;
        }
        if let Some(progress) = self.cursor.generations.get(&generation) {
            return start < progress.offset.saturating_add(self.reserved);
        }
        let holds = self.unbegun > 0;
        if self.unbegun != ALL {
            self.unbegun = self.unbegun.saturating_sub(end - start);
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Progress;

    const BEGUN: Fingerprint = Fingerprint([1; 16]);
    const NEW: Fingerprint = Fingerprint([2; 16]);

    fn doubts(reserved: u64, origin: &Origin) -> Doubts {
        let progress = Progress { offset: 100, ..Progress::default() };
        let cursor = Cursor { generations: [(BEGUN, progress)].into(), since: None };
        let pair = Pair { cursor, reserved, scopes: vec!["old".into()], ..Pair::default() };
        Doubts::new(&pair, origin, "new", Instant::now())
    }

    #[test]
    fn just_what_was_reserved_and_existed_is_in_doubt() {
        let mut doubts = doubts(50, &Origin::Current);
        assert!(doubts.holds_range(BEGUN, 100, 120, 1000));
        assert!(doubts.holds_range(BEGUN, 140, 160, 1000));
        assert!(!doubts.holds_range(BEGUN, 150, 160, 1000));
        assert!(!doubts.holds_range(BEGUN, 120, 140, 120));
        assert!(doubts.holds_range(NEW, 0, 40, 1000));
        assert!(doubts.holds_range(NEW, 40, 80, 1000));
        assert!(!doubts.holds_range(NEW, 80, 90, 1000));
        assert_eq!(doubts.scopes, ["old", "new"]);
    }

    #[test]
    fn nothing_is_in_doubt_after_a_clean_end_and_everything_after_a_damaged_checkpoint() {
        assert!(!doubts(0, &Origin::Current).holds_range(BEGUN, 100, 120, 1000));
        assert!(!doubts(50, &Origin::First).holds_range(NEW, 0, 120, 1000));
        let mut all = doubts(0, &Origin::Lost(String::new()));
        for start in [0, 1 << 40] {
            assert!(all.holds_range(NEW, start, start + 1, u64::MAX));
        }
        assert!(!all.holds_range(NEW, 10, 20, 10));
    }
}
