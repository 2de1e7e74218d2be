//! A directory of the agent's own, beside files of others.
//!
//! Whoever may write to the directory above can rename it and put another in its place, or a link to elsewhere. So it is
//! opened once, and everything in it is reached through its descriptor.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, StatVfs, fstat, fstatvfs, linkat, mkdirat, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::above;
use super::private::{self, NotOurs, may_own, own, set_mode};
use super::read::{Links, ReadFile, directory, walk};
use super::steps::{Step, read_step, step};

/// The owner may do all, others nothing.
const PRIVATE: Mode = Mode::RWXU;

/// An open directory that belongs to the agent's user or to root, with mode 0700.
#[derive(Debug)]
pub(crate) struct OwnDirectory {
    inner: fs::File,
    path: PathBuf,
    id: (u64, u64),
    /// Of the directory above.
    above: (u64, u64),
}

/// Where the path of an open directory leads now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// To it.
    InPlace,
    /// Somebody renamed it; what was in it still is.
    Moved,
    /// Somebody removed it, or the directory above is another one.
    Gone,
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStat {
    /// Device and inode.
    pub(crate) id: (u64, u64),
    /// A regular file.
    pub(crate) is_file: bool,
    /// Names that it has.
    pub(crate) links: u64,
    /// Bytes.
    pub(crate) length: u64,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// When it was last written to: seconds since the epoch, and nanoseconds.
    pub(crate) modified: (i64, i64),
}

impl OwnDirectory {
    /// Opens a directory that is there. One that others may enter is closed to them.
    ///
    /// # Errors
    /// If there is none, or a link or something else in its place, or one of another user: see [`NotOurs`].
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        read_step(path, || Self::open_unfailing(path))
    }

    fn open_unfailing(path: &Path) -> io::Result<Self> {
        let (above, name) = walk(path, Links::Refused)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inner: OwnedFd = openat(&above, &name, flags, Mode::empty())?;
        let stat = fstat(&inner)?;
        let own = own();
        if !may_own(stat.st_uid) {
            return Err(NotOurs::Owner { owner: stat.st_uid, own }.into());
        }
        if stat.st_uid == own
            && Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO)
        {
            set_mode(&inner, path, PRIVATE)?;
        }
        let (id, above) = (id_of(&stat), id_of(&fstat(&above)?));
        Ok(Self { inner: inner.into(), path: path.to_owned(), id, above })
    }

    /// Opens a directory, made if it is not there, for the owner alone; its name is durable.
    ///
    /// # Errors
    /// As [`OwnDirectory::open`], and if it cannot be made.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        match Self::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let (parent, name) = (above(path), path.file_name().ok_or(Errno::INVAL)?);
        super::create_dir_all(parent)?;
        let opened = directory(parent)?;
        match step(Step::Directory(path), || Ok(mkdirat(&opened, name, PRIVATE)?)) {
            // Somebody else was faster; whose it is will show.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        super::sync_directory(parent)?;
        Self::open(path)
    }

    /// Where its path leads now.
    pub(crate) fn standing(&self) -> Standing {
        let leads =
            |path: &Path, flags, id| statat(CWD, path, flags).is_ok_and(|stat| id_of(&stat) == id);
        if leads(&self.path, AtFlags::SYMLINK_NOFOLLOW, self.id) {
            Standing::InPlace
        } else if leads(above(&self.path), AtFlags::empty(), self.above)
            && fstat(&self.inner).is_ok_and(|stat| stat.st_nlink > 0)
        {
            Standing::Moved
        } else {
            Standing::Gone
        }
    }

    /// Where it was when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it, in no order.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        read_step(&self.path, || private::names(&self.inner))
    }

    /// What is known of a file in it; a link is not followed.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn stat(&self, name: &OsStr) -> io::Result<FileStat> {
        let stat = statat(&self.inner, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileStat {
            id: id_of(&stat),
            is_file: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            links: stat.st_nlink,
            length: u64::try_from(stat.st_size).unwrap_or_default(),
            bytes: u64::try_from(stat.st_blocks).unwrap_or_default() * 512,
            modified: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or_default()),
        })
    }

    /// Opens a file in it.
    ///
    /// # Errors
    /// As [`ReadFile::open`].
    pub(crate) fn read(&self, name: &OsStr) -> io::Result<ReadFile> {
        ReadFile::open_in(self.inner.as_fd(), name, &self.path.join(name))
    }

    /// A second name in it for an open file on the same file system: for this very file, whatever its old name is by now.
    ///
    /// # Errors
    /// If the name is taken, or a link is not allowed.
    pub(crate) fn link(&self, file: &ReadFile, name: &OsStr) -> io::Result<()> {
        let to = self.path.join(name);
        step(Step::Link(file.path(), &to), || link(file, self.inner.as_fd(), name.as_ref()))
    }

    /// Gives a file in it another name, in place of what has that.
    ///
    /// # Errors
    /// If it is not there.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let (before, after) = (self.path.join(from), self.path.join(to));
        step(Step::Rename(&before, &after), || Ok(renameat(&self.inner, from, &self.inner, to)?))
    }

    /// Removes a file in it.
    ///
    /// # Errors
    /// If it is not there.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        step(Step::Unlink(&self.path.join(name)), || {
            Ok(unlinkat(&self.inner, name, AtFlags::empty())?)
        })
    }

    /// Makes the names in it durable.
    ///
    /// # Errors
    /// If the disk does not take them.
    pub(crate) fn sync(&self) -> io::Result<()> {
        step(Step::Names(&self.path), || self.inner.sync_all())
    }

    /// The room on its file system.
    ///
    /// # Errors
    /// If the file system does not say.
    pub(crate) fn space(&self) -> io::Result<StatVfs> {
        Ok(fstatvfs(&self.inner)?)
    }
}

/// A name in a directory for the file that is open, by the link that the kernel shows of it.
pub(super) fn link(file: &ReadFile, directory: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    Ok(linkat(CWD, open, directory, name, AtFlags::SYMLINK_FOLLOW)?)
}

fn id_of(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}
