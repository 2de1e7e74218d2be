//! Fault injection, in a debug build only: a step fails instead of acting, as on a bad or full disk.
//!
//! - `AUDITRAIL_FAIL_AT=N` fails the N-th step that changes a file, `AUDITRAIL_FAIL_READ_AT=N` the N-th read. Each is
//!   counted from 1, over all threads.
//! - `AUDITRAIL_FAIL_WITH` names the error (default `EIO`). `HANG` is no error: the step or read never returns, as on a
//!   network file system whose server is gone.
//! - `AUDITRAIL_FAIL_COUNT` says how many in a row fail (default 1).
//! - `AUDITRAIL_FAIL_UNDER` limits the count to operations below a directory.
//! - `AUDITRAIL_FAULTS=PATH` appends a line of JSON for each step and read: `change` or `read`, its number, the
//!   operation, the path, and the injected error or null.
//!
//! A write counts as two steps, each of half the bytes: a fault at the second leaves a half-written file.
//! Many unit tests share a process, so they plan faults for one directory each (`plan`).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use serde_json::json;

use super::file_step::FileStep;

/// Which operations a fault applies to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FaultKind {
    /// Operations that change a file.
    Change,
    /// Opening a file for reading, and reading from it.
    Read,
}

/// A series of planned faults.
#[derive(Debug)]
struct FaultPlan {
    kind: FaultKind,
    /// The directory below which they apply; `None`: anywhere.
    under: Option<PathBuf>,
    /// How many operations succeed first.
    before: u64,
    /// How many fail after that.
    count: u64,
    error: Errno,
}

#[derive(Default)]
struct Faults {
    plans: Vec<FaultPlan>,
    tape: Option<File>,
    /// Number of changes and of reads so far.
    seen: [u64; 2],
    /// The path of each file opened for writing, by its number.
    names: BTreeMap<u64, PathBuf>,
}

static IS_ON: LazyLock<bool> = LazyLock::new(|| {
    cfg!(test)
        || ["AUDITRAIL_FAIL_AT", "AUDITRAIL_FAIL_READ_AT", "AUDITRAIL_FAULTS"]
            .iter()
            .any(|name| std::env::var_os(name).is_some())
});

static FAULTS: LazyLock<Mutex<Faults>> = LazyLock::new(|| Mutex::new(Faults::of_environment()));

fn faults() -> MutexGuard<'static, Faults> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether writes are split in two steps.
pub(super) fn is_on() -> bool {
    *IS_ON && (!cfg!(test) || !faults().plans.is_empty())
}

/// Fails a step if a fault is planned for it.
pub(super) fn change(step: &FileStep<'_>) -> io::Result<()> {
    if !*IS_ON {
        return Ok(());
    }
    let mut faults = faults();
    let (what, file, paths) = match step {
        // These touch no disk.
        FileStep::Send | FileStep::Answer => return Ok(()),
        FileStep::Open(path, _, number) => {
            faults.names.insert(*number, path.to_path_buf());
            ("open", None, vec![*path])
        }
        FileStep::Write(number, _) => ("write", Some(number), Vec::new()),
        FileStep::Cut(number, _) => ("cut", Some(number), Vec::new()),
        FileStep::Sync(number) => ("sync", Some(number), Vec::new()),
        FileStep::Names(path) => ("names", None, vec![*path]),
        FileStep::Directory(path) => ("directory", None, vec![*path]),
        FileStep::Socket(path) => ("socket", None, vec![*path]),
        FileStep::Private(path) => ("private", None, vec![*path]),
        FileStep::Rename(from, to) => ("rename", None, vec![*from, *to]),
        FileStep::Link(from, to) => ("link", None, vec![*from, *to]),
        FileStep::Unlink(path) => ("unlink", None, vec![*path]),
    };
    let mut paths: Vec<_> = paths.into_iter().map(Path::to_owned).collect();
    paths.extend(file.and_then(|number| faults.names.get(number)).cloned());
    let met = faults.meet(FaultKind::Change, what, &paths);
    drop(faults);
    or_hang(met)
}

/// Stands for a file system that never answers: the thread blocks forever.
const HANG: Errno = Errno::from_raw_os_error(4000);

fn or_hang(met: io::Result<()>) -> io::Result<()> {
    match met {
        Err(error) if error.raw_os_error() == Some(HANG.raw_os_error()) => loop {
            std::thread::park();
        },
        other => other,
    }
}

/// Fails a read if a fault is planned for it.
pub(super) fn read(path: &Path) -> io::Result<()> {
    if !*IS_ON {
        return Ok(());
    }
    let met = faults().meet(FaultKind::Read, "read", &[path.to_owned()]);
    or_hang(met)
}

/// Fails `count` operations below a directory, after `before` of them have succeeded. Replaces earlier plans for this
/// directory; a `count` of 0 plans nothing.
#[cfg(test)]
pub(crate) fn plan(under: &Path, kind: FaultKind, before: u64, count: u64, error: Errno) {
    let mut faults = faults();
    faults.plans.retain(|plan| plan.under.as_deref() != Some(under));
    if count > 0 {
        let under = Some(under.to_owned());
        faults.plans.push(FaultPlan { kind, under, before, count, error });
    }
}

impl Faults {
    fn of_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let error = std::env::var("AUDITRAIL_FAIL_WITH").ok();
        let error = error.as_deref().and_then(errno).unwrap_or(Errno::IO);
        let count = number("AUDITRAIL_FAIL_COUNT").unwrap_or(1);
        let kinds =
            [(FaultKind::Change, "AUDITRAIL_FAIL_AT"), (FaultKind::Read, "AUDITRAIL_FAIL_READ_AT")];
        let plans = kinds.into_iter().filter_map(|(kind, name)| {
            let before = number(name)?.saturating_sub(1);
            let under = std::env::var_os("AUDITRAIL_FAIL_UNDER").map(PathBuf::from);
            Some(FaultPlan { kind, under, before, count, error })
        });
        let tape = std::env::var_os("AUDITRAIL_FAULTS")
            .and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok());
        Self { plans: plans.collect(), tape, ..Self::default() }
    }

    /// Counts one operation and returns its planned error, if any.
    fn meet(&mut self, kind: FaultKind, what: &str, paths: &[PathBuf]) -> io::Result<()> {
        let of = |plan: &&mut FaultPlan| {
            plan.kind == kind
                && plan
                    .under
                    .as_ref()
                    .is_none_or(|under| paths.iter().any(|path| path.starts_with(under)))
        };
        let mut error = None;
        for plan in self.plans.iter_mut().filter(of) {
            if plan.before > 0 {
                plan.before -= 1;
            } else if plan.count > 0 {
                plan.count -= 1;
                error = error.or(Some(plan.error));
            }
        }
        if cfg!(test) {
            self.plans.retain(|plan| plan.count > 0);
        }
        let seen = &mut self.seen[usize::from(kind == FaultKind::Read)];
        *seen += 1;
        if let Some(tape) = &mut self.tape {
            let kind = if kind == FaultKind::Read { "read" } else { "change" };
            let error = error.map(|error| format!("{error:?}"));
            let line = json!([kind, *seen, what, paths.first(), error]);
            // If the record cannot be written, the test notices the missing line.
            let _ = tape.write_all(format!("{line}\n").as_bytes());
        }
        error.map_or(Ok(()), |error| Err(error.into()))
    }
}

fn errno(name: &str) -> Option<Errno> {
    Some(match name {
        "EIO" => Errno::IO,
        "ENOSPC" => Errno::NOSPC,
        "EMFILE" => Errno::MFILE,
        "EINTR" => Errno::INTR,
        "EROFS" => Errno::ROFS,
        "EDQUOT" => Errno::DQUOT,
        "ESTALE" => Errno::STALE,
        "EACCES" => Errno::ACCESS,
        "HANG" => HANG,
        _ => return None,
    })
}
