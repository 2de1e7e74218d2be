//! Lists the log, its backups, and files beside it that look like backups but are not followed.

use std::collections::HashSet;
use std::fs::DirEntry;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::{Backups, FollowedLog};
use crate::disk::{self, NoFile};
use crate::input::file::names::{self, Name, Stamp};
use crate::input::file::packing::Foreign;
use crate::input::file::place::FilePlace;
use crate::own_log::{Committed, LogFile};

/// Which files belong to the input, in addition to those recognised by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputFiles {
    backups: Vec<Backups>,
    neighbours: Arc<[String]>,
    /// How far the live file may be read, if the agent writes the log itself.
    own: Option<Arc<Committed>>,
}

/// The files in the directory of the log, and in the directories of `backups`.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Oldest first as far as names say, the live one last.
    pub(crate) names: Vec<Name>,
    pub(crate) unfollowed: Vec<Unfollowed>,
}

/// A file that is not followed: it is named almost like a backup, or it is a backup in a format that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unfollowed {
    pub(crate) name: String,
    pub(crate) why: Option<NotFollowed>,
}

/// Why a file that is named like a backup is not read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotFollowed {
    #[error("{0}")]
    Format(Foreign),
    #[error("{0}")]
    NoFile(NoFile),
}

impl NotFollowed {
    /// The reason, if an error from opening a file carries one.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        let format = || error.get_ref()?.downcast_ref().copied().map(Self::Format);
        NoFile::of(error).cloned().map(Self::NoFile).or_else(format)
    }
}

impl InputFiles {
    pub(crate) fn of(config: &FollowedLog) -> Self {
        let neighbours = Arc::clone(&config.neighbours);
        Self {
            backups: config.backups.clone(),
            neighbours,
            own: config.spool.map(|_| Arc::default()),
        }
    }

    /// This process writes the log, and says how far it may be read.
    pub(crate) fn written_by_us(self, committed: Arc<Committed>) -> Self {
        Self { own: Some(committed), ..self }
    }

    /// The place where a listed file can be opened.
    pub(crate) fn place_of(&self, directory: &Path, name: &Name) -> FilePlace {
        let path = directory.join(&name.file);
        match &self.own {
            Some(committed) => FilePlace::OwnLog(path, Arc::clone(committed)),
            None if name.stamp.is_none() => FilePlace::log(path),
            None => FilePlace::backup(path),
        }
    }

    fn matches(&self, directory: &Path, name: &str) -> bool {
        let mut here = self.backups.iter().filter(|one| one.directory == directory);
        here.any(|one| one.matches(name))
    }

    /// Whether a file belongs to another input or to an output.
    fn is_neighbour(&self, name: &str) -> bool {
        self.neighbours.iter().any(|live| names::parse(live, name).is_some())
    }

    /// Lists the log and its backups.
    pub(crate) fn list(&self, directory: &Path, live: &str) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in disk::list(directory)? {
            if self.own.is_some() {
                listing.names.extend(own_name(&entry?));
                continue;
            }
            self.take_in(&entry?, directory, live, &mut listing);
        }
        let mut elsewhere: Vec<_> = self.backups.iter().map(|one| &*one.directory).collect();
        elsewhere.retain(|other| *other != directory);
        elsewhere.sort_unstable();
        elsewhere.dedup();
        for other in elsewhere {
            self.take_elsewhere(other, live, &mut listing)?;
        }
        let plain = listing.names.iter().filter(|name| !name.gzip);
        let plain: HashSet<_> = plain.map(|name| name.stem.clone()).collect();
        for name in &mut listing.names {
            name.doubled = name.gzip && plain.contains(&name.stem);
        }
        listing.names.sort_by(names::order);
        Ok(listing)
    }

    fn take_in(&self, entry: &DirEntry, directory: &Path, live: &str, listing: &mut Listing) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if let Some(known) = entry.file_name().to_str().and_then(|name| names::parse(live, name)) {
            listing.names.push(known);
        } else if !is_file(entry) || self.is_neighbour(&name) {
        } else if self.matches(directory, &name) {
            listing.names.push(asked_for(&name, None));
        } else if names::looks_alike(live, &name) {
            let why = Foreign::named(&name).map(NotFollowed::Format);
            listing.unfollowed.push(Unfollowed { name: name.into_owned(), why });
        }
    }

    /// Lists the backups in another directory. A directory that does not exist may be created later.
    fn take_elsewhere(&self, other: &Path, live: &str, listing: &mut Listing) -> io::Result<()> {
        let entries = match disk::list(other) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_file(&entry) && self.matches(other, &name) {
                let stamp = names::parse(live, &name).and_then(|known| known.stamp);
                listing.names.push(asked_for(&other.join(&name).to_string_lossy(), stamp));
            }
        }
        Ok(())
    }
}

/// The name of a file of a log that the agent writes itself. Their names sort by age.
fn own_name(entry: &DirEntry) -> Option<Name> {
    let name = entry.file_name().into_string().ok()?;
    match LogFile::parse(&name)? {
        LogFile::Live => Some(Name::live(&name)),
        LogFile::Rotated { gzip, .. } => Some(Name::backup(&name, gzip, Stamp::Number(0))),
        LogFile::Unfinished => None,
    }
}

/// The name of a file that a pattern of `backups` matches.
fn asked_for(file: &str, stamp: Option<Stamp>) -> Name {
    Name::backup(file, names::is_compressed(file), stamp.unwrap_or(Stamp::Number(0)))
}

fn is_file(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_symlink())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn listed(asked: &InputFiles, files: &[&str]) -> (Vec<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let listing = asked.list(dir.path(), "audit.log").unwrap();
        let mut followed: Vec<_> = listing.names.into_iter().map(|name| name.file).collect();
        let mut unfollowed: Vec<_> = listing.unfollowed.into_iter().map(|one| one.name).collect();
        followed.sort_unstable();
        unfollowed.sort_unstable();
        (followed, unfollowed)
    }

    #[test]
    fn a_file_that_looks_like_a_backup_is_followed_or_named() {
        let files = [
            "audit.log",
            "audit.log.1",
            "audit.log.old",
            "audit.log-monday",
            "audit-2.log",
            "audit.log.2.zip",
            "auditd.log",
            "other.log",
            ".audit.log.swp",
            "audit_proxy.log",
        ];
        let (followed, unfollowed) = listed(&InputFiles::default(), &files);
        assert_eq!(followed, ["audit.log", "audit.log.1"]);
        let named = [
            "audit-2.log",
            "audit.log-monday",
            "audit.log.2.zip",
            "audit.log.old",
            "audit_proxy.log",
        ];
        assert_eq!(unfollowed, named);
    }

    #[test]
    fn other_inputs_logs_and_what_outputs_write_are_not_named() {
        let asked = InputFiles {
            neighbours: ["audit-proxy.log".to_owned(), "audit.out.ndjson".to_owned()].into(),
            ..InputFiles::default()
        };
        let files = [
            "audit.log",
            "audit-proxy.log",
            "audit-proxy-2026-11-21T06-28-01.678.log",
            "audit-proxy.log.1.gz",
            "audit.out.ndjson",
            "audit.out.ndjson.3",
        ];
        assert_eq!(listed(&asked, &files).1, [""; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_file_named_after_the_log_is_followed_or_named(end in "[-_.][-_.a-zA-Z0-9:]{0,30}") {
            for name in [format!("audit.log{end}"), format!("audit{end}")] {
                let (followed, unfollowed) = listed(&InputFiles::default(), &[&name]);
                prop_assert_eq!([followed, unfollowed].concat(), [name]);
            }
        }
    }
}
