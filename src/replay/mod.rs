//! A replay: ships recorded audit logs (backfill) as the agent would have shipped them: with the same positions and
//! labels, and without duplicates of events that the store holds already.
//!
//! `plan.rs` selects the files. `preflight.rs` asks each store what it holds and would refuse. Then `ship.rs` runs
//! the agent's own pipelines, several files at a time. `stdin.rs` makes files of standard input. `progress.rs` shows
//! the progress, `summary.rs` the result.
//!
//! Each replay has its own checkpoint, in a directory below the state directory that is named after its request. So
//! the same command continues where the last one stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub(crate) mod open_log;
mod plan;
mod preflight;
mod progress;
mod shard;
mod ship;
mod stdin;
mod summary;

use crate::agent::own_files;
use crate::agent::parts;
use crate::agent::signals::stop_on_signal;
use crate::agent::transforms::{NotAccepted, Transforms};
use crate::checkpoint::{Loaded, State, Store};
use crate::config::{self, Config, FollowedLog};
use crate::event::{Key, Nanos};
use crate::input::Listed;
use crate::pipeline::Ranges;
use crate::telemetry::Telemetry;
use plan::ReplayPlan;
pub(crate) use plan::refuse_foreign;
pub(crate) use shard::Shard;
use ship::Shipped;
use summary::Summary;
pub(crate) use summary::{ReplayReport, ReplayResult};

/// Means standard input, as a path.
const STDIN: &str = "-";

/// What to ship, and to which outputs.
#[derive(Debug, Default)]
pub(crate) struct ReplayRequest {
    /// The node whose log it is; `node` of the configuration if `None`.
    pub(crate) node: Option<String>,
    /// The input whose log it is, if there are several.
    pub(crate) input: Option<String>,
    /// Empty: all outputs that take the input.
    pub(crate) outputs: Vec<String>,
    pub(crate) since: Option<TimeLimit>,
    pub(crate) until: Option<TimeLimit>,
    /// A CEL expression that every event has to match.
    pub(crate) filter: Option<String>,
    pub(crate) shard: Option<Shard>,
    /// Of each output.
    pub(crate) max_bytes_per_second: Option<u64>,
    /// Ship even to outputs that cannot be queried: at least once, duplicates are possible.
    pub(crate) at_least_once: bool,
    /// Files, directories, or [`STDIN`] alone.
    pub(crate) paths: Vec<PathBuf>,
    /// Only the events at these positions.
    pub(crate) only: Option<Ranges>,
}

/// A limit of the event time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TimeLimit {
    pub(crate) nanos: Nanos,
    /// As it was typed. An age such as `24h` selects other events each time, but continues the same replay.
    pub(crate) text: String,
}

/// Everything that a replay needs.
struct Job {
    config: Config,
    input: FollowedLog,
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
    /// See [`ReplayRequest::at_least_once`].
    at_least_once: bool,
    /// True as soon as the replay shall stop.
    stopped: watch::Receiver<bool>,
}

/// Runs a replay on behalf of the command line. `path` is the configuration's.
///
/// # Errors If the request or the configuration is refused, or if a file cannot be read.
pub(crate) fn replay(
    config: Config,
    path: &Path,
    request: &ReplayRequest,
) -> anyhow::Result<ReplayReport> {
    own_files::refuse(&config, path)?;
    ship(config, request)
}

/// Ships the events that the request selects.
///
/// # Errors As for [`replay`].
pub(crate) fn ship(config: Config, request: &ReplayRequest) -> anyhow::Result<ReplayReport> {
    let runtime = parts::runtime(cores())?;
    let result = runtime.block_on(run(config, request));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// At most this many files are shipped in parallel, since each has its own chunks in memory.
const MOST: usize = 8;

/// One file for each core.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST)
}

async fn run(config: Config, request: &ReplayRequest) -> anyhow::Result<ReplayReport> {
    let (stop, stopped) = watch::channel(false);
    let signals = stop_on_signal(stop)?;
    let job = Job::new(config, request, stopped)?;
    let mut summary = Summary::default();
    if request.is_stdin() {
        stdin::ship(&job, &mut summary).await?;
    } else {
        let files = job.plan.files(&job)?;
        if !files.is_empty() {
            summary.add(job.ship(&files, &job.loaded).await?);
        }
    }
    signals.abort();
    let report = summary.report(&job);
    if report.result == ReplayResult::Done {
        plan::forget(&job.store);
    }
    Ok(report)
}

impl ReplayRequest {
    fn is_stdin(&self) -> bool {
        self.paths.iter().any(|path| path.as_os_str() == STDIN)
    }
}

impl Job {
    fn new(
        mut config: Config,
        request: &ReplayRequest,
        stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        if request.paths.len() > 1 && request.is_stdin() {
            return Err(NotAccepted::error(
                "`-` cannot be combined with files: replay files and standard input one after the other",
            ));
        }
        let input = plan::input(&config, request.input.as_deref())?.clone();
        let agent = Store::load(&config.state_dir)?.state;
        let outputs = plan::outputs(&config, &agent, &input, &request.outputs)?;
        let node = request.node.clone().or(config.node.clone()).ok_or_else(|| {
            NotAccepted::error(
                "which node wrote the log? Add --node NAME, or set `node` in the configuration; the name of this machine is not used, since the log may be another machine's",
            )
        })?;
        config.node = Some(node.clone());
        config.outputs = outputs;
        for output in &mut config.outputs {
            let rates = [output.max_bytes_per_second, request.max_bytes_per_second];
            output.max_bytes_per_second = rates.into_iter().flatten().min();
        }
        let key = plan::key(&config)?;
        let transforms = Transforms::with(&config, &key, request.filter.as_deref())?;
        let store = Arc::new(plan::open(&config, &input, &node, request)?);
        let loaded = Store::load(store.directory())?;
        let telemetry = parts::telemetry(&config, &node);
        let outputs = config.outputs.clone();
        let plan = ReplayPlan::new(request);
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
            at_least_once: request.at_least_once,
            stopped,
        })
    }

    /// Ships files to all outputs, and continues from the progress in `loaded`.
    async fn ship(&self, files: &[Listed], loaded: &Loaded) -> anyhow::Result<Vec<Shipped>> {
        ship::ship(self, files, loaded).await
    }
}
