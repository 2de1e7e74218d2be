//! The bounds on disk space for the state directory (`disk.max_bytes`, `disk.min_free`): it often shares a disk with
//! etcd.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Disk, SPOOLS};
use crate::disk::{self, FreeSpace};

/// The `disk` section: the most bytes below the state directory, and the space that must stay free on its file
/// system.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    directory: PathBuf,
    limits: Disk,
}

/// Bytes that the state directory holds, and the free and total bytes of its file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) used: u64,
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl Budget {
    pub(crate) fn new(directory: &Path, limits: Disk) -> Self {
        Self { directory: directory.to_owned(), limits }
    }

    /// Measures the disk usage.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let FreeSpace { free, total } = FreeSpace::of(&self.directory)?;
        // A spool has bounds of its own.
        let spools = match bytes_below(&self.directory.join(SPOOLS)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            other => other?,
        };
        let used = bytes_below(&self.directory)?.saturating_sub(spools);
        Ok(Usage { used, free, total })
    }

    /// Whether `more` bytes fit. The inner error says which limit is reached and what to do.
    pub(crate) fn room(&self, more: u64) -> io::Result<Result<(), String>> {
        let usage = self.usage()?;
        let at = self.directory.display();
        if usage.used + more > self.limits.max_bytes {
            return Ok(Err(format!(
                "{at} holds {} bytes of the {} that `disk.max_bytes` allows: resend or drop dead letters (`auditrail dead-letters`), or raise it",
                usage.used, self.limits.max_bytes
            )));
        }
        let min_free = self.limits.min_free.of(usage.total);
        if usage.free < min_free.saturating_add(more) {
            return Ok(Err(format!(
                "the file system of {at} has {} bytes free and `disk.min_free` asks for {min_free}: make room, or lower it",
                usage.free
            )));
        }
        Ok(Ok(()))
    }
}

/// Bytes of all files below a directory, at any depth.
fn bytes_below(directory: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in disk::list(directory)? {
        let entry = entry?;
        let meta = match entry.metadata() {
            // Files are created and removed while this counts.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        sum += if meta.is_dir() { bytes_below(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}
