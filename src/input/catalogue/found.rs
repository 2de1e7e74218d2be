//! The result of one look at the directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::generation::Generation;
use super::super::listing::{NotFollowed, Unfollowed};
use super::super::pins::{self, Kept};
use crate::disk::descriptors;

/// The result of one look.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::input) struct Found {
    /// Oldest first, the live one last.
    pub(in crate::input) generations: Vec<Arc<Generation>>,
    /// Files that could not be read, and why.
    pub(in crate::input) unreadable: Vec<(PathBuf, io::Error)>,
    /// No file descriptor was left to look into some file, so nothing is known about it.
    pub(in crate::input) spent: bool,
    /// Something will change with time alone: look again after this.
    pub(in crate::input) again: Option<Duration>,
    /// Some file has no complete first event yet, so it has no fingerprint.
    pub(in crate::input) awaited: bool,
    /// Nothing is known about some file, so no generation can be called missing.
    pub(in crate::input) unsure: bool,
    pub(in crate::input) live_exists: bool,
    /// The log existed a moment ago: it is being renamed, and a new one is about to be created.
    pub(in crate::input) renaming: bool,
    /// The log was moved or deleted by somebody else than its server, which keeps writing to it.
    pub(in crate::input) moved: bool,
    /// The renamed file that the server keeps writing to while the new log stays empty.
    pub(in crate::input) not_reopened: Option<Arc<str>>,
    pub(in crate::input) backups: usize,
    pub(in crate::input) kept: Kept,
    /// Files that look like backups but are not followed.
    pub(in crate::input) unfollowed: Vec<Unfollowed>,
}

impl Found {
    /// Records that a file could not be opened or read.
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
