//! The last errors, one by one: answers of the outputs, failures of inputs, of the checkpoint and of the disk budget.
//!
//! Each owner of such a condition has a short list of its own ([`ErrorList`]); a snapshot merges them. Errors with the
//! same words count as one, so a back end that fails ten thousand times takes one line.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::finding::FindingKind;
use super::pair_state::PairState;
use super::time::Time;
use crate::event::Label as _;

/// The number of errors kept for each owner.
const KEPT: usize = 10;

/// An error as it is shown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ErrorSeen {
    /// The input, the output or the part of the agent.
    pub(crate) at: String,
    pub(crate) what: String,
    pub(crate) first: Time,
    pub(crate) last: Time,
    pub(crate) times: u64,
}

/// What went wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failing {
    /// An output retries or is stopped. The state has the answer.
    Output(PairState),
    Input(FindingKind, String),
    /// In the agent's own words.
    Own(String),
}

impl Failing {
    /// Whether both are the same error, however long it lasts.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Output(one), Self::Output(other)) => told(one) == told(other),
            (Self::Input(one, _), Self::Input(other, _)) => one == other,
            _ => self == other,
        }
    }

    fn text(self, public: bool) -> String {
        match self {
            Self::Output(state) if public => told(&state.public()),
            Self::Output(state) => told(&state),
            Self::Input(_, text) | Self::Own(text) => text,
        }
    }
}

/// An error of an output without its times.
fn told(state: &PairState) -> String {
    match state {
        PairState::Retrying { reason, answer, .. } => format!("{}: {answer}", reason.text()),
        PairState::Stopped { answer, hint, .. } => format!("stopped ({answer}): {hint}"),
        PairState::Running | PairState::Draining | PairState::NotRunning => String::new(),
    }
}

#[derive(Debug)]
struct KeptError {
    what: Failing,
    first: Time,
    last: Time,
    times: u64,
}

/// The last errors of one owner, the latest at the end.
#[derive(Debug, Default)]
pub(super) struct ErrorList(Mutex<VecDeque<KeptError>>);

impl ErrorList {
    /// Adds an error, or counts it if it is known.
    pub(super) fn note(&self, what: Failing, now: Time) {
        self.add(what, now, true);
    }

    /// An error lasts: it counts once for as long as `began` stays the same.
    pub(super) fn lasts(&self, what: Failing, began: Time, now: Time) {
        let last = self
            .with(|list| list.iter().rev().find(|kept| kept.what.is(&what)).map(|kept| kept.last));
        self.add(what, now, last.is_none_or(|last| last < began));
    }

    fn add(&self, what: Failing, now: Time, is_new: bool) {
        self.with(|list| {
            let at = list.iter().position(|kept| kept.what.is(&what));
            let known = at.and_then(|at| list.remove(at));
            let KeptError { first, times, .. } =
                known.unwrap_or(KeptError { what: what.clone(), first: now, last: now, times: 0 });
            list.push_back(KeptError { what, first, last: now, times: times + u64::from(is_new) });
            if list.len() > KEPT {
                list.pop_front();
            }
        });
    }

    /// `public`: without the wording of a back end's answer, only its class.
    pub(super) fn list(&self, at: &str, public: bool) -> Vec<ErrorSeen> {
        let mut shown: Vec<ErrorSeen> = Vec::new();
        let kept = self.with(|list| {
            let copy = |kept: &KeptError| (kept.what.clone(), kept.first, kept.last, kept.times);
            list.iter().map(copy).collect::<Vec<_>>()
        });
        for (what, first, last, times) in kept {
            let what = what.text(public);
            // Several answers may be of one class.
            match shown.iter_mut().find(|seen| seen.what == what) {
                Some(seen) => {
                    seen.first = seen.first.min(first);
                    seen.last = seen.last.max(last);
                    seen.times += times;
                }
                None => shown.push(ErrorSeen { at: at.to_owned(), what, first, last, times }),
            }
        }
        shown
    }

    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<KeptError>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::super::{Identity, InputFinding, Telemetry};
    use super::*;
    use crate::event::RetryReason;

    fn telemetry() -> Telemetry {
        Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0" })
    }

    fn lines(telemetry: &Telemetry, public: bool) -> Vec<String> {
        let line = |seen: ErrorSeen| format!("{} {} x{}", seen.at, seen.what, seen.times);
        telemetry.errors(public).into_iter().map(line).collect()
    }

    #[test]
    fn a_back_end_that_fails_a_thousand_times_is_one_line_with_both_times() {
        let telemetry = telemetry();
        let pair = telemetry.pair("api", "loki");
        for second in 0..1000 {
            pair.retrying(at(second), RetryReason::ServerError, "503 token=s3cret");
        }
        pair.retrying(at(1000), RetryReason::ServerError, "503 other words");
        pair.stopped(at(1001), "401 s3cret", "check basic_auth");
        let name = "output loki of input api";
        assert_eq!(
            lines(&telemetry, true),
            [
                format!("{name} stopped (HTTP 401): check basic_auth x1"),
                format!("{name} server_error: HTTP 503 x1001"),
            ]
        );
        let all = telemetry.errors(false);
        assert_eq!(all[1].what, "server_error: 503 other words");
        assert_eq!((all[2].first, all[2].last, all[2].times), (at(0), at(999), 1000));
    }

    #[test]
    fn errors_of_all_parts_are_merged_and_a_lasting_one_counts_once_each_time_it_begins() {
        let telemetry = telemetry();
        let input = telemetry.input("api");
        let empty =
            |text: &str| InputFinding::failure(FindingKind::LogEmpty, text, "see the policy");
        for text in ["empty for 10m", "empty for 11m"] {
            input.set_finding(FindingKind::LogEmpty, Some(empty(text)));
        }
        input.set_finding(FindingKind::LogEmpty, None);
        input.set_finding(FindingKind::LogEmpty, Some(empty("empty for 10m")));
        let warning = InputFinding::warning(FindingKind::NoLinks, "no link", "own the log");
        input.set_finding(FindingKind::NoLinks, Some(warning));
        for second in [1, 2, 3] {
            telemetry.disk().save_failed(at(second), "disk full".into());
        }
        telemetry.disk().set_spent(at(4), Some("1 GiB used".into()));
        assert_eq!(
            lines(&telemetry, true),
            [
                "input api empty for 10m x2",
                "state directory the disk budget is spent: 1 GiB used x1",
                "state directory the checkpoint cannot be saved: disk full x3",
            ]
        );
    }

    #[test]
    fn answers_that_are_never_the_same_fill_no_memory() {
        let telemetry = telemetry();
        let pair = telemetry.pair("api", "loki");
        for second in 0..500 {
            pair.retrying(at(second), RetryReason::ServerError, &format!("500 id {second}"));
        }
        let all = telemetry.errors(false);
        assert_eq!(all.len(), KEPT);
        assert_eq!(all[0].what, "server_error: 500 id 499");
        assert_eq!(telemetry.errors(true).len(), 1);
    }
}
