//! The result of the last reload of the configuration.

use std::sync::{Mutex, PoisonError};

use super::number::Stamp;
use super::time::Time;

/// The problem of the last reload, if any. A start counts as a reload without problems.
#[derive(Debug, Default)]
pub(crate) struct ReloadStats {
    problem: Mutex<Option<String>>,
    last_success: Stamp,
}

impl ReloadStats {
    pub(crate) fn succeeded(&self, now: Time) {
        self.last_success.set(Some(now));
        self.set(None);
    }

    /// Part of the file is not in force; `problem` says which part, and what to do.
    pub(crate) fn failed(&self, problem: String) {
        self.set(Some(problem));
    }

    fn set(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn last_success(&self) -> Option<Time> {
        self.last_success.get()
    }
}
