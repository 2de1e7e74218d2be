//! `verify`: compares the events on disk with those in the store, and lists missing ones and duplicates.
//!
//! `arguments.rs` has the flags. `job.rs` selects the files to compare with each output and reads them; `report.rs`
//! prints for people, `json.rs` for programs, `describe.rs` describes missing events. It takes no lock and changes
//! nothing, so it can run beside the agent.

use std::io::Write as _;

use anyhow::Context as _;

mod arguments;
mod describe;
mod job;
mod json;
mod report;

use super::outcome::ExitCode;
use super::replay as command;
use crate::agent::confined::confine_command;
use crate::config::Config;
use crate::replay::{self, ReplayRequest};
use crate::verify::Missing;
pub(super) use arguments::Arguments;
use job::{Compared, Job};

/// Runs `verify`.
pub(super) fn verify(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    confine_command(config, &arguments.config, &arguments.paths);
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
