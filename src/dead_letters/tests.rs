//! Dead letters survive kills, damage and full disks. Tests of the public API of this folder.

use std::fs;

use rustix::io::Errno;

use super::*;
use crate::config::{Disk, MinFree};
use crate::event::{Event, Fields, Fingerprint, Form, RecordKind, Span, TransformStats};

/// Events with these lines, at offsets 0, 1000, 2000 and so on.
fn batch_of(lines: &[&[u8]]) -> Batch {
    let (mut bytes, mut events) = (Vec::new(), Vec::new());
    for (n, line) in (0..).zip(lines) {
        let (start, offset) = (bytes.len(), n * 1000);
        bytes.extend_from_slice(line);
        let line = Span::new(start, bytes.len());
        let (whole, form, time) = (RecordKind::Event, Form::Unreadable, 7);
        let fields = Fields::default();
        events.push(Event { offset, whole, form, line, time, fields, depth: 0 });
    }
    let (generation, earlier) = (Fingerprint([1; 16]), Vec::new());
    Batch {
        generation,
        start: 0,
        end: 1 << 40,
        bytes,
        events,
        earlier,
        passed: TransformStats::default(),
    }
}

fn open_with(directory: &Path, max_bytes: u64) -> DeadLetters {
    let budget = Budget::new(directory, Disk { max_bytes, min_free: MinFree::Bytes(0) });
    DeadLetters::open(directory, "in", "out", budget).unwrap()
}

fn open(directory: &Path) -> DeadLetters {
    open_with(directory, 1 << 30)
}

fn record(letters: &DeadLetters, batch: &Batch, events: &[u32]) {
    let refused: Vec<_> = events.iter().map(|event| (*event, "400 no")).collect();
    letters.record(batch, &refused, "scope").unwrap();
}

fn segment(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("dead-letters/in.out/{number:06}.seg"))
}

/// The lines of all letters with their answers, in order.
fn lines(directory: &Path) -> Vec<(Vec<u8>, String)> {
    let mut all = Vec::new();
    for found in look(directory).unwrap() {
        let take = |kept: StoredDeadLetter| {
            all.push((kept.line, kept.letter.answer));
            true
        };
        each(directory, &found, |_, _| true, take).unwrap();
    }
    all
}

fn no(line: &[u8]) -> (Vec<u8>, String) {
    (line.to_vec(), "400 no".to_owned())
}

fn at(batch: &Batch, events: &[u32]) -> HashSet<Position> {
    events.iter().map(|event| batch.position(*event as usize)).collect()
}

#[test]
fn a_refused_event_stands_there_once_however_often_it_is_refused_and_the_agent_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch_of(&[b"one", b"two \xff"]);
    assert_eq!(open(dir.path()).count(), Count::default());
    record(&open(dir.path()), &batch, &[0]);
    // Killed while the second letter was written.
    let path = segment(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], &whole[..40]].concat()).unwrap();
    let again = open(dir.path());
    assert_eq!(fs::read(&path).unwrap(), whole, "the torn end is cut off");
    record(&again, &batch, &[0, 1, 1]);
    assert_eq!(lines(dir.path()), [no(b"one"), no(b"two \xff")]);
    let bytes = fs::metadata(&path).unwrap().len();
    let count = again.count();
    assert_eq!((count.letters, count.bytes, count.damaged), (2, bytes, 0));
    assert_eq!(open(dir.path()).count(), again.count());
}

#[test]
fn a_segment_cut_at_any_byte_keeps_what_was_synced_and_takes_the_next_letter() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch_of(&[b"one", b"two", b"three"]);
    record(&open(dir.path()), &batch, &[0]);
    let path = segment(dir.path(), 1);
    let first = fs::read(&path).unwrap().len();
    record(&open(dir.path()), &batch, &[1]);
    let all = fs::read(&path).unwrap();
    for cut in first..all.len() {
        fs::write(&path, &all[..cut]).unwrap();
        let letters = open(dir.path());
        record(&letters, &batch, &[2]);
        assert_eq!(lines(dir.path()), [no(b"one"), no(b"three")], "cut at {cut}");
        assert_eq!(letters.count().damaged, 0, "cut at {cut}");
    }
}

#[test]
fn a_damaged_letter_is_counted_kept_aside_and_takes_no_other_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch_of(&[b"one", b"two", b"three", b"four"]);
    record(&open(dir.path()), &batch, &[0, 1, 2]);
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, &bytes).unwrap();
    let letters = open(dir.path());
    let count = letters.count();
    assert_eq!((count.letters, count.damaged), (2, 1));
    record(&letters, &batch, &[3]);
    assert_eq!(lines(dir.path()), [no(b"one"), no(b"three"), no(b"four")]);
    // A rewritten segment keeps the damage for a person to look at, until it is dropped.
    letters.settle(&at(&batch, &[0]), &HashMap::new()).unwrap();
    assert_eq!((lines(dir.path()).len(), open(dir.path()).count().damaged), (2, 1));
    assert_eq!(letters.drop_damaged().unwrap(), 1);
    assert_eq!((lines(dir.path()).len(), open(dir.path()).count().damaged), (2, 0));
    assert_eq!(open(dir.path()).count(), letters.count());
}

#[test]
fn letters_that_were_taken_go_and_those_refused_again_have_the_new_answer() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch_of(&[b"one", b"two", b"three"]);
    let letters = open(dir.path());
    record(&letters, &batch, &[0, 1, 2]);
    let answers = at(&batch, &[2]).into_iter().map(|at| (at, "413 still no".to_owned())).collect();
    letters.settle(&at(&batch, &[0]), &answers).unwrap();
    let wanted = [no(b"two"), (b"three".to_vec(), "413 still no".to_owned())];
    assert_eq!(lines(dir.path()), wanted);
    assert_eq!(open(dir.path()).count(), letters.count());
    // The same event can be refused again, and is stored again.
    record(&letters, &batch, &[0]);
    assert_eq!(lines(dir.path()).len(), 3);
    letters.settle(&at(&batch, &[0, 1, 2]), &HashMap::new()).unwrap();
    assert_eq!((letters.count(), lines(dir.path())), (Count::default(), Vec::new()));
    assert!(!segment(dir.path(), 1).try_exists().unwrap());
}

#[test]
fn a_letter_is_as_old_as_its_first_refusal_however_often_it_was_sent_again_since() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch_of(&[b"one", b"two"]);
    let letters = open(dir.path());
    assert_eq!(letters.count().oldest, None);
    let before = Time::now();
    record(&letters, &batch, &[0]);
    let first = letters.count().oldest.unwrap();
    assert!(first >= before);
    let again = |answer: &str| {
        let answers = at(&batch, &[0]).into_iter().map(|at| (at, answer.to_owned())).collect();
        letters.settle(&HashSet::new(), &answers).unwrap();
    };
    again("413 no");
    again("413 still no");
    record(&letters, &batch, &[1]);
    let found = &look(dir.path()).unwrap()[0];
    let oldest: Vec<_> =
        [letters.count(), open(dir.path()).count(), found.count].map(|c| c.oldest).into();
    assert_eq!(oldest, [Some(first); 3]);
    let take = |kept: StoredDeadLetter| {
        assert!(kept.letter.refused >= kept.letter.since());
        true
    };
    each(dir.path(), found, |_, _| true, take).unwrap();
    letters.settle(&at(&batch, &[0]), &HashMap::new()).unwrap();
    assert!(letters.count().oldest.unwrap() > first, "the oldest is gone");
}

/// A letter as version 0.1.0 wrote it.
#[test]
fn a_letter_that_does_not_say_when_it_was_refused_first_counts_from_its_last_refusal() {
    let letter: DeadLetter = serde_json::from_str(
        r#"{"id":"x","generation":"01010101010101010101010101010101","offset":7,"whole":"yes","time":"2026-11-20T06:00:00Z","refused":"2026-11-20T07:00:00Z","answer":"400 no","scope":"s"}"#,
    )
    .unwrap();
    assert_eq!(letter.since(), letter.refused);
    assert!(!serde_json::to_string(&letter).unwrap().contains("first_refused"));
}

#[test]
fn a_kill_while_a_segment_is_written_anew_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch_of(&[b"one", b"two"]);
    record(&open(dir.path()), &batch, &[0, 1]);
    let beside = segment(dir.path(), 1).with_extension("new");
    fs::write(&beside, b"L1 0000").unwrap();
    assert_eq!(open(dir.path()).count().letters, 2);
    assert!(!beside.try_exists().unwrap());
    assert_eq!(lines(dir.path()), [no(b"one"), no(b"two")]);
}

#[test]
fn large_letters_have_segments_for_themselves_and_few_bytes_are_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (large, small) = (vec![b'x'; 5 << 20], vec![b'y'; 3 << 20]);
    let batch = batch_of(&[b"one", &large, &small, &small]);
    let letters = open(dir.path());
    record(&letters, &batch, &[0, 1, 2, 3]);
    let sizes: Vec<_> =
        (1..=4).map(|number| fs::metadata(segment(dir.path(), number)).unwrap().len()).collect();
    assert!(sizes[0] < 1000 && sizes[1] > 5 << 20 && sizes[2] < 4 << 20 && sizes[3] < 4 << 20);
    assert_eq!(letters.segments(), [1, 2, 3, 4]);
    let kept = letters.page(2, (1 << 20, 10), |_| true).unwrap();
    assert_eq!((kept.len(), kept[0].line.len()), (1, large.len()));
    letters.settle(&at(&batch, &[1]), &HashMap::new()).unwrap();
    assert_eq!(letters.segments(), [1, 3, 4]);
    assert_eq!(open(dir.path()).count(), letters.count());
}

#[test]
fn when_the_budget_is_spent_nothing_is_thrown_away_and_dropping_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch_of(&[&[b'x'; 3000], &[b'y'; 3000]]);
    let letters = open_with(dir.path(), 5000);
    record(&letters, &batch, &[0]);
    let full = letters.record(&batch, &[(1, "400 no")], "scope");
    assert!(matches!(full, Err(LettersError::Full(hint)) if hint.contains("disk.max_bytes")));
    assert_eq!((letters.count().letters, lines(dir.path()).len()), (1, 1));
    letters.settle(&at(&batch, &[0]), &HashMap::new()).unwrap();
    record(&letters, &batch, &[1]);
    assert_eq!(lines(dir.path()).len(), 1);
}

#[test]
fn a_write_that_fails_leaves_nothing_that_the_next_letter_would_stand_behind() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch_of(&[b"one", b"two"]);
    let letters = open(dir.path());
    record(&letters, &batch, &[0]);
    // Half a letter that could not be cut off.
    let path = segment(dir.path(), 1);
    fs::write(&path, [fs::read(&path).unwrap(), b"L1 12".to_vec()].concat()).unwrap();
    record(&letters, &batch, &[1]);
    assert_eq!(lines(dir.path()), [no(b"one"), no(b"two")]);
    // A directory with the name of the next segment makes creating it fail, for root too.
    fs::create_dir(segment(dir.path(), 2)).unwrap();
    let huge = batch_of(&[b"", b"", &vec![b'z'; 5 << 20]]);
    assert!(matches!(letters.record(&huge, &[(2, "no")], "s"), Err(LettersError::Io(_))));
    fs::remove_dir(segment(dir.path(), 2)).unwrap();
    assert_eq!(letters.count().letters, 2);
    record(&letters, &huge, &[2]);
    assert_eq!(open(dir.path()).count().letters, 3);
}

#[test]
fn only_so_many_letters_are_held_that_their_ids_fit_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch_of(&[b"one", b"two", b"three"]);
    let letters = open(dir.path());
    letters.books().most = 2;
    record(&letters, &batch, &[0, 1]);
    let last = letters.record(&batch, &[(2, "400 no")], "");
    assert!(matches!(last, Err(LettersError::Full(hint)) if hint.contains("resend or drop")));
    record(&letters, &batch, &[0]);
    assert_eq!(letters.count().letters, 2);
}

#[test]
fn an_error_at_any_step_of_keeping_and_removing_letters_damages_none() {
    let batch = batch_of(&[b"one", b"two", b"three"]);
    let gone = at(&batch, &[0]);
    // Repeats until no step is left to fail.
    for (before, count) in (0..40).flat_map(|before| [(before, 1), (before, 2)]) {
        let dir = tempfile::tempdir().unwrap();
        let letters = open(dir.path());
        let refused = |event| [(event, "400 no")];
        record(&letters, &batch, &[0, 1]);
        disk::plan(dir.path(), disk::FaultKind::Change, before, count, Errno::IO);
        let settled = letters.settle(&gone, &HashMap::new());
        let recorded = letters.record(&batch, &refused(2), "scope");
        disk::plan(dir.path(), disk::FaultKind::Change, 0, 0, Errno::IO);
        letters.record(&batch, &refused(2), "scope").unwrap();
        let of = format!("{before} and {count}: {settled:?}, {recorded:?}");
        for letters in [&letters, &open(dir.path())] {
            let Count { letters: known, damaged, .. } = letters.count();
            assert_eq!((known, damaged), (lines(dir.path()).len() as u64, 0), "{of}");
        }
        let found: Vec<_> = lines(dir.path()).into_iter().map(|(line, _)| line).collect();
        let is_there = |line: &[u8]| found.iter().filter(|found| *found == line).count();
        assert_eq!((is_there(b"two"), is_there(b"three")), (1, 1), "{of}: {found:?}");
        // A letter is certainly gone only if `settle` returned without an error.
        assert!(is_there(b"one") == 0 || settled.is_err(), "{of}: {found:?}");
    }
}
