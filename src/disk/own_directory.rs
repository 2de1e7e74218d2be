//! A directory that belongs to the agent and lies beside files of other users, such as the directory of held backups.
//!
//! A user who may write to the parent directory can rename this one, or replace it with another directory or a
//! symbolic link. The agent therefore opens it once and reaches everything in it through that descriptor (`openat`,
//! `renameat`, `unlinkat`).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, fstatvfs, linkat, mkdirat, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;

use super::directories::{above, create_dir_all, sync_directory};
use super::file_step::FileStep;
use super::free_space::FreeSpace;
use super::private::{self, NotOurs, may_own, own, set_mode};
use super::read::{Links, ReadFile, directory, walk};
use super::steps::{read_step, step};

/// Mode 0700.
const PRIVATE: Mode = Mode::RWXU;

/// An open directory that belongs to the agent's user or to root, with mode 0700.
#[derive(Debug)]
pub(crate) struct OwnDirectory {
    inner: fs::File,
    path: PathBuf,
    id: (u64, u64),
    /// Device and inode of the parent directory.
    above: (u64, u64),
}

/// What has become of the path of an open directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// The path still leads to this directory.
    InPlace,
    /// Somebody renamed the directory. Its files are still in it.
    Moved,
    /// Somebody removed the directory, or the parent directory is another one now.
    Gone,
}

/// The metadata of a file, read without opening it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStat {
    /// Device and inode.
    pub(crate) id: (u64, u64),
    /// A regular file.
    pub(crate) is_file: bool,
    /// It has no other name (hard link).
    pub(crate) alone: bool,
    /// Length in bytes.
    pub(crate) length: u64,
    /// Bytes allocated on disk.
    pub(crate) bytes: u64,
    /// Modification time: seconds since the epoch, and nanoseconds.
    pub(crate) modified: (i64, i64),
}

impl OwnDirectory {
    /// Opens an existing directory. If it belongs to the agent's user and others have permissions on it, sets its mode
    /// to 0700.
    ///
    /// # Errors
    /// If it does not exist, if its name is a symbolic link or no directory, or if it belongs to another user: see
    /// [`NotOurs`].
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

    /// Opens a directory, and creates it with mode 0700 if it does not exist. Its name is durable when this function
    /// returns.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        match Self::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let (parent, name) = (above(path), path.file_name().ok_or(Errno::INVAL)?);
        create_dir_all(parent)?;
        let opened = directory(parent)?;
        match step(FileStep::Directory(path), || Ok(mkdirat(&opened, name, PRIVATE)?)) {
            // Another process created it in the meantime; `open` below checks its owner.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        sync_directory(parent)?;
        Self::open(path)
    }

    /// What has become of its path.
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

    /// Its path at the time it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it, in no particular order.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        read_step(&self.path, || private::names(&self.inner))
    }

    /// The metadata of a file in it. A symbolic link is not followed.
    pub(crate) fn stat(&self, name: &OsStr) -> io::Result<FileStat> {
        let stat = statat(&self.inner, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileStat {
            id: id_of(&stat),
            is_file: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            alone: stat.st_nlink == 1,
            length: u64::try_from(stat.st_size).unwrap_or_default(),
            bytes: u64::try_from(stat.st_blocks).unwrap_or_default() * 512,
            modified: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or_default()),
        })
    }

    /// Opens a file in it for reading.
    pub(crate) fn read(&self, name: &OsStr) -> io::Result<ReadFile> {
        ReadFile::open_in(self.inner.as_fd(), name, &self.path.join(name))
    }

    /// Creates a hard link in it to an open file on the same file system. The link is to that very file, even if its
    /// old name belongs to another file by now.
    ///
    /// # Errors
    /// If the name is taken, or the kernel does not allow the link.
    pub(crate) fn link(&self, file: &ReadFile, name: &OsStr) -> io::Result<()> {
        let to = self.path.join(name);
        step(FileStep::Link(file.path(), &to), || link(file, self.inner.as_fd(), name.as_ref()))
    }

    /// Renames a file in it. A file that has the new name already is replaced.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        let (before, after) = (self.path.join(from), self.path.join(to));
        step(FileStep::Rename(&before, &after), || {
            Ok(renameat(&self.inner, from, &self.inner, to)?)
        })
    }

    /// Removes a file in it.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        step(FileStep::Unlink(&self.path.join(name)), || {
            Ok(unlinkat(&self.inner, name, AtFlags::empty())?)
        })
    }

    /// Makes the names in it durable (fsync of the directory).
    pub(crate) fn sync(&self) -> io::Result<()> {
        step(FileStep::Names(&self.path), || self.inner.sync_all())
    }

    /// Total and free space of its file system.
    pub(crate) fn space(&self) -> io::Result<FreeSpace> {
        Ok(FreeSpace::read(&fstatvfs(&self.inner)?))
    }
}

/// Creates a hard link to an open file through `/proc/self/fd`, so that the link is to the open file and not to
/// whatever has its old name now.
pub(super) fn link(file: &ReadFile, directory: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    Ok(linkat(CWD, open, directory, name, AtFlags::SYMLINK_FOLLOW)?)
}

fn id_of(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}
