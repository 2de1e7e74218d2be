//! Arranges the patterns that redaction searches for into groups, so that the search is fast. The search itself is in
//! `src/transform/redact/search.rs`.
//!
//! The search looks at four bytes of each pattern, and at their halves (nibbles) only. It stops at a place if each of
//! the four bytes fits any pattern of a group, and then compares the whole patterns. A stop without a match costs
//! time. There are fewer such stops if the patterns of a group are alike and their four bytes are rare. This script
//! chooses the group and the four bytes of each pattern: it tries changes, and keeps those with fewer stops in a
//! sample of audit events. Other events cost only speed: the search finds every pattern, whatever its group.

use std::fmt::Write as _;
use std::{env, fs, io, path};

#[path = "src/transform/redact/patterns.rs"]
#[allow(dead_code, reason = "the build needs the bytes of the patterns only")]
mod patterns;

use patterns::{COMMANDS, DEPTH, FOLD, GROUPS, LINE, Patterns};

/// Common kinds of events from a real API server.
const SAMPLE: &[u8] = include_bytes!("src/transform/redact/sample.ndjson");
/// Number of changes to try.
const TRIALS: usize = 12_000;

fn main() -> io::Result<()> {
    for file in
        ["build.rs", "src/transform/redact/patterns.rs", "src/transform/redact/sample.ndjson"]
    {
        println!("cargo::rerun-if-changed={file}");
    }
    let sample = Sample::new(SAMPLE);
    let mut code = String::new();
    for (name, patterns) in [("LINE_PLACES", LINE), ("COMMANDS_PLACES", COMMANDS)] {
        let places = arrange(patterns, &sample);
        let _ = writeln!(
            code,
            "/// Group and offset of each pattern.\nconst {name}: &[(u8, u8)] = &{places:?};"
        );
    }
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    fs::write(path::Path::new(&out).join("places.rs"), code)
}

/// A pattern, by its index, and the offset of its four bytes. A shorter pattern is searched for by all its bytes.
#[derive(Clone, Copy)]
struct Member {
    index: usize,
    offset: usize,
}

/// The group of each pattern, and the offset of its four bytes.
fn arrange(patterns: Patterns, sample: &Sample) -> Vec<(usize, usize)> {
    let mut groups = vec![Vec::new(); GROUPS];
    for index in 0..patterns.len() {
        groups[index % GROUPS].push(Member { index, offset: 0 });
    }
    let stops_for = |group: &[Member]| sample.stops(&Halves::of(group, patterns));
    let mut stops: Vec<_> = groups.iter().map(|group| stops_for(group)).collect();
    let mut chance = 0x9e37_79b9_u32;
    let mut pick = |of: usize| {
        chance ^= chance << 13;
        chance ^= chance >> 17;
        chance ^= chance << 5;
        chance as usize % of
    };
    for _ in 0..TRIALS {
        let (from, to) = (pick(GROUPS), pick(GROUPS));
        let mut one = groups[from].clone();
        if one.is_empty() {
            continue;
        }
        let mut moved = one.swap_remove(pick(one.len()));
        moved.offset = pick(patterns[moved.index].0.len().saturating_sub(DEPTH) + 1);
        if from == to {
            // The group stays the same; the search uses other bytes of one pattern.
            one.push(moved);
            let now = stops_for(&one);
            if now <= stops[from] {
                (groups[from], stops[from]) = (one, now);
            }
            continue;
        }
        let mut other = groups[to].clone();
        if pick(2) == 0 && !other.is_empty() {
            one.push(other.swap_remove(pick(other.len())));
        }
        other.push(moved);
        let now = (stops_for(&one), stops_for(&other));
        if now.0 + now.1 <= stops[from] + stops[to] {
            (groups[from], groups[to]) = (one, other);
            (stops[from], stops[to]) = now;
        }
    }
    let mut places = vec![(0, 0); patterns.len()];
    for (group, members) in groups.iter().enumerate() {
        for member in members {
            places[member.index] = (group, member.offset);
        }
    }
    places
}

/// The nibbles of a group's patterns at each of the four places: one bit for each of the 16 values.
#[derive(Default)]
struct Halves {
    low: [u16; DEPTH],
    high: [u16; DEPTH],
}

impl Halves {
    fn of(group: &[Member], patterns: Patterns) -> Self {
        let mut all = Self::default();
        for member in group {
            for place in 0..DEPTH {
                let byte = patterns[member.index].0.get(member.offset + place);
                let (low, high) = match byte.map(|byte| byte | FOLD) {
                    Some(byte) => (1 << (byte & 15), 1 << (byte >> 4)),
                    None => (u16::MAX, u16::MAX),
                };
                all.low[place] |= low;
                all.high[place] |= high;
            }
        }
        all
    }
}

/// The distinct sequences of four bytes in a sample. For each place and nibble value, a set of the sequences that have
/// it there: one bit for each sequence.
struct Sample {
    low: [[Vec<u64>; 16]; DEPTH],
    high: [[Vec<u64>; 16]; DEPTH],
}

impl Sample {
    fn new(bytes: &[u8]) -> Self {
        let folded: Vec<_> = bytes.iter().map(|byte| byte | FOLD).collect();
        let mut fours: Vec<_> = folded.windows(DEPTH).collect();
        fours.sort_unstable();
        fours.dedup();
        let none = vec![0; fours.len().div_ceil(64)];
        let empty = || [(); DEPTH].map(|()| [(); 16].map(|()| none.clone()));
        let mut all = Self { low: empty(), high: empty() };
        for (index, four) in fours.into_iter().enumerate() {
            for (place, byte) in four.iter().enumerate() {
                all.low[place][usize::from(byte & 15)][index / 64] |= 1 << (index % 64);
                all.high[place][usize::from(byte >> 4)][index / 64] |= 1 << (index % 64);
            }
        }
        all
    }

    /// The number of sequences at which the search would stop for a group.
    fn stops(&self, halves: &Halves) -> u32 {
        let mut left = vec![u64::MAX; self.low[0][0].len()];
        for place in 0..DEPTH {
            narrow(&mut left, &self.low[place], halves.low[place]);
            narrow(&mut left, &self.high[place], halves.high[place]);
        }
        left.iter().map(|word| word.count_ones()).sum()
    }
}

/// Clears the bits of sequences that have none of these nibbles.
fn narrow(left: &mut [u64], places: &[Vec<u64>; 16], halves: u16) {
    if halves == u16::MAX {
        return;
    }
    let mine: Vec<_> = (0..16).filter(|half| halves >> half & 1 == 1).collect();
    for (index, left) in left.iter_mut().enumerate().filter(|(_, left)| **left != 0) {
        *left &= mine.iter().fold(0, |any, half| any | places[*half][index]);
    }
}
