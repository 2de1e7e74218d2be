//! A replay: ships recorded audit logs (backfill) as the agent would have shipped them: with the same positions and
//! labels, and without duplicates of events that the store holds already.
//!
//! `request.rs` says what is asked for, `job.rs` has everything that a replay needs. `plan.rs` selects the files.
//! `preflight.rs` asks each store what it holds and would refuse. Then `ship.rs` runs the agent's own pipelines,
//! several files at a time; `earlier_run.rs` knows the progress of an earlier run. `stdin.rs` makes files of standard
//! input. `progress.rs` shows the progress, `summary.rs` the result.
//!
//! Each replay has its own checkpoint, in a directory below the state directory that is named after its request. So
//! the same command continues where the last one stopped.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;

mod earlier_run;
mod job;
pub(crate) mod open_log;
mod plan;
mod preflight;
mod progress;
mod request;
mod shard;
mod ship;
mod stdin;
mod summary;

use crate::agent::confined::confine_command;
use crate::agent::own_files;
use crate::agent::parts;
use crate::agent::signals::stop_on_signal;
use crate::config::Config;
use crate::disk;
use job::Job;
pub(crate) use plan::refuse_foreign;
pub(crate) use request::{ReplayRequest, TimeLimit};
pub(crate) use shard::Shard;
use summary::Summary;
pub(crate) use summary::{ReplayReport, ReplayResult};

/// Runs a replay on behalf of the command line. `path` is the configuration's.
///
/// # Errors If the request or the configuration is refused, or if a file cannot be read.
pub(crate) fn replay(
    config: Config,
    path: &Path,
    request: &ReplayRequest,
) -> anyhow::Result<ReplayReport> {
    own_files::refuse(&config, path)?;
    // It reports its own errors when it is opened.
    let _ = disk::create_dir_all(&config.state_dir);
    confine_command(&config, path, &request.paths);
    ship(config, request)
}

/// Ships the events that the request selects.
///
/// # Errors As for [`replay`].
pub(crate) fn ship(config: Config, request: &ReplayRequest) -> anyhow::Result<ReplayReport> {
    let runtime = parts::runtime(ship::cores())?;
    let result = runtime.block_on(run(config, request));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn run(config: Config, request: &ReplayRequest) -> anyhow::Result<ReplayReport> {
    let (stop, stopped) = watch::channel(false);
    let signals = stop_on_signal(stop)?;
    let job = Job::new(config, request, stopped)?;
    let mut summary = Summary::default();
    if request.is_stdin() {
        stdin::ship(&job, &mut summary).await?;
    } else {
        let files = job.plan.files(&job.config, &job.log)?;
        if !files.is_empty() {
            summary.add(ship::ship(&job, &files, &job.loaded).await?);
        }
    }
    signals.abort();
    let report = summary.report(&job);
    if report.result == ReplayResult::Done {
        plan::forget(&job.store);
    }
    Ok(report)
}
