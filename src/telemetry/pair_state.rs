//! What a pipeline is doing at the moment.

use serde::{Deserialize, Serialize};

use super::time::Time;
use crate::event::RetryReason;

/// What a pipeline is doing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum PairState {
    #[default]
    Running,
    /// The output accepts nothing at the moment; requests are retried.
    Retrying { since: Time, reason: RetryReason, answer: String },
    /// Nothing is sent until the operator does what the hint says.
    Stopped { since: Time, answer: String, hint: String },
    /// The agent is shutting down and waits for the last answers.
    Draining,
    /// No agent runs; the values come from the checkpoint.
    NotRunning,
}
