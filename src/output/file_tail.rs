//! The last lines of a file output: which events are in it already, where a log was altered and is read on from before
//! the change.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use crate::event::{Batch, Fingerprint, Key};
use crate::output::EventRef;

/// Bytes looked at. What stands before is written twice if so much of a log was lost below what had been read.
const BYTES: u64 = 64 << 20;
/// Not a secret: the hashes never leave the process.
const PLAIN: Key = Key([0; 32]);

/// See the module.
#[derive(Debug)]
pub(super) struct Tail {
    /// Of whose positions it was read.
    generation: Fingerprint,
    lines: HashMap<Fingerprint, u32>,
}

impl Tail {
    /// Reads the ends of the files, the newest first.
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

    /// Whether it was read for these positions: what was written since is not in it.
    pub(super) fn is_of(&self, batch: &Batch) -> bool {
        self.generation == batch.generation
    }

    /// Which picks are there. Each line counts for one of them.
    pub(super) fn find(&mut self, batch: &Batch, picks: &[EventRef]) -> Vec<bool> {
        let found = |pick: &EventRef| {
            let line = PLAIN.hash(batch.record(pick.event as usize).line);
            let left = self.lines.get_mut(&line).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        };
        picks.iter().map(found).collect()
    }
}
