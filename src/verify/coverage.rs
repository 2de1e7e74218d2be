//! Whether an event of the store must be in the files that were read: the store may also hold events of other files.

use std::collections::HashSet;

use super::log::Generation;
use crate::event::Fingerprint;

/// In milliseconds: the first events of a stretch may belong to a deleted file before it, because the API server
/// writes slightly out of order.
const EDGE: i64 = 10_000;
/// In milliseconds: the API server writes an event to the log within this time.
const LATE: i64 = 60_000;

/// The times and generations that the files cover. Times are in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Coverage {
    fingerprints: HashSet<Fingerprint>,
    stretches: Vec<(i64, i64)>,
    /// Events from this time on may have been written after the files were read.
    settled: i64,
}

impl Coverage {
    /// `began`: when the first file was opened.
    pub(super) fn new(generations: &[Generation], began: i64) -> Self {
        let fingerprints = generations.iter().map(|generation| generation.fingerprint).collect();
        let mut times: Vec<_> =
            generations.iter().filter_map(|generation| generation.times).collect();
        times.sort_unstable();
        let mut stretches: Vec<(i64, i64)> = Vec::new();
        for (first, last) in times {
            match stretches.last_mut() {
                Some((_, end)) if first.saturating_sub(*end) <= EDGE => *end = last.max(*end),
                _ => stretches.push((first, last)),
            }
        }
        for (first, last) in &mut stretches {
            *first += EDGE.min(last.saturating_sub(*first) / 20);
        }
        Self { fingerprints, stretches, settled: began.saturating_sub(LATE) }
    }

    /// Whether an event of this time, with this generation in its id, must be in the files that were read.
    pub(super) fn covers(&self, millis: i64, generation: Option<Fingerprint>) -> bool {
        match generation {
            _ if millis >= self.settled => false,
            Some(fingerprint) => self.fingerprints.contains(&fingerprint),
            None => {
                let within = |(first, last): &(i64, i64)| (*first..=*last).contains(&millis);
                self.stretches.iter().any(within)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(fingerprint: u8, times: Option<(i64, i64)>) -> Generation {
        Generation { fingerprint: Fingerprint([fingerprint; 16]), file: "a".into(), times }
    }

    #[test]
    fn what_lies_between_files_and_what_is_too_young_is_not_extra() {
        let hour = 3_600_000;
        let all = [
            generation(1, Some((2 * hour, 3 * hour))),
            generation(2, Some((0, hour))),
            generation(3, Some((3 * hour + 5, 4 * hour))),
            generation(4, None),
        ];
        let coverage = Coverage::new(&all, 4 * hour);
        let covers = |millis| coverage.covers(millis, None);
        assert!(covers(hour) && covers(3 * hour + 2) && covers(2 * hour + EDGE));
        assert!(!covers(0) && !covers(hour + 1) && !covers(2 * hour) && !covers(4 * hour - LATE));
        let of = |fingerprint| coverage.covers(hour + 1, Some(Fingerprint([fingerprint; 16])));
        assert!(of(1) && !of(9));
    }
}
