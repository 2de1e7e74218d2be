//! `backups` of an input: file name patterns for rotated logs whose names no rotation known to the agent makes.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::ConfigError;
use super::item::Item;

/// One pattern, and the directory to which it applies.
#[derive(Clone, Debug)]
pub(crate) struct Backups {
    /// Absolute.
    pub(crate) directory: PathBuf,
    pattern: Pattern,
}

/// `*` also matches a leading dot; names contain no slash.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

impl Backups {
    /// Reads one pattern or a list of them. A relative pattern starts in the directory of the log.
    pub(super) fn read(item: &Item<'_>, log: &Path) -> Result<Vec<Self>, ConfigError> {
        if item.text().is_ok() {
            return Ok(vec![Self::one(item, log)?]);
        }
        item.list()?.iter().map(|element| Self::one(element, log)).collect()
    }

    fn one(item: &Item<'_>, log: &Path) -> Result<Self, ConfigError> {
        let text = item.filled()?;
        let (directory, name) = text.rsplit_once('/').unwrap_or(("", &text));
        if name.is_empty() {
            return Err(
                item.wrong("ends in `/`: write the names of files, as in \"old/audit.log-*\"")
            );
        }
        if directory.contains(['*', '?', '[']) {
            return Err(
                item.wrong("only the last part may have `*`, `?` or `[`: name each directory")
            );
        }
        let pattern = Pattern::new(name)
            .map_err(|error| item.wrong(format!("{}: write it as for a shell", error.msg)))?;
        let beside = log.parent().unwrap_or(Path::new("/"));
        // `/audit*` has an empty directory part, which means the root.
        let directory = if text.starts_with('/') && directory.is_empty() { "/" } else { directory };
        Ok(Self { directory: beside.join(directory), pattern })
    }

    /// The pattern of their names.
    pub(super) fn name(&self) -> &str {
        self.pattern.as_str()
    }

    /// Whether a file of this name in the directory is a backup.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.pattern.matches_with(name, OPTIONS)
    }
}
