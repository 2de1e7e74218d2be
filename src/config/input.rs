//! `[inputs.NAME]`: where events come from. Each kind of input yields a log to follow (tail). This file also says
//! how its backups are found and held. To add an input, read "To add something" in ARCHITECTURE.md.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::backups::Backups;
use super::item::Item;
use super::paths::Paths;
use super::shown::is_word;
use super::table::Table;
use super::waits::Waits;
use super::webhook::{Spool, WebhookInput};
use super::{ConfigError, MinFree};

/// `[inputs.NAME]`: an input of one kind.
#[derive(Clone, Debug)]
pub(crate) enum InputKind {
    /// `type = "file"`: the API server writes the log.
    File(FollowedLog),
    /// `type = "webhook"`: the API server sends events, and the agent writes the log.
    Webhook(WebhookInput),
}

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

impl InputKind {
    /// The log to follow, whoever writes it.
    pub(crate) fn log(&self) -> &FollowedLog {
        match self {
            Self::File(log) => log,
            Self::Webhook(webhook) => &webhook.log,
        }
    }

    pub(crate) fn log_mut(&mut self) -> &mut FollowedLog {
        match self {
            Self::File(log) => log,
            Self::Webhook(webhook) => &mut webhook.log,
        }
    }

    /// Reads one input from its table.
    fn read(
        name: &str,
        item: &Item<'_>,
        paths: &mut Paths,
        state_dir: &Path,
    ) -> Result<Self, ConfigError> {
        let mut table = item.table()?;
        let kind = table.need("type", "type = \"file\"")?;
        let is_file = kind.choice(&[("file", true), ("webhook", false)])?;
        let name = named(name, item)?;
        let input = if is_file {
            Self::File(FollowedLog::read(name, &mut table, paths)?)
        } else {
            Self::Webhook(WebhookInput::read(name, &mut table, state_dir, (paths, &kind))?)
        };
        table.finish()?;
        Ok(input)
    }
}

impl FollowedLog {
    fn read(name: Arc<str>, table: &mut Table<'_>, paths: &mut Paths) -> Result<Self, ConfigError> {
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

/// Refuses a `type` that only a later version will support.
pub(super) fn later(kind: &Item<'_>, types: &[&str]) -> Result<(), ConfigError> {
    if types.contains(&kind.text()?.as_str()) {
        return Err(kind.wrong("not supported by this version: remove this table"));
    }
    Ok(())
}

/// A name that may be used in a label, a metric and a file name.
pub(super) fn named(name: &str, item: &Item<'_>) -> Result<Arc<str>, ConfigError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 63 || !name.chars().all(fits) {
        let what = "a name is made of up to 63 letters, digits, `-` and `_`";
        let shown = if is_word(name) { format!("`{name}`: ") } else { String::new() };
        return Err(item.error(format!("{shown}{what}")));
    }
    Ok(name.into())
}

/// Reads `[inputs]`, in the order of their names.
pub(super) fn read_all(
    document: &mut Table<'_>,
    paths: &mut Paths,
    state_dir: &Path,
) -> Result<Vec<InputKind>, ConfigError> {
    let item = document.need("inputs", "[inputs.apiserver]")?;
    let mut inputs = Vec::new();
    for (name, item) in item.table()?.entries() {
        inputs.push(InputKind::read(&name, &item, paths, state_dir)?);
    }
    if inputs.is_empty() {
        return Err(
            item.wrong("nothing to follow: add `[inputs.apiserver]` with `type` and `path`")
        );
    }
    Ok(inputs)
}

/// The inputs of an output: all of them, or the ones that `inputs` names.
pub(super) fn chosen(
    item: Option<Item<'_>>,
    inputs: &[InputKind],
) -> Result<Vec<Arc<str>>, ConfigError> {
    let names = inputs.iter().map(|input| &input.log().name);
    let Some(item) = item else { return Ok(names.cloned().collect()) };
    let names: Vec<_> = names.map(|name| (&**name, Arc::clone(name))).collect();
    let mut selected = item.selection(&names, "there is no such input")?;
    if selected.is_empty() {
        return Err(item.wrong("name at least one input, or leave `inputs` out to take all"));
    }
    selected.sort_unstable();
    Ok(selected)
}
