//! What one look at the directory found.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::generation::Generation;
use super::super::listing::{NotFollowed, Unfollowed};
use super::super::pins::{self, Kept};
use crate::disk::descriptors;

/// What one look found.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::input) struct Found {
    /// Oldest first, the live one last.
    pub(in crate::input) generations: Vec<Arc<Generation>>,
    /// Files that could not be read, and why.
    pub(in crate::input) unreadable: Vec<(PathBuf, io::Error)>,
    /// There was no descriptor left to look into some file: nothing is known of it.
    pub(in crate::input) spent: bool,
    /// Something is about to change with time alone: look again after this.
    pub(in crate::input) again: Option<Duration>,
    /// A file is there that does not yet hold what tells whose it is.
    pub(in crate::input) awaited: bool,
    /// Of a file nothing is known, so that nothing can be said to be missing.
    pub(in crate::input) unsure: bool,
    pub(in crate::input) live_exists: bool,
    /// The log was there a moment ago: somebody renames it and makes a new one.
    pub(in crate::input) renaming: bool,
    /// The log was moved or deleted, not by its server, which goes on writing to it.
    pub(in crate::input) moved: bool,
    /// The file that the server goes on writing to, though it was renamed and the log stays empty.
    pub(in crate::input) not_reopened: Option<Arc<str>>,
    pub(in crate::input) backups: usize,
    pub(in crate::input) kept: Kept,
    /// Files that look like backups and are not followed.
    pub(in crate::input) unfollowed: Vec<Unfollowed>,
}

impl Found {
    /// A file could not be looked into.
    pub(super) fn failed(&mut self, path: &Path, is_log: bool, error: io::Error) {
        if descriptors::is_spent(&error) {
            self.spent = true;
            self.again = Some(self.again.map_or(pins::LATER, |again| again.min(pins::LATER)));
        } else if let Some(why) = NotFollowed::of(&error).filter(|_| !is_log) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.unfollowed.push(Unfollowed { name, why: Some(why) });
        } else {
            self.unreadable.push((path.to_owned(), error));
        }
    }
}
