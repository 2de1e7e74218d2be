//! Whether the audit trail is complete, and since when: one answer for `status`, the page, `/readyz?verbose` and the
//! metrics.
//!
//! A trail is *whole* while nothing of the log is known to be missing in the back end: no gap, no stored dead letter,
//! no file beside the log that nobody follows. Events that the output has not acknowledged yet are lag, not missing.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::InputStats;
use super::finding::FindingKind;
use super::human;
use super::pair::PairStats;
use super::time::Time;
use crate::event::{GapReason, Label as _};

/// Whether the trail of one input in one output is complete.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Trail {
    /// Nothing is known to be missing.
    pub(crate) whole: bool,
    /// Time since which nothing was lost: of the first event, or of the first one after the last gap.
    pub(crate) since: Option<Time>,
    pub(crate) gaps: u64,
    /// At least so many.
    pub(crate) gap_bytes: u64,
    /// When the last gap was detected.
    pub(crate) last_gap: Option<Time>,
    /// Events stored as dead letters.
    pub(crate) dead_letters: u64,
    /// Some files beside the log look like backups and are not followed.
    pub(crate) unfollowed_files: bool,
}

impl PairStats {
    /// When the first of the known holes was found.
    pub(super) fn first_hole(&self) -> Option<Time> {
        let gap = self.last_gaps().first().map(|gap| gap.detected);
        let unfollowed = self.input_stats.since(|one| one.kind == FindingKind::UnfollowedFiles);
        [gap, self.dead_letters_oldest.get(), unfollowed].into_iter().flatten().min()
    }

    /// Whether anything is known to be missing in the back end.
    pub(crate) fn trail(&self) -> Trail {
        Trail::of(self, &self.input_stats)
    }
}

impl Trail {
    fn of(pair: &PairStats, input: &InputStats) -> Self {
        let sum = |of: &dyn Fn(GapReason) -> u64| {
            GapReason::ALL.iter().fold(0_u64, |sum, reason| sum.saturating_add(of(*reason)))
        };
        let gaps = sum(&|reason| pair.gaps.of(reason).get());
        let last = pair.last_gaps().pop();
        let after_gap = last.as_ref().map(|gap| gap.to.unwrap_or(gap.detected));
        let dead_letters = pair.dead_letters.get().max(pair.dead_letters_damaged.get());
        let is_unfollowed = |kind| kind == FindingKind::UnfollowedFiles;
        let unfollowed_files = input.findings().iter().any(|one| is_unfollowed(one.kind));
        Self {
            whole: gaps == 0 && dead_letters == 0 && !unfollowed_files,
            since: after_gap.or(pair.gap_list.began.get()),
            gaps,
            gap_bytes: sum(&|reason| pair.gap_bytes.of(reason).get()),
            last_gap: last.map(|gap| gap.detected),
            dead_letters,
            unfollowed_files,
        }
    }
}

/// `whole since …`, or `NOT WHOLE: …`.
impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since {
            Some(since) if self.whole => return write!(f, "whole since {since:.3}"),
            None if self.whole => return f.write_str("no event is delivered yet"),
            _ => write!(f, "NOT WHOLE: {}", self.missing())?,
        }
        match self.since.filter(|_| self.gaps > 0) {
            Some(since) => write!(f, "; no gap since {since:.3}"),
            None => Ok(()),
        }
    }
}

impl Trail {
    /// What is missing, for a trail that is not whole.
    pub(super) fn missing(&self) -> String {
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        let mut missing = Vec::new();
        if self.gaps > 0 {
            let last = self.last_gap.map(|at| format!(", the last found at {at:.0}"));
            missing.push(format!(
                "{} gap{} ({}){}",
                human::count(self.gaps),
                plural(self.gaps),
                human::size(self.gap_bytes),
                last.unwrap_or_default()
            ));
        }
        if self.dead_letters > 0 {
            let (n, s) = (human::count(self.dead_letters), plural(self.dead_letters));
            missing.push(format!("{n} dead letter{s} waiting"));
        }
        if self.unfollowed_files {
            missing.push("files beside the log that are not followed".into());
        }
        missing.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::super::{GapSeen, Identity, InputFinding, Telemetry};
    use super::*;

    #[test]
    fn the_trail_is_whole_until_a_gap_a_dead_letter_or_an_unfollowed_file() {
        let telemetry =
            Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0" });
        let (input, pair) = (telemetry.input("api"), telemetry.pair("api", "loki"));
        let said = || pair.trail().to_string();
        assert_eq!(said(), "no event is delivered yet");
        pair.begins(at(0));
        pair.begins(at(50));
        assert_eq!(said(), "whole since 2025-11-21T08:00:00.000Z");
        pair.set_letters(1, 100, 0, Some(at(0)));
        assert_eq!(said(), "NOT WHOLE: 1 dead letter waiting");
        pair.set_letters(0, 0, 0, None);
        assert!(pair.trail().whole, "a dead letter that was sent again is not missing");
        let other = InputFinding::warning(FindingKind::UnfollowedFiles, "a.log.zst", "set it");
        input.set_finding(other.kind, Some(other));
        assert_eq!(said(), "NOT WHOLE: files beside the log that are not followed");
        input.set_finding(FindingKind::UnfollowedFiles, None);
        for seconds in [10, 20] {
            pair.gap_seen(GapSeen {
                reason: "backup_gone".into(),
                file: "audit.log".into(),
                bytes: 1536,
                at_least: true,
                from: Some(at(1)),
                to: Some(at(seconds)),
                detected: at(seconds + 1),
            });
        }
        assert_eq!(
            said(),
            "NOT WHOLE: 2 gaps (3 KiB), the last found at 2025-11-21T08:00:21Z; \
             no gap since 2025-11-21T08:00:20.000Z"
        );
    }
}
