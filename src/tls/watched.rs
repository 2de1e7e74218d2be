//! Notices cheaply that files have changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Files, and the state of each at the last check.
#[derive(Debug)]
pub(crate) struct WatchedFiles {
    files: Vec<PathBuf>,
    looks: Vec<Option<Look>>,
}

/// Device, inode, length and time of modification (seconds, nanoseconds): enough to see that a file was replaced or
/// rewritten.
type Look = (u64, u64, u64, i64, i64);

impl WatchedFiles {
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        let looks = files.iter().map(|path| look(path)).collect();
        Self { files, looks }
    }

    /// Whether any file has changed since the last call.
    pub(crate) fn changed(&mut self) -> bool {
        let now: Vec<_> = self.files.iter().map(|path| look(path)).collect();
        std::mem::replace(&mut self.looks, now) != self.looks
    }
}

fn look(path: &Path) -> Option<Look> {
    let data = fs::metadata(path).ok()?;
    Some((data.dev(), data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
}
