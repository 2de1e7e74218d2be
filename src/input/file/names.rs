//! File names: which of them belong to the followed log, and which of two rotated backups is older. Pure.
//!
//! The backups of a live file `audit.log` have these names:
//! * `audit-2006-01-02T15-04-05.000.log` by lumberjack, which is linked into kube-apiserver (`backupName` in
//!   lumberjack.go);
//! * `audit.log.1`, or `audit.1.log` with `extension .log`, by logrotate;
//! * `audit.log-20060102`, `audit-2006-01-02.log` and so on by logrotate with `dateext`, in any `dateformat`
//!   (`moment.rs`);
//! * `0.log.20060102-150405` by kubelet, for the output of a container.
//!
//! Rotations may be combined: a logrotate rule for `audit*.log` rotates the server's own backups again, to
//! `audit-2006-01-02T15-04-05.000.log.1.gz`. Any other file is left alone.

use std::cmp::{Ordering, Reverse};

mod moment;

use super::packing::SUFFIXES;
use crate::event::{Nanos, rfc3339};
use moment::moment;

/// A parsed file name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Name {
    /// The file's own name.
    pub(crate) file: String,
    /// The name without `.gz` and the like: the same before and after compression.
    pub(crate) stem: String,
    /// It ends in a suffix of compressed files; the file's first bytes decide whether it is compressed.
    pub(crate) gzip: bool,
    /// `None` for the live file.
    pub(crate) stamp: Option<Stamp>,
    /// There is also a plain file of the same stem: this file is most likely its copy, incomplete or complete.
    pub(crate) doubled: bool,
}

/// When a backup was made, according to its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stamp {
    /// The time of rotation: every event in the file is older.
    Time(Nanos),
    /// logrotate's number: 1 is the newest.
    Number(u32),
}

/// The most combined rotations in a name, each with its compression.
const LAYERS: usize = 6;
/// The longest date: `2006-01-02T15:04:05.000000000+07:00` has 35 bytes.
const LONGEST: usize = 36;
/// Digits of the largest rotation number.
const DIGITS: usize = 5;

impl Name {
    /// The live file.
    pub(crate) fn live(file: &str) -> Self {
        let (file, stem) = (file.to_owned(), file.to_owned());
        Self { file, stem, gzip: false, stamp: None, doubled: false }
    }

    /// A file other than the live log, under any name.
    pub(crate) fn backup(file: &str, gzip: bool, stamp: Stamp) -> Self {
        let stem = uncompressed(file).unwrap_or(file).to_owned();
        Self { file: file.to_owned(), stem, gzip, stamp: Some(stamp), doubled: false }
    }
}

/// Parses the name of a file beside the live file `live`; `None` if it is not one of its backups.
pub(crate) fn parse(live: &str, name: &str) -> Option<Name> {
    if name == live {
        return Some(Name::live(name));
    }
    // lumberjack splits at the last dot, even if that is the first character.
    let (base, extension) = live.rfind('.').map_or((live, ""), |dot| live.split_at(dot));
    let rotated = |prefix: &str, extension: &str| {
        let mut stamps = Vec::new();
        layers(name.strip_prefix(prefix)?, extension, LAYERS, &mut stamps).then_some(stamps)
    };
    let stamps = rotated(live, "").or_else(|| rotated(base, extension))?;
    // The first rotation ended the file, so its stamp counts. A file that was only compressed has no stamp at all.
    let time = stamps.iter().find(|stamp| matches!(stamp, Stamp::Time(_)));
    let stamp = *time.or(stamps.first()).unwrap_or(&Stamp::Number(0));
    Some(Name::backup(name, is_compressed(name), stamp))
}

/// Parses the suffixes that rotations appended to the log's name, from the left. Returns whether all of `rest`
/// consists of them. `extension`: the part of the log's name that is still to come.
fn layers(rest: &str, extension: &str, left: usize, stamps: &mut Vec<Stamp>) -> bool {
    if rest.is_empty() {
        return extension.is_empty();
    }
    if left == 0 {
        return false;
    }
    if !extension.is_empty()
        && !stamps.is_empty()
        && rest.strip_prefix(extension).is_some_and(|after| layers(after, "", left, stamps))
    {
        return true;
    }
    let packed = || SUFFIXES.iter().filter_map(|suffix| rest.strip_prefix(suffix));
    if extension.is_empty() && packed().any(|after| layers(after, "", left - 1, stamps)) {
        return true;
    }
    let Some(text) = rest.strip_prefix(['-', '.', '_']) else { return false };
    let number = |text: &str| {
        let digits = text.len() <= DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits && rest.starts_with('.') { text.parse().ok().map(Stamp::Number) } else { None }
    };
    // The longest is tried first: a date may be a prefix of another.
    (1..=text.len().min(LONGEST)).rev().any(|end| {
        let Some((stamp, after)) = text.split_at_checked(end) else { return false };
        let Some(stamp) = number(stamp).or_else(|| moment(stamp).map(Stamp::Time)) else {
            return false;
        };
        stamps.push(stamp);
        let fits = layers(after, extension, left - 1, stamps);
        if !fits {
            stamps.pop();
        }
        fits
    })
}

/// Whether a name has the same beginning as the log and its backups.
pub(crate) fn looks_alike(live: &str, name: &str) -> bool {
    let base = live.rfind('.').map_or(live, |dot| &live[..dot]);
    let joined = |rest: &str| rest.starts_with(|next: char| !next.is_alphanumeric());
    name.starts_with(live) || (!base.is_empty() && name.strip_prefix(base).is_some_and(joined))
}

/// Whether a name says that the file is compressed.
pub(crate) fn is_compressed(name: &str) -> bool {
    uncompressed(name).is_some()
}

/// A name without the suffix of a compressor, or `None` if it has none.
fn uncompressed(name: &str) -> Option<&str> {
    SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix))
}

/// `2006-01-02T15-04-05.000`, always UTC under Kubernetes.
fn lumberjack(text: &str) -> Option<Nanos> {
    let (date, clock) = text.split_once('T')?;
    if date.len() != 10 || clock.len() != 12 {
        return None;
    }
    rfc3339(format!("{date}T{}000Z", clock.replace('-', ":")).as_bytes())
}

/// The rotation time in a backup name given by the server. The server rotates at the very write that begins the next
/// file, so that file's first event is hardly younger. Other programs rotate at any time.
pub(crate) fn server_stamp(name: &str) -> Option<Nanos> {
    const LENGTH: usize = "2006-01-02T15-04-05.000".len();
    let dash = |at: &usize| name.as_bytes()[*at] == b'-';
    let places = (0..name.len().saturating_sub(LENGTH)).filter(dash);
    places.rev().find_map(|at| lumberjack(name.get(at + 1..=at + LENGTH)?))
}

/// Whether a backup has a number in place of a time.
pub(crate) fn is_numbered(name: &str) -> bool {
    let stem = uncompressed(name).unwrap_or(name);
    let digits = |end: &str| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    stem.rsplit_once('.').is_some_and(|(_, end)| digits(end))
}

/// Sorts names, oldest first, the live file last.
///
/// Times and numbers cannot be compared. If both occur, numbered backups come first: logrotate most likely made them
/// before the operator switched to the server's own rotation.
pub(crate) fn order(a: &Name, b: &Name) -> Ordering {
    let rank = |name: &Name| match name.stamp {
        Some(Stamp::Number(number)) => (0, Reverse(number), 0),
        Some(Stamp::Time(time)) => (1, Reverse(0), time),
        None => (2, Reverse(0), 0),
    };
    rank(a).cmp(&rank(b)).then_with(|| a.stem.cmp(&b.stem)).then_with(|| a.gzip.cmp(&b.gzip))
}

#[cfg(test)]
mod tests;
