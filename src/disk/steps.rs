//! The steps between which a crash may fall. In a release build a step is what it does and nothing more.
//!
//! In a debug build two variables of the environment are for tests:
//! `AUDITRAIL_END_AT=N` ends the process with SIGKILL at the N-th point, counted over all threads; each step has one
//! before it and one after. `AUDITRAIL_STEPS=PATH` appends a line of JSON for each step that succeeded.

use std::io;
use std::path::Path;

/// What is done, with all that is needed to do it again elsewhere.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(debug_assertions), expect(dead_code, reason = "only a debug build looks at steps"))]
pub(crate) enum Step<'a> {
    /// Opened, and made where it is missing; `true`: emptied.
    Open(&'a Path, bool),
    Write(&'a Path, &'a [u8]),
    Cut(&'a Path, u64),
    /// Of a file its content, of a directory its names.
    Sync(&'a Path),
    Directory(&'a Path),
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
    let done = watched::noted(what, act);
    watched::point();
    done
}

#[cfg(debug_assertions)]
mod watched {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Write as _};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::Step;

    static POINTS: AtomicU64 = AtomicU64::new(0);
    static END_AT: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("AUDITRAIL_END_AT").ok()?.parse().ok());
    static NOTES: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
        let path = std::env::var_os("AUDITRAIL_STEPS")?;
        OpenOptions::new().create(true).append(true).open(path).ok().map(Mutex::new)
    });

    /// One of the points that are counted.
    pub(super) fn point() {
        let Some(end) = *END_AT else { return };
        if POINTS.fetch_add(1, Ordering::SeqCst) + 1 < end {
            return;
        }
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
        let line = match what {
            Step::Open(path, empty) => serde_json::json!(["open", path, empty]),
            Step::Write(path, bytes) => serde_json::json!(["write", path, STANDARD.encode(bytes)]),
            Step::Cut(path, length) => serde_json::json!(["cut", path, length]),
            Step::Sync(path) => serde_json::json!(["sync", path]),
            Step::Directory(path) => serde_json::json!(["directory", path]),
            Step::Rename(from, to) => serde_json::json!(["rename", from, to]),
            Step::Link(from, to) => serde_json::json!(["link", from, to]),
            Step::Unlink(path) => serde_json::json!(["unlink", path]),
            Step::Send => serde_json::json!(["send"]),
            Step::Answer => serde_json::json!(["answer"]),
        };
        notes.write_all(format!("{line}\n").as_bytes())?;
        Ok(done)
    }
}
