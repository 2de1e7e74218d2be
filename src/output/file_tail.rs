//! The last lines of a file output, to deduplicate after a log was altered: the input then reads again from before the
//! change, and the tail shows which events the file already holds.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use crate::event::{Batch, Fingerprint, Key};
use crate::output::EventRef;

/// Bytes read from the end of the output. Older lines are duplicated if so much of a log was lost before the read
/// position.
const BYTES: u64 = 64 << 20;
/// A fixed key, not a secret: the hashes never leave the process.
const PLAIN: Key = Key([0; 32]);

/// How often each line occurs in the tail, as hashes.
#[derive(Debug)]
pub(super) struct Tail {
    /// The generation for which the tail was read.
    generation: Fingerprint,
    lines: HashMap<Fingerprint, u32>,
}

impl Tail {
    /// Reads the tail from the files, the newest file first.
    pub(super) fn read(
        generation: Fingerprint,
        newest_first: impl Iterator<Item = PathBuf>,
    ) -> io::Result<Self> {
        let mut lines = HashMap::new();
        let mut room = BYTES;
        for path in newest_first {
            let mut file = match fs::File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                other => other?,
            };
            let length = file.metadata()?.len();
            let part = length.min(room);
            file.seek(SeekFrom::Start(length - part))?;
            let mut bytes = Vec::new();
            file.take(part).read_to_end(&mut bytes)?;
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                *lines.entry(PLAIN.hash(line)).or_default() += 1;
            }
            room -= part;
            if room == 0 {
                break;
            }
        }
        Ok(Self { generation, lines })
    }

    /// Whether the tail was read for the generation of this batch. It does not hold lines that were written later.
    pub(super) fn is_of(&self, batch: &Batch) -> bool {
        self.generation == batch.generation
    }

    /// Which picks the tail holds. Each stored line counts for one pick only.
    pub(super) fn find(&mut self, batch: &Batch, picks: &[EventRef]) -> Vec<bool> {
        let found = |pick: &EventRef| {
            let line = PLAIN.hash(batch.record(pick.event as usize).line);
            let left = self.lines.get_mut(&line).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        };
        picks.iter().map(found).collect()
    }
}
