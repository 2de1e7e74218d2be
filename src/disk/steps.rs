//! The steps of the file system and the network. A test can simulate a crash between any two of them. In a release
//! build a step only calls its function.
//!
//! In a debug build, tests set two environment variables:
//! - `AUDITRAIL_END_AT=N` kills the process with SIGKILL at the N-th crash point, counted over all threads. Each step
//!   has one before it and one after it.
//! - `AUDITRAIL_STEPS=PATH` appends a line of JSON for each step that succeeded: the number of crash points passed, the
//!   operation, and its target.
//!
//! - `AUDITRAIL_SPOOL_ROTATE` and `AUDITRAIL_BODY_IN_MEMORY` are the bytes at which a spool is rotated, and at which a
//!   body of the webhook goes to a file.
//!
//! With either of the first two, a write is two steps, each of half the bytes. `faults.rs` makes steps and reads fail instead.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(debug_assertions)]
use super::faults;
use super::file_step::FileStep;

/// Marks a step that changes no file.
pub(crate) fn at(what: FileStep<'_>) {
    // It cannot fail.
    let _ = step(what, || Ok(()));
}

/// The next free number for an opened file.
pub(super) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Splits a write in two halves if a test watches steps or injects faults.
pub(super) fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    #[cfg(debug_assertions)]
    let at = if watched::is_on() || faults::is_on() { bytes.len() / 2 } else { 0 };
    #[cfg(not(debug_assertions))]
    let at = 0;
    let (first, second) = bytes.split_at(at);
    [first, second].into_iter().filter(|part| !part.is_empty())
}

/// A size in bytes at which something happens. In a debug build the environment variable `name` makes it small, so that
/// a test gets there with few bytes.
pub(crate) fn size(name: &str, usual: u64) -> u64 {
    let given = || std::env::var(name).ok()?.parse().ok();
    if cfg!(debug_assertions) { given().unwrap_or(usual) } else { usual }
}

/// Runs one step.
#[cfg(not(debug_assertions))]
#[inline]
pub(super) fn step<T>(_: FileStep<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    act()
}

/// Runs one step between two crash points, unless a fault is planned for it.
#[cfg(debug_assertions)]
pub(super) fn step<T>(what: FileStep<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    watched::point();
    let done = faults::change(&what).and_then(|()| watched::noted(what, act));
    watched::point();
    done
}

/// Runs a read: opening a file for reading, or reading from it. Reads are counted apart from steps, so that one read
/// more or less does not shift the crash points.
#[cfg(not(debug_assertions))]
#[inline]
pub(super) fn read_step<T>(_: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    act()
}

/// Runs a read, unless a fault is planned for it.
#[cfg(debug_assertions)]
pub(super) fn read_step<T>(path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    faults::read(path)?;
    act()
}

#[cfg(debug_assertions)]
mod watched {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Write as _};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use crate::disk::file_step::FileStep;

    static POINTS: AtomicU64 = AtomicU64::new(0);
    static END_AT: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("AUDITRAIL_END_AT").ok()?.parse().ok());
    static NOTES: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
        let path = std::env::var_os("AUDITRAIL_STEPS")?;
        OpenOptions::new().create(true).append(true).open(path).ok().map(Mutex::new)
    });

    pub(super) fn is_on() -> bool {
        END_AT.is_some() || NOTES.is_some()
    }

    /// Counts one crash point, and kills the process if it is the chosen one.
    pub(super) fn point() {
        if !is_on() {
            return;
        }
        let this = POINTS.fetch_add(1, Ordering::SeqCst) + 1;
        if END_AT.is_none_or(|end| this < end) {
            return;
        }
        // Take the lock first, so that a step which another thread has just done is recorded before the kill.
        let _notes =
            NOTES.as_ref().map(|notes| notes.lock().unwrap_or_else(PoisonError::into_inner));
        // Other threads stop at their next crash point too.
        let me = rustix::process::getpid();
        let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }

    /// Runs the step and records it if it succeeded. The lock is held meanwhile, so the record has the order in which
    /// the steps happened.
    pub(super) fn noted<T>(
        what: FileStep<'_>,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(notes) = &*NOTES else { return act() };
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act()?;
        let passed = POINTS.load(Ordering::SeqCst);
        let line = match what {
            FileStep::Open(path, empty, file) => json!([passed, "open", path, empty, file]),
            FileStep::Write(file, bytes) => json!([passed, "write", file, STANDARD.encode(bytes)]),
            FileStep::Cut(file, length) => json!([passed, "cut", file, length]),
            FileStep::Sync(file) => json!([passed, "sync", file]),
            FileStep::Names(path) => json!([passed, "names", path]),
            FileStep::Directory(path) => json!([passed, "directory", path]),
            FileStep::Socket(path) => json!([passed, "socket", path]),
            FileStep::Private(path) => json!([passed, "private", path]),
            FileStep::Rename(from, to) => json!([passed, "rename", from, to]),
            FileStep::Link(from, to) => json!([passed, "link", from, to]),
            FileStep::Unlink(path) => json!([passed, "unlink", path]),
            FileStep::Send => json!([passed, "send"]),
            FileStep::Answer => json!([passed, "answer"]),
        };
        notes.write_all(format!("{line}\n").as_bytes())?;
        Ok(done)
    }
}
