//! The follower thread on the real clock.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::play::LIMITS;
use super::server::event;
use crate::config::{FollowedLog, Hold, MinFree, StartAt, Waits};
use crate::event::Key;
use crate::input::{Input, Large, ReaderItem};
use crate::telemetry::{Identity, Telemetry};

/// An input and the ids that its reader reads.
struct Follow {
    input: Input,
    ids: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl Follow {
    fn new(directory: &Path, rescan: Duration) -> Self {
        let config = FollowedLog {
            name: "test".into(),
            path: directory.join("audit.log"),
            start_at: StartAt::Beginning,
            max_line_bytes: 100 << 20,
            rescan,
            backups: Vec::new(),
            neighbours: Arc::default(),
            spool: None,
            hold: Hold { max_bytes: 0, min_free: MinFree::Bytes(0), dir: directory.join("hold") },
            waits: Waits::USUAL,
        };
        let mut input = Input::new(config, Key([5; 32]));
        let mut reader = input.reader(None, LIMITS, Duration::ZERO, Large::default());
        let telemetry =
            Telemetry::new(Identity { node: "n".into(), cluster: None, version: "0.0.0" });
        input
            .start(&[], &mut Vec::new(), telemetry.input("test"), telemetry.heart("test"))
            .unwrap();
        let (sender, ids) = channel();
        let thread = std::thread::spawn(move || {
            while let Some(news) = reader.next() {
                let ReaderItem::Chunk(chunk) = news else { continue };
                for index in 0..chunk.batch.events.len() {
                    let record = chunk.batch.record(index);
                    let id = record.text(record.event.fields.audit_id).unwrap();
                    sender.send(id.into_owned()).unwrap();
                }
            }
        });
        Self { input, ids, thread: Some(thread) }
    }

    #[track_caller]
    fn expect(&self, id: &str) {
        assert_eq!(self.ids.recv_timeout(Duration::from_secs(8)).as_deref(), Ok(id));
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.input.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn append(file: &mut File, id: &str) {
    file.write_all(format!("{}\n", event(id, 0)).as_bytes()).unwrap();
}

/// Listings are so rare that only the kernel's notifications, or polling without them, can be in time.
#[test]
fn what_is_appended_and_rotated_is_read_without_waiting_for_a_listing() {
    let dir = tempfile::tempdir().unwrap();
    let follow = Follow::new(dir.path(), Duration::from_hours(1));
    let path = dir.path().join("audit.log");
    let mut log = File::create(&path).unwrap();
    for (rotation, ids) in [["a", "b"], ["c", "d"], ["e", "f"]].iter().enumerate() {
        // Long enough that a listing finds the new file empty.
        std::thread::sleep(Duration::from_millis(60));
        for id in ids {
            append(&mut log, id);
            follow.expect(id);
        }
        fs::rename(&path, dir.path().join(format!("audit-2026-11-21T06-28-0{rotation}.000.log")))
            .unwrap();
        log = File::create(&path).unwrap();
    }
}

/// State 23, and a directory that is created later.
#[test]
fn a_directory_that_comes_later_or_is_replaced_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let audit = dir.path().join("audit");
    let follow = Follow::new(&audit, Duration::from_millis(200));
    for id in ["a", "b"] {
        fs::create_dir(&audit).unwrap();
        append(&mut File::create(audit.join("audit.log")).unwrap(), id);
        follow.expect(id);
        fs::rename(&audit, dir.path().join(id)).unwrap();
    }
}

#[test]
fn stopping_ends_every_wait() {
    let dir = tempfile::tempdir().unwrap();
    let follow = Follow::new(dir.path(), Duration::from_hours(1));
    std::thread::sleep(Duration::from_millis(30));
    drop(follow);
}
