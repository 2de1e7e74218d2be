//! Tests of the own log: what survives a kill, a power cut and a bad disk, and what is removed when.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tempfile::TempDir;

use super::clock::now;
use super::names::{compressed_name, live_name, part_name, rotated_name};
use super::scan::scan;
use super::*;
use crate::config::MinFree;
use crate::disk::{self, FaultKind};
use crate::event::Key;

const KEY: Key = Key([7; 32]);

/// An own log in a directory of its own.
struct Spool {
    dir: TempDir,
    max_bytes: u64,
    rotate_at: u64,
    passed: Arc<Mutex<HashSet<Fingerprint>>>,
    all_passed: Arc<AtomicBool>,
}

impl Spool {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (passed, all_passed) = (Arc::default(), Arc::default());
        Self { dir, max_bytes: 1 << 30, rotate_at: ROTATE, passed, all_passed }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    fn start(&self) -> (Appender, Arc<Committed>) {
        let settings = config_spool(self.max_bytes);
        let own_log = OwnLog::open(&self.path(), &settings).unwrap();
        let own_log = OwnLog { rotate_at: self.rotate_at, ..own_log };
        let committed = own_log.committed();
        let (passed, all) = (Arc::clone(&self.passed), Arc::clone(&self.all_passed));
        let is_passed = move |id| all.load(Relaxed) || passed.lock().unwrap().contains(&id);
        (own_log.start("test", is_passed).unwrap(), committed)
    }

    /// The names of its files.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The bodies in all of its files, in the order of the names.
    fn bodies(&self) -> Vec<String> {
        let text = |name: &String| fs::read_to_string(self.path().join(name)).unwrap();
        let texts: Vec<_> = self.files().iter().map(text).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        lines.filter(|line| !is_marker(line.as_bytes())).map(str::to_owned).collect()
    }
}

fn config_spool(max_bytes: u64) -> crate::config::Spool {
    crate::config::Spool { max_bytes, min_free: MinFree::Bytes(0), compress: true }
}

fn line_of(number: usize) -> String {
    format!("{{\"auditID\":\"{number}\"}}\n")
}

fn facts(body: &str) -> BodyFacts {
    BodyFacts {
        digest: KEY.hash(body.as_bytes()),
        events: body.lines().count() as u64,
        bytes: body.len() as u64,
        sender: "127.0.0.1".into(),
        received: now(),
    }
}

fn in_memory(body: &str) -> AppendBody {
    let mut sum = crc32fast::Hasher::new();
    sum.update(body.as_bytes());
    AppendBody::Memory(body.as_bytes().to_vec(), sum)
}

async fn append(spool: &Appender, body: &str) -> Result<AppendOutcome, NotAppended> {
    spool.append(in_memory(body), facts(body)).await
}

async fn append_all(spool: &Appender, numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        assert_eq!(append(spool, &line_of(number)).await.unwrap(), AppendOutcome::Written);
    }
}

/// Waits until the thread of a log whose appenders are dropped has ended: then the file can be opened again.
fn ended(spool: Appender, committed: &Arc<Committed>) {
    drop(spool);
    let begun = Instant::now();
    while Arc::strong_count(committed) > 1 {
        assert!(begun.elapsed() < Duration::from_mins(1), "the writing thread does not end");
        thread::sleep(Duration::from_millis(2));
    }
}

fn scanned(path: &Path) -> u64 {
    scan(fs::File::open(path).unwrap()).unwrap().committed
}

#[tokio::test]
async fn a_body_that_is_sent_again_is_stored_once_also_after_a_restart() {
    let log = Spool::new();
    let (spool, committed) = log.start();
    append_all(&spool, 0..3).await;
    assert_eq!(append(&spool, &line_of(1)).await.unwrap(), AppendOutcome::Repeated);
    ended(spool, &committed);
    let (spool, _) = log.start();
    assert_eq!(append(&spool, &line_of(2)).await.unwrap(), AppendOutcome::Repeated);
    append_all(&spool, 3..4).await;
    let expected: Vec<_> = (0..4).map(|number| line_of(number).trim_end().to_owned()).collect();
    assert_eq!(log.bodies(), expected);
    assert_eq!(log.files(), [rotated_name(1), live_name().to_owned()]);
}

#[tokio::test]
async fn the_same_body_twice_at_once_is_stored_once() {
    let log = Spool::new();
    let (spool, _) = log.start();
    let body = line_of(1);
    let (one, other) = tokio::join!(append(&spool, &body), append(&spool, &body));
    let mut both = [one.unwrap(), other.unwrap()];
    both.sort_by_key(|stored| *stored == AppendOutcome::Repeated);
    assert_eq!(both, [AppendOutcome::Written, AppendOutcome::Repeated]);
    assert_eq!(log.bodies().len(), 1);
}

#[tokio::test]
async fn wherever_a_file_ends_after_a_kill_whole_bodies_are_left() {
    let log = Spool::new();
    let (spool, committed) = log.start();
    for number in 0..4 {
        let body = line_of(number).repeat(2);
        append(&spool, &body).await.unwrap();
    }
    ended(spool, &committed);
    let whole = fs::read(log.path().join(live_name())).unwrap();
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in header..=whole.len() {
        let cut = Spool::new();
        fs::create_dir(cut.path()).unwrap();
        fs::write(cut.path().join(live_name()), &whole[..end]).unwrap();
        drop(OwnLog::open(&cut.path(), &config_spool(1 << 20)).unwrap());
        let left = fs::read(cut.path().join(rotated_name(1))).unwrap();
        assert!(whole[..end].starts_with(&left), "cut at {end}");
        let bodies = cut.bodies();
        assert_eq!(bodies.len() % 2, 0, "cut at {end}: {bodies:?}");
        // Nothing that is committed is cut off.
        let text = std::str::from_utf8(&whole[..end]).unwrap();
        let commits = text.matches(" commit ").count();
        let torn = usize::from(!text.ends_with('\n') && !text.ends_with("}\n"));
        assert!(bodies.len() / 2 + torn >= commits, "cut at {end}: {bodies:?}");
    }
}

#[tokio::test]
async fn damage_in_what_was_synced_last_ends_the_file_and_older_damage_does_not() {
    let log = Spool::new();
    let (spool, committed) = log.start();
    append_all(&spool, 0..3).await;
    ended(spool, &committed);
    let path = log.path().join(live_name());
    let whole = fs::read(&path).unwrap();
    let at = |number: usize| {
        let needle = line_of(number);
        whole.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap()
    };
    // Each body had a sync of its own: body 1 was durable before body 2 was written.
    let mut damaged = whole.clone();
    damaged[at(1)..at(1) + 5].fill(0);
    fs::write(&path, &damaged).unwrap();
    assert_eq!(scanned(&path), whole.len() as u64);
    let mut damaged = whole.clone();
    damaged[at(2)..at(2) + 5].fill(0);
    fs::write(&path, &damaged).unwrap();
    assert!(scanned(&path) <= at(2) as u64);
}

#[tokio::test]
async fn a_generation_goes_when_every_output_has_passed_it_and_its_bodies_stay_known() {
    let log = Spool::new();
    let (spool, committed) = log.start();
    append_all(&spool, 0..2).await;
    ended(spool, &committed);
    let (spool, committed) = log.start();
    append_all(&spool, 2..3).await;
    log.all_passed.store(true, Relaxed);
    let begun = Instant::now();
    while log.files().len() > 1 {
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", log.files());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    log.all_passed.store(false, Relaxed);
    assert_eq!(log.files(), [live_name()]);
    assert_eq!(append(&spool, &line_of(0)).await.unwrap(), AppendOutcome::Repeated);
    ended(spool, &committed);
    let (spool, _) = log.start();
    assert_eq!(append(&spool, &line_of(1)).await.unwrap(), AppendOutcome::Repeated);
}

#[tokio::test]
async fn a_full_spool_refuses_until_there_is_room() {
    let mut log = Spool::new();
    log.max_bytes = 4096;
    let (spool, committed) = log.start();
    let body = format!("{{\"a\":\"{}\"}}\n", "x".repeat(3000));
    append(&spool, &body).await.unwrap();
    let other = body.replace('x', "y");
    let refused = append(&spool, &other).await.unwrap_err();
    assert!(matches!(&refused, NotAppended::Full(why) if why.contains("spool.max_bytes")));
    assert!(spool.space().room(3000).is_err());
    ended(spool, &committed);
    let (spool, _) = log.start();
    log.all_passed.store(true, Relaxed);
    let begun = Instant::now();
    while append(&spool, &other).await.is_err() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", log.files());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_long_body_becomes_a_generation_of_its_own_or_leaves_nothing() {
    let log = Spool::new();
    let (spool, committed) = log.start();
    append_all(&spool, 0..1).await;
    let mut kept = spool.incoming().unwrap();
    kept.write(line_of(1).as_bytes()).unwrap();
    kept.sync().unwrap();
    let dropped = spool.incoming().unwrap();
    assert_eq!(log.files().iter().filter(|name| name.contains(".part")).count(), 2);
    let used = spool.space().used();
    drop(dropped);
    assert!(spool.space().used() < used);
    let body = line_of(1);
    assert_eq!(
        spool.append(AppendBody::File(kept), facts(&body)).await.unwrap(),
        AppendOutcome::Written
    );
    assert_eq!(append(&spool, &body).await.unwrap(), AppendOutcome::Repeated);
    assert_eq!(log.files(), [rotated_name(2), live_name().to_owned()]);
    let on_disk: u64 =
        log.files().iter().map(|name| fs::metadata(log.path().join(name)).unwrap().len()).sum();
    assert_eq!(spool.space().used(), on_disk);
    ended(spool, &committed);
    fs::write(log.path().join(part_name("left")), "x").unwrap();
    let (spool, _) = log.start();
    assert!(!log.files().contains(&part_name("left")));
    assert_eq!(append(&spool, &body).await.unwrap(), AppendOutcome::Repeated);
}

#[tokio::test]
async fn a_compressed_generation_holds_the_same_and_a_kill_beside_it_leaves_one() {
    let log = Spool::new();
    let (spool, committed) = log.start();
    append_all(&spool, 0..3).await;
    ended(spool, &committed);
    let (spool, committed) = log.start();
    ended(spool, &committed);
    let plain = fs::read(log.path().join(rotated_name(1))).unwrap();
    compress::compress(&log.path(), 1).unwrap();
    let packed = log.path().join(compressed_name(1));
    let mut text = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(fs::File::open(&packed).unwrap());
    std::io::Read::read_to_end(&mut decoder, &mut text).unwrap();
    assert_eq!(text, plain);
    // A kill between the rename and the removal of the plain file.
    fs::write(log.path().join(rotated_name(1)), &plain).unwrap();
    let (spool, _) = log.start();
    let left = log.files();
    assert!(left.contains(&compressed_name(1)) && !left.contains(&rotated_name(1)), "{left:?}");
    assert_eq!(append(&spool, &line_of(2)).await.unwrap(), AppendOutcome::Repeated);
}

/// Whatever step fails, and however often: a body that was answered is there, one that was refused is not, and the log
/// takes bodies again once the disk does.
#[test]
fn a_failing_disk_loses_nothing_that_was_answered_and_keeps_nothing_that_was_refused() {
    thread::scope(|scope| {
        for before in 0..30 {
            for fault in [(1, Errno::NOSPC), (3, Errno::IO)] {
                // Each waits most of the time.
                scope.spawn(move || {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(with_failing_disk(before, fault));
                });
            }
        }
    });
}

async fn with_failing_disk(before: u64, (count, error): (u64, Errno)) {
    let mut log = Spool::new();
    // Each body fills a file.
    log.rotate_at = 200;
    let (spool, committed) = log.start();
    append_all(&spool, 0..1).await;
    disk::plan(&log.path(), FaultKind::Change, before, count, error);
    for number in 1..5 {
        let begun = Instant::now();
        // A sender tries again, beside one that sends again what is stored.
        let (body, stored) = (line_of(number), line_of(0));
        while tokio::join!(append(&spool, &body), append(&spool, &stored)).0.is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let begun = Instant::now();
    let last = line_of(5);
    loop {
        let incoming = spool.incoming().and_then(|mut file| {
            file.write(last.as_bytes()).map_err(|error| NotAppended::of(&error))?;
            Ok(file)
        });
        let Ok(file) = incoming else { continue };
        if spool.append(AppendBody::File(file), facts(&last)).await.is_ok() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    disk::plan(&log.path(), FaultKind::Change, 0, 0, error);
    let place = format!("{count} faults after {before} steps");
    let expected: Vec<_> = (0..6).map(|number| line_of(number).trim_end().to_owned()).collect();
    let sorted = || {
        let mut found = log.bodies();
        found.sort();
        found
    };
    assert_eq!(sorted(), expected, "{place}");
    ended(spool, &committed);
    let (spool, committed) = log.start();
    ended(spool, &committed);
    assert_eq!(sorted(), expected, "after a restart, {place}");
}

#[tokio::test]
async fn readers_see_only_what_is_durable() {
    let log = Spool::new();
    let (spool, committed) = log.start();
    let path = log.path().join(live_name());
    let open = || {
        let file = disk::ReadFile::open(&path, disk::Links::Refused).unwrap();
        let meta = file.metadata().unwrap();
        let id = {
            use std::os::unix::fs::MetadataExt as _;
            (meta.dev(), meta.ino())
        };
        file.up_to(committed.length_of(id))
    };
    let file = open();
    append_all(&spool, 0..2).await;
    assert_eq!(file.length().unwrap(), fs::metadata(&path).unwrap().len());
    // Bytes behind the last sync.
    let mut whole = fs::read(&path).unwrap();
    let durable = whole.len();
    whole.extend_from_slice(b"{not durable}\n");
    fs::write(&path, &whole).unwrap();
    let mut read = vec![0; whole.len()];
    assert_eq!(file.read_at(&mut read, 0).unwrap(), durable);
    assert_eq!(file.read_at(&mut read, durable as u64).unwrap(), 0);
    assert!(file.read_exact_at(&mut read[..4], durable as u64 - 1).is_err());
    assert_eq!(open().length().unwrap(), durable as u64);
}
