//! Creates directories and makes the names in them durable.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::file_step::FileStep;
use super::steps::step;

/// The directory that contains the last component of a path.
pub(crate) fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates a directory and its missing parents with mode 0700, and makes their names durable with fsync.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if path.is_dir() {
        // An earlier process may have created it and ended before the fsync. The directory above may belong to another
        // user, so a failure here is ignored.
        let _ = above.map(sync_directory);
        return Ok(());
    }
    above.map_or(Ok(()), create_dir_all)?;
    match step(FileStep::Directory(path), || fs::DirBuilder::new().mode(0o700).create(path)) {
        // Another process created it in the meantime.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other?,
    }
    above.map_or(Ok(()), sync_directory)
}

/// Makes the names in a directory durable (fsync of the directory).
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    step(FileStep::Names(path), || fs::File::open(path)?.sync_all())
}
