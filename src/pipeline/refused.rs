//! Events that an output will never take: a bounded file in the state directory, each with the answer that says why.
//!
//! One JSON object a line, synced before the cursor passes. An event that is refused again after a kill stands there
//! once all the same.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Budget;
use crate::disk;
use crate::event::{Batch, Fingerprint};

/// Ids that are remembered: about what is under way at a kill. One that was forgotten may stand in the file twice.
const REMEMBERED: usize = 50_000;

/// The refused events of one pair.
#[derive(Clone)]
pub(crate) struct Refused(Arc<Mutex<Books>>);

struct Books {
    path: PathBuf,
    budget: Budget,
    /// Ids of what stands in the file, as far as it may be refused again: the latest.
    ids: HashSet<String>,
    order: VecDeque<String>,
    bytes: u64,
}

/// Why nothing could be recorded.
#[derive(Debug)]
pub(super) enum RefusedError {
    /// The disk budget is spent; the text says what to do.
    Full(String),
    Io(io::Error),
}

/// One line of the file.
#[derive(Debug, Deserialize, Serialize)]
struct Entry<'a> {
    id: String,
    time: String,
    generation: Fingerprint,
    offset: u64,
    answer: &'a str,
    /// The event's line, where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
}

/// As much of an entry as is needed to know it again.
#[derive(Deserialize)]
struct Known {
    id: String,
}

impl Refused {
    /// Opens the file of a pair, cutting off a last line that was never finished.
    ///
    /// # Errors
    /// If the file or its directory cannot be read or made.
    pub(crate) fn open(
        state_dir: &Path,
        input: &str,
        output: &str,
        budget: Budget,
    ) -> io::Result<Self> {
        let directory = state_dir.join("refused");
        disk::create_dir_all(&directory)?;
        let path = directory.join(format!("{input}.{output}.ndjson"));
        let mut books =
            Books { path, budget, ids: HashSet::new(), order: VecDeque::new(), bytes: 0 };
        match File::open(&books.path) {
            Ok(file) => books.load(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self(Arc::new(Mutex::new(books))))
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Records events of a batch, and returns when they are on disk. Blocks.
    pub(super) fn record(
        &self,
        batch: &Batch,
        events: &[u32],
        answer: &str,
    ) -> Result<(), RefusedError> {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::new();
        let mut ids = Vec::new();
        for event in events {
            let index = *event as usize;
            let id = batch.position(index).id();
            if !books.ids.contains(&id) {
                write_entry(&mut lines, batch, index, id.clone(), answer)
                    .map_err(|error| RefusedError::Io(error.into()))?;
                ids.push(id);
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        books
            .budget
            .room(lines.len() as u64)
            .map_err(RefusedError::Io)?
            .map_err(RefusedError::Full)?;
        books.append(&lines).map_err(RefusedError::Io)?;
        for id in ids {
            books.remember(id);
        }
        Ok(())
    }
}

fn write_entry(
    to: &mut Vec<u8>,
    batch: &Batch,
    index: usize,
    id: String,
    answer: &str,
) -> serde_json::Result<()> {
    let record = batch.record(index);
    let line = std::str::from_utf8(record.line).ok();
    let line_base64 = line.is_none().then(|| STANDARD.encode(record.line));
    let time =
        jiff::Timestamp::from_nanosecond(record.event.time.into()).unwrap_or_default().to_string();
    let entry = Entry {
        id,
        time,
        generation: batch.generation,
        offset: record.event.offset,
        answer,
        line,
        line_base64,
    };
    serde_json::to_writer(&mut *to, &entry)?;
    to.push(b'\n');
    Ok(())
}

impl Books {
    fn load(&mut self, file: File) -> io::Result<()> {
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)? as u64;
            if line.last() != Some(&b'\n') {
                break;
            }
            // A line that does not read stays for people to look at; it only cannot be known again.
            if let Ok(known) = serde_json::from_slice::<Known>(&line) {
                self.remember(known.id);
            }
            self.bytes += length;
        }
        disk::File::existing(&self.path)?.set_len(self.bytes)
    }

    fn remember(&mut self, id: String) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        if self.ids.insert(id.clone()) {
            self.order.push_back(id);
        }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut file = disk::File::append(&self.path)?;
        let written = file.write_all(lines).and_then(|()| file.sync());
        if let Err(error) = written {
            file.set_len(self.bytes)?;
            return Err(error);
        }
        if self.bytes == 0
            && let Some(directory) = self.path.parent()
        {
            disk::sync_directory(directory)?;
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{Disk, MinFree};
    use crate::event::{Event, Fields, Form, Span, Whole};

    fn batch() -> Batch {
        let bytes = b"one\xff".to_vec();
        let event = |offset, start, end| Event {
            offset,
            whole: Whole::Yes,
            form: Form::Unreadable,
            line: Span::new(start, end),
            time: 0,
            fields: Fields::default(),
            depth: 0,
        };
        Batch {
            generation: Fingerprint([1; 16]),
            earlier: Vec::new(),
            start: 0,
            end: 4,
            bytes,
            events: vec![event(0, 0, 3), event(3, 3, 4)],
        }
    }

    fn open(directory: &Path, max_bytes: u64) -> Refused {
        let budget = Budget::new(directory, Disk { max_bytes, min_free: MinFree::Bytes(0) });
        Refused::open(directory, "in", "out", budget).unwrap()
    }

    #[test]
    fn a_refused_event_is_kept_once_with_its_answer() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), 1 << 20).record(&batch(), &[0], "400 no").unwrap();
        let path = dir.path().join("refused/in.out.ndjson");
        // Killed while writing.
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"id\":\"torn".to_vec()].concat()).unwrap();
        let again = open(dir.path(), 1 << 20);
        again.record(&batch(), &[0, 1], "400 no").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!((&lines[0]["line"], &lines[0]["answer"]), (&"one".into(), &"400 no".into()));
        assert_eq!(lines[1]["line_base64"], "/w==");
        assert_eq!(again.bytes(), text.len() as u64);
    }

    #[test]
    fn when_the_budget_is_spent_nothing_is_thrown_away() {
        let dir = tempfile::tempdir().unwrap();
        let refused = open(dir.path(), 10);
        assert!(
            matches!(refused.record(&batch(), &[0], "400 no"), Err(RefusedError::Full(hint)) if hint.contains("disk.max_bytes"))
        );
        assert_eq!(refused.bytes(), 0);
    }
}
