use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use super::super::Store;
use super::super::state_dir::tests::{load, named};
use super::*;

/// A state directory with one of every file.
fn full() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.save(&named("one")).unwrap();
    store.save(&named("two")).unwrap();
    let letters = dir.path().join("dead-letters/api.loki");
    fs::create_dir_all(&letters).unwrap();
    fs::create_dir(dir.path().join("replay")).unwrap();
    fs::write(letters.join("000001.seg"), "").unwrap();
    drop(store);
    dir
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn all(dir: &Path) -> Vec<PathBuf> {
    let names = [
        "",
        LOCK,
        KEY,
        CURRENT,
        PREVIOUS,
        "replay",
        "dead-letters",
        "dead-letters/api.loki",
        "dead-letters/api.loki/000001.seg",
    ];
    names.iter().map(|name| dir.join(name)).collect()
}

#[test]
fn what_is_too_open_is_closed_and_whoever_only_looks_closes_nothing() {
    let dir = full();
    for path in all(dir.path()) {
        set(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let seen = secure(dir.path(), PermissionLook::Only).unwrap();
    assert_eq!(mode(dir.path()), 0o755);
    assert_eq!(secure(dir.path(), PermissionLook::Mend).unwrap(), seen);
    for path in all(dir.path()) {
        assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        let shown = path.display().to_string();
        let is_named = |remark: &Remark| matches!(remark, Remark::Open(what) if what.starts_with(shown.trim_end_matches('/')));
        assert!(seen.iter().any(is_named), "{shown} is not in {seen:?}");
    }
    let key = seen.iter().filter(|remark| matches!(remark, Remark::KeyWasReadable(_)));
    assert_eq!(key.count(), 1);
    assert_eq!(secure(dir.path(), PermissionLook::Mend).unwrap(), []);
    assert_eq!(load(dir.path()).0, "two");
}

#[test]
fn a_directory_open_to_all_is_closed_before_anything_is_made_there() {
    let dir = tempfile::tempdir().unwrap();
    set(dir.path(), 0o777);
    drop(Store::open(dir.path()).unwrap());
    assert_eq!(mode(dir.path()), 0o700);
}

#[test]
fn a_key_or_checkpoint_that_others_may_have_changed_is_refused() {
    for name in [KEY, CURRENT, PREVIOUS] {
        for bits in [0o620, 0o602, 0o666] {
            let dir = full();
            set(&dir.path().join(name), bits);
            let error = Store::open(dir.path()).unwrap_err();
            let text = error.to_string();
            // A group-writable file may come from a pod's `fsGroup`, and the tests may run as any user.
            let is_group = bits == 0o620 && !geteuid().is_root();
            assert!(is_group || (error.is_refusal() && text.contains("chmod 0600")), "{text}");
        }
    }
}

#[test]
fn a_link_in_the_place_of_a_directory_or_a_file_is_refused_and_nothing_is_done_through_it() {
    for name in [LOCK, KEY, "dead-letters", "replay", "dead-letters/api.loki/000001.seg"] {
        let (dir, outside) = (full(), tempfile::tempdir().unwrap());
        let (path, victim) = (dir.path().join(name), outside.path().join("victim"));
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
            fs::create_dir(&victim).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
            fs::write(&victim, "precious").unwrap();
        }
        set(&victim, 0o755);
        symlink(&victim, &path).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        let text = error.to_string();
        assert!(error.is_refusal() && text.contains("it is a symbolic link"), "{text}");
        assert_eq!(mode(&victim), 0o755);
    }
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if !geteuid().is_root() {
        // Only root can change the owner of a file.
        return;
    }
    for name in ["", LOCK, KEY, CURRENT, "dead-letters", "dead-letters/api.loki/000001.seg"] {
        let dir = full();
        chown(dir.path().join(name), Some(4242), None).unwrap();
        for error in [Store::open(dir.path()).unwrap_err(), Store::look(dir.path()).unwrap_err()] {
            let text = error.to_string();
            assert!(error.is_refusal() && text.contains("belongs to user 4242"), "{text}");
        }
    }
}

#[test]
fn a_place_from_which_others_can_take_the_directory_away_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let above = dir.path().join("above");
    let state = above.join("state");
    fs::create_dir_all(&state).unwrap();
    set(&state, 0o700);
    for (bits, is_said) in [(0o777, true), (0o775, true), (0o1777, false), (0o755, false)] {
        set(&above, bits);
        let remarks = secure(&state, PermissionLook::Mend).unwrap();
        let said = remarks.iter().any(
            |remark| matches!(remark, Remark::Stays(what) if what.contains(above.to_str().unwrap())),
        );
        assert_eq!(said, is_said, "{bits:o}: {remarks:?}");
        assert_eq!(mode(&above), bits);
    }
}
