//! The digests of the bodies of the last ten minutes. The API server sends a body again, byte for byte, when it got no
//! answer; a body that is known is answered and not written.

use std::collections::{HashMap, VecDeque};

use super::markers::CarriedDigest;
use crate::event::Fingerprint;

/// How long a body is remembered, in seconds. The API server gives a batch up after 250 s at the latest
/// (`webhook.DefaultRetryBackoffWithInitialDelay` in apiserver's `pkg/util/webhook`, five attempts of 30 s).
const REMEMBERED: i64 = 600;
const MINUTE: i64 = 60;
/// The most bodies remembered; the oldest minute is forgotten first. About 10 MiB. In batches this is never reached;
/// in `blocking` mode, with one event a body, it is ten minutes of 330 requests a second.
const MOST: usize = 200_000;

/// The digests, by the minute of receipt, each with the number of the file that holds it.
#[derive(Debug, Default)]
pub(super) struct SeenBodies {
    minutes: VecDeque<(i64, HashMap<Fingerprint, u64>)>,
    count: usize,
}

impl SeenBodies {
    pub(super) fn contains(&self, digest: &Fingerprint) -> bool {
        self.minutes.iter().rev().any(|(_, digests)| digests.contains_key(digest))
    }

    /// Remembers a body that a file holds. `now` and `received` are seconds since 1970.
    pub(super) fn insert(&mut self, (digest, received): CarriedDigest, file: u64, now: i64) {
        self.forget(now);
        if received <= now - REMEMBERED {
            return;
        }
        // The clock may have been set back.
        let minute = received.min(now) / MINUTE;
        let at = match self.minutes.binary_search_by_key(&minute, |(minute, _)| *minute) {
            Ok(at) => at,
            Err(at) => {
                self.minutes.insert(at, (minute, HashMap::new()));
                at
            }
        };
        if self.minutes[at].1.insert(digest, file).is_none() {
            self.count += 1;
        }
    }

    /// Removes a body that could not be stored after all.
    pub(super) fn remove(&mut self, digest: &Fingerprint) {
        for (_, digests) in &mut self.minutes {
            self.count -= usize::from(digests.remove(digest).is_some());
        }
    }

    /// Forgets the bodies that are too old.
    pub(super) fn forget(&mut self, now: i64) {
        while self.minutes.front().is_some_and(|(minute, _)| {
            (minute + 1) * MINUTE <= now - REMEMBERED || self.count > MOST
        }) {
            let Some((_, digests)) = self.minutes.pop_front() else { return };
            self.count -= digests.len();
        }
    }

    /// The bodies that this file alone remembers.
    pub(super) fn held_by(&self, file: u64) -> Vec<CarriedDigest> {
        let minutes = self.minutes.iter();
        let each = minutes.flat_map(|(minute, digests)| {
            let held = digests.iter().filter(move |(_, holder)| **holder == file);
            held.map(move |(digest, _)| (*digest, minute * MINUTE))
        });
        each.collect()
    }

    /// Another file holds these bodies now.
    pub(super) fn carry(&mut self, from: u64, to: u64) {
        for holder in self.minutes.iter_mut().flat_map(|(_, digests)| digests.values_mut()) {
            if *holder == from {
                *holder = to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Fingerprint {
        Fingerprint([number; 16])
    }

    #[test]
    fn a_body_is_remembered_for_ten_minutes() {
        let mut seen = SeenBodies::default();
        seen.insert((digest(1), 6000), 1, 6000);
        seen.forget(6599);
        assert!(seen.contains(&digest(1)));
        seen.forget(6000 + 660);
        assert!(!seen.contains(&digest(1)));
        assert_eq!(seen.count, 0);
    }

    #[test]
    fn bodies_of_a_removed_file_are_carried_once() {
        let mut seen = SeenBodies::default();
        seen.insert((digest(1), 6000), 1, 6000);
        seen.insert((digest(2), 6001), 2, 6001);
        assert_eq!(seen.held_by(1), [(digest(1), 6000)]);
        seen.carry(1, 3);
        assert!(seen.held_by(1).is_empty());
        assert_eq!(seen.held_by(3).len(), 1);
        seen.remove(&digest(2));
        assert!(!seen.contains(&digest(2)));
        assert_eq!(seen.count, 1);
    }

    #[test]
    fn memory_is_bounded_by_forgetting_the_oldest_minute() {
        let mut seen = SeenBodies::default();
        for number in 0..=u32::try_from(MOST).unwrap() {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            seen.insert((Fingerprint(id), 6000 + i64::from(number) / 1000), 1, 6300);
        }
        seen.forget(6300);
        assert!(seen.count <= MOST);
        assert!(!seen.contains(&Fingerprint([0; 16])));
    }
}
