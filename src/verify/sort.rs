//! External sort for records of one size: records that do not fit into memory are spilled to an unlinked file.
//!
//! Records are compared byte for byte, so the sort key must be in front, in big-endian order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::checkpoint::Budget;
use crate::disk::{self, File};

/// Bytes of records held in memory before they are spilled to disk.
const HELD: usize = 8 << 20;
/// Bytes buffered for all runs together while they are merged.
const MERGING: usize = 4 << 20;

/// Where records are spilled, within the disk budget, and how many bytes stay in memory.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    budget: Budget,
    written: AtomicU64,
    files: AtomicU64,
    held: usize,
}

impl Room {
    /// Spills below the state directory, within the bounds of `disk`.
    pub(crate) fn new(directory: &Path, budget: Budget) -> Self {
        Self::holding(directory, budget, HELD)
    }

    /// With `held` bytes of each sort in memory.
    pub(super) fn holding(directory: &Path, budget: Budget, held: usize) -> Self {
        let (written, files) = (AtomicU64::new(0), AtomicU64::new(0));
        let directory = directory.to_owned();
        Self(Arc::new(Inner { directory, budget, written, files, held }))
    }

    /// A new file that is unlinked at once: nobody else sees it, and it disappears with the process.
    fn file(&self) -> io::Result<File> {
        let number = self.0.files.fetch_add(1, Ordering::Relaxed);
        let name = format!("verify-{}-{number}", std::process::id());
        let path = self.0.directory.join(name);
        let file = File::create_new(&path)?;
        disk::remove_file(&path)?;
        Ok(file)
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let all = self.0.written.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let room = self.0.budget.room(all)?;
        room.map_err(|full| {
            io::Error::other(format!(
                "too much to compare at once: {full}; or narrow the time with --since and --until"
            ))
        })
    }
}

/// Collects records and sorts them.
#[derive(Debug)]
pub(crate) struct Sorter<const N: usize> {
    room: Room,
    held: Vec<[u8; N]>,
    spill: Option<File>,
    /// Number of records in each sorted run of the file.
    runs: Vec<u64>,
}

/// The sorted records. They can be read more than once.
#[derive(Debug)]
pub(crate) struct Sorted<const N: usize> {
    held: Vec<[u8; N]>,
    spill: Option<File>,
    runs: Vec<u64>,
}

impl<const N: usize> Sorter<N> {
    pub(crate) fn new(room: &Room) -> Self {
        Self { room: room.clone(), held: Vec::new(), spill: None, runs: Vec::new() }
    }

    /// # Errors
    /// If the disk, or the part of it that may be used, is full.
    pub(crate) fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        if self.held.is_empty() && self.spill.is_some() {
            // The buffer will fill up again; reserving avoids the second copy that a growing buffer needs.
            self.held.reserve_exact(self.room.0.held / N + 1);
        }
        self.held.push(record);
        if self.held.len() * N >= self.room.0.held { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.held.sort_unstable();
        self.room.take((self.held.len() * N) as u64)?;
        let file = match &mut self.spill {
            Some(file) => file,
            none => none.insert(self.room.file()?),
        };
        for some in self.held.chunks(4096) {
            file.write_all(some.as_flattened())?;
        }
        self.runs.push(self.held.len() as u64);
        self.held.clear();
        Ok(())
    }

    /// # Errors
    /// As [`Sorter::push`].
    pub(crate) fn finish(mut self) -> io::Result<Sorted<N>> {
        if self.spill.is_some() && !self.held.is_empty() {
            self.write()?;
            self.held = Vec::new();
        }
        self.held.sort_unstable();
        self.held.shrink_to_fit();
        Ok(Sorted { held: self.held, spill: self.spill, runs: self.runs })
    }
}

impl<const N: usize> Sorted<N> {
    /// Iterates over all records in order.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub(crate) fn read(&self) -> io::Result<Iter<'_, N>> {
        let mut iter = Iter { held: self.held.iter(), runs: Vec::new(), heap: BinaryHeap::new() };
        let Some(file) = &self.spill else { return Ok(iter) };
        let each = (MERGING / N / self.runs.len().max(1)).max(64);
        let mut at = 0;
        for (index, &records) in self.runs.iter().enumerate() {
            let end = at + records * N as u64;
            let mut run = Run { file: file.inner(), at, end, each, read: Vec::new(), next: 0 };
            at = end;
            if let Some(first) = run.next()? {
                iter.heap.push(Reverse((first, index)));
            }
            iter.runs.push(run);
        }
        Ok(iter)
    }
}

/// Iterates over records in order.
#[derive(Debug)]
pub(crate) struct Iter<'a, const N: usize> {
    held: std::slice::Iter<'a, [u8; N]>,
    runs: Vec<Run<'a, N>>,
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Iter<'_, N> {
    /// # Errors
    /// If the disk cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.runs.is_empty() {
            return Ok(self.held.next().copied());
        }
        let Some(Reverse((record, index))) = self.heap.pop() else { return Ok(None) };
        if let Some(next) = self.runs[index].next()? {
            self.heap.push(Reverse((next, index)));
        }
        Ok(Some(record))
    }
}

/// One sorted run of the file.
#[derive(Debug)]
struct Run<'a, const N: usize> {
    file: &'a fs::File,
    /// The unread rest of it in the file.
    at: u64,
    end: u64,
    /// Records per read.
    each: usize,
    read: Vec<[u8; N]>,
    next: usize,
}

impl<const N: usize> Run<'_, N> {
    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.next == self.read.len() {
            let left = usize::try_from((self.end - self.at) / N as u64).unwrap_or(usize::MAX);
            self.read.resize(left.min(self.each), [0; N]);
            self.file.read_exact_at(self.read.as_flattened_mut(), self.at)?;
            self.at += (self.read.len() * N) as u64;
            self.next = 0;
        }
        let record = self.read.get(self.next).copied();
        self.next += 1;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Disk, MinFree};

    fn room(directory: &Path, max_bytes: u64, held: usize) -> Room {
        let limits = Disk { max_bytes, min_free: MinFree::Bytes(0) };
        Room::holding(directory, Budget::new(directory, limits), held)
    }

    fn sorted(room: &Room, records: &[[u8; 3]]) -> io::Result<Vec<[u8; 3]>> {
        let mut sorter = Sorter::new(room);
        records.iter().try_for_each(|record| sorter.push(*record))?;
        let done = sorter.finish()?;
        let mut all = Vec::new();
        // Twice, since the sorted records are read more than once.
        for _ in 0..2 {
            all.clear();
            let mut iter = done.read()?;
            while let Some(record) = iter.next()? {
                all.push(record);
            }
        }
        Ok(all)
    }

    proptest! {
        #[test]
        fn whatever_comes_in_comes_out_in_order(
            records in prop::collection::vec(any::<[u8; 3]>(), 0..300), held in 1..400_usize,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let found = sorted(&room(dir.path(), 1 << 20, held), &records).unwrap();
            let mut wanted = records;
            wanted.sort_unstable();
            prop_assert_eq!(found, wanted);
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn more_than_the_disk_may_hold_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = sorted(&room(dir.path(), 100, 9), &[[1; 3]; 50]).unwrap_err().to_string();
        assert!(error.contains("disk.max_bytes") && error.contains("--since"), "{error}");
    }
}
