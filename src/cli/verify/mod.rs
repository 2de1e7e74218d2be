//! `verify`: compares the events on disk with those in the store, and lists missing ones and duplicates.
//!
//! `job.rs` selects the files to compare with each output and reads them; `report.rs` prints for people, `json.rs`
//! for programs, `describe.rs` describes missing events. It takes no lock and changes nothing, so it can run beside
//! the agent.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

mod describe;
mod job;
mod json;
mod report;

use super::times::TimeArg;
use super::{ExitCode, replay as command};
use crate::config::Config;
use crate::replay::{self, ReplayRequest};
use crate::verify::Missing;
use job::{Compared, Job};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
    /// The node that wrote the log [default: `node` of the configuration, or that of the state directory]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Verify this input only; required with PATH if the configuration has several
    #[arg(long, value_name = "NAME")]
    input: Option<String>,
    /// Only this output
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Skip events before this time: `2026-11-21T06:00:00Z`, `2026-11-21`, or an age such as `24h`
    #[arg(long, value_name = "TIME")]
    since: Option<TimeArg>,
    /// Skip events at or after this time
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArg>,
    /// Print one JSON object that lists every missing event
    #[arg(long, conflicts_with_all = ["all", "repair"])]
    json: bool,
    /// List every missing event, not only the first 20
    #[arg(long)]
    all: bool,
    /// Ship the missing events
    #[arg(long)]
    repair: bool,
    /// Audit logs, compressed or not, or directories of them [default: the log and its backups]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Runs `verify`.
pub(super) fn verify(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let job = Job::new(config, arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    // A closed pipe is no error.
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let (mut code, mut failed) = (ExitCode::Done, false);
    let mut repairs = Vec::new();
    if arguments.json {
        let _ = out.write_all(b"{\"pairs\":[");
    }
    for (at, pair) in job.pairs().iter().enumerate() {
        if arguments.json && at > 0 {
            let _ = out.write_all(b",");
        }
        let compared = match runtime.block_on(job.compare(pair)) {
            Ok(compared) => compared,
            Err(error) => {
                let error = format!("{error:#}");
                let (input, output) = (&*pair.input.name, &*pair.output.name);
                tracing::error!(input, output, error, "not verified");
                if arguments.json {
                    json::failed(&mut out, pair, &error);
                }
                failed = true;
                continue;
            }
        };
        if arguments.json {
            json::write(&mut out, &job, pair, &compared)?;
        } else {
            report::write(&mut out, &job, pair, &compared, arguments.all)?;
        }
        if compared.findings.total.missing > 0 {
            repairs.push((pair, compared));
            code = ExitCode::Failed;
        }
    }
    if arguments.json {
        let _ = out.write_all(b"]}\n");
    }
    let _ = out.flush();
    drop(out);
    if arguments.repair {
        code = ExitCode::Done;
        for (pair, compared) in repairs {
            let only = compared.findings.missing().context("cannot read what is missing")?;
            let repaired = repair(config, job.node(), pair, &compared, only)?;
            code = if code == ExitCode::Done { repaired } else { code };
        }
    }
    Ok(if failed { ExitCode::Failed } else { code })
}

/// Ships missing events by a replay of their files and positions only. The replay looks each one up once more.
fn repair(
    config: &Config,
    node: &str,
    pair: &job::Pair<'_>,
    compared: &Compared,
    only: Missing,
) -> anyhow::Result<ExitCode> {
    let concerned = compared.files.iter().filter(|file| only.contains_key(&file.fingerprint()));
    let request = ReplayRequest {
        node: Some(node.to_owned()),
        input: Some(pair.input.name.to_string()),
        outputs: vec![pair.output.name.to_string()],
        paths: concerned.map(|file| file.path.clone()).collect(),
        only: Some(only),
        ..ReplayRequest::default()
    };
    replay::ship(config.clone(), &request).map(|report| command::print(&report))
}
