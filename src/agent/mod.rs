//! The running agent: takes over the state of renamed inputs (`renames.rs`), builds its parts (`build.rs`), starts
//! them, waits for a signal, and drains. `replay` and `dead-letters` build their parts with the same functions
//! (`wiring.rs`, `parts.rs`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

mod build;
pub(crate) mod by_name;
pub(crate) mod confined;
pub(crate) mod control;
pub(crate) mod exposed;
mod in_force;
pub(crate) mod memory;
pub(crate) mod offline;
pub(crate) mod own_files;
pub(crate) mod parts;
mod renames;
pub(crate) mod signals;
#[cfg(test)]
mod tests;
pub(crate) mod transforms;
mod watches;
pub(crate) mod wiring;

use crate::checkpoint::{Budget, CheckpointError, CheckpointWriter, Loaded, Origin, State, Store};
use crate::config::Config;
use crate::confine::Replaced;
use crate::disk;
use crate::event::Key;
use crate::input::{Input, not_a_file};
use crate::pipeline::Ended;
use crate::receive;
use crate::server::{self, Hosts, Served};
use crate::telemetry::{InputFinding, Telemetry, human, systemd};
use build::{AgentBuilder, AgentParts, Listeners, listen_for_webhooks};
use control::{DeadLetterControl, answer_letters};
use parts::{node_name, socket};
use signals::{listen, stop_on_signal};
use transforms::{NotAccepted, Transforms};
use wiring::Shared;

/// Time beyond `drain_timeout` for the rest of the shutdown, which takes none unless the file system hangs.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the agent until a signal or an error ends it; returns whether everything that was sent is acknowledged and
/// in a checkpoint.
pub(crate) fn run(config: Config, path: &Path) -> anyhow::Result<bool> {
    // It reports its own errors when it is opened.
    let _ = disk::create_dir_all(&config.state_dir);
    // Threads inherit the confinement of the one that starts them.
    let replaced = confined::confine_to(&config, path);
    // Two, so that one can build a request while the other waits for the network. The readers have their own threads.
    let runtime = parts::runtime(2)?;
    let result = runtime.block_on(follow(config, path, replaced));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn follow(config: Config, path: &Path, replaced: Replaced) -> anyhow::Result<bool> {
    // First of all, since a signal that nobody listens for ends the process.
    let (stop, stopped) = watch::channel(false);
    let hang_up = listen(SignalKind::hangup())?;
    let signals = stop_on_signal(stop.clone())?;
    refuse_odd_files(&config)?;
    own_files::refuse(&config, path)?;
    let open = Opened::new(&config)?;
    // Keeps the state directory locked until no task of this process uses it.
    let store = Arc::clone(&open.store);
    let telemetry = open.telemetry(&config);
    telemetry.set_in_force(in_force::of(&config, path));
    let (asks, asked) = mpsc::channel(4);
    let transforms = Arc::new(Transforms::new(&config, &open.key)?);
    let page = serve(&config, &telemetry, stopped.clone(), asks).await?;
    let listeners = listen_for_webhooks(&config).await?;
    let agent = Agent::start(&config, open, (&transforms, &listeners), &telemetry, &stopped)?;
    let letters = tokio::spawn(answer_letters(agent.letterboxes.clone(), asked));
    let disk =
        tokio::spawn(watches::disk(Budget::new(&config.state_dir, config.disk), telemetry.clone()));
    tracing::info!(
        node = agent.node,
        version = env!("CARGO_PKG_VERSION"),
        inputs = agent.inputs.len(),
        pipelines = agent.running.len(),
        memory_bound = human::size(memory::bound(&config)),
        "started"
    );
    exposed::tell(&config, path);
    if let Some(page) = page {
        tracing::info!(page, "status page");
    }
    systemd::ready();
    let report = tokio::spawn(systemd::report(telemetry.clone(), config.unready_after));
    let hangs = tokio::spawn(watches::hangs(telemetry.clone()));
    let samples = tokio::spawn(watches::sample(telemetry.clone()));
    let replacement = tokio::spawn(confined::stop_when_replaced(replaced, stop.clone()));
    let path = path.to_owned();
    let reload =
        reload(transforms, path, config.clone(), telemetry.clone(), hang_up, stopped.clone());
    let reload = tokio::spawn(reload);
    let ended = agent.end(&stop, config.drain_timeout).await;
    server::local::unbind(&socket(&config));
    drop(store);
    for task in [signals, disk, report, letters, reload, hangs, samples] {
        task.abort();
    }
    let clean = ended?;
    if replacement.is_finished() {
        replacement.await??;
    } else {
        replacement.abort();
    }
    tracing::info!(clean, "ended");
    Ok(clean)
}

/// Waiting does not help if the log's path is a FIFO, a device or a directory.
fn refuse_odd_files(config: &Config) -> anyhow::Result<()> {
    for input in config.logs() {
        if let Some(InputFinding { what, hint, .. }) = not_a_file(&input.path) {
            return Err(NotAccepted::error(format!("inputs.{}: {what}: {hint}", input.name)));
        }
    }
    Ok(())
}

/// The state directory and the state that was loaded from it.
struct Opened {
    store: Arc<Store>,
    key: Key,
    loaded: Loaded,
    node: String,
}

impl Opened {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let store = Arc::new(Store::open(&config.state_dir)?);
        let key = store.key();
        let mut loaded = Store::load(store.directory())?;
        tell_origin(&loaded);
        let node = node_name(config, &loaded.state.node)?;
        renames::take_over(config, &node, &key, &mut loaded.state)?;
        renames::note_paths(config, &mut loaded.state);
        Ok(Self { store, key, loaded, node })
    }

    fn telemetry(&self, config: &Config) -> Telemetry {
        let telemetry = parts::telemetry(config, &self.node);
        telemetry.set_memory_bound(memory::bound(config));
        telemetry.disk().set_forged(self.loaded.forged.clone());
        telemetry
    }
}

/// The inputs and the tasks of a running agent.
struct Agent {
    node: String,
    inputs: Vec<Arc<Input>>,
    letterboxes: Arc<[DeadLetterControl]>,
    running: JoinSet<std::io::Result<Ended>>,
    stopped: watch::Receiver<bool>,
    keeper: tokio::task::JoinHandle<Result<(), CheckpointError>>,
    keeper_stop: Arc<Notify>,
    /// The thread of all webhooks.
    receiving: Option<JoinHandle<()>>,
}

impl Agent {
    fn start(
        config: &Config,
        Opened { store, key, loaded, node }: Opened,
        (transforms, listeners): (&Transforms, &Listeners),
        telemetry: &Telemetry,
        stopped: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let moved = Arc::<Notify>::default();
        let builder = AgentBuilder {
            config,
            key,
            loaded: &loaded,
            node: &node,
            telemetry,
            store: &store,
            shared: Shared { transforms, moved: &moved, lives: Arc::default(), replay: None },
            listeners,
        };
        let AgentParts { inputs, pipelines, ledgers, letterboxes, receivers } = builder.build()?;
        let receiving = receive::start(receivers, stopped.clone())?;
        let state = State { node: node.clone(), ..loaded.state };
        let interval = config.checkpoint_interval;
        let rolls = inputs.iter().map(|input| input.roll()).collect();
        let keeper = CheckpointWriter::new(store, state, ledgers, interval, telemetry.clone())
            .with_rolls(rolls)
            .telling(build::saved(config, &inputs));
        let keeper_stop = Arc::<Notify>::default();
        let keeper = tokio::spawn(keeper.run(moved, Arc::clone(&keeper_stop)));
        let mut running = JoinSet::new();
        for pipeline in pipelines {
            running.spawn(pipeline.run(stopped.clone()));
        }
        let (letterboxes, stopped) = (letterboxes.into(), stopped.clone());
        Ok(Self { node, inputs, letterboxes, running, stopped, keeper, keeper_stop, receiving })
    }

    /// Waits until all pipelines have stopped; returns whether everything that was sent is acknowledged and in a
    /// checkpoint. Does not wait longer than `drain` plus [`GRACE`] for a file system that hangs.
    async fn end(mut self, stop: &watch::Sender<bool>, drain: Duration) -> anyhow::Result<bool> {
        let overdue = async {
            until(self.stopped.clone()).await;
            tokio::time::sleep(drain + GRACE).await;
        };
        let ended = tokio::select! {
            ended = wait_for_end(&mut self.running, self.stopped.clone(), stop, &self.inputs) => ended,
            () = overdue => {
                tracing::error!("a pipeline hangs in the file system and is abandoned; the next start verifies its unacknowledged requests");
                Ok(false)
            }
        };
        if let Some(receiving) = self.receiving.take() {
            // It answers what it has taken, and ends by itself.
            let _ = tokio::task::spawn_blocking(|| receiving.join()).await;
        }
        self.keeper_stop.notify_one();
        let Ok(kept) = tokio::time::timeout(GRACE, self.keeper).await else {
            tracing::error!(
                "the state directory's file system does not answer: the last checkpoint is not written"
            );
            return ended.map(|_| false);
        };
        let saved = kept
            .context("the task that writes the checkpoint broke")?
            .map_err(|error| tracing::error!(%error, "the last checkpoint could not be written"));
        Ok(ended? && saved.is_ok())
    }
}

/// Waits until all pipelines have ended; returns whether everything that was sent is acknowledged.
async fn wait_for_end(
    running: &mut JoinSet<std::io::Result<Ended>>,
    stopped: watch::Receiver<bool>,
    stop: &watch::Sender<bool>,
    inputs: &[Arc<Input>],
) -> anyhow::Result<bool> {
    let told = async {
        until(stopped).await;
        systemd::stopping();
        for input in inputs {
            input.stop();
        }
        std::future::pending::<()>().await;
    };
    let all = async {
        let (mut clean, mut broken) = (true, None);
        while let Some(ended) = running.join_next().await {
            match ended.map_err(anyhow::Error::from).and_then(|ended| Ok(ended?)) {
                Ok(Ended::Drained) => {}
                Ok(Ended::TimedOut) => clean = false,
                Ok(Ended::Broken) => {
                    let what = "a pipeline broke, which is a fault of the program: see the log";
                    broken = broken.or(Some(anyhow::anyhow!(what)));
                }
                Err(error) => broken = broken.or(Some(error)),
            }
            // If one pipeline ends by itself, all end: the service manager restarts the agent.
            stop.send_replace(true);
        }
        broken.map_or(Ok(clean), Err)
    };
    tokio::select! {
        ended = all => ended,
        () = told => Ok(false),
    }
}

fn tell_origin(Loaded { origin, forged, is_signed, .. }: &Loaded) {
    if let Some(what) = forged {
        tracing::error!(
            what,
            "a checkpoint failed authentication and is not used, so it skips no event: find out who may write to the state directory"
        );
    }
    if !is_signed {
        tracing::info!(
            "the checkpoint is of an earlier version, which did not authenticate it: accepted this once"
        );
    }
    match origin {
        Origin::First => tracing::info!("first start in this state directory"),
        Origin::Current => {}
        Origin::Previous(why) => tracing::error!(
            why,
            "the last checkpoint is unusable, continuing from the previous one; events that may have been sent are looked up"
        ),
        Origin::Restored(why) => tracing::error!(
            why,
            "the state directory is a copy (restored from a backup, or a machine rolled back), so this node may have sent more than the checkpoint knows; every event on disk is looked up before it is sent"
        ),
        Origin::Lost(why) => tracing::error!(
            why,
            "no checkpoint is usable, reading everything again; events that may have been sent are looked up"
        ),
    }
}

/// Starts the status page and the socket for `status`, `probe` and `dead-letters`; returns the page's address.
async fn serve(
    config: &Config,
    telemetry: &Telemetry,
    stopped: watch::Receiver<bool>,
    asks: mpsc::Sender<server::ControlCall>,
) -> anyhow::Result<Option<String>> {
    let socket = socket(config);
    let local = server::local::bind(&socket).map_err(|error| {
        let hint = server::local::way_out(&error);
        anyhow::Error::new(error).context(format!("cannot listen on {}: {hint}", socket.display()))
    })?;
    let pages = match &config.server.listen {
        None => None,
        Some(listen) => Some(server::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen}: free the port, or set `listen` in [server]")
        })?),
    };
    let page = match &pages {
        None => None,
        Some(listener) => Some(format!("http://{}/", listener.local_addr()?)),
    };
    let served = Served {
        telemetry: telemetry.clone(),
        unready_after: config.unready_after,
        hosts: hosts(config, telemetry),
        asks,
    };
    server::start(served, pages, local, stopped)
        .context("cannot start the thread of the status page")?;
    Ok(page)
}

/// The host names that the status page answers to, besides those that it always accepts.
fn hosts(config: &Config, telemetry: &Telemetry) -> Hosts {
    let machine = rustix::system::uname();
    let own = [Some(telemetry.identity().node.as_str()), machine.nodename().to_str().ok()];
    let listed = config.server.allowed_hosts.iter().map(String::as_str);
    Hosts::new(own.into_iter().flatten().chain(listed))
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // The sender lives as long as the process.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Reloads the transforms at each SIGHUP. Never returns.
async fn reload(
    transforms: Arc<Transforms>,
    path: PathBuf,
    running: Config,
    telemetry: Telemetry,
    mut hang_up: Signal,
    stopped: watch::Receiver<bool>,
) {
    loop {
        hang_up.recv().await;
        if *stopped.borrow() {
            // A service manager may send SIGHUP together with SIGTERM. That does not ask for a reload.
            continue;
        }
        systemd::reloading();
        tokio::task::block_in_place(|| transforms.reload(&path, &running, &telemetry));
        systemd::ready();
    }
}
