//! Opens the file of an output safely: no other user can redirect the agent to another file.
//!
//! A user who may write to the directory can replace the output's file by a symbolic link, or by a hard link to
//! another file, and the agent would append to the target. If another user may write there, the last part of the path
//! must be a regular file of the agent's user with one name, and no link. If no other user may write there, the agent
//! follows the operator's links.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::disk::private::{Other, may_own};

/// Opens a file for appending; creates it if it is missing.
pub(super) fn append(path: &Path) -> io::Result<disk::File> {
    let Some(directory) = shared_directory(path) else {
        return disk::File::append_to_output(path);
    };
    disk::File::append(path).map_err(|error| {
        let directory = directory.display();
        io::Error::new(
            error.kind(),
            format!(
                "{error}; others may write to {directory}: write to a directory that the agent's user alone may write to"
            ),
        )
    })
}

/// The directory on the path of a file where another user may replace the next part of the path; `None` if there is
/// none. Root and the agent's own user do not count.
pub(super) fn shared_directory(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    // If a directory cannot be inspected, opening the file reports the error.
    let whole = fs::canonicalize(parent).ok()?;
    let mut next = path.file_name().map(|name| whole.join(name))?;
    for directory in whole.ancestors() {
        let meta = fs::metadata(directory).ok()?;
        let sticky = meta.mode() & 0o1000 != 0;
        let is_safe = sticky
            && next != whole.join(path.file_name()?)
            && fs::symlink_metadata(&next).is_ok_and(|next| may_own(next.uid()));
        if Other::writer(&meta).is_some() && !is_safe {
            return Some(directory.to_owned());
        }
        directory.clone_into(&mut next);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn shared() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        dir
    }

    #[test]
    fn in_a_directory_of_its_own_the_operator_s_links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "a").unwrap();
        symlink(dir.path().join("file"), dir.path().join("link")).unwrap();
        fs::hard_link(dir.path().join("file"), dir.path().join("second")).unwrap();
        for name in ["link", "second", "new"] {
            append(&dir.path().join(name)).unwrap().write_all(b"b").unwrap();
        }
        assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"abb");
    }

    #[test]
    fn where_others_write_a_link_a_second_name_and_a_fifo_are_refused_untouched() {
        let (dir, other) = (shared(), tempfile::tempdir().unwrap());
        let victim = other.path().join("victim");
        fs::write(&victim, "kept").unwrap();
        symlink(&victim, dir.path().join("link")).unwrap();
        symlink(other.path().join("not-there"), dir.path().join("dangling")).unwrap();
        fs::hard_link(&victim, dir.path().join("second")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        for (name, what) in [
            ("link", "a symbolic link"),
            ("dangling", "a symbolic link"),
            ("second", "2 names"),
            ("fifo", "a FIFO"),
        ] {
            let error = append(&dir.path().join(name)).unwrap_err().to_string();
            assert!(
                error.contains(what) && error.contains("others may write to"),
                "{name}: {error}"
            );
        }
        assert_eq!(fs::read(&victim).unwrap(), b"kept");
        assert!(!other.path().join("not-there").try_exists().unwrap());
        // A file of the agent's own user is fine there, new or existing.
        for _ in 0..2 {
            append(&dir.path().join("own")).unwrap().write_all(b"x").unwrap();
        }
        assert_eq!(fs::read(dir.path().join("own")).unwrap(), b"xx");
    }

    #[test]
    fn a_directory_above_that_others_may_exchange_counts_too() {
        let dir = tempfile::tempdir().unwrap();
        let (above, below) = (dir.path().join("above"), dir.path().join("above/below"));
        fs::create_dir_all(&below).unwrap();
        for (mode, expected) in [(0o755, None), (0o1777, None), (0o777, Some(above.clone()))] {
            fs::set_permissions(&above, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(shared_directory(&below.join("file")), expected, "{mode:o}");
        }
    }
}
