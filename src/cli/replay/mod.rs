//! `replay`: ships recorded audit logs (backfill) as the agent would have shipped them: with the same positions and
//! labels, and without duplicates of events that the store holds already.
//!
//! `plan.rs` selects the files. `preflight.rs` asks each store what it holds and would refuse. Then `ship.rs` runs
//! the agent's own pipelines, several files at a time. `stdin.rs` makes files of standard input. `progress.rs` shows
//! the progress, `summary.rs` the result.
//!
//! Each replay has its own checkpoint, in a directory below the state directory that is named after its arguments. So
//! the same command continues where the last one stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

mod plan;
mod preflight;
mod progress;
mod shard;
mod ship;
mod stdin;
mod summary;

use super::ExitCode;
use super::times::TimeArg;
use crate::agent::parts;
use crate::agent::signals::stop_on_signal;
use crate::agent::transforms::{NotAccepted, Transforms};
use crate::checkpoint::{Loaded, State, Store};
use crate::config::{self, Config, FileInput};
use crate::event::Key;
use crate::input::Listed;
use crate::pipeline::Ranges;
use crate::telemetry::Telemetry;
use plan::ReplayPlan;
pub(super) use plan::refuse_foreign;
use shard::Shard;
use ship::Shipped;
use summary::Summary;

/// Means standard input, as a path.
const STDIN: &str = "-";

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
    /// The node whose log it is; `node` of the configuration by default, never the name of this machine
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,
    /// The input whose log it is, if there are several
    #[arg(long, value_name = "NAME")]
    pub(super) input: Option<String>,
    /// Only to this output; may be said several times
    #[arg(long = "output", value_name = "NAME")]
    pub(super) outputs: Vec<String>,
    /// Not what happened before: `2026-11-21T06:00:00Z`, `2026-11-21`, or an age such as `24h`
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<TimeArg>,
    /// Not what happened then or later
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<TimeArg>,
    /// Only events for which this CEL expression is true
    #[arg(long = "where", value_name = "EXPR")]
    pub(super) filter: Option<String>,
    /// Only every N-th file, counted from 0: all shards together ship every file once
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    /// Read no faster than this, for each output: `20MiB`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) max_bytes_per_second: Option<u64>,
    /// Send to an output that cannot be asked what it holds, although what is there already is stored twice then
    #[arg(long)]
    pub(super) at_least_once: bool,
    /// Audit logs, compressed or not, directories of them, or `-` for standard input
    #[arg(value_name = "PATH", required = true)]
    pub(super) paths: Vec<PathBuf>,
}

fn size(text: &str) -> Result<u64, String> {
    let bytes = config::size(text).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "write a size such as 20MiB".to_owned())
}

/// Everything that a replay needs.
struct Job {
    config: Config,
    input: FileInput,
    node: String,
    key: Key,
    outputs: Vec<config::Output>,
    transforms: Transforms,
    /// The state of this configuration's agent, as of the start of the replay.
    agent: State,
    /// Directory, lock and checkpoint of this replay.
    store: Arc<Store>,
    loaded: Loaded,
    telemetry: Telemetry,
    plan: ReplayPlan,
    /// Ship even to outputs that cannot be queried (at least once, duplicates possible).
    at_least_once: bool,
    /// True as soon as the replay shall stop.
    stopped: watch::Receiver<bool>,
}

/// Runs `replay`.
pub(super) fn replay(config: Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    crate::agent::own_files::refuse(&config, &arguments.config)?;
    ship(config, arguments, None)
}

/// Ships the events that the arguments select; if `only` is given, just those at its positions.
pub(super) fn ship(
    config: Config,
    arguments: &Arguments,
    only: Option<Ranges>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores())
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(run(config, arguments, only));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// At most this many files are shipped in parallel, since each has its own chunks in memory.
const MOST: usize = 8;

/// One file for each core.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST)
}

async fn run(
    config: Config,
    arguments: &Arguments,
    only: Option<Ranges>,
) -> anyhow::Result<ExitCode> {
    let (stop, stopped) = watch::channel(false);
    let signals = stop_on_signal(stop)?;
    let job = Job::new(config, arguments, only, stopped)?;
    let mut summary = Summary::default();
    if arguments.paths.iter().any(|path| path.as_os_str() == STDIN) {
        stdin::ship(&job, &mut summary).await?;
    } else {
        let files = job.plan.files(&job)?;
        if !files.is_empty() {
            summary.add(job.ship(&files, &job.loaded).await?);
        }
    }
    signals.abort();
    let code = summary.code(*job.stopped.borrow());
    summary.print(&job);
    if code == ExitCode::Done {
        plan::forget(&job.store);
    }
    Ok(code)
}

impl Job {
    fn new(
        mut config: Config,
        arguments: &Arguments,
        only: Option<Ranges>,
        stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        if arguments.paths.len() > 1 && arguments.paths.iter().any(|path| path.as_os_str() == STDIN)
        {
            return Err(NotAccepted::error(
                "`-` stands alone: ship files and standard input one after the other",
            ));
        }
        let input = plan::input(&config, arguments.input.as_deref())?.clone();
        let agent = Store::load(&config.state_dir)?.state;
        let outputs = plan::outputs(&config, &agent, &input, &arguments.outputs)?;
        let node = arguments.node.clone().or(config.node.clone()).ok_or_else(|| {
            NotAccepted::error(
                "whose log is it? Say --node NAME, or set `node` in the configuration: the name of this machine may be another one",
            )
        })?;
        config.node = Some(node.clone());
        config.outputs = outputs;
        for output in &mut config.outputs {
            let rates = [output.max_bytes_per_second, arguments.max_bytes_per_second];
            output.max_bytes_per_second = rates.into_iter().flatten().min();
        }
        let key = plan::key(&config)?;
        let transforms = Transforms::with(&config, &key, arguments.filter.as_deref())?;
        let store = Arc::new(plan::open(&config, &input, &node, arguments, only.as_ref())?);
        let loaded = Store::load(store.directory())?;
        let telemetry = parts::telemetry(&config, &node);
        let outputs = config.outputs.clone();
        let plan = ReplayPlan::new(arguments, only);
        Ok(Self {
            config,
            input,
            node,
            key,
            outputs,
            transforms,
            agent,
            store,
            loaded,
            telemetry,
            plan,
            at_least_once: arguments.at_least_once,
            stopped,
        })
    }

    /// Ships files to all outputs, and continues from the progress in `loaded`.
    async fn ship(&self, files: &[Listed], loaded: &Loaded) -> anyhow::Result<Vec<Shipped>> {
        ship::ship(self, files, loaded).await
    }
}
