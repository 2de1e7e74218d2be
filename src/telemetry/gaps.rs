//! Gaps as they are stored and shown, one by one.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::human;
use super::number::Stamp;
use super::time::Time;

/// The number of gaps shown one by one.
const LAST: usize = 20;

/// A gap as it is stored and shown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct GapSeen {
    pub(crate) reason: String,
    pub(crate) file: String,
    pub(crate) bytes: u64,
    /// `bytes` is a lower bound.
    #[serde(default)]
    pub(crate) at_least: bool,
    /// Times of the last event before the gap and of the first after it, if known.
    #[serde(default)]
    pub(crate) from: Option<Time>,
    #[serde(default)]
    pub(crate) to: Option<Time>,
    pub(crate) detected: Time,
}

impl fmt::Display for GapSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, file, bytes, at_least, from, to, detected } = self;
        let least = if *at_least { "at least " } else { "" };
        let file = human::line(file, 200);
        write!(f, "{detected:.0} {reason}: {least}{} of {file}", human::size(*bytes))?;
        match (from, to) {
            (Some(from), Some(to)) => write!(f, ", between {from:.3} and {to:.3}"),
            (Some(from), None) => write!(f, ", after {from:.3}"),
            (None, Some(to)) => write!(f, ", before {to:.3}"),
            (None, None) => Ok(()),
        }
    }
}

/// The last gaps of one pipeline, and since when its events arrive.
#[derive(Debug, Default)]
pub(super) struct GapList {
    /// Time of the first event that was acknowledged.
    pub(super) began: Stamp,
    last: Mutex<VecDeque<GapSeen>>,
}

impl GapList {
    pub(super) fn begins(&self, time: Time) {
        if self.began.get().is_none() {
            self.began.set(Some(time));
        }
    }

    pub(super) fn add(&self, gap: GapSeen) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(gap);
        if last.len() > LAST {
            last.pop_front();
        }
    }

    /// The latest at the end.
    pub(super) fn last(&self) -> Vec<GapSeen> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::*;

    #[test]
    fn a_gap_reads_as_one_line_whatever_its_file_is_called() {
        let gap = GapSeen {
            reason: "backup_gone".into(),
            file: "a\nb".into(),
            bytes: 52_428_800,
            at_least: true,
            from: Some(at(0)),
            to: None,
            detected: at(60),
        };
        assert_eq!(
            gap.to_string(),
            "2025-11-21T08:01:00Z backup_gone: at least 50 MiB of a b, after 2025-11-21T08:00:00.000Z"
        );
    }
}
