//! The file output: appends lines to a file, exactly once.
//!
//! The checkpoint stores the cursor together with the length of the file at that moment, after an fsync of the file. At
//! start the file is truncated to that length, so file and checkpoint always agree. Standard output cannot be
//! truncated: lines may be duplicated there after a kill.
//!
//! With `rotate`, a full file is renamed with a number as a further extension (`archive.ndjson.000001`), and the oldest
//! files are deleted.

use std::io::{self, Write as _};
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::file_opening as opening;
use super::file_tail::Tail;
use super::finding::Finding;
use super::meter::{Ended, Meter};
use super::{
    Answer, Capabilities, Comparable, Deduplication, EventRef, LookUp, QueryError, Verdict,
};
use crate::config::Rotate;
use crate::disk;
use crate::event::{Batch, FileMark, RetryReason};

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    ordered: true,
    refuses: false,
    deduplication: Deduplication::CutBack,
    comparable: Comparable::No,
    ..Capabilities::STORE
};

/// One file, or standard output.
#[derive(Clone)]
pub(crate) struct File {
    path: PathBuf,
    rotate: Option<Rotate>,
    // A std lock: writing blocks anyway.
    open: Arc<Mutex<Open>>,
    meter: Meter,
    reader: Arc<Reader>,
}

struct Open {
    /// `None` for standard output, and before the file is opened.
    file: Option<disk::File>,
    mark: FileMark,
    buffer: Vec<u8>,
    /// The lines that the file already holds; read after a log was altered.
    tail: Option<Tail>,
    /// Why written lines may be lost: after a failed fsync the next fsync succeeds although data may be gone.
    broken: Option<String>,
}

impl Open {
    fn whole(&self) -> io::Result<()> {
        self.broken.clone().map_or(Ok(()), |why| Err(io::Error::other(why)))
    }

    /// After this nothing more is written to the file. The next start truncates it to the length that was certainly
    /// synced.
    fn break_with(&mut self, error: io::Error) -> io::Error {
        self.broken = Some(format!(
            "a sync failed ({error}), so lines may be lost: restart the agent, which writes them again"
        ));
        error
    }
}

/// The process that reads standard output.
#[derive(Default)]
struct Reader {
    /// The reader may close the pipe before everything is written.
    may_go: AtomicBool,
    is_gone: AtomicBool,
    gone: Notify,
}

impl Reader {
    fn failed(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::BrokenPipe && self.may_go.load(Relaxed) {
            self.is_gone.store(true, Relaxed);
            self.gone.notify_one();
        }
    }
}

/// A buffer that a large line has grown beyond this is dropped after use, in bytes.
pub(super) const KEPT: u64 = 8 << 20;

/// The value of `path` for standard output.
const STDOUT: &str = "-";

impl File {
    /// The output of one input; `{input}` in the path is replaced by its name. Opens nothing yet.
    pub(crate) fn new(path: &Path, rotate: Option<Rotate>, input: &str) -> Self {
        let path = PathBuf::from(path.to_string_lossy().replace("{input}", input));
        let (mark, buffer) = (FileMark::default(), Vec::new());
        let open = Open { file: None, mark, buffer, tail: None, broken: None };
        Self {
            path,
            rotate,
            open: Arc::new(Mutex::new(open)),
            meter: Meter::default(),
            reader: Arc::default(),
        }
    }

    pub(super) fn set_meter(&mut self, meter: Meter) {
        self.meter = meter;
    }

    pub(crate) fn is_stdout(&self) -> bool {
        self.path.as_os_str() == STDOUT
    }

    /// Waits until the reader of standard output closes it, as `head` does. From the first call on, that is an end and
    /// not an error.
    pub(crate) async fn reader_gone(&self) {
        self.reader.may_go.store(true, Relaxed);
        self.reader.gone.notified().await;
    }

    /// Whether the reader has closed standard output, and somebody waits for that and ends the sender.
    pub(super) fn has_no_reader(&self) -> bool {
        self.reader.is_gone.load(Relaxed)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file and truncates it to `mark`; without a mark it keeps the content and appends to it.
    ///
    /// # Errors
    /// If the file cannot be opened, or is shorter than the checkpoint says, so that lines are missing.
    pub(crate) fn open(&self, mark: Option<FileMark>) -> io::Result<()> {
        if self.is_stdout() {
            return Ok(());
        }
        if let Some(directory) = self.path.parent() {
            disk::create_dir_all(directory)?;
        }
        let mark = match mark {
            Some(mark) => Some(self.unrotate(mark)?),
            None => None,
        };
        let file = opening::append(&self.path)?;
        let length = file.length()?;
        // Files that an earlier run of the agent rotated are kept.
        let next = || Ok::<_, io::Error>(self.all_rotated()?.last().map_or(0, |last| last + 1));
        let mark = match mark {
            Some(mark) => mark,
            None => FileMark { sequence: next()?, length },
        };
        if length < mark.length {
            let what = format!(
                "it holds {length} bytes, and {} were written: restore it, or move it and the state directory away",
                mark.length
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        file.set_len(mark.length)?;
        file.sync()?;
        self.sync_directory()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        (open.file, open.mark, open.broken) = (Some(file), mark, None);
        Ok(())
    }

    /// Undoes the rotations that the checkpoint does not know of; returns the mark that is valid afterwards.
    fn unrotate(&self, mark: FileMark) -> io::Result<FileMark> {
        let mut later = self.all_rotated()?;
        later.retain(|sequence| *sequence >= mark.sequence);
        if later.is_empty() {
            // After a kill between the two steps of a rotation no file has the plain name, but then a numbered file
            // exists.
            return Ok(mark);
        }
        let marked = self.rotated(mark.sequence);
        if !marked.try_exists()? {
            return self.begin_anew(&later);
        }
        // Remove the newest first, so that a kill in between leaves enough to continue from.
        for sequence in later.iter().rev().filter(|sequence| **sequence > mark.sequence) {
            disk::remove_file(&self.rotated(*sequence))?;
        }
        disk::rename(&marked, &self.path)?;
        Ok(mark)
    }

    /// The file of the mark was rotated so often that it was deleted: events after the mark are written again, into a
    /// new file.
    fn begin_anew(&self, later: &[u64]) -> io::Result<FileMark> {
        opening::append(&self.path)?.set_len(0)?;
        let Some((last, others)) = later.split_last() else { return Ok(FileMark::default()) };
        for sequence in others {
            disk::remove_file(&self.rotated(*sequence))?;
        }
        // Keep this one, empty. Until the new mark is in the checkpoint, it shows that the old mark is no longer valid.
        let empty = opening::append(&self.rotated(*last))?;
        empty.set_len(0)?;
        empty.sync()?;
        Ok(FileMark { sequence: last + 1, length: 0 })
    }

    /// The numbers of the rotated files, in ascending order.
    fn all_rotated(&self) -> io::Result<Vec<u64>> {
        let (Some(directory), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(Vec::new());
        };
        let name = name.as_encoded_bytes();
        let mut all = Vec::new();
        for entry in disk::list(directory)? {
            let entry = entry?.file_name();
            let digits = entry.as_encoded_bytes().strip_prefix(name);
            let digits = digits.and_then(|rest| rest.strip_prefix(b"."));
            let digits = digits.filter(|digits| digits.len() >= 6).map(<[u8]>::to_vec);
            let text = digits.and_then(|digits| String::from_utf8(digits).ok());
            all.extend(text.and_then(|text| text.parse::<u64>().ok()));
        }
        all.sort_unstable();
        Ok(all)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), disk::sync_directory)
    }

    fn rotated(&self, sequence: u64) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{sequence:06}"));
        name.into()
    }

    /// The current position of the output.
    pub(crate) fn mark(&self) -> FileMark {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).mark
    }

    /// Fsyncs the file.
    ///
    /// # Errors
    /// The error of the fsync, now or earlier.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let file = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.whole()?;
            match &open.file {
                Some(file) => file.try_clone()?,
                None => return Ok(()),
            }
        };
        file.sync().map_err(|error| {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).break_with(error)
        })
    }

    /// Appends the lines of the picked events. Blocks.
    pub(super) fn send(&self, batch: &Batch, picks: &[EventRef]) -> Answer {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if batch.earlier.is_empty() {
            open.tail = None;
        }
        let mut buffer = std::mem::take(&mut open.buffer);
        buffer.clear();
        for pick in picks {
            buffer.extend_from_slice(batch.record(pick.event as usize).line);
            buffer.push(b'\n');
        }
        let began = Instant::now();
        let result = self.append(&mut open, &buffer);
        self.meter.report(began, buffer.len(), Ended::Appended(result.is_ok()));
        if buffer.capacity() as u64 <= KEPT {
            open.buffer = buffer;
        }
        Answer::Whole(match result {
            Ok(()) => Verdict::Delivered,
            Err(error) => {
                let answer = format!("{}: {error}", self.path.display());
                let hint = "see that the disk has room and the path can be written to".to_owned();
                match error.kind() {
                    io::ErrorKind::Interrupted => {
                        Verdict::Retry { after: None, reason: RetryReason::ServerError, answer }
                    }
                    _ => Verdict::Stop { answer, hint },
                }
            }
        })
    }

    /// Which picks the file already holds. Only asked after a log was altered; otherwise the file is truncated instead.
    pub(super) fn look_up(&self, batch: &Batch, picks: &[EventRef]) -> LookUp {
        if self.is_stdout() || batch.earlier.is_empty() {
            return Err(QueryError::Unavailable {
                answer: "a file is cut back instead".to_owned(),
            });
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.tail.as_ref().is_some_and(|tail| tail.is_of(batch)) {
            let rotated = (0..open.mark.sequence).rev().map(|sequence| self.rotated(sequence));
            match Tail::read(batch.generation, iter::once(self.path.clone()).chain(rotated)) {
                Ok(tail) => open.tail = Some(tail),
                Err(error) => {
                    let answer = format!("{}: {error}", self.path.display());
                    let reason = RetryReason::ServerError;
                    return Err(QueryError::Retry { after: None, reason, answer });
                }
            }
        }
        let found = open.tail.as_mut().map(|tail| tail.find(batch, picks));
        Ok(found.unwrap_or_default())
    }

    fn append(&self, open: &mut Open, lines: &[u8]) -> io::Result<()> {
        if self.is_stdout() {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(lines).and_then(|()| stdout.flush());
            return written.inspect_err(|error| self.reader.failed(error));
        }
        if let Some(rotate) = self.rotate
            && open.mark.length > 0
            && open.mark.length + lines.len() as u64 > rotate.max_bytes
        {
            self.turn(open, rotate)?;
        }
        open.whole()?;
        let Some(file) = &mut open.file else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = file.write_all(lines) {
            // Truncate a partly written line, so that the retry does not append after a torn line.
            file.set_len(open.mark.length)?;
            return Err(error);
        }
        open.mark.length += lines.len() as u64;
        Ok(())
    }

    /// Rotates: renames the full file and begins a new one.
    fn turn(&self, open: &mut Open, rotate: Rotate) -> io::Result<()> {
        open.whole()?;
        if let Some(Err(error)) = open.file.as_ref().map(disk::File::sync) {
            return Err(open.break_with(error));
        }
        let rotated = self.rotated(open.mark.sequence);
        match disk::rename(&self.path, &rotated) {
            // An earlier attempt has already renamed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && rotated.try_exists()? => {}
            other => other?,
        }
        open.file = Some(opening::append(&self.path)?);
        open.mark = FileMark { sequence: open.mark.sequence + 1, length: 0 };
        self.sync_directory()?;
        if let Some(oldest) = open.mark.sequence.checked_sub(rotate.max_files as u64 + 1) {
            match disk::remove_file(&self.rotated(oldest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks whether the file can be written to.
    pub(super) fn check(&self) -> Vec<Finding> {
        if self.is_stdout() {
            return vec![Finding::warn(
                "standard output: lines may come twice after a kill",
                "write to a file for exactly once",
            )];
        }
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let nearest = directory.ancestors().find(|path| path.is_dir()).unwrap_or(directory);
        let existing = if self.path.is_file() { &self.path } else { nearest };
        let shown = self.path.display();
        vec![match rustix::fs::access(existing, rustix::fs::Access::WRITE_OK) {
            Ok(()) => match opening::shared_directory(&self.path) {
                None => Finding::ok(format!("{shown} can be written to")),
                Some(shared) => Finding::warn(
                    format!(
                        "{shown} can be written to, but others may write to {} and put another file in its place",
                        shared.display()
                    ),
                    "write to a directory that the agent's user alone may write to",
                ),
            },
            Err(error) => Finding::fail(
                format!("{shown} cannot be written to: {error}"),
                "change its mode or owner, or `path`",
            ),
        }]
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
