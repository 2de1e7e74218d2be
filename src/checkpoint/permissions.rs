//! Checks owners and modes (permissions) in the state directory before anything there is used.
//!
//! Another user with write access could replace the checkpoint or the key; one with read access could read the key
//! and the dead letters. If a file of ours is too open, the agent takes the permissions away with fchmod on its
//! descriptor, so that no symbolic link is followed. The agent refuses a file that belongs to another user, or a key
//! or checkpoint that another user may have changed: only the operator can judge what it is worth.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawMode, Stat, fstat, openat, statat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};

use super::CheckpointError;
use crate::disk::private::{self, kind, may_own, ours, own, set_mode};

// The files of the state directory.
pub(super) const CURRENT: &str = "checkpoint.json";
pub(super) const PREVIOUS: &str = "checkpoint.json.previous";
pub(super) const KEY: &str = "node.key";
pub(super) const LOCK: &str = "lock";

/// Permission bits of everybody but the owner.
const OTHERS: RawMode = 0o077;
/// Write permission of everybody but the owner.
const WRITE: RawMode = 0o022;
const STICKY: RawMode = 0o1000;

/// A file or directory that is too open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Remark {
    /// The agent closed it now, or will at the next start. The text is the path and the mode it had.
    Open(String),
    /// Others could read the node's secret.
    KeyWasReadable(String),
    /// The agent cannot fix it; the text says what to do about it.
    Stays(String),
}

/// Whether to change modes: the agent does, commands that only inspect do not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PermissionLook {
    /// Takes permissions away from files that are too open.
    Mend,
    /// Only reports them.
    Only,
}

/// How much it matters that others may write to a file.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Matters {
    /// The file decides what is sent.
    Much,
    /// The file decides what is sent, and is secret too.
    Secret,
    Little,
}

/// Checks the state directory and the files in it.
///
/// # Errors
/// If a file there is not the agent's own, or if another user may have changed one that decides what is delivered.
pub(super) fn secure(
    directory: &Path,
    look: PermissionLook,
) -> Result<Vec<Remark>, CheckpointError> {
    let mut walk = PermissionWalk { look, remarks: Vec::new() };
    // Where a service manager provides a private directory (systemd's `DynamicUser`), this path is a symbolic link
    // that root owns, in a directory of root.
    let state = walk.directory(CWD, directory, directory.as_os_str(), OFlags::empty())?;
    walk.way(directory);
    let Some(state) = state else { return Ok(walk.remarks) };
    let files = [
        (KEY, Matters::Secret),
        (CURRENT, Matters::Much),
        (PREVIOUS, Matters::Much),
        (LOCK, Matters::Little),
    ];
    for (name, matters) in files {
        walk.file(state.as_fd(), directory, name.as_ref(), matters)?;
    }
    let no_link = OFlags::NOFOLLOW;
    let replays = directory.join("replay");
    walk.directory(state.as_fd(), &replays, "replay".as_ref(), no_link)?;
    let letters = directory.join("dead-letters");
    let shelves = walk.directory(state.as_fd(), &letters, "dead-letters".as_ref(), no_link)?;
    for name in shelves.as_ref().map(|at| names(at, &letters)).transpose()?.unwrap_or_default() {
        let shelf = letters.join(&name);
        let Some(above) = &shelves else { continue };
        let Some(at) = walk.directory(above.as_fd(), &shelf, &name, no_link)? else { continue };
        for name in names(&at, &shelf)? {
            walk.file(at.as_fd(), &shelf, &name, Matters::Little)?;
        }
    }
    Ok(walk.remarks)
}

struct PermissionWalk {
    look: PermissionLook,
    remarks: Vec<Remark>,
}

impl PermissionWalk {
    /// Checks a directory; `None` if there is none.
    fn directory(
        &mut self,
        above: impl AsFd,
        path: &Path,
        name: &OsStr,
        more: OFlags,
    ) -> Result<Option<OwnedFd>, CheckpointError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
        let opened = match openat(&above, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let stat = statat(&above, name, AtFlags::SYMLINK_NOFOLLOW).ok();
                let what = stat.and_then(|stat| kind(stat.st_mode)).unwrap_or("a file");
                let why = format!("it is {what}, not a directory: remove it");
                return Err(refused(path, why));
            }
            other => other.map_err(|error| cannot_open(path, error.into()))?,
        };
        let stat = fstat(&opened).map_err(|error| cannot_open(path, error.into()))?;
        if !may_own(stat.st_uid) {
            let why = format!(
                "it belongs to user {}, and only root and the agent's user {} may own it: set `state_dir` to a directory of the agent's own, run the agent as that user, or see what is in it and then give it to the agent with `chown -R`",
                stat.st_uid,
                own()
            );
            return Err(refused(path, why));
        }
        self.close(&opened, &stat, path)?;
        Ok(Some(opened))
    }

    fn file(
        &mut self,
        directory: impl AsFd,
        above: &Path,
        name: &OsStr,
        matters: Matters,
    ) -> Result<(), CheckpointError> {
        let path = above.join(name);
        let stat = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(|error| cannot_open(&path, error.into()))?,
        };
        if matters == Matters::Little && name.as_bytes().ends_with(b".new") {
            // A crash left it. The next file of that name replaces it.
            return Ok(());
        }
        ours(stat.st_mode, stat.st_uid).map_err(|why| refused(&path, why.to_string()))?;
        if stat.st_mode & OTHERS == 0 {
            return Ok(());
        }
        if matters != Matters::Little && stat.st_mode & WRITE != 0 && !is_by_fs_group(&stat) {
            let why = format!(
                "others may write to it (mode {:04o}), so it may not be what the agent wrote: see that it is right and close it with `chmod 0600`, or move the whole state directory away to begin anew",
                stat.st_mode & 0o7777
            );
            return Err(refused(&path, why));
        }
        if matters == Matters::Secret {
            self.remarks.push(Remark::KeyWasReadable(shown(&path, &stat)));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&directory, name, flags, Mode::empty()) {
            // Somebody removed it since `statat`.
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(cannot_open(&path, error.into())),
            Ok(opened) => {
                let stat = fstat(&opened).map_err(|error| cannot_open(&path, error.into()))?;
                ours(stat.st_mode, stat.st_uid).map_err(|why| refused(&path, why.to_string()))?;
                self.close(&opened, &stat, &path)
            }
        }
    }

    /// Takes the permissions of other users away, or reports why that is not possible.
    fn close(&mut self, opened: &OwnedFd, stat: &Stat, path: &Path) -> Result<(), CheckpointError> {
        if stat.st_mode & OTHERS == 0 {
            return Ok(());
        }
        let shown = shown(path, stat);
        if stat.st_uid != own() {
            if stat.st_mode & WRITE != 0 {
                let to_do = "others may write to it: give it to the agent's user, or take the permission away";
                self.remarks.push(Remark::Stays(format!("{shown} is root's, and {to_do}")));
            }
            return Ok(());
        }
        if self.look == PermissionLook::Mend {
            let mode = Mode::from_raw_mode(stat.st_mode & 0o700);
            match set_mode(opened, path, mode) {
                // The mode stays as it is. Whatever else needs to write there will report the error.
                Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                    self.remarks.push(Remark::Stays(format!("{shown} is on a read-only disk")));
                    return Ok(());
                }
                Err(source) => {
                    let path = path.to_owned();
                    return Err(CheckpointError::Close { path, source });
                }
                Ok(()) => {}
            }
        }
        self.remarks.push(Remark::Open(shown));
        Ok(())
    }

    /// Checks the parent directories: a user who may rename one of them can put another state directory in its place.
    fn way(&mut self, directory: &Path) {
        // If the path cannot be resolved, another check has reported that.
        let Ok(full) = fs::canonicalize(directory) else { return };
        for above in full.ancestors().skip(1) {
            let Ok(meta) = fs::metadata(above) else { continue };
            let is_open = meta.mode() & WRITE != 0 && meta.mode() & STICKY == 0;
            if is_open || !may_own(meta.uid()) {
                self.remarks.push(Remark::Stays(format!(
                    "other users may write to {} (user {}, mode {:04o}), so they can put another directory in the place of {}: take the permission away, or move `state_dir`",
                    above.display(),
                    meta.uid(),
                    meta.mode() & 0o7777,
                    directory.display()
                )));
                return;
            }
        }
    }
}

/// Kubernetes gives the files of a volume to the pod's `fsGroup` and makes them group-writable at each start.
fn is_by_fs_group(stat: &Stat) -> bool {
    let by_group = stat.st_mode & WRITE == 0o020;
    let is_ours = || {
        let mine =
            |all: Vec<_>| all.into_iter().chain([getegid()]).any(|gid| gid.as_raw() == stat.st_gid);
        getgroups().is_ok_and(mine)
    };
    !geteuid().is_root() && by_group && is_ours()
}

/// The names in a directory, sorted.
fn names(directory: &OwnedFd, path: &Path) -> Result<Vec<OsString>, CheckpointError> {
    let mut names = private::names(directory).map_err(|source| cannot_open(path, source))?;
    names.sort_unstable();
    Ok(names)
}

fn shown(path: &Path, stat: &Stat) -> String {
    format!("{} (mode {:04o})", path.display(), stat.st_mode & 0o7777)
}

fn refused(path: &Path, why: String) -> CheckpointError {
    CheckpointError::Refused { path: path.to_owned(), why }
}

fn cannot_open(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Open { path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "permissions_tests.rs"]
mod tests;
