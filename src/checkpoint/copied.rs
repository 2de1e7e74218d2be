//! Whether a checkpoint file is the one that was written, or a copy: of a backup that was restored, or of another machine's.
//!
//! A file says inside when it was made, and the file system says so too: whatever is done to the file, the two agree, and in
//! no copy do they. A machine that was rolled back with its disk is not recognised here.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::State;
use crate::event::Nanos;

/// When a file was made; `None` where the file system does not keep that.
pub(super) fn born(meta: &fs::Metadata) -> Option<Nanos> {
    let since = meta.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Nanos::try_from(since.as_nanos()).ok()
}

/// Why this is not the file that was written, if so. Clocks that were set make no difference: both times are of one file.
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

    use super::super::state_dir::CURRENT;
    use super::super::state_dir::tests::{load, named};
    use super::super::{Origin, Store};
    use super::*;

    #[test]
    fn a_copy_of_the_state_directory_is_recognised_and_the_directory_itself_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CURRENT);
        let store = Store::open(dir.path()).unwrap();
        store.save(&named("one")).unwrap();
        if born(&fs::metadata(&path).unwrap()).is_none() {
            // This file system does not say, so nothing is noticed and nothing is claimed.
            return;
        }
        drop(store);
        // What happens to a file that stays where it is: another owner or mode, another time, another name.
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
