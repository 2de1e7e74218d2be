//! Tells whether a checkpoint file is the original or a copy: restored from a backup, or taken from another machine.
//!
//! The file holds its own birth time, and the file system reports one too. They agree for the original, even after a
//! rename or chmod, and differ in every copy. The agent does not recognise a machine that was rolled back together
//! with its disk.

use std::fs;
use std::path::Path;

use super::State;
use crate::event::{Nanos, nanos};

/// Birth time of a file; `None` where the file system does not keep one.
pub(super) fn born(meta: &fs::Metadata) -> Option<Nanos> {
    nanos(meta.created().ok()?)
}

/// Why this file is a copy, if it is one. A changed clock makes no difference: both times are of the same file.
pub(super) fn copied(path: &Path, state: &State) -> Option<String> {
    let made = born(&fs::metadata(path).ok()?)?;
    let written = state.born.filter(|written| *written != made)?;
    let [made, written] = [made, written].map(|time| {
        jiff::Timestamp::from_nanosecond(time.into())
            .map(|time| format!("{time:.0}"))
            .unwrap_or_default()
    });
    Some(format!("{} was written at {written} and copied at {made}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::permissions::CURRENT;
    use super::super::state_dir::tests::{load, named};
    use super::super::{Origin, Store};
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_copy_of_the_state_directory_is_recognised_and_the_directory_itself_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CURRENT);
        let store = Store::open(dir.path()).unwrap();
        store.save(&named("one")).unwrap();
        if born(&fs::metadata(&path).unwrap()).is_none() {
            // This file system reports no birth time, so a copy cannot be recognised.
            return;
        }
        drop(store);
        // Changes that keep the file the original: another owner or mode, another modification time, another name.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let aside = dir.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert_eq!(load(dir.path()), ("one".into(), Origin::Current));
        fs::copy(&path, &aside).unwrap();
        fs::rename(&aside, &path).unwrap();
        let (node, origin) = load(dir.path());
        assert!(
            node == "one"
                && matches!(&origin, Origin::Restored(why) if why.contains("and copied at")),
            "{origin:?}"
        );
        let store = Store::open(dir.path()).unwrap();
        store.save(&named("two")).unwrap();
        assert_eq!(load(dir.path()), ("two".into(), Origin::Current));
    }
}
