//! Findings about an input: conditions that keep its events from arriving or put them at risk, each with a hint what
//! to do.
//!
//! The code that detects such a condition calls [`InputStats::set_finding`] each time it looks, and with `None` once
//! the condition is over. The log reports it once, and again every hour while it lasts; `check`, `status`, the page,
//! `/readyz` and the metric `auditrail_input_finding` show it in the same words as long as it lasts.
//!
//! [`InputStats::set_finding`]: super::InputStats::set_finding

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::LogLimiter;
use super::human;
use super::time::Time;
use crate::event::labels;

/// A lasting finding is logged again after this time, since log rotation may have removed the first line.
const AGAIN: Duration = Duration::from_hours(1);

labels! {
    /// The kind of a finding: a label value. An input has at most one finding of each kind.
    pub(crate) FindingKind {
        /// There is no log under the configured path.
        LogMissing = "log_missing",
        /// The log, a backup or their directory cannot be read.
        LogUnreadable = "log_unreadable",
        /// The process has too few file descriptors to open all backups.
        NoDescriptors = "no_descriptors",
        /// The path names a directory, a FIFO, a socket or a device.
        NotAFile = "not_a_file",
        /// The API server created the log and writes nothing to it.
        LogEmpty = "log_empty",
        /// Nobody has written to the log for days.
        LogSilent = "log_silent",
        /// The backlog of an output is larger than `hold.max_bytes` can keep.
        BacklogOverHold = "backlog_over_hold",
        /// Files beside the log look like backups and are not followed.
        UnfollowedFiles = "unfollowed_files",
        /// Lines of the log are not audit events.
        NotEvents = "not_events",
        /// The log file itself is a mount, so rotation cannot be followed, or does not happen.
        MountedAlone = "mounted_alone",
        /// The log was rotated, and the API server still writes to the rotated file.
        NotReopened = "not_reopened",
        /// The API server never rotates the log.
        NeverRotated = "never_rotated",
        /// Hard links cannot be made, so nothing keeps a deleted backup while the agent is down.
        NoLinks = "no_links",
        /// The spool of a webhook is full, or the disk refuses: events are not taken.
        SpoolRefuses = "spool_refuses",
        /// New certificates or credentials of a webhook cannot be used, so the old ones stay in force.
        CertificatesUnusable = "certificates_unusable",
        /// A thread of the input waits for the file system.
        FileSystemHangs = "file_system_hangs",
    }
}

/// The finding that threads of an input wait for the file system, each with its waiting time.
pub(super) fn hang(waiting: &[(String, Duration)]) -> Option<InputFinding> {
    let said = |(name, time): &(String, Duration)| {
        format!("{name} has waited for the file system for {}", human::duration(*time))
    };
    let said: Vec<_> = waiting.iter().map(said).collect();
    (!said.is_empty()).then(|| {
        InputFinding::failure(
            FindingKind::FileSystemHangs,
            said.join(", "),
            "see that the disk, or the NFS or FUSE mount, of the log and of its backups answers (`dmesg`, `ls` there); reading goes on by itself",
        )
    })
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Events arrive, but the operator should look: `check` warns, `/readyz` stays green.
    Warning,
    /// Events do not arrive, or are being lost: `check` fails, `/readyz` is red.
    Failure,
}

/// One finding about an input.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct InputFinding {
    pub(crate) kind: FindingKind,
    pub(crate) severity: Severity,
    /// One sentence that names the file.
    pub(crate) what: String,
    /// What to do about it, as an instruction.
    pub(crate) hint: String,
}

impl InputFinding {
    pub(crate) fn warning(
        kind: FindingKind,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::new(kind, Severity::Warning, &what.into(), &hint.into())
    }

    pub(crate) fn failure(
        kind: FindingKind,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::new(kind, Severity::Failure, &what.into(), &hint.into())
    }

    /// Makes both texts one line without control characters: file names may contain anything.
    fn new(kind: FindingKind, severity: Severity, what: &str, hint: &str) -> Self {
        let (what, hint) = (human::line(what, 1000), human::line(hint, 1000));
        Self { kind, severity, what, hint }
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.severity == Severity::Failure
    }
}

/// The findings of one input, and when each was logged.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Each with the time since which it lasts.
    present: Vec<(InputFinding, Time)>,
    said: Vec<(FindingKind, LogLimiter<Option<Severity>>)>,
}

impl Findings {
    /// The worst first, then in the order of the kinds.
    pub(super) fn list(&self) -> Vec<InputFinding> {
        let mut list: Vec<_> = self.present.iter().map(|(one, _)| one.clone()).collect();
        list.sort_by_key(|one| (!one.is_failure(), one.kind as usize));
        list
    }

    /// Since when the first of these findings has lasted.
    pub(super) fn since(&self, is_meant: impl Fn(&InputFinding) -> bool) -> Option<Time> {
        self.present.iter().filter(|(one, _)| is_meant(one)).map(|(_, since)| *since).min()
    }

    /// Replaces the finding of a kind; returns what to log now, if anything.
    pub(super) fn set(
        &mut self,
        kind: FindingKind,
        finding: Option<InputFinding>,
        now: Instant,
        time: Time,
    ) -> Option<FindingChange> {
        let before = self.present.iter().position(|(one, _)| one.kind == kind);
        let before = before.map(|at| self.present.swap_remove(at));
        if finding.is_none() && before.is_none() {
            return None;
        }
        let severity = finding.as_ref().map(|finding| finding.severity);
        let since = before.as_ref().map_or(time, |(_, since)| *since);
        self.present.extend(finding.clone().map(|finding| (finding, since)));
        let at = self.said.iter().position(|(said, _)| *said == kind).unwrap_or_else(|| {
            self.said.push((kind, LogLimiter::every(AGAIN)));
            self.said.len() - 1
        });
        self.said[at].1.now(severity, now)?;
        let ended = before.map(|(before, _)| FindingChange::Ended(before));
        finding.map(FindingChange::Found).or(ended)
    }
}

/// A log line about a finding.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum FindingChange {
    Found(InputFinding),
    Ended(InputFinding),
}

impl FindingChange {
    pub(super) fn log(&self, input: &str) {
        match self {
            Self::Found(InputFinding { severity: Severity::Failure, what, hint, .. }) => {
                tracing::error!(input, hint, "{what}");
            }
            Self::Found(InputFinding { what, hint, .. }) => tracing::warn!(input, hint, "{what}"),
            Self::Ended(InputFinding { what, .. }) => {
                tracing::info!(input, "resolved: {what}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::*;

    fn empty(what: &str) -> InputFinding {
        InputFinding::warning(FindingKind::LogEmpty, what, "look at the policy")
    }

    #[test]
    fn a_finding_is_logged_once_while_it_lasts_and_its_end_once() {
        let mut findings = Findings::default();
        let start = Instant::now();
        let minute = |minutes: u64| start + Duration::from_mins(minutes);
        let kind = FindingKind::LogEmpty;
        let first = findings.set(kind, Some(empty("for 1m")), minute(0), at(0));
        assert_eq!(first, Some(FindingChange::Found(empty("for 1m"))));
        assert_eq!(findings.set(kind, Some(empty("for 2m")), minute(1), at(60)), None);
        assert_eq!(findings.list(), [empty("for 2m")], "what is shown is up to date");
        assert!(findings.set(kind, Some(empty("for 1h")), minute(60), at(3600)).is_some());
        assert_eq!(findings.since(|_| true), Some(at(0)), "not since the last look");
        let ended = findings.set(kind, None, minute(61), at(3660));
        assert_eq!(ended, Some(FindingChange::Ended(empty("for 1h"))));
        assert_eq!(findings.set(kind, None, minute(62), at(3720)), None);
        assert_eq!(findings.list(), []);
    }

    #[test]
    fn the_worst_comes_first_and_one_kind_leaves_the_others_alone() {
        let mut findings = Findings::default();
        let now = Instant::now();
        let links = InputFinding::warning(FindingKind::NoLinks, "no link", "own the log");
        let missing = InputFinding::failure(FindingKind::LogMissing, "not there", "set `path`");
        for one in [&links, &missing] {
            findings.set(one.kind, Some(one.clone()), now, at(0));
        }
        findings.set(FindingKind::LogEmpty, Some(empty("it is empty")), now, at(0));
        findings.set(FindingKind::LogEmpty, None, now, at(0));
        assert_eq!(findings.list(), [missing, links]);
    }

    #[test]
    fn a_file_name_with_a_line_end_stays_on_its_line() {
        let finding = empty("a\nb is empty");
        assert_eq!(finding.what, "a b is empty");
    }
}
