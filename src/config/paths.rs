//! Knows which input reads and which output writes each file, and refuses a configuration in which two of them
//! conflict.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::ConfigError;
use super::backups::Backups;
use super::item::Item;

/// The paths in use, with `.` and `..` resolved by name only; symbolic links are not followed.
#[derive(Default)]
pub(super) struct Paths {
    /// Followed logs, each with its input.
    followed: BTreeMap<PathBuf, Arc<str>>,
    /// Patterns of backups, each with its input.
    patterns: Vec<(Backups, Arc<str>)>,
    written: Vec<PathBuf>,
}

impl Paths {
    /// Records a followed log. Fails if another input follows it already.
    pub(super) fn follow(
        &mut self,
        log: &Path,
        input: &Arc<str>,
        backups: &[Backups],
        item: &Item<'_>,
    ) -> Result<(), ConfigError> {
        self.patterns.extend(backups.iter().map(|one| (one.clone(), Arc::clone(input))));
        match self.followed.insert(plain(log), Arc::clone(input)) {
            None => Ok(()),
            Some(other) => Err(item
                .wrong(format!("the input `{other}` follows it already: remove one of the two"))),
        }
    }

    /// Records the files of an output. Fails if another output writes one of them, or if an input would take one for
    /// its log or a backup.
    pub(super) fn write(
        &mut self,
        path: &Path,
        inputs: &[Arc<str>],
        item: &Item<'_>,
    ) -> Result<(), ConfigError> {
        let mut own: Vec<PathBuf> = inputs.iter().map(|input| fill(path, input)).collect();
        own.dedup();
        for path in own {
            if self.written.contains(&path) {
                return Err(item.wrong("another output writes it: choose another path"));
            }
            let reader = self.followed.iter().find(|(log, _)| is_backup(log, &path));
            if let Some((log, input)) = reader {
                let log = log.display();
                return Err(item.wrong(format!(
                    "the input `{input}` would take it for a backup of {log}: write to another directory"
                )));
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let taken = |one: &Backups| {
                Some(&*plain(&one.directory)) == path.parent() && one.matches(&name)
            };
            if let Some((_, input)) = self.patterns.iter().find(|(one, _)| taken(one)) {
                return Err(item.wrong(format!(
                    "the input `{input}` would take it for a backup, as its `backups` says: write to another directory"
                )));
            }
            self.written.push(path);
        }
        Ok(())
    }

    /// Names of files in a log's directory that belong to something else: other inputs' logs, and files that outputs
    /// write.
    pub(super) fn neighbours(&self, log: &Path) -> Arc<[String]> {
        let log = plain(log);
        let beside = self
            .followed
            .keys()
            .chain(&self.written)
            .filter(|path| **path != log && path.parent() == log.parent());
        let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        beside.filter_map(name).collect()
    }
}

/// The file to which one input's events are written.
fn fill(path: &Path, input: &str) -> PathBuf {
    match path.to_str() {
        Some(text) => plain(Path::new(&text.replace("{input}", input))),
        None => plain(path),
    }
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut out, part| {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            part => out.push(part),
        }
        out
    })
}

/// Whether a file of this name could be the log or one of its backups. Accepts more names than rotation makes, since
/// the output's own rotation appends to its name too.
pub(crate) fn is_backup(log: &Path, path: &Path) -> bool {
    let bytes = |part: Option<&OsStr>| part.unwrap_or_default().as_encoded_bytes().to_vec();
    let (name, stem, typed) =
        (bytes(log.file_name()), bytes(log.file_stem()), bytes(path.file_name()));
    let begins = |with: &[u8], joint: &[u8]| {
        typed
            .strip_prefix(with)
            .is_some_and(|rest| rest.first().is_some_and(|byte| joint.contains(byte)))
    };
    log.parent() == path.parent() && (typed == name || begins(&name, b".-") || begins(&stem, b"-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_known_by_its_name() {
        let log = Path::new("/var/log/audit.log");
        for name in [
            "audit.log",
            "audit.log.1",
            "audit.log-20261121",
            "audit-2026-11-21T07-29-04.227.log",
            "audit-x",
        ] {
            assert!(is_backup(log, &Path::new("/var/log").join(name)), "{name}");
        }
        for path in [
            "/var/log/audit.ndjson",
            "/var/log/other.log",
            "/var/log/auditrail.log",
            "/var/audit.log.1",
        ] {
            assert!(!is_backup(log, Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_path_is_compared_without_its_detours() {
        assert_eq!(plain(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(plain(Path::new("/../../a")), Path::new("/a"));
    }
}
