//! The liveness and readiness probe that `auditrail probe` asks over the socket in the state directory.
//!
//! The answer is that of `/livez` or `/readyz`, with the whole text of a problem. It needs no port, no network and no
//! configuration, so nobody on the network can keep the kubelet from its answer.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::ask;
use crate::telemetry::{Telemetry, Time};

/// The value of `ask` for this question.
pub(super) const ASK: &str = "probe";

/// The two kinds of probe.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Probe {
    /// No loop of the agent is stuck
    Live,
    /// Events can be delivered: every check of `/readyz` passes
    Ready,
}

/// The answer: one sentence per problem; empty if there is none.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Health {
    pub(crate) problems: Vec<String>,
}

impl Health {
    /// Answers a question. A probe that this version does not know is reported as a problem.
    pub(super) fn of(telemetry: &Telemetry, question: &Value, unready_after: Duration) -> Self {
        let problems = match Probe::deserialize(&question["probe"]) {
            Ok(Probe::Live) => telemetry.liveness(Instant::now()),
            Ok(Probe::Ready) => telemetry.readiness(Time::now(), unready_after),
            Err(error) => vec![format!("the running agent does not know this probe: {error}")],
        };
        Self { problems }
    }
}

/// Asks the agent that listens at `path`; `None` if no agent listens.
///
/// # Errors
/// If the agent does not answer within `patience`, or if the answer is not an agent's.
pub(crate) fn probe(path: &Path, probe: Probe, patience: Duration) -> io::Result<Option<Health>> {
    let mut answer = None;
    let question = json!({"ask": ASK, "probe": probe});
    if ask(path, &question, patience, |line| answer = Some(line))?.is_none() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_value(answer.ok_or(io::ErrorKind::UnexpectedEof)?)?))
}
