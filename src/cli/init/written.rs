//! Writes the files that `init` makes.

use std::path::Path;

use anyhow::Context as _;

use crate::disk;

/// Writes the file atomically, and the directory above it if that is missing.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = disk::above(path);
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    disk::create_dir_all(directory)
        .and_then(|()| disk::replace(path, beside.as_ref(), text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
