//! The steps between which a crash may fall. In a release build a step is what it does and nothing more.
//!
//! In a debug build two variables of the environment are for tests:
//! `AUDITRAIL_END_AT=N` ends the process with SIGKILL at the N-th point, counted over all threads; each step has one
//! before it and one after. `AUDITRAIL_STEPS=PATH` appends a line of JSON for each step that succeeded: how many points
//! had been passed, what was done, and on what. With either, a write is two steps, each of half the bytes.
//! `faults.rs` makes steps and reads fail instead.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(debug_assertions)]
use super::faults;

/// What is done, with all that is needed to do it again elsewhere.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(debug_assertions), expect(dead_code, reason = "only a debug build looks at steps"))]
pub(crate) enum Step<'a> {
    /// Opened under a number by which the next three know it, and made where it is missing; `true`: emptied.
    Open(&'a Path, bool, u64),
    Write(u64, &'a [u8]),
    Cut(u64, u64),
    /// Content and length of a file.
    Sync(u64),
    /// The names in a directory.
    Names(&'a Path),
    Directory(&'a Path),
    /// A socket that listens.
    Socket(&'a Path),
    /// Open to the owner alone.
    Private(&'a Path),
    Rename(&'a Path, &'a Path),
    Link(&'a Path, &'a Path),
    Unlink(&'a Path),
    /// A request leaves: what is written before cannot be taken back.
    Send,
    /// An answer has come.
    Answer,
}

/// Something happens that changes no file.
pub(crate) fn at(what: Step<'_>) {
    // It cannot fail.
    let _ = step(what, || Ok(()));
}

/// A number for a file that is opened.
pub(super) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The parts in which something is written.
pub(super) fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    #[cfg(debug_assertions)]
    let at = if watched::is_on() || faults::is_on() { bytes.len() / 2 } else { 0 };
    #[cfg(not(debug_assertions))]
    let at = 0;
    let (first, second) = bytes.split_at(at);
    [first, second].into_iter().filter(|part| !part.is_empty())
}

/// Takes one step.
#[cfg(not(debug_assertions))]
#[inline]
pub(super) fn step<T>(_: Step<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    act()
}

/// Takes one step, unless the process is to end before it.
#[cfg(debug_assertions)]
pub(super) fn step<T>(what: Step<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    watched::point();
    let done = faults::change(&what).and_then(|()| watched::noted(what, act));
    watched::point();
    done
}

/// Opens the file under a path to read it, or reads from it. Reads are counted apart from steps, so that a read more or less
/// moves no point at which a process is ended.
#[cfg(not(debug_assertions))]
#[inline]
pub(super) fn read_step<T>(_: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    act()
}

/// Likewise, unless it is to fail.
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

    use super::Step;

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

    /// One of the points that are counted.
    pub(super) fn point() {
        if !is_on() {
            return;
        }
        let this = POINTS.fetch_add(1, Ordering::SeqCst) + 1;
        if END_AT.is_none_or(|end| this < end) {
            return;
        }
        // What was done is noted down before that.
        let _notes =
            NOTES.as_ref().map(|notes| notes.lock().unwrap_or_else(PoisonError::into_inner));
        // No other thread gets past a point either.
        let me = rustix::process::getpid();
        let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }

    /// Acts, and notes it down if it succeeded. One after the other, so that the notes have the order of the deeds.
    pub(super) fn noted<T>(what: Step<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(notes) = &*NOTES else { return act() };
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act()?;
        let passed = POINTS.load(Ordering::SeqCst);
        let line = match what {
            Step::Open(path, empty, file) => json!([passed, "open", path, empty, file]),
            Step::Write(file, bytes) => json!([passed, "write", file, STANDARD.encode(bytes)]),
            Step::Cut(file, length) => json!([passed, "cut", file, length]),
            Step::Sync(file) => json!([passed, "sync", file]),
            Step::Names(path) => json!([passed, "names", path]),
            Step::Directory(path) => json!([passed, "directory", path]),
            Step::Socket(path) => json!([passed, "socket", path]),
            Step::Private(path) => json!([passed, "private", path]),
            Step::Rename(from, to) => json!([passed, "rename", from, to]),
            Step::Link(from, to) => json!([passed, "link", from, to]),
            Step::Unlink(path) => json!([passed, "unlink", path]),
            Step::Send => json!([passed, "send"]),
            Step::Answer => json!([passed, "answer"]),
        };
        notes.write_all(format!("{line}\n").as_bytes())?;
        Ok(done)
    }
}
