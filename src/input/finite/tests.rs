use kit::log_writer::gzip;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use tempfile::TempDir;

use super::super::tests::play::LIMITS;
use super::super::tests::server::event;
use super::super::{Input, Large, ReaderItem};
use super::*;
use crate::config::{Config, FollowedLog};
use crate::disk::{self, FaultKind};
use crate::event::{Cursor, Format};

const KEY: Key = Key([5; 32]);

/// A directory of logs, in which `audit.log` is the followed log.
struct Stage(TempDir);

impl Stage {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let stage = Self(TempDir::new().unwrap());
        for (name, bytes) in files {
            fs::write(stage.path(name), bytes).unwrap();
        }
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn live(&self) -> PathBuf {
        self.path("audit.log")
    }

    fn list(&self, paths: &[PathBuf]) -> Vec<Listed> {
        list(paths, &self.live(), &KEY).unwrap()
    }

    fn config(&self) -> FollowedLog {
        let text = format!(
            "[inputs.a]\ntype = \"file\"\npath = {:?}\n[outputs.o]\ntype = \"file\"\npath = {:?}\n",
            self.live(),
            self.path("out")
        );
        Config::parse(&text, Path::new("a.toml"), &|_| None).unwrap().inputs[0].log().clone()
    }

    /// All events of the files, and how many of the files were read to their end.
    fn read(&self, files: &[Listed]) -> (Vec<String>, usize) {
        let input = Input::finite(self.config(), KEY, files);
        let cursor = Some(Cursor::default());
        let mut reader = input.reader(cursor, LIMITS, Duration::from_millis(10), Large::default());
        let (mut lines, mut complete) = (Vec::new(), 0);
        while let Some(news) = reader.next() {
            match news {
                ReaderItem::Chunk(chunk) => {
                    let line = |at| String::from_utf8_lossy(chunk.batch.record(at).line).into();
                    lines.extend((0..chunk.batch.events.len()).map(line));
                    complete += usize::from(chunk.progress.complete);
                }
                ReaderItem::Gap(gap) => {
                    lines.push(gap.reason.to_string());
                    complete += usize::from(gap.progress.complete);
                }
                ReaderItem::Started(_) | ReaderItem::Rewound => panic!("it has a cursor"),
            }
        }
        (lines, complete)
    }
}

fn lines(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| format!("{}\n", event(name, 100)).into_bytes()).collect()
}

fn events(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| event(name, 100)).collect()
}

const FIRST: &str = "audit-2026-11-21T06-28-01.678.log";
const SECOND: &str = "audit-2026-11-21T07-28-01.678.log";

#[test]
fn a_directory_is_read_to_its_end_oldest_first_and_each_generation_once() {
    let stage = Stage::new(&[
        (&format!("{FIRST}.gz"), &gzip(&lines(&["a", "b"]))),
        (SECOND, &lines(&["c", "d"])),
        (&format!("{SECOND}.gz"), &gzip(&lines(&["c"]))),
        ("audit.log", &lines(&["e"])),
        ("notes.txt", b"not a log"),
    ]);
    let files = stage.list(&[stage.0.path().to_owned(), stage.path(SECOND)]);
    assert_eq!(files.len(), 3);
    assert!(!files[1].is_live() && files[2].is_live());
    let (read, complete) = stage.read(&files);
    assert_eq!((read, complete), (events(&["a", "b", "c", "d", "e"]), 2));
}

#[test]
fn a_copy_elsewhere_has_the_same_positions_under_any_name() {
    let stage = Stage::new(&[
        (FIRST, &lines(&["a", "b"])),
        ("copy", &lines(&["a", "b"])),
        ("packed", &gzip(&lines(&["a", "b"]))),
    ]);
    let fingerprint = |name| stage.list(&[stage.path(name)])[0].fingerprint();
    assert_eq!(fingerprint("copy"), fingerprint(FIRST));
    assert_eq!(fingerprint("packed"), fingerprint(FIRST));
    let all = stage.list(&[stage.path("copy"), stage.path("packed"), stage.path(FIRST)]);
    assert_eq!(all.len(), 1);
}

#[test]
fn an_unfinished_line_is_left_in_the_log_itself_and_torn_in_a_copy() {
    let mut bytes = lines(&["a"]);
    bytes.extend(&event("b", 100).as_bytes()[..60]);
    let stage = Stage::new(&[("audit.log", &bytes), ("restored.log", &bytes)]);
    let read = |name| stage.read(&stage.list(&[stage.path(name)])).0;
    assert_eq!(read("audit.log"), events(&["a"]));
    assert_eq!(read("restored.log")[1], event("b", 100)[..60]);
}

#[test]
fn joined_members_are_read_to_the_end_and_the_first_member_keeps_its_positions() {
    let joined = [gzip(&lines(&["a"])), gzip(&lines(&["c", "d"]))].concat();
    let stage = Stage::new(&[("all.gz", &joined), (FIRST, &lines(&["a"])), ("junk", b"junk\n")]);
    let files = stage.list(&["all.gz", FIRST, "junk"].map(|name| stage.path(name)));
    let of = |name: &str| files.iter().find(|file| *file.name() == *name).unwrap();
    assert_eq!(of("all.gz").fingerprint(), stage.list(&[stage.path(FIRST)])[0].fingerprint());
    assert!(of("all.gz").is_joined(lines(&["a", "c", "d"]).len() as u64));
    assert!(!of("all.gz").is_joined(of("all.gz").length()) && of("junk").keyed);
    assert_eq!((files.len(), stage.read(&files).0.len()), (2, 4));
}

#[test]
fn a_damaged_backup_is_read_as_far_as_it_goes() {
    let whole = gzip(&lines(&["a", "b", "c"]));
    let stage = Stage::new(&[("cut.gz", &whole[..whole.len() - 12])]);
    let (read, complete) = stage.read(&stage.list(&[stage.path("cut.gz")]));
    assert_eq!((read.last().unwrap().as_str(), complete), ("damaged_gzip", 1));
}

#[test]
fn what_cannot_be_taken_is_named() {
    let stage = Stage::new(&[("syslog", b"x")]);
    let error = |path: PathBuf| {
        let error = list(&[path], &stage.live(), &KEY).unwrap_err();
        format!("{error}")
    };
    assert!(error(stage.path("nowhere")).ends_with("/nowhere"));
    assert!(error(stage.0.path().to_owned()).contains("no file named audit.log"));
    assert!(error("/dev/null".into()).contains("neither a file nor a directory"));
}

#[test]
fn a_file_that_was_replaced_since_is_given_up_and_not_waited_for() {
    let stage = Stage::new(&[("one", &lines(&["a"])), ("two", &lines(&["b"]))]);
    let mut files = stage.list(&[stage.path("one"), stage.path("two")]);
    let bare = Generation { held: None, ..(*files[0].generation).clone() };
    files[0].generation = Arc::new(bare);
    fs::write(stage.path("one"), lines(&["x", "y"])).unwrap();
    assert_eq!(stage.read(&files), (events(&["b"]), 1));
}

/// At whatever read the disk fails, a list never leaves out a file that holds events of its own.
#[test]
fn a_file_that_the_disk_does_not_give_is_not_taken_for_a_copy() {
    let stage = Stage::new(&[("one", &lines(&["a", "x"])), ("two", &lines(&["a", "b", "c"]))]);
    let paths = [stage.path("one"), stage.path("two")];
    let mut lists = 0;
    for before in 0..40 {
        disk::plan(&paths[0], FaultKind::Read, before, u64::MAX, Errno::IO);
        if let Ok(files) = list(&paths, &stage.live(), &KEY) {
            assert_eq!(files.len(), 2, "after {before} reads");
            lists += 1;
        }
        disk::plan(&paths[0], FaultKind::Read, 0, 0, Errno::IO);
    }
    assert!((1..40).contains(&lists), "{lists}");
}

#[test]
fn of_files_with_one_first_event_only_a_true_beginning_is_a_copy() {
    let stage = Stage::new(&[
        ("short.log", &lines(&["a", "b"])),
        ("long.log", &lines(&["a", "b", "c"])),
        ("other.log", &lines(&["a", "x"])),
        ("again.log.gz", &gzip(&lines(&["a", "b", "c"]))),
        ("third.log", &lines(&["a", "b", "y"])),
    ]);
    let names = ["other.log", "short.log", "again.log.gz", "long.log", "third.log"];
    let shipped = |names: &[&str]| {
        let paths: Vec<_> = names.iter().map(|name| stage.path(name)).collect();
        let files = stage.list(&paths);
        let mut read = stage.read(&files).0;
        read.sort();
        let fingerprints = files.iter().map(|file| (file.name(), file.fingerprint()));
        (read, fingerprints.collect::<std::collections::BTreeMap<_, _>>(), files)
    };
    let (read, fingerprints, files) = shipped(&names);
    let mut all = events(&["a", "b", "c", "a", "b", "y", "a", "x"]);
    all.sort();
    assert_eq!(read, all);
    let distinct: std::collections::BTreeSet<_> = fingerprints.values().collect();
    assert_eq!((fingerprints.len(), distinct.len()), (3, 3));
    let long = files.iter().find(|file| *file.name() == *"long.log").unwrap();
    let copies: std::collections::BTreeSet<_> = long.copies.iter().map(|name| &**name).collect();
    assert_eq!(copies, ["again.log.gz", "short.log"].into());
    // The result does not depend on the order in which the files are named.
    let mut turned = names;
    turned.reverse();
    assert_eq!(shipped(&turned).1, fingerprints);
}

#[test]
fn a_file_without_audit_events_is_known_for_what_it_is() {
    let pretty = event("a", 10).replace(",\"", ",\n \"");
    let torn = &lines(&["a"])[..60];
    let frames = format!("2026-11-26T03:00:00Z stdout F {}\n", event("a", 10));
    let stage = Stage::new(&[
        ("pretty", pretty.as_bytes()),
        ("messages", b"I1126 03:00:00.000000       1 a.go:1] b\n"),
        ("junk", b"junk\n"),
        ("log", &lines(&["a"])),
        ("torn", torn),
        ("frames", frames.as_bytes()),
        ("late", &[b"junk\n".repeat(100_000), lines(&["a"])].concat()),
    ]);
    let foreign = |name| stage.list(&[stage.path(name)])[0].foreign();
    assert_eq!(foreign("pretty"), Some(Format::PrettyEvents));
    assert_eq!(foreign("messages"), Some(Format::ServerMessages));
    assert_eq!(foreign("junk"), Some(Format::Text));
    for name in ["log", "torn", "frames", "late"] {
        assert_eq!(foreign(name), None, "{name}");
    }
}
