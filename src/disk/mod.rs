//! Every change that the agent makes to the file system: create, append, truncate, fsync, rename, link, unlink, mkdir.
//!
//! All writes of the crate pass through this file, and those that are about directories through `directories.rs`. A
//! debug build can therefore kill the process before and after any of these steps, and record them, so that a test
//! can work out the state of the disk after a power cut (`steps.rs`); it can also inject I/O errors (`faults.rs`).
//! The agent opens its own files without following symbolic links, for writing ([`File`]) and for reading
//! (`private.rs`). The one exception is the file of a file output: the operator named it, so it may be a link or a
//! device ([`File::append_to_output`]).

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::OFlags;

pub(crate) mod descriptors;
mod directories;
#[cfg(debug_assertions)]
mod faults;
mod file_step;
mod free_space;
mod own_directory;
pub(crate) mod private;
mod read;
#[cfg(test)]
mod read_tests;
mod steps;

pub(crate) use directories::{above, create_dir_all, sync_directory};
#[cfg(test)]
pub(crate) use faults::{FaultKind, plan};
pub(crate) use file_step::FileStep;
pub(crate) use free_space::FreeSpace;
pub(crate) use own_directory::{OwnDirectory, Standing};
pub(crate) use private::{NotOurs, OwnFile, read_own};
pub(crate) use read::{Links, NoFile, ReadFile, list};
pub(crate) use steps::{at, size};
use steps::{number, parts, step};

/// A file opened for writing. The agent creates it with mode 0600.
#[derive(Debug)]
pub(crate) struct File {
    inner: fs::File,
    /// Identifies the file in the recorded steps of a debug build.
    number: u64,
    failed: Arc<Failed>,
}

/// Failures of a file, shared by all its clones.
#[derive(Debug, Default)]
struct Failed {
    /// A write failed and may have left a torn line at the end.
    is_torn: AtomicBool,
    /// An fsync failed, so earlier writes may be lost.
    is_lost: AtomicBool,
}

impl File {
    /// Opens one of the agent's own files for appending, and creates it if it is missing.
    ///
    /// # Errors
    /// If the file cannot be opened or does not belong to the agent: see [`NotOurs`].
    pub(crate) fn append(path: &Path) -> io::Result<Self> {
        Self::own(path, false, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)
    }

    /// Creates an empty file. Removes a file that a crash left at this path; if a symbolic link is there, removes the
    /// link and not its target.
    ///
    /// # Errors
    /// If the file cannot be created; also if a directory has this name.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let make = || Self::own(path, true, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove_file(path)?;
                make()
            }
            other => other,
        }
    }

    /// Creates a new file for appending and reading.
    ///
    /// # Errors
    /// If the file cannot be created; also if the path exists already.
    pub(crate) fn create_new(path: &Path) -> io::Result<Self> {
        Self::own(path, true, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens an existing file of the agent, to be truncated or overwritten.
    ///
    /// # Errors
    /// If the file is missing, cannot be opened or does not belong to the agent: see [`NotOurs`].
    pub(crate) fn existing(path: &Path) -> io::Result<Self> {
        Self::own(path, false, OFlags::WRONLY)
    }

    /// Opens an existing file of the agent for appending.
    ///
    /// # Errors
    /// If the file is missing, cannot be opened or does not belong to the agent: see [`NotOurs`].
    pub(crate) fn append_existing(path: &Path) -> io::Result<Self> {
        Self::own(path, false, OFlags::WRONLY | OFlags::APPEND)
    }

    fn own(path: &Path, empty: bool, flags: OFlags) -> io::Result<Self> {
        let number = number();
        let inner =
            step(FileStep::Open(path, empty, number), || private::open_to_write(path, flags))?;
        Ok(Self { inner, number, failed: Arc::default() })
    }

    /// Opens the file of a file output for appending, and creates it if it is missing. It may be a symbolic link or
    /// something other than a regular file.
    pub(crate) fn append_to_output(path: &Path) -> io::Result<Self> {
        let number = number();
        let inner = step(FileStep::Open(path, false, number), || {
            OpenOptions::new().create(true).append(true).mode(0o600).open(path)
        })?;
        Ok(Self { inner, number, failed: Arc::default() })
    }

    /// Appends all bytes, or as many as the disk takes before it reports an error.
    ///
    /// # Errors
    /// Those of the file system. After a failed write this refuses further writes until [`File::set_len`] has cut off
    /// the torn line; otherwise the next write would follow half a line.
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.failed.is_torn.load(Relaxed) {
            let what = "an earlier write failed, and what it left could not be cut off";
            return Err(io::Error::other(what));
        }
        let written = parts(bytes).try_for_each(|part| {
            step(FileStep::Write(self.number, part), || self.inner.write_all(part))
        });
        self.failed.is_torn.store(written.is_err(), Relaxed);
        written
    }

    /// Truncates the file, or extends it with NUL bytes.
    pub(crate) fn set_len(&self, length: u64) -> io::Result<()> {
        step(FileStep::Cut(self.number, length), || self.inner.set_len(length))?;
        self.failed.is_torn.store(false, Relaxed);
        Ok(())
    }

    /// Makes content and length durable (`fdatasync`).
    ///
    /// # Errors
    /// Those of the file system. After one failed fsync all later calls fail too: the kernel may have dropped the pages
    /// that it could not write, and would report the rest as durable. To recover, open the file again and write the
    /// data again.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.failed.is_lost.load(Relaxed) {
            let what = "an earlier sync of this file failed, so what was written may be lost";
            return Err(io::Error::other(what));
        }
        let synced = step(FileStep::Sync(self.number), || self.inner.sync_data());
        self.failed.is_lost.fetch_or(synced.is_err(), Relaxed);
        synced
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.inner.metadata()?.len())
    }

    /// Device and inode.
    pub(crate) fn id(&self) -> io::Result<(u64, u64)> {
        let meta = self.inner.metadata()?;
        Ok((meta.dev(), meta.ino()))
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let (inner, failed) = (self.inner.try_clone()?, Arc::clone(&self.failed));
        Ok(Self { inner, number: self.number, failed })
    }

    /// For locks and descriptors only. Do not write through it: the write would bypass the recorded steps.
    pub(crate) fn inner(&self) -> &fs::File {
        &self.inner
    }
}

/// Creates a listening Unix socket; its mode is 0600 when this function returns.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let listener = step(FileStep::Socket(path), || UnixListener::bind(path))?;
    step(FileStep::Private(path), || fs::set_permissions(path, fs::Permissions::from_mode(0o600)))?;
    Ok(listener)
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step(FileStep::Rename(from, to), || fs::rename(from, to))
}

/// Creates a second name `to` (a hard link) for an open file on the same file system.
pub(crate) fn hard_link(file: &ReadFile, to: &Path) -> io::Result<()> {
    step(FileStep::Link(file.path(), to), || own_directory::link(file, rustix::fs::CWD, to))
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    step(FileStep::Unlink(path), || fs::remove_file(path))
}

/// Replaces a file atomically: after a crash it has either all the new bytes or its old content. Writes the file
/// `beside`, calls fsync, renames it to `path`, and calls fsync on the directory.
pub(crate) fn replace(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    write_synced(beside, bytes)?;
    rename(beside, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Writes a new file and calls fsync. A crash can still lose its name until the directory is synced.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
