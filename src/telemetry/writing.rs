//! Whether the API server still writes to its audit log: judged by the age of the last write.

use std::time::Duration;

use super::human;
use super::input::InputStats;
use super::time::Time;

/// An API server writes at least every few seconds under the usual policies: leases alone make events.
const QUIET: Duration = Duration::from_mins(2);

/// After this time somebody should look. The alert `AuditrailLogSilent` has the same time.
const SILENT: Duration = Duration::from_mins(15);

/// The judgement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Writing {
    Active,
    /// Nothing for some minutes. A policy that records little may be the reason.
    Quiet,
    Silent,
    /// Nobody knows the time of the last write, for instance because the log is missing.
    Unknown,
}

impl Writing {
    pub(crate) fn of(last_write: Option<Time>, now: Time) -> Self {
        match last_write.map(|last| now.since(last)) {
            None => Self::Unknown,
            Some(age) if age > SILENT => Self::Silent,
            Some(age) if age > QUIET => Self::Quiet,
            Some(_) => Self::Active,
        }
    }
}

impl InputStats {
    /// The sentence about a log that nobody writes to.
    pub(super) fn silence(&self, now: Time) -> String {
        let age = self.last_write.get().map(|last| now.since(last)).unwrap_or_default();
        format!("nothing was written to the log of {} for {}", self.name, human::duration(age))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::*;

    #[test]
    fn the_age_of_the_last_write_says_whether_the_api_server_still_writes() {
        for (age, expected) in [
            (-5, Writing::Active),
            (0, Writing::Active),
            (120, Writing::Active),
            (121, Writing::Quiet),
            (900, Writing::Quiet),
            (901, Writing::Silent),
        ] {
            assert_eq!(Writing::of(Some(at(-age)), at(0)), expected, "{age}");
        }
        assert_eq!(Writing::of(None, at(0)), Writing::Unknown);
    }

    #[test]
    fn the_alert_rule_uses_the_same_time() {
        let rules = include_str!("../../etc/prometheus/auditrail.rules.yaml");
        let age = "time() - auditrail_input_last_write_timestamp_seconds";
        assert!(rules.contains(&format!("{age} > {}\n", SILENT.as_secs())));
    }
}
