//! The write-ahead journal of a stand-in: everything that it acknowledged, as JSON lines. Each record is written and
//! synced before the answer, and read again after a kill.

use std::fs::{self, File};
use std::io::Write as _;
use std::marker::PhantomData;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) struct Journal<T> {
    file: File,
    kind: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens or creates a journal and returns its records. A torn last line was never acknowledged, so it is truncated.
    pub(crate) fn open(path: &Path) -> (Self, Vec<T>) {
        let bytes = fs::read(path).unwrap_or_default();
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let records = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        let file = File::options().create(true).append(true).open(path).unwrap();
        file.set_len(whole as u64).unwrap();
        (Self { file, kind: PhantomData }, records)
    }

    /// Appends a record; returns once it is synced to the disk.
    pub(crate) fn write(&mut self, record: &T) {
        let mut line = serde_json::to_vec(record).unwrap();
        line.push(b'\n');
        self.file.write_all(&line).unwrap();
        self.file.sync_data().unwrap();
    }
}
