//! Every change that the agent makes to the file system.
//!
//! All writing goes through here, so that one place knows what is written: a test build can end the process before and
//! after any of these steps, and note them down, so that what a power cut leaves can be worked out (`steps.rs`).
//! The agent's own files are opened through no link, to write (`File`) and to read (`private.rs`). Only the file of a
//! file output, which the operator named, may be anything: `File::append_to_output`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::OFlags;

pub(crate) mod descriptors;
#[cfg(debug_assertions)]
mod faults;
mod own_directory;
pub(crate) mod private;
mod read;
#[cfg(test)]
mod read_tests;
mod steps;

#[cfg(test)]
pub(crate) use faults::{FaultKind, plan};
pub(crate) use own_directory::{OwnDirectory, Standing};
pub(crate) use private::{NotOurs, OwnFile, read_own};
pub(crate) use read::{Links, NoFile, ReadFile, list};
pub(crate) use steps::{Step, at};
use steps::{number, parts, step};

/// A file that is written to. Made for the owner alone (0600).
#[derive(Debug)]
pub(crate) struct File {
    inner: fs::File,
    /// Tells it from others in the notes of a test build.
    number: u64,
    failed: Arc<Failed>,
}

/// What went wrong with a file, for it and its clones.
#[derive(Debug, Default)]
struct Failed {
    /// A write failed, perhaps after half of it.
    is_torn: AtomicBool,
    /// A sync failed.
    is_lost: AtomicBool,
}

impl File {
    /// Opens a file of ours to append to, made where it is missing.
    ///
    /// # Errors
    /// Also if what stands there is not ours: see [`NotOurs`].
    pub(crate) fn append(path: &Path) -> io::Result<Self> {
        Self::own(path, false, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)
    }

    /// Makes an empty file. One that stands there, as a crash leaves it, goes first; a link goes, not what it leads to.
    ///
    /// # Errors
    /// Also if a directory stands there.
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

    /// Makes a file that is not there yet, to be written and read again.
    ///
    /// # Errors
    /// Also if there is one.
    pub(crate) fn create_new(path: &Path) -> io::Result<Self> {
        Self::own(path, true, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens a file of ours that must be there, to be cut or overwritten.
    ///
    /// # Errors
    /// Also if what stands there is not ours: see [`NotOurs`].
    pub(crate) fn existing(path: &Path) -> io::Result<Self> {
        Self::own(path, false, OFlags::WRONLY)
    }

    fn own(path: &Path, empty: bool, flags: OFlags) -> io::Result<Self> {
        let number = number();
        let inner = step(Step::Open(path, empty, number), || private::open_to_write(path, flags))?;
        Ok(Self { inner, number, failed: Arc::default() })
    }

    /// Opens the file of a file output to append to, made where it is missing: it may be a link, or no regular file.
    ///
    /// # Errors
    /// As the disk has them.
    pub(crate) fn append_to_output(path: &Path) -> io::Result<Self> {
        let number = number();
        let inner = step(Step::Open(path, false, number), || {
            OpenOptions::new().create(true).append(true).mode(0o600).open(path)
        })?;
        Ok(Self { inner, number, failed: Arc::default() })
    }

    /// Writes at the end, all or as much as fits before the error.
    ///
    /// # Errors
    /// As the disk has them. After one nothing more is written before the file is cut, or it would stand behind half a line.
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.failed.is_torn.load(Relaxed) {
            let what = "an earlier write failed, and what it left could not be cut off";
            return Err(io::Error::other(what));
        }
        let written = parts(bytes).try_for_each(|part| {
            step(Step::Write(self.number, part), || self.inner.write_all(part))
        });
        self.failed.is_torn.store(written.is_err(), Relaxed);
        written
    }

    /// Cuts the file, or lengthens it with NUL bytes.
    pub(crate) fn set_len(&self, length: u64) -> io::Result<()> {
        step(Step::Cut(self.number, length), || self.inner.set_len(length))?;
        self.failed.is_torn.store(false, Relaxed);
        Ok(())
    }

    /// Makes content and length durable.
    ///
    /// # Errors
    /// As the disk has them, and ever after one: the kernel may have dropped what it could not write, and says of the rest
    /// that it is durable. Opened and written anew, a file is another.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.failed.is_lost.load(Relaxed) {
            let what = "an earlier sync of this file failed, so what was written may be lost";
            return Err(io::Error::other(what));
        }
        let synced = step(Step::Sync(self.number), || self.inner.sync_data());
        self.failed.is_lost.fetch_or(synced.is_err(), Relaxed);
        synced
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.inner.metadata()?.len())
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let (inner, failed) = (self.inner.try_clone()?, Arc::clone(&self.failed));
        Ok(Self { inner, number: self.number, failed })
    }

    /// For locks and descriptors; nothing is to be written through it.
    pub(crate) fn inner(&self) -> &fs::File {
        &self.inner
    }
}

/// The directory that holds the last name of a path.
pub(crate) fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory and those above it, for the owner alone (0700), and their names durable.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if path.is_dir() {
        // An earlier process may have made it and ended before it was durable. Above it another user may rule.
        let _ = above.map(sync_directory);
        return Ok(());
    }
    above.map_or(Ok(()), create_dir_all)?;
    match step(Step::Directory(path), || fs::DirBuilder::new().mode(0o700).create(path)) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other?,
    }
    above.map_or(Ok(()), sync_directory)
}

/// A socket that listens, for the owner alone (0600) once this returns.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let listener = step(Step::Socket(path), || UnixListener::bind(path))?;
    step(Step::Private(path), || fs::set_permissions(path, fs::Permissions::from_mode(0o600)))?;
    Ok(listener)
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step(Step::Rename(from, to), || fs::rename(from, to))
}

/// A second name, `to`, for an open file on the same file system.
pub(crate) fn hard_link(file: &ReadFile, to: &Path) -> io::Result<()> {
    step(Step::Link(file.path(), to), || own_directory::link(file, rustix::fs::CWD, to))
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    step(Step::Unlink(path), || fs::remove_file(path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    step(Step::Names(path), || fs::File::open(path)?.sync_all())
}

/// Writes a whole file so that it is there with all its bytes or as before: beside it, synced, renamed, directory synced.
pub(crate) fn replace(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    write_synced(beside, bytes)?;
    rename(beside, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Writes a new file, synced; its name may be lost until the directory is synced.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
