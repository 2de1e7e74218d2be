//! Marks (hashes of earlier places) behind a cursor at growing distances. If a file was truncated or altered below
//! the cursor, they show how much of it is unchanged.
//!
//! There are only few. Where there was a place to keep, each mark is at most four times as far back as the next one.
//! So the amount to read again is in proportion to the amount that was lost.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Fingerprint, Key, Nanos};

/// Hash of the bytes just before an offset. With it the reader notices that a file was truncated or replaced, and does
/// not read on at the wrong place.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Mark {
    /// Number of bytes, at most 4096.
    pub length: u32,
    /// Keyed hash of these bytes.
    pub hash: Fingerprint,
}

impl Mark {
    /// Bytes hashed: the end of the last line, which holds its time stamps.
    pub const LENGTH: usize = 4096;

    /// The mark of the offset at which the bytes `before` end.
    pub fn of(before: &[u8], key: &Key) -> Option<Self> {
        let bytes = &before[before.len().saturating_sub(Self::LENGTH)..];
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length > 0)?;
        Some(Self { length, hash: key.hash(bytes) })
    }
}

/// A place that the cursor has passed, with its mark.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Earlier {
    /// Offset in decompressed bytes, at the end of a line.
    pub at: u64,
    /// Time of the last event before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Nanos>,
    /// The mark of the bytes before it.
    pub mark: Mark,
}

/// The remembered places of one generation, in order. Cloning is cheap.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Marks(Arc<[Earlier]>);

impl Marks {
    /// The nearest mark is at least this many bytes back, and marks near it are at most this far apart.
    pub const NEAREST: u64 = 4096;
    /// Each mark is at most this many times further back than the next one.
    const RATIO: u64 = 4;
    /// Bytes hashed for such a mark: a line's end with its time stamps.
    const LENGTH: usize = 1024;
    /// Enough for any distance, with the ratio above.
    const MOST: usize = 18;

    /// Whether there is no mark.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From the furthest to the nearest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Earlier> {
        self.0.iter()
    }

    /// The marks below an offset.
    #[must_use]
    pub fn before(&self, offset: u64) -> Self {
        Self(self.0.iter().filter(|earlier| earlier.at < offset).copied().collect())
    }

    /// The marks after the cursor moved from `from` to `end`. `tail` holds the last bytes before `end`, whole lines
    /// only, as far as they were read in one go.
    #[must_use]
    pub fn moved(&self, from: Option<Earlier>, end: u64, tail: &[u8], key: &Key) -> Self {
        let last = self.0.last().map_or(0, |last| last.at);
        let from = from.filter(|from| from.at >= last + Self::NEAREST);
        let inner = Self::within(end, tail, key);
        if from.is_none() && inner.is_empty() {
            return self.clone();
        }
        let mut all = self.0.to_vec();
        all.extend(from);
        all.extend(inner);
        Self(thinned(&all, end).into())
    }

    /// Marks of places within `tail`.
    fn within(end: u64, tail: &[u8], key: &Key) -> Vec<Earlier> {
        let mut found: Vec<Earlier> = Vec::new();
        let mut distance = Self::NEAREST;
        while let Some(length) =
            usize::try_from(distance).ok().and_then(|back| tail.len().checked_sub(back))
        {
            let Some(newline) = memchr::memrchr(b'\n', &tail[..length]) else { break };
            let before = &tail[(newline + 1).saturating_sub(Self::LENGTH)..=newline];
            let at = end - (tail.len() - newline - 1) as u64;
            if found.last().is_none_or(|last| at < last.at)
                && let Some(mark) = Mark::of(before, key)
            {
                found.push(Earlier { at, time: None, mark });
            }
            distance *= Self::RATIO;
        }
        found.reverse();
        found
    }
}

/// Drops marks between two that are near enough to each other, as seen from `end`.
fn thinned(all: &[Earlier], end: u64) -> Vec<Earlier> {
    let distance = |earlier: &Earlier| end.saturating_sub(earlier.at).max(Marks::NEAREST);
    let mut kept: Vec<Earlier> = Vec::new();
    for (index, earlier) in all.iter().enumerate().rev() {
        let further = index.checked_sub(1).map(|index| distance(&all[index]));
        let nearer = kept.last().map_or(Marks::NEAREST / Marks::RATIO, distance);
        // The furthest mark is always kept.
        if further.is_none_or(|further| further > nearer.saturating_mul(Marks::RATIO)) {
            kept.push(*earlier);
        }
    }
    kept.truncate(Marks::MOST);
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([1; 32]);

    /// Moves the cursor over `length` bytes of lines of `line` bytes, `lines` at a time.
    fn pass(marks: &mut Marks, length: usize, line: usize, lines: usize) -> u64 {
        let text = [vec![b'x'; line - 1], vec![b'\n']].concat().repeat(lines);
        let mut from: Option<Earlier> = None;
        let mut at = 0;
        while at < length as u64 {
            let end = at + text.len() as u64;
            *marks = marks.moved(from, end, &text, &KEY);
            from = Mark::of(&text, &KEY).map(|mark| Earlier { at: end, time: None, mark });
            at = end;
        }
        at
    }

    #[test]
    fn a_mark_depends_on_the_bytes_and_on_the_key() {
        let (key, other) = (Key([1; 32]), Key([2; 32]));
        let mark = Mark::of(b"line\n", &key).unwrap();
        assert_eq!(Mark::of(b"line\n", &key), Some(mark));
        assert_ne!(Mark::of(b"lime\n", &key), Some(mark));
        assert_ne!(Mark::of(b"line\n", &other), Some(mark));
        assert_eq!(Mark::of(b"", &key), None);
    }

    #[test]
    fn marks_stand_at_growing_distances_and_are_few() {
        for (line, lines, length) in
            [(3000, 1, 10_000_000), (700, 1500, 100_000_000), (1_500_000, 1, 300_000_000)]
        {
            let mut marks = Marks::default();
            let end = pass(&mut marks, length, line, lines);
            let distances: Vec<_> = marks.iter().rev().map(|earlier| end - earlier.at).collect();
            assert!(distances.len() <= 16, "{distances:?}");
            let nearest = 2 * Marks::NEAREST.max(line as u64) + Marks::NEAREST;
            assert!(distances[0] <= 4 * nearest, "{distances:?}");
            for pair in distances.windows(2) {
                // At most: a dropped mark may lie between two kept ones.
                assert!(pair[1] <= pair[0].max(nearest) * 16, "{distances:?}");
            }
            assert!(distances.last().unwrap() * 2 > end, "{distances:?}");
        }
    }

    #[test]
    fn marks_within_what_was_read_at_once_are_at_ends_of_lines() {
        let text: Vec<u8> = (0..40_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let marks = Marks::default().moved(None, 1000 + text.len() as u64, &text, &KEY);
        assert!(marks.iter().count() >= 3);
        for earlier in marks.iter() {
            let at = usize::try_from(earlier.at - 1000).unwrap();
            assert_eq!(text[at - 1], b'\n');
            assert_eq!(
                Mark::of(&text[at - earlier.mark.length as usize..at], &KEY),
                Some(earlier.mark)
            );
        }
    }

    #[test]
    fn what_was_written_reads_as_it_was() {
        let mut marks = Marks::default();
        pass(&mut marks, 100_000, 300, 3);
        let json = serde_json::to_string(&marks).unwrap();
        assert_eq!(serde_json::from_str::<Marks>(&json).unwrap(), marks);
    }
}
