//! The state directory: its lock, the node's key, and the checkpoint file.
//!
//! Promised: a checkpoint is replaced atomically: written to a new file, fsynced, and renamed into place. The one
//! before is kept and used if the last is damaged.

use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::copied::{born, copied};
use super::format::{self, Author, FormatError};
use super::permissions::{self, CURRENT, KEY, LOCK, PREVIOUS, PermissionLook, Remark};
use super::seal::{KEY_FILE, KeyFile};
use super::{CheckpointError, Loaded, Origin, State};
use crate::disk::{self, File, NotOurs, OwnFile, read_own};
use crate::event::{Key, Nanos, nanos};

const NEXT: &str = "checkpoint.json.new";
const NEXT_KEY: &str = "node.key.new";

/// Longest checkpoint, in bytes. A thousand generations at each of a hundred outputs need a third of it.
const MOST: u64 = 64 << 20;

/// The state directory. It is locked as long as this value lives.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    keys: KeyFile,
    /// Every checkpoint here has a keyed hash, and `node.key` says so (see `seal.rs`).
    is_sealed: AtomicBool,
    /// This process has saved before, so the checkpoint before the last has a hash too.
    has_saved: AtomicBool,
    _lock: File,
}

impl Store {
    /// The files that stay in the directory.
    pub(crate) const FILES: [&str; 4] = [CURRENT, PREVIOUS, LOCK, KEY];

    /// Creates the directory if it is missing, closes it to other users, takes its lock, and makes the node's secret
    /// at the first start.
    ///
    /// # Errors
    /// If any of that fails, another process holds the lock, or a file there is not the agent's own.
    pub(crate) fn open(directory: &Path) -> Result<Self, CheckpointError> {
        let path = || directory.to_owned();
        disk::create_dir_all(directory)
            .map_err(|source| CheckpointError::Create { path: path(), source })?;
        tell(&permissions::secure(directory, PermissionLook::Mend)?);
        let lock = directory.join(LOCK);
        let file = File::append(&lock).map_err(|source| of_file(&lock, source))?;
        match file.inner().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CheckpointError::Locked { path: path() }),
            Err(TryLockError::Error(source)) => {
                return Err(CheckpointError::Open { path: lock, source });
            }
        }
        let keys = if let Some(keys) = key_file(directory)? {
            keys
        } else {
            let new = KeyFile::new();
            write_keys(directory, &new)?;
            new
        };
        finish_save(directory, &keys)?;
        let is_sealed = AtomicBool::new(keys.is_sealed);
        let store = Self {
            directory: path(),
            keys,
            is_sealed,
            has_saved: AtomicBool::new(false),
            _lock: file,
        };
        if !store.keys.is_sealed && store.is_all_authenticated()? {
            store.seal();
        }
        Ok(store)
    }

    /// A read-only `open` for commands that change nothing: checks that the lock is free, and returns what is too
    /// open.
    ///
    /// # Errors
    /// As [`Store::open`], if the directory exists.
    pub(crate) fn look(directory: &Path) -> Result<Vec<Remark>, CheckpointError> {
        let remarks = permissions::secure(directory, PermissionLook::Only)?;
        let lock = directory.join(LOCK);
        match OwnFile::open(&lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(of_file(&lock, source)),
            Ok(file) => match file.inner().try_lock_shared() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(CheckpointError::Locked { path: directory.to_owned() });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(CheckpointError::Open { path: lock, source });
                }
            },
        }
        key_file(directory)?;
        Ok(remarks)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The node's secret. It is made at the first start.
    pub(crate) fn key(&self) -> Key {
        self.keys.key.clone()
    }

    /// The node's secret for commands that only read, without the lock; all zeros if there is none.
    pub(crate) fn key_of(directory: &Path) -> Key {
        Self::known_key(directory).ok().flatten().unwrap_or(Key([0; 32]))
    }

    /// The node's secret for commands that need exactly that one, without the lock; `None` if there is none yet.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub(crate) fn known_key(directory: &Path) -> Result<Option<Key>, CheckpointError> {
        Ok(key_file(directory)?.map(|keys| keys.key))
    }

    /// Removes the checkpoint, so that the next start begins from nothing.
    pub(crate) fn forget(&self) -> io::Result<()> {
        // The previous one first: if a crash left only the previous one, all events would be in doubt.
        for name in [PREVIOUS, NEXT, CURRENT] {
            match disk::remove_file(&self.directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// When the last checkpoint was written, if there is one.
    pub(crate) fn saved(directory: &Path) -> Option<Nanos> {
        let written =
            fs::metadata(directory.join(CURRENT)).and_then(|meta| meta.modified()).ok()?;
        nanos(written)
    }

    /// Reads the last checkpoint, or the one before if that is damaged or forged. Reading needs no lock.
    ///
    /// # Errors
    /// If a newer version wrote it, or if it may not be read: starting from nothing would send everything again.
    pub(crate) fn load(directory: &Path) -> Result<Loaded, CheckpointError> {
        let keys = key_file(directory)?;
        let read = |name| read(&directory.join(name), keys.as_ref());
        let current = read(CURRENT)?;
        // If the agent was killed between the two renames of a save, the `.new` file is whole and is the last
        // checkpoint.
        let next = match current {
            CheckpointContent::Nothing => match read(NEXT) {
                // The file is unfinished or not the agent's own; the next save replaces it.
                Err(CheckpointError::Refused { .. }) | Ok(CheckpointContent::Damaged(_)) => {
                    CheckpointContent::Nothing
                }
                other => other?,
            },
            _ => CheckpointContent::Nothing,
        };
        let (mut forged, mut why) = (None, None);
        for found in [current, next] {
            match found {
                CheckpointContent::State { state, copied, is_signed } => {
                    let origin = copied.map_or(Origin::Current, Origin::Restored);
                    return Ok(Loaded { state, origin, forged, is_signed });
                }
                CheckpointContent::Forged(what) => (forged, why) = (Some(what.clone()), Some(what)),
                CheckpointContent::Damaged(what) => why = why.or(Some(what)),
                CheckpointContent::Nothing => {}
            }
        }
        let previous = read(PREVIOUS)?;
        let (state, is_signed, origin) = match (previous, why) {
            (CheckpointContent::State { state, is_signed, .. }, why) => {
                let why = why.unwrap_or_else(|| "the last one is gone".into());
                (state, is_signed, Origin::Previous(why))
            }
            (CheckpointContent::Nothing, None) => (State::default(), true, Origin::First),
            (CheckpointContent::Forged(what), why) => {
                forged = forged.or(Some(what.clone()));
                (State::default(), true, Origin::Lost(why.unwrap_or(what)))
            }
            (CheckpointContent::Damaged(why), _) | (CheckpointContent::Nothing, Some(why)) => {
                (State::default(), true, Origin::Lost(why))
            }
        };
        Ok(Loaded { state, origin, forged, is_signed })
    }

    /// Writes a checkpoint: writes and fsyncs a new file, keeps the old one as the previous, renames, fsyncs the
    /// directory.
    ///
    /// # Errors
    /// If any step fails. Then the old checkpoint stands, or the new one if only the fsync of the directory failed.
    pub(crate) fn save(&self, state: &State) -> Result<(), CheckpointError> {
        let current = self.directory.join(CURRENT);
        let wrong = |source: io::Error| CheckpointError::Write {
            path: self.directory.join(CURRENT),
            source,
        };
        let next = self.directory.join(NEXT);
        write(&next, state, &self.keys.key).map_err(wrong)?;
        match disk::rename(&current, &self.directory.join(PREVIOUS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
            _ => {}
        }
        disk::rename(&next, &current)
            .and_then(|()| disk::sync_directory(&self.directory))
            .map_err(wrong)?;
        if self.has_saved.swap(true, Relaxed) && !self.is_sealed.load(Relaxed) {
            self.seal();
        }
        Ok(())
    }

    /// Whether every checkpoint here has a valid keyed hash.
    fn is_all_authenticated(&self) -> Result<bool, CheckpointError> {
        for name in [CURRENT, PREVIOUS] {
            match read(&self.directory.join(name), Some(&self.keys))? {
                CheckpointContent::State { is_signed: true, .. } | CheckpointContent::Nothing => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// From now on a checkpoint without a keyed hash is refused here. If the seal cannot be written, the next save
    /// tries again.
    fn seal(&self) {
        match write_keys(&self.directory, &self.keys) {
            Ok(()) => self.is_sealed.store(true, Relaxed),
            Err(error) => {
                let source = std::error::Error::source(&error);
                tracing::debug!(%error, source, "cannot seal the key yet");
            }
        }
    }
}

fn write_keys(directory: &Path, keys: &KeyFile) -> Result<(), CheckpointError> {
    let path = directory.join(KEY);
    disk::replace(&path, &directory.join(NEXT_KEY), &keys.sealed())
        .map_err(|source| CheckpointError::Write { path, source })
}

fn key_file(directory: &Path) -> Result<Option<KeyFile>, CheckpointError> {
    let path = directory.join(KEY);
    let bytes = match read_own(&path, KEY_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(of_file(&path, source)),
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let why = format!("it holds more than {KEY_FILE} bytes");
            return Err(CheckpointError::Key { path, why });
        }
    };
    KeyFile::read(&bytes).map(Some).map_err(|why| CheckpointError::Key { path, why })
}

/// Tells a file that is not the agent's own from one that cannot be opened.
fn of_file(path: &Path, source: io::Error) -> CheckpointError {
    let path = path.to_owned();
    match NotOurs::of(&source) {
        Some(why) => CheckpointError::Refused { path, why: why.to_string() },
        None => CheckpointError::Open { path, source },
    }
}

/// Logs the permissions that were too open.
fn tell(remarks: &[Remark]) {
    let closed: Vec<_> = remarks
        .iter()
        .filter_map(|remark| match remark {
            Remark::Open(what) => Some(what.as_str()),
            _ => None,
        })
        .collect();
    if !closed.is_empty() {
        let closed = closed.join(", ");
        tracing::warn!(
            closed,
            "other users could enter the state directory; it is closed to them now"
        );
    }
    for remark in remarks {
        match remark {
            Remark::KeyWasReadable(what) => tracing::error!(
                key = what,
                "other users could read the node's secret: if one did, he can forge this node's checkpoints and guess redacted secrets; move the state directory away for a new one"
            ),
            Remark::Stays(what) => tracing::warn!("{what}"),
            Remark::Open(_) => {}
        }
    }
}

/// Writes and fsyncs a checkpoint file. The file holds its own birth time, which differs in every copy (`copied.rs`).
fn write(path: &Path, state: &State, key: &Key) -> io::Result<()> {
    let mut file = File::create(path)?;
    let state = State { born: born(&file.inner().metadata()?), ..state.clone() };
    let bytes = format::write(&state, key)?;
    if bytes.len() as u64 > MOST {
        let what = format!("the checkpoint has {} bytes, and {MOST} is the most", bytes.len());
        return Err(io::Error::other(what));
    }
    file.write_all(&bytes)?;
    file.sync()
}

/// Finishes a save that was killed between its two renames. Otherwise the next save would overwrite the only copy of
/// the last state.
fn finish_save(directory: &Path, keys: &KeyFile) -> Result<(), CheckpointError> {
    let (current, next) = (directory.join(CURRENT), directory.join(NEXT));
    if !matches!(read(&current, Some(keys))?, CheckpointContent::Nothing) {
        return Ok(());
    }
    let is_between = match read(&next, Some(keys)) {
        Ok(found) => matches!(found, CheckpointContent::State { .. }),
        Err(CheckpointError::Refused { .. } | CheckpointError::Newer { .. }) => false,
        Err(error) => return Err(error),
    };
    if is_between {
        disk::rename(&next, &current)
            .map_err(|source| CheckpointError::Write { path: current, source })?;
    }
    Ok(())
}

/// The content of a checkpoint file.
enum CheckpointContent {
    State {
        state: State,
        /// Why it is a copy, if it is one.
        copied: Option<String>,
        /// `false`: an earlier version wrote it, without a hash.
        is_signed: bool,
    },
    Damaged(String),
    /// It is undamaged, but no holder of the node's secret wrote it.
    Forged(String),
    Nothing,
}

fn read(path: &Path, keys: Option<&KeyFile>) -> Result<CheckpointContent, CheckpointError> {
    let bytes = match read_own(path, MOST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(CheckpointContent::Nothing);
        }
        Err(source) => return Err(of_file(path, source)),
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let why = format!("{} is damaged: it holds more than {MOST} bytes", path.display());
            return Ok(CheckpointContent::Damaged(why));
        }
    };
    // Without a key the author cannot be known.
    let nobody = Key([0; 32]);
    let read = format::read(&bytes, keys.map_or(&nobody, |keys| &keys.key));
    let forged = |why: &str| CheckpointContent::Forged(format!("{} {why}", path.display()));
    let is_sealed = keys.is_none_or(|keys| keys.is_sealed);
    match read {
        Ok((_, Author::Other)) => {
            Ok(forged("was not written with this node's secret, or was changed since"))
        }
        Ok((_, Author::NotSaid)) if is_sealed => {
            Ok(forged("has no keyed hash, and this node's checkpoints have one"))
        }
        Ok((state, author)) => {
            let copied = copied(path, &state);
            Ok(CheckpointContent::State { state, copied, is_signed: author == Author::Known })
        }
        Err(FormatError::Newer(version)) => {
            Err(CheckpointError::Newer { path: path.to_owned(), version })
        }
        Err(FormatError::Damaged(why)) => {
            Ok(CheckpointContent::Damaged(format!("{} is damaged: {why}", path.display())))
        }
    }
}

#[cfg(test)]
#[path = "state_dir_tests.rs"]
pub(super) mod tests;
