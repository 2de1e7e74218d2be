use proptest::prelude::*;

use super::*;
use crate::checkpoint::Budget;
use crate::config::{Disk, MinFree};
use crate::verify::findings::Tally;
use crate::verify::log::Generation;

/// One event of the model: its time in milliseconds, its identity, and its content.
type Event = (i64, u8, u8);

fn room(directory: &std::path::Path) -> Room {
    let limits = Disk { max_bytes: 1 << 30, min_free: MinFree::Bytes(0) };
    // So few bytes in memory that most records are written to disk.
    Room::holding(directory, Budget::new(directory, limits), 200)
}

fn identity(which: u8) -> Fingerprint {
    Fingerprint([which; 16])
}

fn entry(at: usize, (millis, which, content): Event, expect: Expect) -> DiskEvent {
    let content = u64::from(content);
    DiskEvent {
        millis,
        sent: crate::output::EventIdentity {
            identity: identity(which),
            content,
            fallback: content + 100,
        },
        expect,
        nanos: 0,
        generation: 0,
        offset: at as u64 * 10,
        length: 10,
    }
}

fn stored(place: u64, (millis, which, content): Event) -> Stored {
    Stored {
        millis,
        identity: identity(which),
        content: Some(content.into()),
        place,
        generation: None,
        gap: false,
    }
}

/// Compares the two sides. The store returns every third copy twice.
fn found(log: &[(Event, Expect)], store: &[Event], hides_repeats: bool) -> Findings {
    let dir = tempfile::tempdir().unwrap();
    let room = room(dir.path());
    let mut sorter = Sorter::new(&room);
    for (at, (event, expect)) in log.iter().enumerate() {
        sorter.push(entry(at, *event, *expect).to_bytes()).unwrap();
    }
    let generations = vec![Generation {
        fingerprint: identity(99),
        file: "a".into(),
        times: Some((-1_000_000, 1000)),
    }];
    let coverage = Coverage::new(&generations, 1 << 50);
    let sides =
        Sides { sorted: sorter.finish().unwrap(), generations, stretches: Vec::new(), usual: 1 };
    let mut copies: Vec<_> = (0..).zip(store).map(|(place, event)| stored(place, *event)).collect();
    copies.extend(copies.clone().iter().step_by(3));
    copies.sort_by_key(|copy| copy.millis);
    let store = Store::holding(copies);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(compare(sides, store, &coverage, hides_repeats, &room)).unwrap()
}

/// The expected result, computed by counting.
fn model(log: &[Event], store: &[Event]) -> Tally {
    let mut tally = Tally { on_disk: log.len() as u64, ..Tally::default() };
    let mut kinds: Vec<(i64, u8)> =
        log.iter().chain(store).map(|(millis, which, _)| (*millis, *which)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let of = |all: &[Event]| -> Vec<u8> {
            all.iter().filter(|event| (event.0, event.1) == kind).map(|event| event.2).collect()
        };
        let (on_disk, mut in_store) = (of(log), of(store));
        let (disk, held) = (on_disk.len() as u64, in_store.len() as u64);
        let mut alike = 0;
        for content in on_disk {
            // In the usual form or in the fallback form.
            let is_like = |stored: &u8| *stored == content || *stored == content + 100;
            if let Some(at) = in_store.iter().position(is_like) {
                in_store.swap_remove(at);
                alike += 1;
            }
        }
        tally.missing += disk.saturating_sub(held);
        tally.different += disk.min(held) - alike;
        let more = held.saturating_sub(disk);
        *if disk > 0 { &mut tally.doubled } else { &mut tally.extra } += more;
        tally.in_store += held;
    }
    tally
}

fn event() -> impl Strategy<Value = Event> {
    (0..4_i64, 0..4_u8, prop_oneof![0..2_u8, 100..102_u8])
}

fn on_disk() -> impl Strategy<Value = Event> {
    (0..4_i64, 0..4_u8, 0..2_u8)
}

proptest! {
    #[test]
    fn the_two_sides_are_compared_as_multisets(
        log in prop::collection::vec(on_disk(), 0..40), store in prop::collection::vec(event(), 0..40),
    ) {
        let all: Vec<_> = log.iter().map(|event| (*event, Expect::Stored)).collect();
        let findings = found(&all, &store, false);
        prop_assert_eq!(findings.total, model(&log, &store));
        let mut each = findings.each(Fault::Missing).unwrap();
        let mut ranges = 0;
        while each.next().unwrap().is_some() {
            ranges += 10;
        }
        let missing = findings.missing().unwrap();
        let told: u64 = missing.values().flatten().map(|range| range.end - range.start).sum();
        prop_assert_eq!(told, ranges);
        let apart = |ranges: &Vec<std::ops::Range<u64>>| ranges.windows(2).all(|two| two[0].end < two[1].start);
        prop_assert!(missing.values().all(apart));
    }
}

#[test]
fn what_need_not_be_there_is_neither_missing_nor_extra() {
    let at = |which| (1, which, 0);
    let log = [
        (at(1), Expect::Pending),
        (at(2), Expect::Pending),
        (at(3), Expect::Refused),
        (at(4), Expect::Dropped),
        (at(5), Expect::Dropped),
        (at(6), Expect::Stored),
    ];
    let findings = found(&log, &[at(1), at(4), at(6)], false);
    assert_eq!(findings.total, Tally { on_disk: 1, in_store: 1, ..Tally::default() });
    let beside = findings.beside;
    assert_eq!((beside.pending, beside.refused, beside.dropped), (1, 1, 1));
}

#[test]
fn of_copies_that_a_store_shows_as_one_none_is_missing() {
    let log = [((1, 1, 0), Expect::Stored); 3];
    let missing = |hides| found(&log, &[(1, 1, 0)], hides).total.missing;
    assert_eq!((missing(true), missing(false)), (0, 2));
}

#[test]
fn more_copies_than_are_compared_are_still_counted() {
    let log = vec![((1, 1, 0), Expect::Stored); 1000];
    let total = |copies| found(&log, &vec![(1, 1, 0); copies], false).total;
    assert_eq!((total(1000).missing, total(1000).doubled), (0, 0));
    assert_eq!((total(900).missing, total(900).in_store), (100, 900));
    assert_eq!((total(1300).doubled, total(1300).missing), (300, 0));
}

#[test]
fn a_whole_file_that_is_missing_is_one_stretch() {
    let log: Vec<_> = (0..500).map(|at| ((at, 1, 0), Expect::Stored)).collect();
    let missing = found(&log, &[], false).missing().unwrap();
    let told: Vec<_> = missing.into_values().flatten().map(|one| (one.start, one.end)).collect();
    assert_eq!(told, [(0, 5000)]);
}
