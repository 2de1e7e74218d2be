//! One line of `check`: what was looked at, how it stands, and what to do about it.

/// What a check found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    pub(crate) state: State,
    /// What was looked at and how it stands, in one line.
    pub(crate) what: String,
    /// What to do about it; empty where nothing needs to be done.
    pub(crate) hint: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    Ok,
    /// Events get through, but something promised elsewhere does not hold here.
    Warn,
    /// Events do not get through.
    Fail,
}

impl Finding {
    pub(crate) fn ok(what: impl Into<String>) -> Self {
        Self { state: State::Ok, what: what.into(), hint: String::new() }
    }

    pub(crate) fn warn(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: State::Warn, what: what.into(), hint: hint.into() }
    }

    pub(crate) fn fail(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: State::Fail, what: what.into(), hint: hint.into() }
    }

    /// Events do not get through.
    pub(crate) fn is_failure(&self) -> bool {
        self.state == State::Fail
    }
}
