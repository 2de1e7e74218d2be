//! The state directory: its lock, the node's key, and the checkpoint file, written beside and renamed into place.

use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::State;
use super::copied::{born, copied};
use super::format::{self, FormatError};
use crate::disk::{self, File};
use crate::event::{Key, Nanos};

pub(super) const CURRENT: &str = "checkpoint.json";
const NEXT: &str = "checkpoint.json.new";
const PREVIOUS: &str = "checkpoint.json.previous";

/// What can be wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error(
        "cannot create the state directory {path}: create it, or set `state_dir` to a place that the agent's user may write to"
    )]
    Create { path: PathBuf, source: io::Error },
    #[error("another auditrail uses {path}: stop it, or give this one a `state_dir` of its own")]
    Locked { path: PathBuf },
    #[error("cannot open {path}: make it readable and writable by the agent's user")]
    Open { path: PathBuf, source: io::Error },
    #[error(
        "{path} holds {found} bytes instead of 32: restore it, or move the whole state directory away to begin anew"
    )]
    Key { path: PathBuf, found: usize },
    #[error(
        "{path} was written by a newer auditrail (version {version}): run that one, or move the file away to read all logs again"
    )]
    Newer { path: PathBuf, version: u32 },
    #[error(
        "cannot write {path}: make `state_dir` writable by the agent's user, and see that its disk has room"
    )]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "the file of the output {output} for {input} cannot be synced: see to its disk, then restart the agent"
    )]
    Sync { input: String, output: String, source: io::Error },
}

/// Where a loaded state came from, which decides how much is in doubt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// There has never been one.
    First,
    /// The last one written.
    Current,
    /// A copy of one that was written, so perhaps not the last.
    Restored(String),
    /// An older one; the reason says what is wrong with the last.
    Previous(String),
    /// There was one, and nothing can be read of it.
    Lost(String),
}

/// A state and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) origin: Origin,
}

/// The state directory, locked as long as this lives.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    _lock: File,
}

impl Store {
    /// Creates the directory where it is missing, and takes its lock.
    ///
    /// # Errors
    /// If that is impossible, or another process has the lock.
    pub(crate) fn open(directory: &Path) -> Result<Self, CheckpointError> {
        let path = || directory.to_owned();
        disk::create_dir_all(directory)
            .map_err(|source| CheckpointError::Create { path: path(), source })?;
        let lock = directory.join("lock");
        let file = File::append(&lock)
            .map_err(|source| CheckpointError::Open { path: lock.clone(), source })?;
        match file.inner().try_lock() {
            Ok(()) => {
                finish_save(directory)?;
                Ok(Self { directory: path(), _lock: file })
            }
            Err(TryLockError::WouldBlock) => Err(CheckpointError::Locked { path: path() }),
            Err(TryLockError::Error(source)) => Err(CheckpointError::Open { path: lock, source }),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The node's secret, made at the first start.
    ///
    /// # Errors
    /// If it cannot be read or made, or is not whole.
    pub(crate) fn key(&self) -> Result<Key, CheckpointError> {
        if let Some(key) = Self::known_key(&self.directory)? {
            return Ok(key);
        }
        let path = self.directory.join("node.key");
        let key: [u8; 32] = rand::random();
        disk::replace(&path, &self.directory.join("node.key.new"), &key)
            .map_err(|source| CheckpointError::Write { path, source })?;
        Ok(Key(key))
    }

    /// The node's secret for those who only look, without the lock; another one where there is none.
    pub(crate) fn key_of(directory: &Path) -> Key {
        let bytes = fs::read(directory.join("node.key")).unwrap_or_default();
        Key(bytes.try_into().unwrap_or([0; 32]))
    }

    /// The node's secret for those who need just that one, without the lock; `None` where there is none yet.
    ///
    /// # Errors
    /// If it cannot be read, or is not whole.
    pub(crate) fn known_key(directory: &Path) -> Result<Option<Key>, CheckpointError> {
        let path = directory.join("node.key");
        match fs::read(&path) {
            Ok(bytes) => {
                let found = bytes.len();
                let whole = bytes.try_into().map_err(|_| CheckpointError::Key { path, found })?;
                Ok(Some(Key(whole)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CheckpointError::Open { path, source }),
        }
    }

    /// Removes the checkpoint: what comes next begins anew.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(crate) fn forget(&self) -> io::Result<()> {
        // The previous one first: with the last one gone and that left, all would be in doubt.
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
        Nanos::try_from(written.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos()).ok()
    }

    /// Reads the last checkpoint, or what comes closest to it.
    ///
    /// # Errors
    /// If one is there that a newer version wrote, or that may not be read: starting anew would repeat everything.
    pub(crate) fn load(directory: &Path) -> Result<Loaded, CheckpointError> {
        let current = read(&directory.join(CURRENT))?;
        // Killed between the two renames of a save: the next one is whole, and is the last.
        let next = if matches!(current, Found::Nothing) {
            read(&directory.join(NEXT))?
        } else {
            Found::Nothing
        };
        let damage = match (current, next) {
            (Found::State(state, copied), _) | (_, Found::State(state, copied)) => {
                let origin = copied.map_or(Origin::Current, Origin::Restored);
                return Ok(Loaded { state, origin });
            }
            (Found::Damaged(why), _) => Some(why),
            (Found::Nothing, _) => None,
        };
        match (read(&directory.join(PREVIOUS))?, damage) {
            (Found::State(state, _), why) => Ok(Loaded {
                state,
                origin: Origin::Previous(why.unwrap_or_else(|| "the last one is gone".into())),
            }),
            (Found::Nothing, None) => Ok(Loaded { state: State::default(), origin: Origin::First }),
            (Found::Damaged(why), _) | (Found::Nothing, Some(why)) => {
                Ok(Loaded { state: State::default(), origin: Origin::Lost(why) })
            }
        }
    }

    /// Writes a checkpoint: beside, synced, the old one kept as the previous, renamed, directory synced.
    ///
    /// # Errors
    /// If any of that fails; then the old one stands.
    pub(crate) fn save(&self, state: &State) -> Result<(), CheckpointError> {
        let current = self.directory.join(CURRENT);
        let wrong = |source: io::Error| CheckpointError::Write {
            path: self.directory.join(CURRENT),
            source,
        };
        let next = self.directory.join(NEXT);
        write(&next, state).map_err(wrong)?;
        match disk::rename(&current, &self.directory.join(PREVIOUS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
            _ => {}
        }
        disk::rename(&next, &current)
            .and_then(|()| disk::sync_directory(&self.directory))
            .map_err(wrong)
    }
}

/// Writes a checkpoint file, synced. It says when it was made, which no copy of it can.
fn write(path: &Path, state: &State) -> io::Result<()> {
    let mut file = File::create(path)?;
    let state = State { born: born(&file.inner().metadata()?), ..state.clone() };
    file.write_all(&format::write(&state)?)?;
    file.sync()
}

/// Where a kill fell between the two renames of a save, the next save would write over the only copy of the last state.
fn finish_save(directory: &Path) -> Result<(), CheckpointError> {
    let (current, next) = (directory.join(CURRENT), directory.join(NEXT));
    let is_between =
        matches!(read(&current)?, Found::Nothing) && matches!(read(&next), Ok(Found::State(..)));
    if is_between {
        disk::rename(&next, &current)
            .map_err(|source| CheckpointError::Write { path: current, source })?;
    }
    Ok(())
}

/// What a checkpoint file holds.
enum Found {
    /// And why it is a copy, if it is one.
    State(State, Option<String>),
    Damaged(String),
    Nothing,
}

fn read(path: &Path) -> Result<Found, CheckpointError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(source) => return Err(CheckpointError::Open { path: path.to_owned(), source }),
    };
    match format::read(&bytes) {
        Ok(state) => {
            let copied = copied(path, &state);
            Ok(Found::State(state, copied))
        }
        Err(FormatError::Newer(version)) => {
            Err(CheckpointError::Newer { path: path.to_owned(), version })
        }
        Err(FormatError::Damaged(why)) => {
            Ok(Found::Damaged(format!("{} is damaged: {why}", path.display())))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::checkpoint) fn named(node: &str) -> State {
        State { node: node.into(), ..State::default() }
    }

    pub(in crate::checkpoint) fn load(directory: &Path) -> (String, Origin) {
        let loaded = Store::load(directory).unwrap();
        (loaded.state.node, loaded.origin)
    }

    #[test]
    fn the_last_checkpoint_is_read_and_the_one_before_when_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(load(dir.path()), (String::new(), Origin::First));
        store.save(&named("one")).unwrap();
        store.save(&named("two")).unwrap();
        assert_eq!(load(dir.path()), ("two".into(), Origin::Current));
        fs::write(dir.path().join(CURRENT), "junk").unwrap();
        let (node, origin) = load(dir.path());
        assert!(
            node == "one"
                && matches!(origin, Origin::Previous(why) if why.contains("checkpoint.json is damaged"))
        );
        fs::write(dir.path().join(PREVIOUS), "junk").unwrap();
        assert!(matches!(load(dir.path()).1, Origin::Lost(_)));
    }

    #[test]
    fn a_checkpoint_damaged_at_any_byte_falls_back_to_the_one_before_or_to_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.save(&named("one")).unwrap();
        store.save(&named("two")).unwrap();
        let (current, previous) = (dir.path().join(CURRENT), dir.path().join(PREVIOUS));
        let (last, before) = (fs::read(&current).unwrap(), fs::read(&previous).unwrap());
        for at in 0..last.len() {
            let cut = last[..at].to_vec();
            let changed = |bits: u8| {
                let mut changed = last.clone();
                changed[at] ^= bits;
                changed
            };
            let zeros = [&last[..at], &vec![0; last.len() - at]].concat();
            for damaged in [cut, changed(1), changed(2), changed(0x80), changed(0xff), zeros] {
                fs::write(&current, &damaged).unwrap();
                let (node, origin) = load(dir.path());
                assert!(node == "one" && matches!(origin, Origin::Previous(_)), "byte {at}");
            }
            fs::write(&previous, &last[..at]).unwrap();
            let (node, origin) = load(dir.path());
            assert!(node.is_empty() && matches!(origin, Origin::Lost(_)), "byte {at}");
            fs::write(&previous, &before).unwrap();
        }
    }

    #[test]
    fn a_kill_between_the_two_renames_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.save(&named("one")).unwrap();
        fs::write(dir.path().join(NEXT), format::write(&named("two")).unwrap()).unwrap();
        assert_eq!(load(dir.path()).0, "one");
        fs::rename(dir.path().join(CURRENT), dir.path().join(PREVIOUS)).unwrap();
        assert_eq!(load(dir.path()), ("two".into(), Origin::Current));
        // And a second one in the middle of the next save.
        drop(store);
        let _store = Store::open(dir.path()).unwrap();
        fs::write(dir.path().join(NEXT), "torn").unwrap();
        assert_eq!(load(dir.path()), ("two".into(), Origin::Current));
    }

    #[test]
    fn a_second_agent_is_kept_out_and_told_why() {
        let dir = tempfile::tempdir().unwrap();
        let first = Store::open(dir.path()).unwrap();
        let error = Store::open(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with("another auditrail uses"), "{error}");
        drop(first);
        Store::open(dir.path()).unwrap();
    }

    #[test]
    fn the_key_stays_and_a_cut_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = store.key().unwrap();
        assert_eq!(store.key().unwrap().0, key.0);
        fs::write(dir.path().join("node.key"), "short").unwrap();
        assert!(matches!(store.key(), Err(CheckpointError::Key { found: 5, .. })));
    }
}
