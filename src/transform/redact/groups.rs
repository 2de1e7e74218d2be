//! Sorts patterns into sets that are searched for quickly.
//!
//! The search (Teddy, of the crate `aho-corasick`) looks at as many bytes as the shortest pattern of its set has, four at
//! most, and takes 32 bytes in a step where a set has 32 patterns or fewer. It puts every eighth pattern of a set into one
//! group, and stops where each byte is one of any pattern of a group, by its two halves. So it stops in vain less often
//! the more alike the patterns of a group are, and the rarer their letters. The order that sees to that is found here.

use super::patterns::{Patterns, What};

/// Patterns of one search.
pub(super) type Set = Vec<(&'static [u8], What)>;

/// Patterns of a set.
const MOST: usize = 32;
/// Groups of a set.
const GROUPS: usize = 8;
/// Bytes that the search looks at.
const DEEPEST: usize = 4;
/// Exchanges of two patterns that are tried.
const TRIALS: usize = 4000;

/// How often a folded byte stands among a thousand of an audit log; others are rarer.
const FREQUENT: &[(u8, u16)] = &[
    (b' ', 85),
    (b'e', 82),
    (b'"', 67),
    (b'a', 50),
    (b'n', 49),
    (b't', 49),
    (b'o', 39),
    (b's', 38),
    (b'r', 37),
    (b'i', 36),
    (b':', 35),
    (b'l', 25),
    (b'u', 23),
    (b'c', 22),
    (b'|', 21),
    (b',', 21),
    (b'p', 20),
    (b'd', 20),
    (b'm', 18),
    (b'1', 17),
    (b'2', 16),
    (b'-', 15),
    (b'f', 15),
    (b'0', 15),
    (b'v', 14),
    (b'{', 12),
    (b'}', 12),
    (b'h', 12),
    (b'y', 12),
    (b'6', 11),
    (b'k', 11),
    (b'3', 9),
    (b'4', 9),
    (b'g', 9),
    (b'8', 9),
    (b'b', 9),
    (b'.', 8),
    (b'7', 8),
    (b'5', 8),
    (b'9', 8),
    (b'w', 5),
    (b'/', 4),
    (b')', 3),
    (b'(', 3),
    (0x7f, 2),
    (b'`', 2),
    (b'z', 2),
    (b'=', 1),
    (b'x', 1),
    (b';', 1),
    (b'q', 1),
    (b'j', 1),
];

/// The sets, each in the order in which it is to be searched for.
pub(super) fn sets(patterns: Patterns) -> Vec<Set> {
    let (short, long): (Vec<_>, Vec<_>) =
        patterns.iter().copied().partition(|(pattern, _)| pattern.len() < DEEPEST);
    [short, long]
        .into_iter()
        .filter(|some| !some.is_empty())
        .flat_map(|some| ordered(&some))
        .collect()
}

/// The sets of patterns of which each is deep enough.
fn ordered(patterns: &[(&'static [u8], What)]) -> Vec<Set> {
    let sets = patterns.len().div_ceil(MOST);
    let depth = patterns.iter().map(|(pattern, _)| pattern.len()).min().unwrap_or(0).min(DEEPEST);
    let mut groups = vec![Vec::new(); sets * GROUPS];
    for index in 0..patterns.len() {
        groups[index % (sets * GROUPS)].push(index);
    }
    let often = often();
    let cost =
        |group: &[usize]| stops(&group.iter().map(|index| patterns[*index].0), depth, &often);
    let mut costs: Vec<_> = groups.iter().map(|group| cost(group)).collect();
    let mut chance = 0x9e37_79b9_u32;
    let mut pick = |of: usize| {
        chance ^= chance << 13;
        chance ^= chance >> 17;
        chance ^= chance << 5;
        chance as usize % of.max(1)
    };
    for _ in 0..TRIALS {
        let (a, b) = (pick(groups.len()), pick(groups.len()));
        let (i, j) = (pick(groups[a].len()), pick(groups[b].len()));
        if a == b || groups[a].is_empty() || groups[b].is_empty() {
            continue;
        }
        let exchange = |groups: &mut [Vec<usize>]| {
            let (one, other) = (groups[a][i], groups[b][j]);
            (groups[a][i], groups[b][j]) = (other, one);
        };
        exchange(&mut groups);
        let now = (cost(&groups[a]), cost(&groups[b]));
        if now.0 + now.1 < costs[a] + costs[b] {
            (costs[a], costs[b]) = now;
        } else {
            exchange(&mut groups);
        }
    }
    // Groups with fewer patterns come last, so that every eighth pattern is one of the same group.
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    (0..sets)
        .map(|set| {
            let mine: Vec<_> = groups.iter().skip(set).step_by(sets).collect();
            let rows = mine.first().map_or(0, |group| group.len());
            let row = |row: usize| mine.iter().filter_map(move |group| group.get(row));
            (0..rows).flat_map(row).map(|index| patterns[*index]).collect()
        })
        .collect()
}

/// How often bytes stand in a log: by their upper half, then by their lower.
type Often = [[f64; 16]; 16];

fn often() -> Often {
    let mut often = [[0.0; 16]; 16];
    for (byte, count) in FREQUENT {
        often[usize::from(byte >> 4)][usize::from(byte & 15)] = f64::from(*count) / 1000.0;
    }
    often
}

/// How often a search stops for a group, in parts of what all groups together could cost.
fn stops(
    group: &(impl Iterator<Item = &'static [u8]> + Clone),
    depth: usize,
    often: &Often,
) -> f64 {
    (0..depth)
        .map(|place| {
            let (mut low, mut high) = (0_u16, 0_u16);
            for pattern in group.clone() {
                let byte = pattern[place] | 0x20;
                low |= 1 << (byte & 15);
                high |= 1 << (byte >> 4);
            }
            let row = |high: usize| ones(low).map(move |low| often[high][low]).sum::<f64>();
            0.0005 + ones(high).map(row).sum::<f64>()
        })
        .product()
}

/// The places of the bits that are set.
fn ones(mut bits: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        bit
    })
}

#[cfg(test)]
mod tests {
    use super::super::patterns::{COMMANDS, LINE};
    use super::*;

    #[test]
    fn each_pattern_is_in_one_set_that_is_searched_in_long_steps() {
        for patterns in [LINE, COMMANDS] {
            let sets = sets(patterns);
            let mut all: Vec<_> = sets.iter().flatten().map(|(pattern, _)| *pattern).collect();
            let mut wanted: Vec<_> = patterns.iter().map(|(pattern, _)| *pattern).collect();
            all.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(all, wanted);
            assert!(sets.iter().all(|set| set.len() <= MOST));
        }
    }

    #[test]
    fn the_order_stops_less_often_than_that_of_the_table() {
        let cost = |set: &[(&'static [u8], What)]| -> f64 {
            let depth = set.iter().map(|(pattern, _)| pattern.len()).min().unwrap().min(DEEPEST);
            let group =
                |group: usize| set.iter().skip(group).step_by(GROUPS).map(|(pattern, _)| *pattern);
            (0..GROUPS).map(|index| stops(&group(index), depth, &often())).sum()
        };
        let (_, long): (Vec<_>, Vec<_>) =
            LINE.iter().copied().partition(|(pattern, _)| pattern.len() < DEEPEST);
        let before: f64 = long.chunks(MOST).map(cost).sum();
        let after: f64 = ordered(&long).iter().map(|set| cost(set)).sum();
        assert!(after < before / 2.0, "{before} {after}");
    }
}
