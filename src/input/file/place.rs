//! Where the file of a generation is, and how it is opened there. Symbolic links are restricted, so that no other
//! user can make the agent read files that this user may not read.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Links, NoFile, OwnDirectory, ReadFile};
use crate::own_log::Committed;

/// A place from which a file can be opened.
#[derive(Clone, Debug)]
pub(crate) enum FilePlace {
    /// A name in a directory that others may write to.
    Named(PathBuf, Links),
    /// A hard link in the hold directory.
    Hold(Arc<OwnDirectory>, OsString, PathBuf),
    /// A file of a log that the agent writes itself. Its live file is read as far as it is durable.
    OwnLog(PathBuf, Arc<Committed>),
    /// A file that systemd kept; it stays open as long as this value exists.
    Kept(Arc<fs::File>),
}

impl FilePlace {
    /// The log. Its path may be a symbolic link that root made.
    pub(crate) fn log(path: PathBuf) -> Self {
        Self::Named(path, Links::Trusted)
    }

    /// A backup, which the server never makes as a symbolic link.
    pub(crate) fn backup(path: PathBuf) -> Self {
        Self::Named(path, Links::Refused)
    }

    /// A file named on the command line.
    pub(crate) fn asked_for(path: PathBuf) -> Self {
        Self::Named(path, Links::Followed)
    }

    /// A file in the hold directory.
    pub(crate) fn hold(directory: &Arc<OwnDirectory>, name: OsString) -> Self {
        let path = directory.path().join(&name);
        Self::Hold(Arc::clone(directory), name, path)
    }

    /// The path, for messages and comparisons.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Named(path, _) | Self::Hold(_, _, path) | Self::OwnLog(path, _) => path,
            Self::Kept(_) => Path::new("a file that systemd keeps"),
        }
    }

    /// Opens the file.
    ///
    /// # Errors
    /// If the file cannot be opened, or is not a regular file: see [`NoFile`].
    pub(crate) fn open(&self) -> io::Result<ReadFile> {
        match self {
            Self::Named(path, links) => ReadFile::open(path, *links),
            Self::Hold(directory, name, _) => directory.read(name),
            Self::OwnLog(path, committed) => {
                let file = ReadFile::open(path, Links::Refused)?;
                let meta = file.metadata()?;
                let durable = committed.length_of((meta.dev(), meta.ino()));
                Ok(file.up_to(durable))
            }
            Self::Kept(file) => ReadFile::again(file),
        }
    }

    /// Size, times and identity of whatever is there now, which may be no regular file.
    ///
    /// # Errors
    /// If nothing is there; [`NoFile::Link`] for a symbolic link that is not followed.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::Named(path, Links::Refused) => {
                let meta = fs::symlink_metadata(path)?;
                if meta.is_symlink() { Err(NoFile::Link.into()) } else { Ok(meta) }
            }
            Self::Named(path, _) => fs::metadata(path),
            Self::OwnLog(path, _) => fs::symlink_metadata(path),
            Self::Hold(directory, name, _) => directory.read(name)?.metadata(),
            Self::Kept(file) => file.metadata(),
        }
    }
}
