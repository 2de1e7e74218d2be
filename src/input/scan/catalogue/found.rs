//! The result of one look at the directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::disk::descriptors;
use crate::input::file::generation::Generation;
use crate::input::hold::pins::{self, Kept};
use crate::input::scan::listing::{NotFollowed, Unfollowed};

/// The result of one look.
///
/// Many fields: each is a fact of its own.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Oldest first, the live one last.
    pub(crate) generations: Vec<Arc<Generation>>,
    /// Files that could not be read, and why.
    pub(crate) unreadable: Vec<(PathBuf, io::Error)>,
    pub(crate) unknown: UnknownFiles,
    /// Something will change with time alone: look again after this.
    pub(crate) again: Option<Duration>,
    pub(crate) live_exists: bool,
    /// The log existed a moment ago: it is being renamed, and a new one is about to be created.
    pub(crate) renaming: bool,
    /// The log was moved or deleted by somebody else than its server, which keeps writing to it.
    pub(crate) moved: bool,
    /// The renamed file that the server keeps writing to while the new log stays empty.
    pub(crate) not_reopened: Option<Arc<str>>,
    pub(crate) backups: usize,
    pub(crate) kept: Kept,
    /// Files that look like backups but are not followed.
    pub(crate) unfollowed: Vec<Unfollowed>,
}

/// Whether the look learned too little about some files, and why.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnknownFiles {
    /// No file descriptor was left to look into some file, so nothing is known about it: `unsure` too.
    pub(crate) spent: bool,
    /// Some file has no complete first event yet, so it has no fingerprint.
    pub(crate) awaited: bool,
    /// Nothing is known about some file, so no generation can be called missing.
    pub(crate) unsure: bool,
}

impl Found {
    /// Records that a file could not be opened or read.
    pub(super) fn failed(&mut self, path: &Path, is_log: bool, error: io::Error) {
        if descriptors::is_spent(&error) {
            self.unknown.spent = true;
            self.unknown.unsure = true;
            self.again = Some(self.again.map_or(pins::LATER, |again| again.min(pins::LATER)));
        } else if let Some(why) = NotFollowed::of(&error).filter(|_| !is_log) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.unfollowed.push(Unfollowed { name, why: Some(why) });
        } else {
            self.unreadable.push((path.to_owned(), error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both the follower and a single look publish `unsure`, so that no reader takes the file for lost.
    #[test]
    fn without_descriptors_nothing_is_certain_about_a_file() {
        for (error, certain) in
            [(rustix::io::Errno::MFILE, false), (rustix::io::Errno::ACCESS, true)]
        {
            let mut found = Found::default();
            found.failed(Path::new("/log/audit.log"), true, error.into());
            assert_eq!((found.unknown.unsure, found.unknown.spent), (!certain, !certain));
            assert_eq!(found.unreadable.len(), usize::from(certain));
        }
    }
}
