//! Tries whether a directory can be created and written to, as `auditrail run` will do, and leaves nothing behind.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Creates the directory and its missing parents, writes a file there, and removes all of it.
pub(crate) fn try_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<_> = directory.ancestors().take_while(|path| !exists(path)).collect();
    let mut made = Vec::new();
    let tried = missing
        .into_iter()
        .rev()
        .filter(|path| !path.as_os_str().is_empty())
        .try_for_each(|path| fs::create_dir(path).inspect(|()| made.push(path)))
        .and_then(|()| write(directory));
    // Removes only the directories that this call created, and only while they are empty.
    let removed = made.into_iter().rev().try_for_each(fs::remove_dir);
    tried.and(removed)
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn write(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".auditrail-check-{}", std::process::id()));
    let mut file = OpenOptions::new().create_new(true).write(true).open(&path)?;
    let written = file.write_all(b"auditrail check\n").and_then(|()| file.sync_all());
    fs::remove_file(&path).and(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missing_is_missing_again_and_what_was_there_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let list = || fs::read_dir(dir.path()).unwrap().count();
        for path in ["", "a", "a/b/c"] {
            try_directory(&dir.path().join(path)).unwrap();
            assert_eq!(list(), 0, "{path}");
        }
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/kept"), "x").unwrap();
        try_directory(&dir.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_below_a_file_or_that_is_a_file_cannot_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        for path in [&file, &file.join("state")] {
            assert_eq!(try_directory(path).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        }
        assert_eq!(fs::read(&file).unwrap(), b"x");
    }
}
