//! The free space of a file system.

use std::io;
use std::path::Path;

use rustix::fs::StatVfs;

/// The bytes of a file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreeSpace {
    /// Free for a user without privileges.
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl FreeSpace {
    /// The file system that a path is on.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::read(&rustix::fs::statvfs(path)?))
    }

    pub(super) fn read(found: &StatVfs) -> Self {
        let unit = found.f_frsize;
        Self { free: found.f_bavail * unit, total: found.f_blocks * unit }
    }
}
