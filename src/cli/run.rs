//! `run`: builds the rooms from a configuration, starts them, waits for a signal, drains.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::ExitCode;
use super::start::{node_name, output};
use crate::checkpoint::{Budget, FileMark, Keeper, Ledger, Loaded, Origin, Pair, Store};
use crate::config::{self, Config, OutputKind};
use crate::event::Key;
use crate::input::{Input, Large, Limits, Reader};
use crate::output::{File, FileMark as OutputMark, Output};
use crate::pipeline::{Doubts, Ended, Pipeline, Refused, Settings};
use crate::server;
use crate::telemetry::{Identity, Telemetry, systemd};

/// Between two looks at the disk.
const LOOK_AT_DISK: Duration = Duration::from_secs(10);

/// See the module.
pub(super) fn run(config: Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Two, so that one can build a request while the other waits for the network; reading has threads of its own.
        .worker_threads(2)
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(follow(config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn follow(config: Config) -> anyhow::Result<ExitCode> {
    let store = Arc::new(Store::open(&config.state_dir)?);
    let key = store.key()?;
    let loaded = Store::load(store.directory())?;
    tell_origin(&loaded.origin);
    let node = node_name(&config, &loaded.state.node)?;
    let telemetry = Telemetry::new(Identity {
        node: node.clone(),
        cluster: config.cluster.clone(),
        version: env!("CARGO_PKG_VERSION"),
    });
    let (stop, stopped) = watch::channel(false);
    let signals = signals(stop.clone())?;
    let page = serve(&config, &telemetry, stopped.clone()).await?;

    let moved = Arc::<Notify>::default();
    let house = House {
        config: &config,
        key,
        loaded: &loaded,
        node: &node,
        telemetry: &telemetry,
        store: &store,
        moved: &moved,
    };
    let (inputs, pipelines, ledgers) = house.build()?;
    let mut state = loaded.state.clone();
    state.node.clone_from(&node);
    let keeper = Keeper::new(
        Arc::clone(&store),
        state,
        ledgers,
        config.checkpoint_interval,
        telemetry.clone(),
    );
    let keeper_stop = Arc::<Notify>::default();
    let keeper = tokio::spawn(keeper.run(Arc::clone(&moved), Arc::clone(&keeper_stop)));
    let disk =
        tokio::spawn(watch_disk(Budget::new(&config.state_dir, config.disk), telemetry.clone()));

    let mut running = JoinSet::new();
    for pipeline in pipelines {
        running.spawn(pipeline.run(stopped.clone()));
    }
    tracing::info!(
        node,
        version = env!("CARGO_PKG_VERSION"),
        inputs = inputs.len(),
        pipelines = running.len(),
        "started"
    );
    if let Some(page) = page {
        tracing::info!(page, "status page");
    }
    systemd::ready();
    let report = tokio::spawn(systemd::report(telemetry.clone(), config.unready_after));

    let ended = wait_for_end(&mut running, stopped, &stop, &inputs).await;
    keeper_stop.notify_one();
    let saved = keeper.await.context("the task that writes the checkpoint broke")?;
    for task in [signals, disk, report] {
        task.abort();
    }
    let clean = ended?
        && saved
            .map_err(|error| tracing::error!(%error, "the last checkpoint could not be written"))
            .is_ok();
    tracing::info!(clean, "ended");
    Ok(if clean { ExitCode::Done } else { ExitCode::Failed })
}

/// Waits until all pipelines have ended; whether everything that was sent is acknowledged.
async fn wait_for_end(
    running: &mut JoinSet<std::io::Result<Ended>>,
    stopped: watch::Receiver<bool>,
    stop: &watch::Sender<bool>,
    inputs: &[Arc<Input>],
) -> anyhow::Result<bool> {
    let told = async {
        until(stopped).await;
        systemd::stopping();
        tracing::info!("stopping, waiting for what is under way");
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
            // One that ended by itself ends all: a restart is the way to begin again.
            stop.send_replace(true);
        }
        broken.map_or(Ok(clean), Err)
    };
    tokio::select! {
        ended = all => ended,
        () = told => Ok(false),
    }
}

/// What the rooms are built from.
struct House<'a> {
    config: &'a Config,
    key: Key,
    loaded: &'a Loaded,
    node: &'a str,
    telemetry: &'a Telemetry,
    store: &'a Arc<Store>,
    moved: &'a Arc<Notify>,
}

type Rooms = (Vec<Arc<Input>>, Vec<Pipeline>, Vec<Arc<Ledger>>);

impl House<'_> {
    /// Makes every input and pipeline. An input is started when all its readers are known.
    fn build(&self) -> anyhow::Result<Rooms> {
        let (mut inputs, mut pipelines, mut ledgers) = (Vec::new(), Vec::new(), Vec::new());
        let large = Large::default();
        for input_config in &self.config.inputs {
            let mut input = Input::new(input_config.clone(), self.key.clone());
            let outputs = self
                .config
                .outputs
                .iter()
                .filter(|output| output.inputs.contains(&input_config.name));
            let readers: Vec<_> = outputs
                .map(|output| (output, self.reader(&input, input_config, output, &large)))
                .collect();
            let heart = self.telemetry.heart(format!("the input {}", input_config.name));
            input.start(self.telemetry.input(&input_config.name), heart)?;
            let input = Arc::new(input);
            for (output_config, reader) in readers {
                let (pipeline, ledger) =
                    self.pipeline(&input, reader, &input_config.name, output_config)?;
                pipelines.push(pipeline);
                ledgers.push(ledger);
            }
            inputs.push(input);
        }
        Ok((inputs, pipelines, ledgers))
    }

    fn reader(
        &self,
        input: &Input,
        input_config: &config::FileInput,
        output: &config::Output,
        large: &Large,
    ) -> Reader {
        let known = self.loaded.state.pair(&input_config.name, &output.name);
        let limits = Limits {
            max_bytes: output.batch.max_bytes,
            max_events: output.batch.max_events,
            max_line_bytes: usize::try_from(input_config.max_line_bytes).unwrap_or(usize::MAX),
        };
        input.reader(
            known.map(|pair| pair.cursor.clone()),
            limits,
            output.batch.max_age,
            large.clone(),
        )
    }

    fn pipeline(
        &self,
        input: &Arc<Input>,
        reader: Reader,
        input_name: &Arc<str>,
        output_config: &config::Output,
    ) -> anyhow::Result<(Pipeline, Arc<Ledger>)> {
        let names = (Arc::clone(input_name), Arc::clone(&output_config.name));
        let known = self.loaded.state.pair(&names.0, &names.1).cloned();
        let pair = known.unwrap_or_else(|| Pair {
            input: names.0.to_string(),
            output: names.1.to_string(),
            ..Pair::default()
        });
        let output = output(self.config, output_config, self.node, &names.0)?;
        let settings = settings(self.config, output_config);
        let doubts = Doubts::new(
            &pair,
            &self.loaded.origin,
            &output.scope(),
            Instant::now() + settings.timeout,
        );
        let mut books = Pair { reserved: doubts.reserved(), ..pair };
        let (ledger, doubts) = match &output {
            Output::File(file) => {
                open_file(file, &mut books)?;
                let file = file.clone();
                let doubts = Doubts::new(&books, &Origin::Current, "", Instant::now());
                (Ledger::of_file(books, Arc::clone(self.moved), move || file.sync()), doubts)
            }
            _ => (Ledger::new(books, output.scope(), Arc::clone(self.moved)), doubts),
        };
        let ledger = Arc::new(ledger);
        let budget = Budget::new(self.store.directory(), self.config.disk);
        let refused = Refused::open(self.store.directory(), &names.0, &names.1, budget)
            .with_context(|| {
                format!("cannot open the refused events below {}", self.store.directory().display())
            })?;
        let pipeline = Pipeline::new(
            Arc::clone(input),
            reader,
            output,
            names,
            refused,
            Arc::clone(&ledger),
            doubts,
            settings,
            self.telemetry,
        );
        Ok((pipeline, ledger))
    }
}

/// Opens a file output where its checkpoint says; nothing of it is in doubt then.
fn open_file(file: &File, books: &mut Pair) -> anyhow::Result<()> {
    let mark = books.file.map(|mark| OutputMark { sequence: mark.sequence, length: mark.length });
    file.open(mark).with_context(|| format!("cannot write to {}", file.path().display()))?;
    let OutputMark { sequence, length } = file.mark();
    (books.reserved, books.file) = (0, Some(FileMark { sequence, length }));
    Ok(())
}

fn settings(config: &Config, output: &config::Output) -> Settings {
    let timeout = match &output.kind {
        OutputKind::Loki(loki) => loki.http.timeout,
        OutputKind::Elasticsearch(elasticsearch) => elasticsearch.http.timeout,
        OutputKind::File(_) => Duration::ZERO,
    };
    Settings {
        in_flight: output.in_flight,
        retry: output.retry,
        max_bytes_per_second: output.max_bytes_per_second,
        timeout,
        drain_timeout: config.drain_timeout,
    }
}

fn tell_origin(origin: &Origin) {
    match origin {
        Origin::First => tracing::info!("first start in this state directory"),
        Origin::Current => {}
        Origin::Previous(why) => tracing::error!(
            why,
            "the last checkpoint is unusable, going on from the one before; what may have been sent is looked up"
        ),
        Origin::Lost(why) => tracing::error!(
            why,
            "no checkpoint is usable, reading everything again; what may have been sent is looked up"
        ),
    }
}

/// Starts the page and the socket for `status`; answers the page's address.
async fn serve(
    config: &Config,
    telemetry: &Telemetry,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Option<String>> {
    let socket = socket(config);
    let local = server::local::bind(&socket).with_context(|| {
        format!("cannot listen on {}: choose a shorter `state_dir`", socket.display())
    })?;
    tokio::spawn(server::answer_locally(
        local,
        telemetry.clone(),
        config.unready_after,
        until(stopped.clone()),
    ));
    let Some(listen) = &config.server.listen else { return Ok(None) };
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}: free the port, or set `listen` in [server]")
    })?;
    let page = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(server::serve(listener, telemetry.clone(), config.unready_after, until(stopped)));
    Ok(Some(page))
}

/// The socket through which `status` asks the running agent.
pub(super) fn socket(config: &Config) -> PathBuf {
    config.state_dir.join("agent.sock")
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // The sender lives as long as the process does.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Turns SIGTERM and Ctrl-C into a stop; a second one ends the process at once.
fn signals(stop: watch::Sender<bool>) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut terminate, mut interrupt, mut hang_up) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
        listen(SignalKind::hangup())?,
    );
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hang_up.recv() => {
                    tracing::warn!("this version does not reload its configuration, restart it instead");
                    continue;
                }
            }
            if stop.send_replace(true) {
                tracing::warn!("ending at once, what is under way is in doubt");
                std::process::exit(ExitCode::Failed as i32);
            }
        }
    }))
}

/// Looks at the disk budget now and then. Never returns.
async fn watch_disk(budget: Budget, telemetry: Telemetry) {
    let mut ticks = tokio::time::interval(LOOK_AT_DISK);
    loop {
        ticks.tick().await;
        if let Ok(usage) = budget.usage() {
            telemetry.disk().state_bytes.set(usage.used);
        }
        match budget.room(0) {
            Ok(room) => telemetry.disk().set_spent(room.err()),
            Err(error) => tracing::warn!(%error, "cannot look at the disk of the state directory"),
        }
    }
}
