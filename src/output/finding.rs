//! One line of the `check` report: what was checked, the result, and what to do about it.

/// The result of one check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    pub(crate) state: FindingState,
    /// What was checked, and the result, in one line.
    pub(crate) what: String,
    /// What to do about it; empty if nothing needs to be done.
    pub(crate) hint: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FindingState {
    Ok,
    /// Events are delivered, but a guarantee does not hold here.
    Warn,
    /// Events are not delivered.
    Fail,
}

impl Finding {
    pub(crate) fn ok(what: impl Into<String>) -> Self {
        Self { state: FindingState::Ok, what: what.into(), hint: String::new() }
    }

    pub(crate) fn warn(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: FindingState::Warn, what: what.into(), hint: hint.into() }
    }

    pub(crate) fn fail(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: FindingState::Fail, what: what.into(), hint: hint.into() }
    }

    /// Whether events are not delivered.
    pub(crate) fn is_failure(&self) -> bool {
        self.state == FindingState::Fail
    }
}
