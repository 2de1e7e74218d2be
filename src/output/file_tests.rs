//! The file output on real files: kills, rotations and failing disks.

use std::fs;

use super::*;
use crate::event::{Event, Fields, Fingerprint, Form, RecordKind, Span, TransformStats};

fn batch(lines: &[&str]) -> Batch {
    let mut batch = Batch {
        generation: Fingerprint([0; 16]),
        earlier: Vec::new(),
        start: 0,
        end: 0,
        bytes: Vec::new(),
        events: Vec::new(),
        passed: TransformStats::default(),
    };
    for line in lines {
        let at = batch.bytes.len();
        batch.bytes.extend_from_slice(line.as_bytes());
        let line = Span::new(at, batch.bytes.len());
        batch.events.push(Event {
            offset: 0,
            whole: RecordKind::Event,
            form: Form::Json,
            line,
            time: 0,
            fields: Fields::default(),
            depth: 0,
        });
    }
    batch
}

fn write(file: &File, lines: &[&str]) {
    let batch = batch(lines);
    let picks: Vec<_> =
        (0..lines.len()).map(|index| EventRef::new(u32::try_from(index).unwrap())).collect();
    assert_eq!(file.send(&batch, &picks), Answer::Whole(Verdict::Delivered));
}

#[test]
fn after_a_kill_the_file_is_cut_back_to_what_the_checkpoint_knows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sub/out-{input}.ndjson");
    let file = File::new(&path, None, "a");
    file.open(None).unwrap();
    write(&file, &["one"]);
    let mark = file.mark();
    write(&file, &["two"]);
    let again = File::new(&path, None, "a");
    again.open(Some(mark)).unwrap();
    write(&again, &["two", "three"]);
    assert_eq!(
        fs::read_to_string(dir.path().join("sub/out-a.ndjson")).unwrap(),
        "one\ntwo\nthree\n"
    );
}

#[test]
fn a_file_that_lost_lines_is_not_written_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::new(&dir.path().join("out"), None, "a");
    file.open(None).unwrap();
    write(&file, &["one"]);
    let mark = file.mark();
    fs::write(file.path(), "on").unwrap();
    let error = file.open(Some(mark)).unwrap_err().to_string();
    assert!(error.contains("it holds 2 bytes, and 4 were written"), "{error}");
}

#[test]
fn rotations_after_the_checkpoint_are_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let rotate = Some(Rotate { max_bytes: 8, max_files: 10 });
    let file = File::new(&dir.path().join("out"), rotate, "a");
    file.open(None).unwrap();
    write(&file, &["one"]);
    let mark = file.mark();
    for line in ["two", "three", "four", "five"] {
        write(&file, &[line]);
    }
    let names = || {
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["out", "out.000000", "out.000001", "out.000002"]);
    file.open(Some(mark)).unwrap();
    assert_eq!(names(), ["out"]);
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "one\n");
}

#[test]
fn many_rotations_within_one_checkpoint_leave_no_line_twice_even_when_the_first_files_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let rotate = Some(Rotate { max_bytes: 4, max_files: 2 });
    let file = File::new(&dir.path().join("out"), rotate, "a");
    file.open(None).unwrap();
    write(&file, &["000"]);
    let mark = file.mark();
    let lines = ["111", "222", "333", "444", "555"];
    for line in lines {
        write(&file, &[line]);
    }
    let again = File::new(&dir.path().join("out"), rotate, "a");
    again.open(Some(mark)).unwrap();
    // The agent was killed before the new mark was written to the checkpoint.
    again.open(Some(mark)).unwrap();
    for line in lines {
        write(&again, &[line]);
    }
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut all: Vec<_> = names.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    all.sort();
    assert_eq!(all, ["333\n", "444\n", "555\n"], "{names:?}");
}

#[test]
fn an_archive_of_an_earlier_life_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let rotate = Some(Rotate { max_bytes: 4, max_files: 9 });
    for line in ["old", "new"] {
        // Each run has a state directory of its own.
        let file = File::new(&dir.path().join("out"), rotate, "a");
        file.open(None).unwrap();
        write(&file, &[line]);
        write(&file, &["xxx"]);
    }
    assert_eq!(fs::read_to_string(dir.path().join("out.000000")).unwrap(), "old\n");
}

#[test]
fn no_more_old_files_are_kept_than_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::new(&dir.path().join("out"), Some(Rotate { max_bytes: 4, max_files: 1 }), "a");
    file.open(None).unwrap();
    for line in ["one", "two", "abc"] {
        write(&file, &[line]);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(fs::read_to_string(dir.path().join("out.000001")).unwrap(), "two\n");
}
