//! Reading files in directories that another user may write to.
//!
//! Such a user can give the name of a log to anything, and exchange it between two looks: a symbolic link to a file that
//! only root may read, a FIFO whose opening waits for ever, a device whose opening alone does something. So a file is
//! opened without waiting and without following a link, and looked at through its descriptor. A symbolic link is followed
//! only where the one who made it could read the file anyway: root, or the agent's own user.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs, open, openat, readlinkat,
    statat,
};
use rustix::io::Errno;

use super::private::{kind, may_own};
use super::steps::read_step;

/// Links that one name may lead through, as the kernel has it (`MAXSYMLINKS` in Linux' `namei.h`).
const LINKS: usize = 40;

/// Opened for reading, never waited for: a FIFO opens at once, a terminal does not become the process's own.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A place on the way to a file: opened without reading it.
const ON_THE_WAY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Which symbolic links are followed. On the way to the file those of root and of the agent's user always are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Links {
    /// None in place of the file itself.
    Refused,
    /// Those that root or the agent's user made.
    Trusted,
    /// All: someone named this file on the command line.
    Followed,
}

/// A regular file that is read.
#[derive(Debug)]
pub(crate) struct ReadFile {
    inner: fs::File,
    /// The name by which it was opened, which may be another file's by now.
    path: PathBuf,
}

/// What stands in the place of a file and is not opened. Comes as the inner error of an [`io::Error`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NoFile {
    /// A symbolic link where none is followed.
    #[error(
        "it is a symbolic link, and no link is followed here: put the file itself in its place"
    )]
    Link,
    /// A symbolic link of somebody who may not be allowed to read what it leads to.
    #[error(
        "{} is a symbolic link of user {owner}, and only links of root and of the agent's own user are followed: name the \
         path behind it, or give it to root with `chown -h root`",
        path.display()
    )]
    LinkOf { path: PathBuf, owner: u32 },
    /// Anything else that is no regular file.
    #[error("it is {0}, not a file")]
    Other(&'static str),
}

impl NoFile {
    /// What an error says of the thing in the file's place, if it does.
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
    /// Opens a regular file. Never waits for another process.
    ///
    /// # Errors
    /// If it cannot be opened, or something else stands in its place: see [`NoFile`].
    pub(crate) fn open(path: &Path, links: Links) -> io::Result<Self> {
        read_step(path, || {
            if links == Links::Followed {
                return Self::regular(open(path, READ, Mode::empty())?, path);
            }
            let (directory, name) = walk(path, links)?;
            Self::open_in(directory.as_fd(), &name, path)
        })
    }

    /// Opens a regular file of an open directory; no link in its place is followed. `path` is for people.
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

    /// A file that is open already, opened once more: with a place of its own in it, if that is possible.
    ///
    /// # Errors
    /// If it is no regular file, or `/proc` is not there.
    pub(crate) fn again(file: &fs::File) -> io::Result<Self> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        read_step(&path, || Self::regular(open(&path, READ, Mode::empty())?, &path))
    }

    fn regular(descriptor: OwnedFd, path: &Path) -> io::Result<Self> {
        match kind(fstat(&descriptor)?.st_mode) {
            None => Ok(Self { inner: descriptor.into(), path: path.to_owned() }),
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

    /// Reads at an offset; 0 bytes at the end.
    pub(crate) fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        read_step(&self.path, || self.inner.read_at(into, at))
    }

    /// Fills the buffer from an offset on; `UnexpectedEof` if the file ends before.
    pub(crate) fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        read_step(&self.path, || self.inner.read_exact_at(into, at))
    }
}

/// Lists a directory. The entries come in no order.
///
/// # Errors
/// If it cannot be read. An entry can fail on its own.
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

/// Goes to the directory of a file, part by part, and follows on the way the links that may be followed. Answers the
/// directory and the last name in it, which was no link a moment ago.
pub(super) fn walk(path: &Path, links: Links) -> io::Result<(OwnedFd, OsString)> {
    let (at, name) = parts_of(path, links)?;
    // Nothing but a root, a dot or two.
    Ok((at, name.ok_or(NoFile::Other("a directory"))?))
}

/// Goes to a directory in the same way, through the links of root and of the agent's user.
pub(super) fn directory(path: &Path) -> io::Result<OwnedFd> {
    match parts_of(path, Links::Trusted)? {
        (at, None) => Ok(at),
        (at, Some(name)) => {
            let flags = ON_THE_WAY | OFlags::DIRECTORY;
            Ok(openat(&at, &name, flags, Mode::empty())?)
        }
    }
}

/// The directory of the last name on a path, and that name if there is one.
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
                // The kernel follows a link in procfs itself, not by its text, and no user can create one there.
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

/// The parts of a path, the last one first.
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
