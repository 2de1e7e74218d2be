//! Statistics of one input, and its state.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::errors::{ErrorList, Failing};
use super::finding::{FindingKind, Findings, InputFinding};
use super::number::{CounterValue, GaugeValue, Stamp};
use super::time::Time;
use crate::event::labels;

labels! {
    /// How an input notices that its log has grown.
    pub(crate) Watch {
        /// By a timer: the file system sends no events, or nothing is watched yet.
        Polling = "polling",
        Inotify = "inotify",
    }
}

/// Whether an input can read its log.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum InputState {
    #[default]
    Ok,
    /// There is no file. The API server may not have started yet, so this is shown but is not a failure.
    Missing {
        path: PathBuf,
    },
    Unreadable {
        path: PathBuf,
        error: String,
    },
}

/// Counts since the process started. Bytes are decompressed.
///
/// Many fields: one for each metric.
#[derive(Debug, Default)]
pub(crate) struct InputStats {
    pub(super) name: Arc<str>,
    pub(crate) bytes: CounterValue,
    pub(crate) events: CounterValue,
    pub(crate) torn_lines: CounterValue,
    pub(crate) hole_bytes: CounterValue,
    pub(crate) over_long_lines: CounterValue,
    /// Lines that are not events.
    pub(crate) unreadable_lines: CounterValue,
    /// Lines skipped: messages of the API server itself, comments, headings.
    pub(crate) passed_over_lines: CounterValue,
    /// The warning that lines are not events was logged.
    foreign_said: AtomicBool,
    /// Event time of the last event read.
    pub(crate) last_event: Stamp,
    /// When the live log was last written to, by its modification time.
    pub(crate) last_write: Stamp,
    /// Known generations: the live one, and those whose backups exist or are still open.
    pub(crate) generations: GaugeValue,
    /// Backups, plain or compressed, beside the log.
    pub(crate) backups: GaugeValue,
    /// Pins: hard links in the hold directory.
    pub(crate) pins: GaugeValue,
    /// Bytes on disk of all pinned files, and of those that only the pin keeps.
    pub(crate) pinned_bytes: GaugeValue,
    pub(crate) hold_bytes: GaugeValue,
    /// `hold.max_bytes`.
    pub(super) hold_max_bytes: GaugeValue,
    watch: GaugeValue,
    /// Locked when the state changes and when it is shown, never for an event.
    state: Mutex<InputState>,
    findings: Mutex<Findings>,
    pub(super) errors: ErrorList,
    /// Whether findings are logged: only for an input that is followed, not for one that a command inspects.
    aloud: AtomicBool,
}

impl InputStats {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Whether the warning that lines of this log are not events is still to be logged. True once.
    pub(crate) fn says_foreign(&self) -> bool {
        !self.foreign_said.swap(true, Relaxed)
    }

    pub(crate) fn set_watch(&self, watch: Watch) {
        self.watch.set(u64::from(watch == Watch::Inotify));
    }

    pub(crate) fn watch(&self) -> Watch {
        if self.watch.get() == 1 { Watch::Inotify } else { Watch::Polling }
    }

    pub(crate) fn set_state(&self, state: InputState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(crate) fn state(&self) -> InputState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on findings are logged.
    pub(crate) fn tell_findings(&self) {
        self.aloud.store(true, Relaxed);
    }

    /// Sets or clears the finding of this kind. Call it with the present condition each time it is examined.
    pub(crate) fn set_finding(&self, kind: FindingKind, finding: Option<InputFinding>) {
        let now = Time::now();
        let failure = finding.as_ref().filter(|finding| finding.is_failure());
        let failure = failure.map(|finding| Failing::Input(kind, finding.what.clone()));
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let change = findings.set(kind, finding, Instant::now(), now);
        let since = findings.since(|one| one.kind == kind);
        drop(findings);
        if let (Some(failure), Some(since)) = (failure, since) {
            self.errors.lasts(failure, since, now);
        }
        if let Some(change) = change.filter(|_| self.aloud.load(Relaxed)) {
            change.log(&self.name);
        }
    }

    /// Since when the first of the present failures has lasted.
    pub(super) fn failing_since(&self) -> Option<Time> {
        self.since(InputFinding::is_failure)
    }

    /// Since when the first of these findings has lasted.
    pub(super) fn since(&self, is_meant: impl Fn(&InputFinding) -> bool) -> Option<Time> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).since(is_meant)
    }

    /// The present findings, the worst first.
    pub(crate) fn findings(&self) -> Vec<InputFinding> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).list()
    }
}
