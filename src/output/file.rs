//! A file of lines, exactly once: cut back at start to the length that the checkpoint knows.
//!
//! The cursor is written down together with the length at that moment, after the file was synced, so that file and
//! checkpoint always agree. Standard output cannot be cut back: there lines may come twice after a kill.
//!
//! With `rotate`, a full file gets its number as a further extension (`archive.ndjson.000001`), and the oldest go.

use std::fs::{self, File as StdFile, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::finding::Finding;
use super::{Answer, Pick, Reason, Verdict};
use crate::config::Rotate;
use crate::event::Batch;

/// Where a file output stands: how often it has rotated, and how many bytes the present file has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Mark {
    pub(crate) sequence: u64,
    pub(crate) length: u64,
}

/// One file, or standard output.
#[derive(Clone)]
pub(crate) struct File {
    path: PathBuf,
    rotate: Option<Rotate>,
    // The std lock: writing blocks anyway.
    open: Arc<Mutex<Open>>,
}

struct Open {
    /// `None`: standard output, or not opened yet.
    file: Option<StdFile>,
    mark: Mark,
    buffer: Vec<u8>,
}

/// Standard output, as `path`.
const STDOUT: &str = "-";

impl File {
    /// The output for one input; `{input}` in the path is its name. Nothing is opened yet.
    pub(crate) fn new(path: &Path, rotate: Option<Rotate>, input: &str) -> Self {
        let path = PathBuf::from(path.to_string_lossy().replace("{input}", input));
        let open = Open { file: None, mark: Mark::default(), buffer: Vec::new() };
        Self { path, rotate, open: Arc::new(Mutex::new(open)) }
    }

    pub(crate) fn is_stdout(&self) -> bool {
        self.path.as_os_str() == STDOUT
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file and cuts it back to `mark`; without one, what is there stays and is appended to.
    ///
    /// # Errors
    /// If it cannot be opened, or is shorter than the checkpoint says, so that lines are missing from it.
    pub(crate) fn open(&self, mark: Option<Mark>) -> io::Result<()> {
        if self.is_stdout() {
            return Ok(());
        }
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        if let Some(mark) = mark {
            self.unrotate(mark)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        let length = file.metadata()?.len();
        let mark = mark.unwrap_or(Mark { sequence: 0, length });
        if length < mark.length {
            let what = format!(
                "it holds {length} bytes, and {} were written: restore it, or move it and the state directory away",
                mark.length
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        file.set_len(mark.length)?;
        file.sync_all()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        (open.file, open.mark) = (Some(file), mark);
        Ok(())
    }

    /// Takes back the rotations that the checkpoint does not know of.
    fn unrotate(&self, mark: Mark) -> io::Result<()> {
        let rotated = self.rotated(mark.sequence);
        if self.rotate.is_none() || !rotated.try_exists()? {
            return Ok(());
        }
        let mut later = mark.sequence + 1;
        while self.rotated(later).try_exists()? {
            fs::remove_file(self.rotated(later))?;
            later += 1;
        }
        fs::rename(rotated, &self.path)
    }

    fn rotated(&self, sequence: u64) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{sequence:06}"));
        name.into()
    }

    /// Where the file stands.
    pub(crate) fn mark(&self) -> Mark {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).mark
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    /// As the disk has them.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let file = match &self.open.lock().unwrap_or_else(PoisonError::into_inner).file {
            Some(file) => file.try_clone()?,
            None => return Ok(()),
        };
        file.sync_data()
    }

    /// Appends the lines. Blocks.
    pub(super) fn send(&self, batch: &Batch, picks: &[Pick]) -> Answer {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = std::mem::take(&mut open.buffer);
        buffer.clear();
        for pick in picks {
            buffer.extend_from_slice(batch.record(pick.event as usize).line);
            buffer.push(b'\n');
        }
        let result = self.append(&mut open, &buffer);
        // A large line's room is not kept.
        if buffer.capacity() <= 8 << 20 {
            open.buffer = buffer;
        }
        Answer::Whole(match result {
            Ok(()) => Verdict::Delivered,
            Err(error) => {
                let answer = format!("{}: {error}", self.path.display());
                let hint = "see that the disk has room and the path can be written to".to_owned();
                match error.kind() {
                    io::ErrorKind::Interrupted => {
                        Verdict::Retry { after: None, reason: Reason::ServerError, answer }
                    }
                    _ => Verdict::Stop { answer, hint },
                }
            }
        })
    }

    fn append(&self, open: &mut Open, lines: &[u8]) -> io::Result<()> {
        if self.is_stdout() {
            let mut stdout = io::stdout().lock();
            return stdout.write_all(lines).and_then(|()| stdout.flush());
        }
        if let Some(rotate) = self.rotate
            && open.mark.length > 0
            && open.mark.length + lines.len() as u64 > rotate.max_bytes
        {
            self.turn(open, rotate)?;
        }
        let Some(file) = &mut open.file else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = file.write_all(lines) {
            // What was written of it is cut off, so that the next try does not stand behind half a line.
            file.set_len(open.mark.length)?;
            return Err(error);
        }
        open.mark.length += lines.len() as u64;
        Ok(())
    }

    /// Begins a new file.
    fn turn(&self, open: &mut Open, rotate: Rotate) -> io::Result<()> {
        if let Some(file) = &open.file {
            file.sync_data()?;
        }
        fs::rename(&self.path, self.rotated(open.mark.sequence))?;
        open.file =
            Some(OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?);
        open.mark = Mark { sequence: open.mark.sequence + 1, length: 0 };
        if let Some(oldest) = open.mark.sequence.checked_sub(rotate.max_files as u64 + 1) {
            match fs::remove_file(self.rotated(oldest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the file can be written to.
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
            Ok(()) => Finding::ok(format!("{shown} can be written to")),
            Err(error) => Finding::fail(
                format!("{shown} cannot be written to: {error}"),
                "change its mode or owner, or `path`",
            ),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Fields, Fingerprint, Form, Span, Whole};

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch {
            generation: Fingerprint([0; 16]),
            start: 0,
            end: 0,
            bytes: Vec::new(),
            events: Vec::new(),
        };
        for line in lines {
            let at = batch.bytes.len();
            batch.bytes.extend_from_slice(line.as_bytes());
            let line = Span::new(at, batch.bytes.len());
            batch.events.push(Event {
                offset: 0,
                whole: Whole::Yes,
                form: Form::Json,
                line,
                time: 0,
                fields: Fields::default(),
                depth: 0,
            });
        }
        batch
    }

    fn write(file: &File, lines: &[&str]) {
        let batch = batch(lines);
        let picks: Vec<_> = (0..lines.len())
            .map(|index| Pick { event: u32::try_from(index).unwrap(), safe: false })
            .collect();
        assert_eq!(file.send(&batch, &picks), Answer::Whole(Verdict::Delivered));
    }

    #[test]
    fn after_a_kill_the_file_is_cut_back_to_what_the_checkpoint_knows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/out-{input}.ndjson");
        let file = File::new(&path, None, "a");
        file.open(None).unwrap();
        write(&file, &["one"]);
        let mark = file.mark();
        write(&file, &["two"]);
        let again = File::new(&path, None, "a");
        again.open(Some(mark)).unwrap();
        write(&again, &["two", "three"]);
        assert_eq!(
            fs::read_to_string(dir.path().join("sub/out-a.ndjson")).unwrap(),
            "one\ntwo\nthree\n"
        );
    }

    #[test]
    fn a_file_that_lost_lines_is_not_written_on() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::new(&dir.path().join("out"), None, "a");
        file.open(None).unwrap();
        write(&file, &["one"]);
        let mark = file.mark();
        fs::write(file.path(), "on").unwrap();
        let error = file.open(Some(mark)).unwrap_err().to_string();
        assert!(error.contains("it holds 2 bytes, and 4 were written"), "{error}");
    }

    #[test]
    fn rotations_after_the_checkpoint_are_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let rotate = Some(Rotate { max_bytes: 8, max_files: 10 });
        let file = File::new(&dir.path().join("out"), rotate, "a");
        file.open(None).unwrap();
        write(&file, &["one"]);
        let mark = file.mark();
        for line in ["two", "three", "four", "five"] {
            write(&file, &[line]);
        }
        let names = || {
            let mut names: Vec<_> = fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(), ["out", "out.000000", "out.000001", "out.000002"]);
        file.open(Some(mark)).unwrap();
        assert_eq!(names(), ["out"]);
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "one\n");
    }

    #[test]
    fn no_more_old_files_are_kept_than_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let file =
            File::new(&dir.path().join("out"), Some(Rotate { max_bytes: 4, max_files: 1 }), "a");
        file.open(None).unwrap();
        for line in ["one", "two", "abc"] {
            write(&file, &[line]);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert_eq!(fs::read_to_string(dir.path().join("out.000001")).unwrap(), "two\n");
    }
}
