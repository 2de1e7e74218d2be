//! Which events are in doubt: an earlier process may have sent them, but received no answer.
//!
//! The checkpoint reserves a number of bytes beyond each cursor before they are sent. So after a kill just these
//! bytes are in doubt, as far as they existed when this process started. Events written since cannot have been sent.
//! Events in doubt are looked up before they are sent, which prevents duplicates after a crash.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::checkpoint::{ALL, Origin, Pair};
use crate::event::{Cursor, Fingerprint, Nanos};
use crate::input::Chunk;

/// The byte ranges in doubt of one input and output.
#[derive(Debug)]
pub(crate) struct InDoubt {
    /// The cursor of the earlier process.
    cursor: Cursor,
    reserved: u64,
    /// The rest of the reservation, for generations that the earlier process had not begun, in the order they are
    /// read.
    unbegun: u64,
    /// The scopes to which the earlier process sent.
    scopes: Arc<[String]>,
    /// By then the earlier requests have timed out.
    until: Instant,
    /// The latest event time that the cursor had reached. An older generation that was not begun appeared since, or
    /// was skipped.
    latest: Option<Nanos>,
    restored: HashSet<Fingerprint>,
    /// Stretches that this process sent in part and then gave up, to start them over.
    given_up: Vec<(Fingerprint, Range<u64>)>,
}

impl InDoubt {
    /// What is in doubt for a pair, given the origin of its checkpoint: nothing after a clean shutdown or at a first
    /// start, everything that exists if the last checkpoint could not be read.
    pub(crate) fn new(pair: &Pair, origin: &Origin, scope: &str, until: Instant) -> Self {
        let reserved = match origin {
            Origin::First => 0,
            Origin::Current => pair.reserved,
            Origin::Previous(_) | Origin::Lost(_) | Origin::Restored(_) => ALL,
        };
        let mut scopes = pair.scopes.clone();
        if !scopes.iter().any(|other| other == scope) {
            scopes.push(scope.to_owned());
        }
        Self {
            cursor: pair.cursor.clone(),
            reserved,
            unbegun: reserved,
            scopes: scopes.into(),
            until,
            latest: pair.cursor.generations.values().filter_map(|progress| progress.time).max(),
            restored: HashSet::new(),
            given_up: Vec::new(),
        }
    }

    /// The checkpoint is older than the events that were sent: everything that exists may be stored.
    pub(super) fn doubt_all(&mut self) {
        (self.reserved, self.unbegun) = (ALL, ALL);
    }

    /// At most this many bytes beyond each cursor are in doubt.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// The scopes to which an earlier process may have sent, and when its requests are over.
    pub(super) fn earlier(&self) -> (Arc<[String]>, Instant) {
        (Arc::clone(&self.scopes), self.until)
    }

    /// This process may have sent parts of this stretch; its requests are over at `until`.
    pub(super) fn give_up(&mut self, generation: Fingerprint, stretch: Range<u64>, until: Instant) {
        self.until = self.until.max(until);
        self.given_up.push((generation, stretch));
    }

    /// Whether a chunk may have been sent before.
    pub(super) fn holds(&mut self, chunk: &Chunk) -> bool {
        let (start, end) = (chunk.batch.start, chunk.batch.end);
        let first = chunk.batch.passed.first;
        self.holds_range(chunk.generation, start..end, chunk.existed, first) || chunk.again
    }

    /// Whether this chunk shows that everything in doubt was handed out before it. The reader takes the oldest file
    /// first, so that is so once it hands out bytes that are newer than this process. A chunk without bytes, such as
    /// the end of a file that is gone, shows nothing: younger files may follow that existed at the start, too.
    pub(super) fn end_before(chunk: &Chunk) -> bool {
        let (start, end) = (chunk.batch.start, chunk.batch.end);
        start < end && start >= chunk.existed && !chunk.again
    }

    fn holds_range(
        &mut self,
        generation: Fingerprint,
        Range { start, end }: Range<u64>,
        existed: u64,
        first: Option<Nanos>,
    ) -> bool {
        let given_up = |(fingerprint, range): &(Fingerprint, Range<u64>)| {
            *fingerprint == generation && range.start < end && start < range.end
        };
        if self.given_up.iter().any(given_up) {
            // Chunks come in order, so a stretch that ends here does not come again.
            self.given_up
                .retain(|(fingerprint, range)| *fingerprint != generation || range.end > end);
            return true;
        }
        if self.reserved == 0 || start >= existed {
            return false;
        }
        if let Some(progress) = self.cursor.generations.get(&generation) {
            return start < progress.offset.saturating_add(self.reserved);
        }
        let holds = self.unbegun > 0;
        // An old file that was restored in the meantime does not use up the reservation of the files that followed.
        let restored =
            start == 0 && first.zip(self.latest).is_some_and(|(first, latest)| first < latest);
        if restored {
            self.restored.insert(generation);
        }
        if self.unbegun != ALL && !self.restored.contains(&generation) {
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

    fn doubts(reserved: u64, origin: &Origin) -> InDoubt {
        let progress = Progress { offset: 100, ..Progress::default() };
        let cursor = Cursor { generations: [(BEGUN, progress)].into(), since: None, watched: None };
        let pair = Pair { cursor, reserved, scopes: vec!["old".into()], ..Pair::default() };
        InDoubt::new(&pair, origin, "new", Instant::now())
    }

    #[test]
    fn just_what_was_reserved_and_existed_is_in_doubt() {
        let mut doubts = doubts(50, &Origin::Current);
        assert!(doubts.holds_range(BEGUN, 100..120, 1000, None));
        assert!(doubts.holds_range(BEGUN, 140..160, 1000, None));
        assert!(!doubts.holds_range(BEGUN, 150..160, 1000, None));
        assert!(!doubts.holds_range(BEGUN, 120..140, 120, None));
        assert!(doubts.holds_range(NEW, 0..40, 1000, None));
        assert!(doubts.holds_range(NEW, 40..80, 1000, None));
        assert!(!doubts.holds_range(NEW, 80..90, 1000, None));
        assert_eq!(*doubts.scopes, ["old", "new"]);
    }

    #[test]
    fn an_old_file_restored_while_nothing_ran_does_not_hide_what_was_under_way() {
        let progress = Progress { offset: 100, time: Some(7), ..Progress::default() };
        let cursor = Cursor { generations: [(BEGUN, progress)].into(), since: None, watched: None };
        let pair = Pair { cursor, reserved: 50, ..Pair::default() };
        let mut doubts = InDoubt::new(&pair, &Origin::Current, "", Instant::now());
        let restored = Fingerprint([3; 16]);
        assert!(doubts.holds_range(restored, 0..40, 1000, Some(3)));
        assert!(doubts.holds_range(restored, 40..90, 1000, Some(3)));
        assert!(doubts.holds_range(NEW, 0..40, 1000, Some(8)));
        assert!(doubts.holds_range(NEW, 40..80, 1000, Some(9)));
        assert!(!doubts.holds_range(NEW, 80..90, 1000, Some(9)));
    }

    #[test]
    fn the_end_of_a_file_that_is_gone_ends_no_doubt_and_new_bytes_do() {
        let mut chunk = Chunk::end(BEGUN, "audit.log".into(), Progress::default());
        assert!(!InDoubt::end_before(&chunk));
        chunk.batch.end = chunk.batch.start + 1;
        assert!(InDoubt::end_before(&chunk));
        chunk.existed = chunk.batch.end;
        assert!(!InDoubt::end_before(&chunk));
    }

    #[test]
    fn what_this_process_gave_up_is_in_doubt_until_it_has_been_read_again() {
        let mut doubts = doubts(0, &Origin::Current);
        doubts.give_up(NEW, 10..30, Instant::now());
        assert!(!doubts.holds_range(NEW, 0..10, 0, None));
        assert!(doubts.holds_range(NEW, 10..20, 0, None));
        assert!(doubts.holds_range(NEW, 20..40, 0, None));
        assert!(!doubts.holds_range(NEW, 20..40, 0, None));
    }

    #[test]
    fn nothing_is_in_doubt_after_a_clean_end_and_everything_after_a_damaged_checkpoint() {
        assert!(!doubts(0, &Origin::Current).holds_range(BEGUN, 100..120, 1000, None));
        assert!(!doubts(50, &Origin::First).holds_range(NEW, 0..120, 1000, None));
        let mut all = doubts(0, &Origin::Lost(String::new()));
        for start in [0, 1 << 40] {
            assert!(all.holds_range(NEW, start..start + 1, u64::MAX, None));
        }
        assert!(!all.holds_range(NEW, 10..20, 10, None));
    }
}
