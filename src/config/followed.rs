//! The log that an input follows (tail), how its backups are found, and how they are held.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::backups::Backups;
use super::item::Item;
use super::paths::Paths;
use super::spool::Spool;
use super::table::Table;
use super::waits::Waits;
use super::{ConfigError, MinFree};

/// The log that an input follows.
#[derive(Clone, Debug)]
pub(crate) struct FollowedLog {
    pub(crate) name: Arc<str>,
    /// The live log, absolute. Its backups are in the same directory.
    pub(crate) path: PathBuf,
    pub(crate) start_at: StartAt,
    /// Longest line shipped whole, in bytes. Default 100 MiB, the longest line that the API server writes.
    pub(crate) max_line_bytes: u64,
    /// Longest time between two scans of the directory while the kernel (inotify) reports nothing. Default 5 s.
    pub(crate) rescan: Duration,
    pub(crate) hold: Hold,
    /// Further backups, by patterns of their names, for names that the agent does not know. Default none.
    pub(crate) backups: Vec<Backups>,
    /// Names of files in the log's directory that are not its backups: other inputs' logs, and files that outputs
    /// write. Files named after them are not its backups either.
    pub(crate) neighbours: Arc<[String]>,
    /// The limits of the log, if the agent writes it itself (`own_log`).
    pub(crate) spool: Option<Spool>,
    pub(crate) waits: Waits,
}

/// `hold`: which backups the agent keeps, by hard links, after the server deletes them while an output still needs
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    /// Maximum bytes on disk kept only by the agent. Default 2 GiB; 0: nothing is kept.
    pub(crate) max_bytes: u64,
    /// Free space to leave on the file system of `dir`. Default 20 %.
    pub(crate) min_free: MinFree,
    /// Directory of the hard links, in the same mount as the log. Default `.auditrail-hold` in the log's directory.
    pub(crate) dir: PathBuf,
}

/// `start_at`: where an input begins if the checkpoint has no cursor for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum StartAt {
    Beginning,
    CurrentFile,
    End,
    /// Events not older than this.
    Age(Duration),
}

/// Bounds of `max_line_bytes`. Offsets within a line have 32 bits, so the upper bound is well below their limit.
const LINE: std::ops::RangeInclusive<u64> = 4 << 10..=1 << 30;

const RESCAN: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_mins(10);

impl FollowedLog {
    pub(super) fn read(
        name: Arc<str>,
        table: &mut Table<'_>,
        paths: &mut Paths,
    ) -> Result<Self, ConfigError> {
        let item = table.need("path", "path = \"/var/log/kubernetes/audit/audit.log\"")?;
        let path = item.path()?;
        let log = Self {
            name,
            hold: Hold::read(table.table("hold")?, &path)?,
            backups: table.or("backups", Vec::new(), |item| Backups::read(item, &path))?,
            neighbours: Arc::default(),
            spool: None,
            start_at: table.or("start_at", StartAt::Beginning, start_at)?,
            max_line_bytes: table.or("max_line_bytes", 100 << 20, Self::line)?,
            rescan: table.or("rescan", Duration::from_secs(5), |item| item.duration(RESCAN))?,
            waits: Waits::USUAL,
            path,
        };
        paths.follow(&log.path, &log.name, &log.backups, &item)?;
        Ok(log)
    }

    /// `max_line_bytes`.
    pub(super) fn line(item: &Item<'_>) -> Result<u64, ConfigError> {
        item.size(LINE)
    }
}

impl Hold {
    fn read(mut table: Table<'_>, log: &Path) -> Result<Self, ConfigError> {
        let max_bytes = table.or("max_bytes", 2 << 30, |item| item.size(0..=1 << 50))?;
        let min_free = table.or("min_free", MinFree::Percent(20), MinFree::read)?;
        let beside = log.parent().unwrap_or(Path::new("/"));
        let dir = match table.get("dir") {
            None => beside.join(".auditrail-hold"),
            Some(item) => {
                let dir = item.path()?;
                if dir.components().eq(beside.components()) {
                    return Err(item.wrong(
                        "the log is in it: choose a directory of its own, below that of the log",
                    ));
                }
                dir
            }
        };
        table.finish()?;
        Ok(Self { max_bytes, min_free, dir })
    }
}

fn start_at(item: &Item<'_>) -> Result<StartAt, ConfigError> {
    match item.text()?.as_str() {
        "beginning" => Ok(StartAt::Beginning),
        "current_file" => Ok(StartAt::CurrentFile),
        "end" => Ok(StartAt::End),
        text => match super::value::duration(text) {
            Some(age) => Ok(StartAt::Age(age)),
            None => Err(item
                .wrong("write \"beginning\", \"current_file\", \"end\" or an age such as \"24h\"")),
        },
    }
}
