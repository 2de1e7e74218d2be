//! The checkpoint is written at most once a second, since its fsync may delay etcd on the same disk, and not at all
//! when idle.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rustix::process::Signal;

use crate::command::Place;
use kit::LogWriter;
use kit::events::Maker;

/// How often the checkpoint is replaced within this time while `work` runs in a loop.
fn writes(path: &Path, time: Duration, mut work: impl FnMut()) -> usize {
    let identity =
        || fs::metadata(path).ok().map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec()));
    let (start, mut last, mut writes) = (Instant::now(), identity(), 0);
    while start.elapsed() < time {
        work();
        thread::sleep(Duration::from_millis(5));
        // Between the two renames of a save there is no `checkpoint.json`.
        let now = identity();
        if now.is_some() && now != last {
            writes += 1;
            last = now;
        }
    }
    writes
}

#[test]
fn the_checkpoint_is_written_once_a_second_at_most_and_never_when_nothing_moves() {
    let place = Place::following_recorded();
    let log = place.path("audit.log");
    place.configure("cp-1", &log, place.port);
    let mut maker = Maker::from_ago(SignedDuration::from_secs(60));
    let mut writer = LogWriter::new(&log);
    let mut bytes = 0;
    let mut append = || {
        let line = maker.event(200).line + "\n";
        writer.append(line.as_bytes());
        bytes += line.len();
    };
    let checkpoint = place.state_dir().join("checkpoint.json");
    append();
    let running = place.start();
    // Wait until the first write is over.
    thread::sleep(Duration::from_millis(1500));
    let busy = writes(&checkpoint, Duration::from_secs(4), append);
    assert!((2..=5).contains(&busy), "{busy} writes in 4 seconds of steady work");

    place.wait_for_bytes(bytes);
    // Wait until the checkpoint holds the last cursor.
    thread::sleep(Duration::from_millis(2500));
    let idle = writes(&checkpoint, Duration::from_secs(3), || {});
    assert_eq!(idle, 0, "writes in 3 seconds without work");
    assert!(running.end(Signal::TERM).0.success());
}
