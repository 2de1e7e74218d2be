//! The contiguous acknowledged prefix: the output acknowledges chunks in any order, and they leave here in read
//! order.

use std::collections::VecDeque;

/// Chunks in flight, oldest first. `T` says what to do once a chunk and all before it are acknowledged.
#[derive(Debug)]
pub(super) struct Acks<T> {
    first: u64,
    waiting: VecDeque<(T, bool)>,
}

impl<T> Default for Acks<T> {
    fn default() -> Self {
        Self { first: 0, waiting: VecDeque::new() }
    }
}

impl<T> Acks<T> {
    /// Enters a chunk; returns its ticket.
    pub(super) fn enter(&mut self, chunk: T) -> u64 {
        self.waiting.push_back((chunk, false));
        self.first + self.waiting.len() as u64 - 1
    }

    /// A chunk in flight, by its ticket.
    pub(super) fn at(&mut self, ticket: u64) -> Option<&mut T> {
        let index = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        self.waiting.get_mut(index).map(|(chunk, _)| chunk)
    }

    /// Acknowledges a chunk; returns the chunks that leave, in order.
    pub(super) fn acknowledge(&mut self, ticket: u64) -> Vec<T> {
        let index = usize::try_from(ticket.saturating_sub(self.first)).unwrap_or(usize::MAX);
        if let Some((_, done)) = self.waiting.get_mut(index) {
            *done = true;
        }
        let mut leaving = Vec::new();
        while let Some((chunk, _)) = self.waiting.pop_front_if(|(_, done)| *done) {
            leaving.push(chunk);
            self.first += 1;
        }
        leaving
    }

    /// Whether `such` holds for any chunk that is not acknowledged yet.
    pub(super) fn any(&self, such: impl Fn(&T) -> bool) -> bool {
        self.waiting.iter().any(|(chunk, done)| !done && such(chunk))
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The oldest chunk in flight.
    pub(super) fn oldest(&self) -> Option<&T> {
        self.waiting.front().map(|(chunk, _)| chunk)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_later_answer_does_not_carry_the_cursor_past_an_earlier_chunk() {
        let mut acks = Acks::default();
        let tickets: Vec<_> = ["a", "b", "c"].map(|chunk| acks.enter(chunk)).into();
        assert_eq!(acks.acknowledge(tickets[1]), [""; 0]);
        assert_eq!(acks.acknowledge(tickets[0]), ["a", "b"]);
        assert_eq!(acks.oldest(), Some(&"c"));
        assert_eq!(acks.acknowledge(tickets[2]), ["c"]);
        assert!(acks.is_empty());
    }

    proptest! {
        #[test]
        fn in_whatever_order_answers_come_chunks_leave_in_theirs(order in Just((0_u64..20).collect::<Vec<_>>()).prop_shuffle()) {
            let mut acks = Acks::default();
            (0..20_u64).for_each(|chunk| assert_eq!(acks.enter(chunk), chunk));
            let mut left = Vec::new();
            let mut answered = Vec::new();
            for ticket in order {
                answered.push(ticket);
                left.extend(acks.acknowledge(ticket));
                prop_assert!(left.iter().all(|chunk| answered.contains(chunk)));
                let prefix = (0..20).take_while(|chunk| answered.contains(chunk)).count();
                prop_assert_eq!(left.len(), prefix);
            }
            prop_assert_eq!(left, (0..20).collect::<Vec<_>>());
        }
    }
}
