//! `replay`: its flags, and what it prints.

use std::io::Write as _;
use std::path::PathBuf;

use super::outcome::{self, ExitCode};
use super::times::TimeArg;
use crate::config::{self, Config};
use crate::replay::{self, ReplayReport, ReplayRequest, ReplayResult, Shard};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = super::configured::DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
    /// The node that wrote the log [default: `node` of the configuration, never the name of this machine]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// The input that follows this log, if the configuration has several
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// Ship to this output only; may be repeated
    #[arg(long = "output", value_name = "NAME")]
    outputs: Vec<String>,
    /// Skip events before this time: `2026-11-21T06:00:00Z`, `2026-11-21`, or an age such as `24h`
    #[arg(long, value_name = "TIME")]
    since: Option<TimeArg>,
    /// Skip events at or after this time
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArg>,
    /// Ship only events for which this CEL expression is true
    #[arg(long = "where", value_name = "EXPR")]
    filter: Option<String>,
    /// Ship one of N shares of the files, counted from 0; all N together ship each file once
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Limit the bytes per second for each output, such as `20MiB`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes_per_second: Option<u64>,
    /// Send even if the output cannot be queried; events already stored are stored twice
    #[arg(long)]
    at_least_once: bool,
    /// Audit logs, compressed or not; directories of them; or `-` for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

fn size(text: &str) -> Result<u64, String> {
    let bytes = config::size(text).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "write a size such as 20MiB".to_owned())
}

/// Runs `replay`.
pub(super) fn replay(config: Config, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let request = ReplayRequest {
        node: arguments.node,
        input: arguments.input,
        outputs: arguments.outputs,
        since: arguments.since.map(Into::into),
        until: arguments.until.map(Into::into),
        filter: arguments.filter,
        shard: arguments.shard,
        max_bytes_per_second: arguments.max_bytes_per_second,
        at_least_once: arguments.at_least_once,
        paths: arguments.paths,
        only: None,
    };
    replay::replay(config, &arguments.config, &request).map(|report| print(&report))
}

/// Prints the table of a replay; returns the exit code.
pub(super) fn print(report: &ReplayReport) -> ExitCode {
    if report.stdout_holds_events {
        // A closed pipe is no error.
        let _ = std::io::stderr().write_all(report.text.as_bytes());
    } else {
        outcome::print(&report.text);
    }
    match report.result {
        ReplayResult::Done => ExitCode::Done,
        ReplayResult::DeadLetters => ExitCode::DeadLetters,
        ReplayResult::Unfinished => ExitCode::Failed,
    }
}
