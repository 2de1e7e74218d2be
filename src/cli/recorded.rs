//! Reads recorded logs for the commands that only show something of them.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::event::{Batch, Event, Form, Key};
use crate::input::{Batches, Limits, list};
use crate::replay::open_log::{STEP, unpacked};
use crate::replay::refuse_foreign;

/// Longest line that is kept whole: the default of `max_line_bytes`.
const LONGEST: usize = 100 << 20;
/// Approximate bytes and events of one batch.
const BATCH: usize = 1 << 20;
const MOST: usize = 1000;

/// The file, or all files of the directory that begin like an audit log.
///
/// # Errors If there is none, or if the file is a log of something else.
pub(super) fn files(path: &Path, key: &Key) -> anyhow::Result<Vec<PathBuf>> {
    let shown = path.display();
    let kind = fs::metadata(path).with_context(|| format!("cannot look at {shown}"))?;
    if !kind.is_dir() {
        let files = vec![path.to_owned()];
        refuse_foreign(&list(&files, path, key)?)?;
        return Ok(files);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(|| format!("cannot list {shown}"))? {
        let entry = entry.with_context(|| format!("cannot list {shown}"))?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let path = entry.path();
            if is_log(&path).with_context(|| format!("cannot read {}", path.display()))? {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        bail!(
            "no file in {shown} begins with an audit event: name an audit log, or a directory of them"
        );
    }
    files.sort();
    Ok(files)
}

/// Whether the first line that the agent would not skip is an event.
fn is_log(path: &Path) -> io::Result<bool> {
    let first = open(path, 1)?.next()?;
    let is_event = |event: &Event| event.form != Form::Unreadable;
    Ok(first.is_some_and(|batch| batch.events.iter().any(is_event)))
}

/// Calls `each` with the batches of a file, which may be compressed, until it returns false.
pub(super) fn read(path: &Path, mut each: impl FnMut(Batch) -> bool) -> io::Result<()> {
    let mut log = open(path, MOST)?;
    while let Some(batch) = log.next()? {
        if !each(batch) {
            break;
        }
    }
    Ok(())
}

/// Opens a file and decompresses it; returns batches of about `max_events` events.
fn open(path: &Path, max_events: usize) -> io::Result<Batches<Box<dyn BufRead>>> {
    let limits = Limits { bytes: BATCH, events: max_events, line_bytes: LONGEST };
    Ok(Batches::new(unpacked(BufReader::with_capacity(STEP, File::open(path)?))?, limits))
}
