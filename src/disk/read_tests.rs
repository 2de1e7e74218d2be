//! Opening files whose name another user may give to anything.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, RenameFlags, Uid, chownat, mknodat, renameat_with,
};

use super::{Links, NoFile, OwnDirectory, ReadFile, Standing};

const ALL: [Links; 3] = [Links::Refused, Links::Trusted, Links::Followed];

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

/// Changes the owner of a file or link, which only root can do. Returns whether it could.
fn give_away(path: &Path) -> bool {
    let to = (Some(Uid::from_raw(4242)), Some(Gid::from_raw(4242)));
    chownat(CWD, path, to.0, to.1, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

fn text(path: &Path, links: Links) -> Result<String, Option<NoFile>> {
    let opened = ReadFile::open(path, links);
    let mut text = String::new();
    opened.map_err(|error| NoFile::of(&error).cloned())?.read_to_string(&mut text).unwrap();
    Ok(text)
}

#[test]
fn nothing_but_a_regular_file_is_opened_and_nothing_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fifo(&at("fifo"));
    let _socket = UnixListener::bind(at("socket")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    fs::write(at("file"), "text").unwrap();
    for links in ALL {
        for (name, kind) in [("fifo", "a FIFO"), ("directory", "a directory")] {
            assert_eq!(text(&at(name), links), Err(Some(NoFile::Other(kind))), "{name} {links:?}");
        }
        assert_eq!(text(&at("file"), links), Ok("text".into()));
        assert_eq!(text(&at("nothing"), links), Err(None));
    }
    assert_eq!(text(&at("socket"), Links::Refused), Err(Some(NoFile::Other("a socket"))));
    assert_eq!(text(Path::new("/dev/null"), Links::Refused), Err(Some(NoFile::Other("a device"))));
    assert_eq!(text(Path::new("/"), Links::Refused), Err(Some(NoFile::Other("a directory"))));
}

#[test]
fn a_link_is_followed_only_where_its_maker_could_read_what_it_leads_to() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("real")).unwrap();
    fs::write(at("real/audit.log"), "text").unwrap();
    symlink("real/audit.log", at("link")).unwrap();
    symlink(at("link"), at("link-to-link")).unwrap();
    symlink("real", at("directory")).unwrap();
    symlink("loop", at("loop")).unwrap();
    for name in ["link", "link-to-link"] {
        assert_eq!(text(&at(name), Links::Refused), Err(Some(NoFile::Link)), "{name}");
        assert_eq!(text(&at(name), Links::Trusted), Ok("text".into()), "{name}");
    }
    // In parent directories such links are always followed: `/var/log` is one on some machines.
    assert_eq!(text(&at("directory/audit.log"), Links::Refused), Ok("text".into()));
    assert_eq!(text(&at("real/../directory/./audit.log"), Links::Refused), Ok("text".into()));
    let error = ReadFile::open(&at("loop"), Links::Trusted).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::LOOP.raw_os_error()));
    // Links of another user are not followed: they lead wherever that user wants.
    if !["link", "directory"].iter().all(|name| give_away(&at(name))) {
        return;
    }
    for (name, links) in [
        ("link", Links::Trusted),
        ("link-to-link", Links::Trusted),
        ("directory/audit.log", Links::Refused),
        ("directory/audit.log", Links::Trusted),
    ] {
        let refused = text(&at(name), links).unwrap_err();
        assert!(matches!(refused, Some(NoFile::LinkOf { owner: 4242, .. })), "{name}: {refused:?}");
    }
    assert_eq!(text(&at("link"), Links::Followed), Ok("text".into()));
}

#[test]
fn what_the_kernel_shows_of_open_files_and_processes_leads_where_it_leads() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("audit.log"), "text").unwrap();
    let seen = format!("/proc/self/root{}/audit.log", dir.path().display());
    assert_eq!(text(Path::new(&seen), Links::Refused), Ok("text".into()));
    let open = fs::File::open(dir.path().join("audit.log")).unwrap();
    fs::remove_file(dir.path().join("audit.log")).unwrap();
    let mut text = String::new();
    ReadFile::again(&open).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
}

/// Another user swaps a file with a FIFO, a link to a secret, and back, as fast as possible.
#[test]
fn whatever_is_exchanged_under_a_name_the_file_itself_is_read_or_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    let (name, secret) = (dir.path().join("audit.log"), dir.path().join("secret"));
    fs::write(&name, "text").unwrap();
    fs::write(&secret, "secret").unwrap();
    let others = [dir.path().join("fifo"), dir.path().join("link")];
    fifo(&others[0]);
    symlink(&secret, &others[1]).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let attacker = std::thread::spawn({
        let (stop, name) = (Arc::clone(&stop), name.clone());
        move || {
            while !stop.load(Relaxed) {
                for other in &others {
                    // Two renames: there and back.
                    for _ in 0..2 {
                        renameat_with(CWD, &name, CWD, other, RenameFlags::EXCHANGE).unwrap();
                    }
                }
            }
        }
    });
    let mut seen = [0; 3];
    for _ in 0..20_000 {
        match text(&name, Links::Refused) {
            Ok(text) => {
                assert_eq!(text, "text");
                seen[0] += 1;
            }
            Err(Some(NoFile::Link)) => seen[1] += 1,
            Err(what) => {
                assert_eq!(what, Some(NoFile::Other("a FIFO")));
                seen[2] += 1;
            }
        }
    }
    stop.store(true, Relaxed);
    attacker.join().unwrap();
    assert!(seen.iter().all(|n| *n > 0), "the race never fell on all three: {seen:?}");
}

fn names(directory: &OwnDirectory) -> Vec<String> {
    let mut names: Vec<_> =
        directory.names().unwrap().iter().map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn an_own_directory_is_closed_to_others_and_one_of_somebody_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hold");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(OwnDirectory::open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    OwnDirectory::make(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(&path, open).unwrap();
    OwnDirectory::make(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    symlink(&path, dir.path().join("link")).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for name in ["link", "file"] {
        assert!(OwnDirectory::make(&dir.path().join(name)).is_err(), "{name}");
    }
    if give_away(&path) {
        let error = OwnDirectory::make(&path).unwrap_err().to_string();
        assert!(error.contains("belongs to user 4242"), "{error}");
    }
}

#[test]
fn what_is_done_in_an_own_directory_is_done_there_whoever_puts_another_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("hold"), dir.path().join("moved"));
    let hold = OwnDirectory::make(&path).unwrap();
    assert_eq!(hold.standing(), Standing::InPlace);
    fs::rename(&path, &moved).unwrap();
    assert_eq!(hold.standing(), Standing::Moved);
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert_eq!(hold.standing(), Standing::Moved);

    let log = dir.path().join("audit.log");
    fs::write(&log, "text").unwrap();
    let file = ReadFile::open(&log, Links::Refused).unwrap();
    // Another file takes the name between the check and the link.
    fs::rename(&log, dir.path().join("audit.log.1")).unwrap();
    fs::write(&log, "other").unwrap();
    hold.link(&file, "a".as_ref()).unwrap();
    hold.rename("a".as_ref(), "b".as_ref()).unwrap();
    let mut text = String::new();
    hold.read("b".as_ref()).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(
        (text.as_str(), names(&hold), hold.stat("b".as_ref()).unwrap().alone),
        ("text", vec!["b".into()], false)
    );
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    hold.remove("b".as_ref()).unwrap();
    assert_eq!(names(&hold), [""; 0]);
    fs::remove_dir(&moved).unwrap();
    assert_eq!(hold.standing(), Standing::Gone);
}
