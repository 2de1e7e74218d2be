//! Reads files in directories that another user may write to, safely against symbolic links, FIFOs and devices.
//!
//! Such a user can give the log's name to something else, and swap it between two system calls: a symbolic link to a
//! file that only root may read, a FIFO that blocks the opener forever, a device that acts when opened. Every open
//! here therefore does not block, follows no untrusted link, and checks the open descriptor. It follows a symbolic
//! link only if the link's owner could read the target anyway: root or the agent's own user.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs, open, openat, readlinkat,
    statat,
};
use rustix::io::Errno;

use super::private::{kind, may_own};
use super::steps::read_step;

/// Most symbolic links followed for one path, as in the kernel (`MAXSYMLINKS` in Linux' `namei.h`).
const LINKS: usize = 40;

/// Flags for reading: a FIFO opens at once, and a terminal does not become the process's controlling one.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Flags for one component of a path: `O_PATH` opens it without reading it.
const ON_THE_WAY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Which symbolic links are followed. In parent directories of the path, links of root and of the agent's user always
/// are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Links {
    /// None in the last component of the path.
    Refused,
    /// Links that belong to root or the agent's user.
    Trusted,
    /// All: the operator named this file on the command line.
    Followed,
}

/// A regular file, opened for reading.
#[derive(Debug)]
pub(crate) struct ReadFile {
    inner: fs::File,
    /// The path that it was opened by; another file may have this name by now.
    path: PathBuf,
    /// The bytes that may be read, if not all: the rest is not durable yet. It grows.
    durable: Option<Arc<AtomicU64>>,
}

/// Why a path is not a regular file that may be read. It is the inner error of an [`io::Error`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoFile {
    /// A symbolic link where none may be.
    #[error(
        "it is a symbolic link, and no link is followed here: put the file itself in its place"
    )]
    Link,
    /// A symbolic link of a user who may not be allowed to read its target.
    #[error(
        "{} is a symbolic link of user {owner}, and only links of root and of the agent's own user are followed: name the \
         path behind it, or give it to root with `chown -h root`",
        path.display()
    )]
    LinkOf { path: PathBuf, owner: u32 },
    /// Anything else that is not a regular file.
    #[error("it is {0}, not a file")]
    Other(&'static str),
}

impl NoFile {
    /// The [`NoFile`] inside an I/O error, if there is one.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

impl From<NoFile> for io::Error {
    fn from(what: NoFile) -> Self {
        Self::other(what)
    }
}

impl ReadFile {
    /// Opens a regular file. Never blocks on another process.
    ///
    /// # Errors
    /// If it cannot be opened, or is not a regular file: see [`NoFile`].
    pub(crate) fn open(path: &Path, links: Links) -> io::Result<Self> {
        read_step(path, || {
            if links == Links::Followed {
                return Self::regular(open(path, READ, Mode::empty())?, path);
            }
            let (directory, name) = walk(path, links)?;
            Self::open_in(directory.as_fd(), &name, path)
        })
    }

    /// Opens a regular file of an open directory. Follows no symbolic link in its place. `path` is for error messages.
    pub(super) fn open_in(
        directory: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
    ) -> io::Result<Self> {
        match openat(directory, name, READ | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::LOOP) => Err(NoFile::Link.into()),
            // A socket, or a device without a driver.
            Err(Errno::NXIO | Errno::NODEV) => {
                let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                Err(NoFile::Other(kind(stat.st_mode).unwrap_or("something else")).into())
            }
            opened => Self::regular(opened?, path),
        }
    }

    /// Opens an open file once more through `/proc/self/fd`. A regular file then has its own read position.
    ///
    /// # Errors
    /// If it is not a regular file, or `/proc` is not mounted.
    pub(crate) fn again(file: &fs::File) -> io::Result<Self> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        read_step(&path, || Self::regular(open(&path, READ, Mode::empty())?, &path))
    }

    fn regular(descriptor: OwnedFd, path: &Path) -> io::Result<Self> {
        match kind(fstat(&descriptor)?.st_mode) {
            None => Ok(Self { inner: descriptor.into(), path: path.to_owned(), durable: None }),
            Some(kind) => Err(NoFile::Other(kind).into()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Size, times and identity of the open file.
    pub(crate) fn metadata(&self) -> io::Result<fs::Metadata> {
        self.inner.metadata()
    }

    /// Reads no further than this length, which grows.
    pub(crate) fn up_to(self, durable: Option<Arc<AtomicU64>>) -> Self {
        Self { durable, ..self }
    }

    /// The bytes that may be read.
    pub(crate) fn length(&self) -> io::Result<u64> {
        let length = self.inner.metadata()?.len();
        Ok(self.durable.as_ref().map_or(length, |durable| length.min(durable.load(Relaxed))))
    }

    /// Reads at an offset; returns 0 at the end of the file.
    pub(crate) fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let room = self.room(at, into.len());
        read_step(&self.path, || self.inner.read_at(&mut into[..room], at))
    }

    /// Fills the buffer from an offset on; `UnexpectedEof` if the file ends earlier.
    pub(crate) fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        if self.room(at, into.len()) < into.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read_step(&self.path, || self.inner.read_exact_at(into, at))
    }

    /// How many of `wanted` bytes may be read from an offset on.
    fn room(&self, at: u64, wanted: usize) -> usize {
        let Some(durable) = &self.durable else { return wanted };
        let left = durable.load(Relaxed).saturating_sub(at);
        usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
    }
}

/// Lists a directory, in no particular order.
///
/// # Errors
/// If it cannot be read. Single entries can fail too.
pub(crate) fn list(directory: &Path) -> io::Result<fs::ReadDir> {
    read_step(directory, || fs::read_dir(directory))
}

impl io::Read for &ReadFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_step(&self.path, || (&self.inner).read(into))
    }
}

impl io::Read for ReadFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }
}

impl AsFd for ReadFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// Opens the parent directory of a file, component by component, and follows the links that may be followed. Returns
/// the directory and the last component, which was no link when this function looked at it.
pub(super) fn walk(path: &Path, links: Links) -> io::Result<(OwnedFd, OsString)> {
    let (at, name) = parts_of(path, links)?;
    // The path consists of `/`, `.` and `..` only.
    Ok((at, name.ok_or(NoFile::Other("a directory"))?))
}

/// Opens a directory in the same way. Follows links of root and of the agent's user.
pub(super) fn directory(path: &Path) -> io::Result<OwnedFd> {
    match parts_of(path, Links::Trusted)? {
        (at, None) => Ok(at),
        (at, Some(name)) => {
            let flags = ON_THE_WAY | OFlags::DIRECTORY;
            Ok(openat(&at, &name, flags, Mode::empty())?)
        }
    }
}

/// The parent directory of the last component of a path, and that component if there is one.
fn parts_of(path: &Path, links: Links) -> io::Result<(OwnedFd, Option<OsString>)> {
    let mut at = open(if path.is_absolute() { "/" } else { "." }, ON_THE_WAY, Mode::empty())?;
    let mut parts = parts(path);
    let mut followed = 0;
    while let Some(part) = parts.pop() {
        let last = parts.is_empty();
        let next = openat(&at, &part, ON_THE_WAY, Mode::empty())?;
        let stat = fstat(&next)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink if fstatfs(&next)?.f_type == PROC_SUPER_MAGIC => {
                if last {
                    return Err(NoFile::Link.into());
                }
                // The kernel resolves a link in procfs itself, not by its text, and no user can create one there.
                at = openat(&at, &part, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            }
            FileType::Symlink => {
                if last && links == Links::Refused {
                    return Err(NoFile::Link.into());
                }
                if !may_own(stat.st_uid) {
                    let path = path.to_owned();
                    return Err(NoFile::LinkOf { path, owner: stat.st_uid }.into());
                }
                followed += 1;
                if followed > LINKS {
                    return Err(Errno::LOOP.into());
                }
                let to = readlinkat(&next, "", Vec::new())?;
                let to = PathBuf::from(OsString::from_vec(to.into_bytes()));
                if to.is_absolute() {
                    at = open("/", ON_THE_WAY, Mode::empty())?;
                }
                parts.extend(self::parts(&to));
            }
            _ if last => return Ok((at, Some(part))),
            FileType::Directory => at = next,
            _ => return Err(io::ErrorKind::NotADirectory.into()),
        }
    }
    Ok((at, None))
}

/// The components of a path, last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts
}
