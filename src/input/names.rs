//! File names: which belong to the followed log, and which of two backups is older. Pure.
//!
//! Known forms, for a live file `audit.log`:
//! * lumberjack, which kube-apiserver links: `audit-2006-01-02T15-04-05.000.log` (`backupName` in lumberjack.go);
//! * logrotate: `audit.log.1`, `audit.log-20060102`, `audit.log-20060102-1136214245`, `audit-20060102.log` (its
//!   `extension` option), `audit.log-2006010215` (`dateformat`);
//! * kubelet, for a container's output: `0.log.20060102-150405`.
//!
//! Each may end in `.gz`. Anything else belongs to somebody else and is left alone.

use std::cmp::{Ordering, Reverse};

use crate::event::{Nanos, rfc3339};

/// What a file name says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Name {
    /// The name without `.gz`: the same before and after compression.
    pub(super) stem: String,
    pub(super) gzip: bool,
    /// `None` for the live file.
    pub(super) stamp: Option<Stamp>,
}

/// When a backup was made, as far as its name tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stamp {
    /// The time of rotation: everything in the file is older.
    Time(Nanos),
    /// logrotate's number: 1 is the newest.
    Number(u32),
}

/// Reads the name of a file beside the live file `live`; `None` if it is none of its backups.
pub(super) fn parse(live: &str, name: &str) -> Option<Name> {
    if name == live {
        return Some(Name { stem: name.to_owned(), gzip: false, stamp: None });
    }
    let (stem, gzip) = match name.strip_suffix(".gz") {
        Some(stem) => (stem, true),
        None => (name, false),
    };
    let stamp = backup(live, stem)?;
    Some(Name { stem: stem.to_owned(), gzip, stamp: Some(stamp) })
}

fn backup(live: &str, stem: &str) -> Option<Stamp> {
    // lumberjack cuts at the last dot, also where that is the first character.
    let (base, extension) = live.rfind('.').map_or((live, ""), |dot| live.split_at(dot));
    let middle = |prefix: &str, suffix: &str| -> Option<String> {
        stem.strip_prefix(prefix)?.strip_suffix(suffix).map(str::to_owned)
    };
    if let Some(text) = middle(&format!("{base}-"), extension)
        && let Some(time) = lumberjack(&text).or_else(|| dated(&text))
    {
        return Some(Stamp::Time(time));
    }
    if let Some(text) = middle(&format!("{live}-"), "") {
        return dated(&text).map(Stamp::Time);
    }
    let text = middle(&format!("{live}."), "")?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits && text.len() < 6 {
        text.parse().ok().map(Stamp::Number)
    } else {
        dated(&text).map(Stamp::Time)
    }
}

/// `2006-01-02T15-04-05.000`, always UTC under Kubernetes.
fn lumberjack(text: &str) -> Option<Nanos> {
    let (date, clock) = text.split_once('T')?;
    if date.len() != 10 || clock.len() != 12 {
        return None;
    }
    rfc3339(format!("{date}T{}000Z", clock.replace('-', ":")).as_bytes())
}

/// The time of rotation in the name that the server gave to a backup: of the very write that began the next file, so
/// that file's first event is hardly younger. Other programs rotate when they like.
pub(super) fn server_stamp(name: &str) -> Option<Nanos> {
    const LENGTH: usize = "2006-01-02T15-04-05.000".len();
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let dash = |at: &usize| stem.as_bytes()[*at] == b'-';
    let places = (0..stem.len().saturating_sub(LENGTH)).filter(dash);
    places.rev().find_map(|at| lumberjack(stem.get(at + 1..=at + LENGTH)?))
}

/// Whether a backup has a number in place of a time.
pub(super) fn is_numbered(name: &str) -> bool {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let digits = |end: &str| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    stem.rsplit_once('.').is_some_and(|(_, end)| digits(end))
}

/// `20060102`, then perhaps an hour, or after a dash a time of day or a Unix time.
fn dated(text: &str) -> Option<Nanos> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (day, rest) = text.split_at_checked(8)?;
    if !digits(day) {
        return None;
    }
    let clock = match rest.strip_prefix('-') {
        Some(clock) if clock.len() == 6 && digits(clock) => {
            format!("{}:{}:{}", &clock[..2], &clock[2..4], &clock[4..])
        }
        Some(unix) if (9..=11).contains(&unix.len()) && digits(unix) => {
            return unix.parse::<i64>().ok()?.checked_mul(1_000_000_000);
        }
        Some(_) => return None,
        None if rest.len() == 2 && digits(rest) => format!("{rest}:00:00"),
        None if rest.is_empty() => "00:00:00".to_owned(),
        None => return None,
    };
    rfc3339(format!("{}-{}-{}T{clock}.000000Z", &day[..4], &day[4..6], &day[6..]).as_bytes())
}

/// Puts names in order, oldest first, the live file last.
///
/// Times and numbers cannot be compared: where both occur, numbered backups come first, since logrotate's would have
/// been made before somebody changed over to the server's own rotation.
pub(super) fn order(a: &Name, b: &Name) -> Ordering {
    let rank = |name: &Name| match name.stamp {
        Some(Stamp::Number(number)) => (0, Reverse(number), 0),
        Some(Stamp::Time(time)) => (1, Reverse(0), time),
        None => (2, Reverse(0), 0),
    };
    rank(a).cmp(&rank(b)).then_with(|| a.stem.cmp(&b.stem)).then_with(|| a.gzip.cmp(&b.gzip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<Stamp> {
        rfc3339(text.as_bytes()).map(Stamp::Time)
    }

    #[test]
    fn backups_of_each_maker_are_recognised() {
        let table = [
            (
                "audit.log",
                "audit-2026-11-21T06-28-01.678.log.gz",
                time("2026-11-21T06:28:01.678000Z"),
            ),
            (
                "audit-log.json",
                "audit-log-2026-11-21T06-28-01.678.json",
                time("2026-11-21T06:28:01.678000Z"),
            ),
            (
                "kube-apiserver",
                "kube-apiserver-2026-11-21T06-28-01.678",
                time("2026-11-21T06:28:01.678000Z"),
            ),
            ("audit.log", "audit.log-20261121", time("2026-11-21T00:00:00Z")),
            ("audit.log", "audit-20261121.log", time("2026-11-21T00:00:00Z")),
            ("audit.log", "audit.log-2026112107.gz", time("2026-11-21T07:00:00Z")),
            ("audit.log", "audit.log-20261121-1795242322", time("2026-11-21T06:25:22Z")),
            ("0.log", "0.log.20261121-062522.gz", time("2026-11-21T06:25:22Z")),
            ("audit.log", "audit.log.1", Some(Stamp::Number(1))),
            ("audit.log", "audit.log.12.gz", Some(Stamp::Number(12))),
        ];
        for (live, name, stamp) in table {
            let read = parse(live, name).unwrap_or_else(|| panic!("{name} is a backup of {live}"));
            assert_eq!(
                (read.stamp, read.gzip),
                (stamp, name.strip_suffix(".gz").is_some()),
                "{name}"
            );
        }
        assert_eq!(parse("audit.log", "audit.log").unwrap().stamp, None);
    }

    #[test]
    fn only_the_server_s_own_names_tell_when_the_next_file_began() {
        let stamp = rfc3339(b"2026-11-21T06:28:01.678000Z");
        for name in [
            "audit-2026-11-21T06-28-01.678.log.gz",
            "audit-log-2026-11-21T06-28-01.678.json",
            "kube-apiserver-2026-11-21T06-28-01.678",
        ] {
            assert_eq!(server_stamp(name), stamp, "{name}");
        }
        for name in ["audit.log", "audit.log-20261121", "audit.log.1", "é-2026-11-21T06-28-01.6"] {
            assert_eq!(server_stamp(name), None, "{name}");
        }
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let foreign = [
            "audit.log.swp",
            "audit.log~",
            "other-2026-11-21T06-28-01.678.log",
            "audit-2026-11-21T06-28-01.678.log.tmp",
            "audit-2026-13-21T06-28-01.678.log",
            "audit-x.log",
            "audit.log.gz.tmp",
            "audit.log.",
            "audit-.log",
            "audit.log-2026",
        ];
        for name in foreign {
            assert_eq!(parse("audit.log", name), None, "{name}");
        }
    }

    #[test]
    fn the_oldest_comes_first_and_the_live_file_last() {
        let mut names: Vec<_> = [
            "audit.log",
            "audit-2026-11-21T06-28-01.678.log",
            "audit.log.1",
            "audit.log.10.gz",
            "audit-2026-11-21T06-28-01.677.log.gz",
        ]
        .iter()
        .map(|name| parse("audit.log", name).unwrap())
        .collect();
        names.sort_by(order);
        let stems: Vec<_> = names.iter().map(|name| name.stem.as_str()).collect();
        assert_eq!(
            stems,
            [
                "audit.log.10",
                "audit.log.1",
                "audit-2026-11-21T06-28-01.677.log",
                "audit-2026-11-21T06-28-01.678.log",
                "audit.log"
            ]
        );
    }
}
