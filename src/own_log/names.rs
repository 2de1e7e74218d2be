//! The file names of an own log. They are the agent's own, so nothing is guessed.

use crate::config::SPOOL_FILE as LIVE;

/// Begins the name of each file.
const BASE: &str = "spool";
/// The next live file, until it has its header.
const NEXT: &str = "spool.next";
/// Ends the name of a file that is not complete: a body on its way, or one that is being compressed.
const PART: &str = ".part";

/// A file of an own log, by its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogFile {
    Live,
    /// A generation to which nothing is written any more. Sequence numbers count up from 1.
    Rotated {
        sequence: u64,
        gzip: bool,
    },
    /// Left by a process that was killed: it was never committed.
    Unfinished,
}

impl LogFile {
    /// `None` for a file that is not the log's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if name == LIVE {
            return Some(Self::Live);
        }
        let rest = name.strip_prefix(BASE)?.strip_prefix('.')?;
        if name == NEXT || rest.ends_with(PART) {
            return Some(Self::Unfinished);
        }
        let (plain, gzip) = match rest.strip_suffix(".gz") {
            Some(plain) => (plain, true),
            None => (rest, false),
        };
        let digits = plain.strip_suffix(".log")?;
        let sequence = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse());
        Some(Self::Rotated { sequence: sequence?.ok()?, gzip })
    }
}

/// The name of the live file.
pub(super) fn live_name() -> &'static str {
    LIVE
}

pub(super) fn next_name() -> &'static str {
    NEXT
}

/// The name of a rotated generation. Ten digits: in a listing by name the oldest comes first.
pub(super) fn rotated_name(sequence: u64) -> String {
    format!("{BASE}.{sequence:010}.log")
}

/// The name of a rotated generation that is compressed.
pub(super) fn compressed_name(sequence: u64) -> String {
    format!("{}.gz", rotated_name(sequence))
}

/// The name of a body on its way, or of a file that is being compressed.
pub(super) fn part_name(what: &str) -> String {
    format!("{BASE}.{what}{PART}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_the_log_is_told_by_its_name() {
        assert_eq!(LogFile::parse("spool.log"), Some(LogFile::Live));
        let rotated = |sequence, gzip| Some(LogFile::Rotated { sequence, gzip });
        assert_eq!(LogFile::parse(&rotated_name(7)), rotated(7, false));
        assert_eq!(LogFile::parse(&compressed_name(7)), rotated(7, true));
        assert_eq!(LogFile::parse(&rotated_name(u64::MAX)), rotated(u64::MAX, false));
        assert_eq!(LogFile::parse(&part_name("0a1b")), Some(LogFile::Unfinished));
        assert_eq!(LogFile::parse("spool.next"), Some(LogFile::Unfinished));
        for other in ["spool", "spool.", "spool..log", "spool.x.log", "audit.log", "spool.1.log.xz"]
        {
            assert_eq!(LogFile::parse(other), None, "{other}");
        }
    }
}
