//! Reads small files of the node, below a root directory.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The most bytes read of a file; real ones have some kilobytes.
const MOST: u64 = 1 << 20;

/// The file system of a node. All paths are absolute, as the node has them.
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// `root` is `/`, or a directory that holds the node's files.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where a path of the node is for this process.
    pub(super) fn place(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub(super) fn is_file(&self, path: impl AsRef<Path>) -> bool {
        fs::metadata(self.place(path)).is_ok_and(|meta| meta.is_file())
    }

    /// The text of a file; `None` if it cannot be read, or is no text.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        if !self.is_file(&path) {
            return None;
        }
        let mut text = String::new();
        File::open(self.place(path)).ok()?.take(MOST).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// A file of YAML, as JSON.
    pub(super) fn yaml(&self, path: impl AsRef<Path>) -> Option<serde_json::Value> {
        let options = serde_saphyr::options! { with_snippet: false, };
        serde_saphyr::from_str_with_options(&self.text(path)?, options).ok()
    }

    /// The names in a directory, sorted; none if it cannot be listed.
    pub(super) fn names(&self, directory: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.place(directory)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.filter_map(|one| one.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}
