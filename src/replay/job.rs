//! Everything that a replay needs: what it reads, where it sends, and its checkpoint.

use std::sync::Arc;

use tokio::sync::watch;

use super::plan::{self, RecordedLog, ReplayPlan};
use super::request::ReplayRequest;
use crate::agent::by_name::log_named;
use crate::agent::parts;
use crate::agent::transforms::{NotAccepted, Transforms};
use crate::checkpoint::{Loaded, State, Store};
use crate::config::Config;
use crate::telemetry::Telemetry;

/// Everything that a replay needs.
pub(super) struct Job {
    /// With the outputs of this replay only.
    pub(super) config: Config,
    pub(super) log: RecordedLog,
    pub(super) transforms: Transforms,
    /// The state of this configuration's agent, as of the start of the replay.
    pub(super) agent: State,
    /// Directory, lock and checkpoint of this replay.
    pub(super) store: Arc<Store>,
    pub(super) loaded: Loaded,
    pub(super) telemetry: Telemetry,
    pub(super) plan: ReplayPlan,
    /// See [`ReplayRequest::at_least_once`].
    pub(super) at_least_once: bool,
    /// True as soon as the replay shall stop.
    pub(super) stopped: watch::Receiver<bool>,
}

impl Job {
    /// # Errors
    /// If the request or the configuration is refused, or if the checkpoint cannot be opened.
    pub(super) fn new(
        mut config: Config,
        request: &ReplayRequest,
        stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        if request.paths.len() > 1 && request.is_stdin() {
            return Err(NotAccepted::error(
                "`-` cannot be combined with files: replay files and standard input one after the other",
            ));
        }
        let input = log_named(&config, request.input.as_deref())?.clone();
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
        let plan = ReplayPlan::new(request);
        Ok(Self {
            config,
            log: RecordedLog { input, node, key },
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
}
