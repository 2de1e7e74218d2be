//! Opens the agent's own files in the state directory, safely against other users.
//!
//! Another user may have been able to write there: the directory may have been open to all, or another pod may mount
//! the same volume. Such a user can put a symbolic link to a file that only root may write at the path of the agent's
//! next file, or a FIFO at the path of a file that the agent reads.
//! Every open here therefore follows no symbolic link and does not block. The checks then use the open descriptor: it
//! must be a regular file that belongs to the agent's user or to root, and a file opened for writing must have only one
//! name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, open, statat};
use rustix::io::Errno;

use super::directories::above;
use super::file_step::FileStep;
use super::steps::{read_step, step};

/// Flags added to every open: follow no symbolic link, do not block on a FIFO, do not take a terminal as the
/// controlling one.
const WARY: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Mode 0600.
pub(super) const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Why a file is not accepted as the agent's own. It is the inner error of an [`io::Error`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotOurs {
    /// It is not a regular file.
    #[error("it is {0}, not a file: remove it")]
    Kind(&'static str),
    /// It has a second name (hard link), so it may be another program's file.
    #[error("it has {0} names (hard links), so it may be another program's file: remove this name")]
    Names(u64),
    /// It belongs to another user.
    #[error(
        "it belongs to user {owner}, and only root and the agent's user {own} may own it: find out who put it there, then remove it or give it back with `chown`"
    )]
    Owner { owner: u32, own: u32 },
}

impl NotOurs {
    /// The [`NotOurs`] inside an I/O error, if there is one.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

impl From<NotOurs> for io::Error {
    fn from(what: NotOurs) -> Self {
        Self::other(what)
    }
}

/// The kind of a file that is not a regular file, in words for error messages; `None` for a regular file.
pub(crate) fn kind(raw_mode: u32) -> Option<&'static str> {
    Some(match FileType::from_raw_mode(raw_mode) {
        FileType::RegularFile => return None,
        FileType::Symlink => "a symbolic link",
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something else",
    })
}

/// Whether this user may own the agent's files: root and the agent's user may.
pub(crate) fn may_own(owner: u32) -> bool {
    owner == 0 || owner == own()
}

/// The agent's effective user id.
pub(crate) fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Checks by mode and owner that a file is a regular file that the agent may accept as its own.
///
/// # Errors
/// Says what kind of file it is instead, or which user owns it.
pub(crate) fn ours(mode: u32, owner: u32) -> Result<(), NotOurs> {
    match kind(mode) {
        Some(kind) => Err(NotOurs::Kind(kind)),
        None if !may_own(owner) => Err(NotOurs::Owner { owner, own: own() }),
        None => Ok(()),
    }
}

/// A user or group other than root and the agent's user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Other {
    Everybody,
    Owner(u32),
    Group(u32),
}

impl Other {
    /// Who else may write to this file, or, for a directory, replace files in it. `None`: only root and the agent's
    /// user.
    pub(crate) fn writer(meta: &fs::Metadata) -> Option<Self> {
        let mode = meta.mode();
        if mode & 0o002 != 0 {
            Some(Self::Everybody)
        } else if may_own(meta.uid()) {
            (mode & 0o020 != 0 && is_shared(meta.gid())).then(|| Self::Group(meta.gid()))
        } else {
            Some(Self::Owner(meta.uid()))
        }
    }
}

/// Whether a group may have members other than the agent's user and root.
pub(crate) fn is_shared(group: u32) -> bool {
    group != 0 && group != rustix::process::getegid().as_raw()
}

/// The names in an open directory, in no particular order.
pub(crate) fn names(directory: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Opens one of the agent's files for writing, with these flags.
///
/// # Errors
/// If it cannot be opened, or does not belong to the agent: see [`NotOurs`].
pub(super) fn open_to_write(path: &Path, flags: OFlags) -> io::Result<fs::File> {
    let opened = match open(path, flags | WARY, MODE) {
        Err(error) => return Err(in_place(path, error)),
        Ok(opened) => opened,
    };
    let opened = fs::File::from(opened);
    let meta = opened.metadata()?;
    ours(meta.mode(), meta.uid())?;
    if meta.nlink() > 1 {
        return Err(NotOurs::Names(meta.nlink()).into());
    }
    Ok(opened)
}

/// Translates errors of `open` that only mean "this is not a regular file" into [`NotOurs::Kind`].
fn in_place(path: &Path, error: Errno) -> io::Error {
    let is_odd = matches!(error, Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::ISDIR);
    let found = if is_odd { statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok() } else { None };
    match found.and_then(|stat| kind(stat.st_mode)) {
        Some(kind) => NotOurs::Kind(kind).into(),
        None => error.into(),
    }
}

/// One of the agent's own files, opened for reading.
#[derive(Debug)]
pub(crate) struct OwnFile {
    inner: fs::File,
    path: PathBuf,
}

impl OwnFile {
    /// Opens a file for reading. Commands that only inspect the state may run as another user than the agent, so the
    /// owner may also be the owner of the directory.
    ///
    /// # Errors
    /// If it cannot be opened, or does not belong to the agent: see [`NotOurs`].
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        read_step(path, || {
            let opened = open(path, OFlags::RDONLY | WARY, Mode::empty());
            let inner = fs::File::from(opened.map_err(|error| in_place(path, error))?);
            let meta = inner.metadata()?;
            match ours(meta.mode(), meta.uid()) {
                Err(NotOurs::Owner { owner, .. }) if fs::metadata(above(path))?.uid() == owner => {}
                whose => whose?,
            }
            Ok(Self { inner, path: path.to_owned() })
        })
    }

    /// For locks only. Do not read through it: such a read would bypass fault injection.
    pub(crate) fn inner(&self) -> &fs::File {
        &self.inner
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.inner.metadata()?.len())
    }
}

impl Read for OwnFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_step(&self.path, || self.inner.read(into))
    }
}

impl Seek for OwnFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Sets the permissions of an open file or directory.
///
/// # Errors
/// If it belongs to another user, or the disk reports an error.
pub(crate) fn set_mode(opened: impl AsFd, path: &Path, mode: Mode) -> io::Result<()> {
    step(FileStep::Private(path), || Ok(fchmod(opened, mode)?))
}

/// The content of one of the agent's files; `None` if it is larger than `most` bytes. Never reads more than `most + 1`
/// bytes into memory.
pub(crate) fn read_own(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = OwnFile::open(path)?;
    if file.length()? > most {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    use super::super::File;
    use super::*;

    /// Puts each kind of non-regular file at one path, and calls `each` with the path and the words that the error must
    /// contain.
    fn in_the_way(dir: &Path, each: impl Fn(&Path, &str)) {
        let (victim, path) = (dir.join("victim"), dir.join("file"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &path).unwrap();
        each(&path, "a symbolic link");
        fs::remove_file(&path).unwrap();
        symlink(dir.join("nothing"), &path).unwrap();
        each(&path, "a symbolic link");
        assert!(!dir.join("nothing").is_file());
        fs::remove_file(&path).unwrap();
        let fifo = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(fifo.success());
        each(&path, "a FIFO");
        fs::remove_file(&path).unwrap();
        let socket = UnixListener::bind(&path).unwrap();
        each(&path, "a socket");
        drop(socket);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        each(&path, "a directory");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn what_is_no_file_is_neither_written_to_nor_read_nor_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        in_the_way(dir.path(), |path, kind| {
            let errors = [
                File::append(path).map(drop).unwrap_err(),
                File::existing(path).map(drop).unwrap_err(),
                OwnFile::open(path).map(drop).unwrap_err(),
                read_own(path, 9).map(drop).unwrap_err(),
            ];
            for error in errors {
                assert!(error.to_string().contains(kind), "{error} is not about {kind}");
            }
        });
    }

    #[test]
    fn a_new_file_takes_the_place_of_a_link_and_leaves_alone_what_it_led_to() {
        let dir = tempfile::tempdir().unwrap();
        in_the_way(dir.path(), |path, kind| match File::create(path) {
            Ok(mut file) => {
                file.write_all(b"new").unwrap();
                assert_eq!(fs::read(path).unwrap(), b"new");
                assert_eq!(fs::symlink_metadata(path).unwrap().mode() & 0o7777, 0o600);
            }
            Err(error) => assert_eq!(kind, "a directory", "{error}"),
        });
    }

    #[test]
    fn a_file_that_has_a_second_name_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("file"));
        fs::write(&victim, "precious").unwrap();
        fs::hard_link(&victim, &path).unwrap();
        for error in [File::append(&path).unwrap_err(), File::existing(&path).unwrap_err()] {
            assert_eq!(NotOurs::of(&error), Some(&NotOurs::Names(2)), "{error}");
        }
        // `create` makes a new file and leaves the other name's file alone.
        File::create(&path).unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn a_file_that_is_larger_than_it_may_be_is_not_read_into_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read_own(&path, 64 << 20).unwrap(), None);
        fs::write(&path, "12345").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(read_own(&path, 5).unwrap().unwrap(), b"12345");
        assert_eq!(read_own(&path, 4).unwrap(), None);
    }
}
