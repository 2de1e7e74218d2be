//! Reads one body into the lines of the spool. A short body stays in memory. A long one goes into a file, and so does
//! any body when the memory for all of them is used up.

use std::sync::Arc;

use bytes::Bytes;

use super::memory::{BodyMemory, BodyShare};
use crate::disk;
use crate::event::{Fingerprint, Key, KeyedHasher, ListSplitter, UnreadableBody};
use crate::own_log::{AppendBody, Appender, IncomingFile, NotAppended};

/// The most bytes of lines that one body has in memory.
const LONG: u64 = 4 << 20;
/// Lines are written to the file when so many bytes have come together.
const STEP: usize = 64 << 10;

/// A body that is being read.
pub(super) struct BodyLines {
    splitter: ListSplitter,
    digest: KeyedHasher,
    /// Lines that are not in the file.
    lines: Vec<u8>,
    share: BodyShare,
    file: Option<IncomingFile>,
    bytes: u64,
    /// The most bytes of lines in memory.
    long: u64,
}

/// A body that was read to its end.
pub(super) struct ReadBody {
    pub(super) body: AppendBody,
    pub(super) digest: Fingerprint,
    /// Whole events.
    pub(super) events: u64,
    /// Whether there is any line to store.
    pub(super) is_empty: bool,
    pub(super) bytes: u64,
    pub(super) unreadable: Option<UnreadableBody>,
    /// Held until the body is stored.
    pub(super) share: BodyShare,
}

impl BodyLines {
    pub(super) fn new(memory: &Arc<BodyMemory>, key: &Key) -> Self {
        Self {
            splitter: ListSplitter::default(),
            digest: key.hasher(),
            lines: Vec::new(),
            share: BodyShare::new(memory),
            file: None,
            bytes: 0,
            long: disk::size("AUDITRAIL_BODY_IN_MEMORY", LONG),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The spool takes no more.
    pub(super) fn push(&mut self, bytes: &Bytes, spool: &Appender) -> Result<(), NotAppended> {
        // A frame can be large; a part of it at a time keeps the lines short.
        for part in bytes.chunks(STEP) {
            self.digest.update(part);
            self.bytes += part.len() as u64;
            self.splitter.push(part, &mut self.lines);
            self.settle(spool)?;
        }
        Ok(())
    }

    /// The body ends here.
    ///
    /// # Errors
    /// The spool takes no more.
    pub(super) fn finish(mut self, spool: &Appender) -> Result<ReadBody, NotAppended> {
        let splitter = std::mem::take(&mut self.splitter);
        let split = splitter.finish(&mut self.lines);
        self.settle(spool)?;
        let is_empty = self.lines.is_empty() && self.file.is_none();
        let body = match self.file.take() {
            None => {
                let mut sum = crc32fast::Hasher::new();
                sum.update(&self.lines);
                AppendBody::Memory(self.lines, sum)
            }
            Some(mut file) => {
                let write = || file.write(&self.lines).and_then(|()| file.sync());
                tokio::task::block_in_place(write).map_err(|error| NotAppended::of(&error))?;
                AppendBody::File(file)
            }
        };
        Ok(ReadBody {
            body,
            digest: self.digest.finish(),
            events: split.events,
            is_empty,
            bytes: self.bytes,
            unreadable: split.unreadable,
            share: self.share,
        })
    }

    /// Keeps the lines in memory if there is room, else in a file.
    fn settle(&mut self, spool: &Appender) -> Result<(), NotAppended> {
        let fits = self.lines.len() as u64 <= self.long && self.share.grow(self.lines.capacity());
        let is_due = self.lines.len() >= STEP;
        match &self.file {
            None if fits => return Ok(()),
            Some(_) if !is_due => return Ok(()),
            _ => {}
        }
        tokio::task::block_in_place(|| self.write(spool))
    }

    fn write(&mut self, spool: &Appender) -> Result<(), NotAppended> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(spool.incoming()?),
        };
        file.write(&self.lines).map_err(|error| NotAppended::of(&error))?;
        self.lines.clear();
        self.lines.shrink_to(STEP);
        self.share.clear();
        Ok(())
    }
}
