//! `probe`: asks the running agent whether it is alive or ready (liveness and readiness), for the kubelet and other
//! supervisors.
//!
//! A supervisor starts it every few seconds, so it does little: it reads one key of the configuration, or none with
//! `--state`, opens the socket in the state directory, and starts no thread. A broken configuration on disk does not
//! matter to it, since the running agent has an older one.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::configured::Configured;
use super::outcome::{ExitCode, fail, print};
use crate::agent::parts::socket_in;
use crate::config;
use crate::server::probe::{Health, Probe, probe as ask};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The question
    #[arg(value_enum)]
    probe: Probe,
    #[command(flatten)]
    configured: Configured,
    /// The state directory of the agent; the configuration is then not read
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Wait this long for the agent's answer, such as `500ms` or `3s`
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = patience)]
    timeout: Duration,
}

fn patience(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_mins(1);
    config::duration(text)
        .filter(|time| bounds.contains(time))
        .ok_or_else(|| "write a duration from 1ms to 1m, such as `500ms` or `3s`".to_owned())
}

/// Runs `probe`.
pub(super) fn probe(arguments: &Arguments) -> ExitCode {
    let state = match &arguments.state {
        Some(state) => state.clone(),
        None => match config::state_dir(&arguments.configured.config) {
            Ok(state) => state,
            Err(error) => {
                let hint = "or name the state directory with --state";
                return fail(&io::Error::other(format!("{error}; {hint}")), ExitCode::Usage);
            }
        },
    };
    let problems = match ask(&socket_in(&state), arguments.probe, arguments.timeout) {
        Ok(Some(Health { problems })) => problems,
        Ok(None) => vec![format!("no agent runs with the state directory {}", state.display())],
        Err(error) => vec![unanswered(&error, arguments.timeout)],
    };
    let (text, code) = match problems.as_slice() {
        [] => ("ok\n".to_owned(), ExitCode::Done),
        problems => (problems.join("\n") + "\n", ExitCode::Failed),
    };
    // The kubelet shows standard output in an event.
    print(&text);
    code
}

fn unanswered(error: &io::Error, patience: Duration) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("the agent does not answer within {patience:?}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("cannot ask the agent ({error}): run the probe as the agent's user")
        }
        _ => format!("cannot ask the agent: {error}"),
    }
}
