//! Whether an event on disk must be in the store: that depends on the agent's cursor.

use std::collections::HashSet;

use crate::event::{Cursor, Nanos, Position};

/// What is expected of an event on disk.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Expect {
    /// It must be in the store.
    Stored = 0,
    /// The cursor has not passed it, or its acknowledgement is not known yet: it may be in the store.
    Pending = 1,
    /// The store refused it for good: it is a dead letter.
    Refused = 2,
    /// The present policy or `where` leaves it out; an earlier one may not have.
    Dropped = 3,
}

impl Expect {
    pub(super) fn of(byte: u8) -> Self {
        [Self::Stored, Self::Pending, Self::Refused, Self::Dropped][usize::from(byte & 3)]
    }
}

/// The delivery state of one pair of an input and an output.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    /// `None`: no agent is known that could still be delivering, so every event must be in the store.
    pub(crate) cursor: Option<Cursor>,
    pub(crate) letters: HashSet<Position>,
}

impl Delivered {
    /// Event time of the newest event that the cursor has passed.
    pub(crate) fn newest(&self) -> Option<Nanos> {
        self.cursor.as_ref()?.generations.values().filter_map(|progress| progress.time).max()
    }

    pub(super) fn expect(&self, position: Position, time: Nanos) -> Expect {
        if self.letters.contains(&position) {
            return Expect::Refused;
        }
        let Some(cursor) = &self.cursor else { return Expect::Stored };
        if cursor.since.is_some_and(|since| time < since) {
            return Expect::Pending;
        }
        let passed = match cursor.generations.get(&position.generation) {
            Some(progress) => progress.complete || position.offset < progress.offset,
            // The cursor does not name this generation: it was forgotten, is from elsewhere, or is not begun yet. In
            // the last case its events are newer than every delivered one.
            None => self.newest().is_some_and(|newest| time <= newest),
        };
        if passed { Expect::Stored } else { Expect::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fingerprint, Progress, RecordKind};

    fn at(generation: u8, offset: u64) -> Position {
        Position { generation: Fingerprint([generation; 16]), offset, whole: RecordKind::Event }
    }

    #[test]
    fn only_what_the_cursor_has_passed_has_to_be_there() {
        let mut cursor = Cursor::default();
        let progress = |offset, complete, time| Progress {
            offset,
            complete,
            time: Some(time),
            ..Progress::default()
        };
        cursor.generations.insert(Fingerprint([1; 16]), progress(10, true, 100));
        cursor.generations.insert(Fingerprint([2; 16]), progress(10, false, 200));
        let letters = [at(2, 5)].into();
        let delivered = Delivered { cursor: Some(cursor), letters };
        let expect = |generation, offset, time| delivered.expect(at(generation, offset), time);
        assert_eq!(expect(1, 10, 100), Expect::Stored);
        assert_eq!(expect(2, 9, 200), Expect::Stored);
        assert_eq!(expect(2, 10, 200), Expect::Pending);
        assert_eq!(expect(2, 5, 200), Expect::Refused);
        // A generation that the cursor does not name: events of an old one must be stored, those of a new one are
        // pending.
        assert_eq!((expect(3, 0, 150), expect(3, 0, 201)), (Expect::Stored, Expect::Pending));
        assert_eq!(Delivered::default().expect(at(3, 0), 201), Expect::Stored);
    }
}
