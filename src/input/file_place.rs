//! Where the file of a generation stands, and how it is opened there: never in a way that another user could use to have
//! the agent read what is not theirs to read.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Links, NoFile, OwnDirectory, ReadFile};

/// A place from which a file can be opened.
#[derive(Clone, Debug)]
pub(super) enum FilePlace {
    /// Under a name in a directory that others may write to.
    Named(PathBuf, Links),
    /// A hard link in the hold directory.
    Hold(Arc<OwnDirectory>, OsString, PathBuf),
    /// Open for as long as this is: systemd kept it.
    Kept(Arc<fs::File>),
}

impl FilePlace {
    /// The log, to which a link of root's may lead.
    pub(super) fn log(path: PathBuf) -> Self {
        Self::Named(path, Links::Trusted)
    }

    /// A backup, which its server never makes as a link.
    pub(super) fn backup(path: PathBuf) -> Self {
        Self::Named(path, Links::Refused)
    }

    /// A file that someone named on the command line.
    pub(super) fn asked_for(path: PathBuf) -> Self {
        Self::Named(path, Links::Followed)
    }

    /// A file in the hold directory.
    pub(super) fn hold(directory: &Arc<OwnDirectory>, name: OsString) -> Self {
        let path = directory.path().join(&name);
        Self::Hold(Arc::clone(directory), name, path)
    }

    /// The path, for people and for comparing.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Named(path, _) | Self::Hold(_, _, path) => path,
            Self::Kept(_) => Path::new("a file that systemd keeps"),
        }
    }

    /// Opens the file.
    ///
    /// # Errors
    /// If that is impossible, or something else stands there: see [`NoFile`].
    pub(super) fn open(&self) -> io::Result<ReadFile> {
        match self {
            Self::Named(path, links) => ReadFile::open(path, *links),
            Self::Hold(directory, name, _) => directory.read(name),
            Self::Kept(file) => ReadFile::again(file),
        }
    }

    /// Size, times and identity of what stands there now, which may be no file.
    ///
    /// # Errors
    /// If nothing is there; [`NoFile::Link`] where a link is, and none is followed.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::Named(path, Links::Refused) => {
                let meta = fs::symlink_metadata(path)?;
                if meta.is_symlink() { Err(NoFile::Link.into()) } else { Ok(meta) }
            }
            Self::Named(path, _) => fs::metadata(path),
            Self::Hold(directory, name, _) => directory.read(name)?.metadata(),
            Self::Kept(file) => file.metadata(),
        }
    }
}
