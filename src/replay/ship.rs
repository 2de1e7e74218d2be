//! Connects files to outputs: several pipelines for each output, each with some of the files, which it ships oldest
//! first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::earlier_run::EarlierRun;
use super::job::Job;
use super::plan::RecordedLog;
use super::preflight;
use super::progress::Progress as Showing;
use crate::agent::parts;
use crate::agent::wiring::{EarlierState, Shared, Wiring};
use crate::checkpoint::{CheckpointWriter, Ledger, Loaded, Origin, State};
use crate::config;
use crate::dead_letters::DeadLetters;
use crate::event::{Fingerprint, Progress};
use crate::input::{Input, Large, Listed};
use crate::output::{Capabilities, File, Output};
use crate::pipeline::{Counts, Ended, Pipeline, Selection};

/// The result of the files at one output.
pub(super) struct Shipped {
    pub(super) output: Arc<str>,
    pub(super) files: Vec<Listed>,
    pub(super) counts: Arc<Counts>,
    /// How far each file is shipped.
    pub(super) reached: HashMap<Fingerprint, Progress>,
    /// Files that an earlier run of the same command had shipped.
    pub(super) earlier: HashSet<Fingerprint>,
    pub(super) letters: DeadLetters,
    /// Everything that was sent is acknowledged and in the checkpoint.
    pub(super) clean: bool,
    /// The output is standard output, and its reader has closed it.
    pub(super) reader_gone: bool,
    /// See [`Capabilities::by_position`].
    pub(super) by_position: bool,
}

/// The pipelines of one output.
struct Lanes {
    shipped: Shipped,
    pipelines: Vec<Pipeline>,
    ledgers: Vec<Arc<Ledger>>,
    /// Standard output, if that is the output.
    stdout: Option<File>,
}

/// Ships files to all outputs of a replay; returns the result for each output.
pub(super) async fn ship(
    job: &Job,
    files: &[Listed],
    loaded: &Loaded,
) -> anyhow::Result<Vec<Shipped>> {
    let moved = Arc::<Notify>::default();
    let selection = Arc::new(job.plan.selection(files));
    let round = Round { job, files, loaded, selection, moved: Arc::clone(&moved) };
    let mut all = Vec::new();
    for output in &job.config.outputs {
        all.push(round.lanes(output).await?);
    }
    let ledgers: Vec<_> = all.iter().flat_map(|lanes| lanes.ledgers.clone()).collect();
    let state = State { node: job.log.node.clone(), ..State::default() };
    let interval = job.config.checkpoint_interval;
    let keeper = CheckpointWriter::new(
        Arc::clone(&job.store),
        state,
        ledgers.clone(),
        interval,
        job.telemetry.clone(),
    );
    let keeper_stop = Arc::<Notify>::default();
    let keeper = tokio::spawn(keeper.run(moved, Arc::clone(&keeper_stop)));
    let counts = all.iter().map(|lanes| Arc::clone(&lanes.shipped.counts)).collect();
    let showing = Showing::start(files, ledgers, counts, &job.telemetry);
    let mut running = JoinSet::new();
    let mut shipped = Vec::new();
    let stdout: Vec<_> = all.iter().filter_map(|lanes| lanes.stdout.clone()).collect();
    for Lanes { shipped: one, pipelines, ledgers, .. } in all {
        for pipeline in pipelines {
            running.spawn(pipeline.run(job.stopped.clone()));
        }
        shipped.push((one, ledgers));
    }
    let (mut clean, mut reader_gone) = (true, false);
    loop {
        let ended = tokio::select! {
            ended = running.join_next() => ended,
            () = gone(&stdout) => {
                // As after a kill: the checkpoint covers less than was sent.
                running.shutdown().await;
                (clean, reader_gone) = (false, true);
                None
            }
        };
        let Some(ended) = ended else { break };
        match ended.map_err(anyhow::Error::from).and_then(|ended| Ok(ended?))? {
            Ended::Drained => {}
            Ended::TimedOut => clean = false,
            Ended::Broken => {
                bail!("a pipeline broke, which is a fault of the program: see the log")
            }
        }
    }
    showing.end();
    keeper_stop.notify_one();
    let saved = keeper.await.context("the task that writes the checkpoint broke")?;
    if let Err(error) = &saved {
        tracing::error!(%error, "the last checkpoint could not be written");
    }
    clean &= saved.is_ok();
    let done = shipped.into_iter().map(|(one, ledgers)| {
        let cursors = ledgers.iter().map(|ledger| ledger.cursor().generations);
        Shipped { reached: cursors.flatten().collect(), clean, reader_gone, ..one }
    });
    Ok(done.collect())
}

/// Waits until the reader closes standard output, if that is an output.
async fn gone(stdout: &[File]) {
    match stdout {
        [] => std::future::pending().await,
        [file, ..] => file.reader_gone().await,
    }
}

/// At most this many files are shipped in parallel, since each has its own chunks in memory.
const MOST: usize = 8;

/// One file for each core.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST)
}

/// How many files go to an output at a time: one, if it keeps the order of events.
fn lanes_of(output: &config::Output, files: usize) -> usize {
    if Capabilities::of(&output.kind).ordered { 1 } else { cores().min(files).max(1) }
}

/// Files that are shipped to all outputs.
struct Round<'a> {
    job: &'a Job,
    files: &'a [Listed],
    loaded: &'a Loaded,
    selection: Arc<Selection>,
    /// Notified when a cursor has moved.
    moved: Arc<Notify>,
}

impl Round<'_> {
    /// Builds the pipelines of one output.
    async fn lanes(&self, config: &config::Output) -> anyhow::Result<Lanes> {
        let Self { job, files, .. } = *self;
        let RecordedLog { input: log, node, key } = &job.log;
        let count = lanes_of(config, files.len());
        let known = EarlierRun::of(self.loaded, &config.name);
        // The id schemes of this replay, and of the agent before.
        let agent = job.agent.pair(&log.name, &config.name);
        let mut ids = parts::all_ids(agent);
        ids.extend(known.ids.iter().cloned());
        let wiring = Wiring {
            config: &job.config,
            input: log,
            output: config,
            node,
            directory: job.store.directory(),
            telemetry: &job.telemetry,
            lanes: count,
        };
        let output = Arc::new(preflight::output(job, &wiring, files, &ids).await?);
        let stdout = output.cut_back().filter(|file| file.is_stdout()).cloned();
        let in_flight =
            if known.maybe_killed() { wiring.settings().timeout } else { Duration::ZERO };
        let until = Instant::now() + in_flight;
        let earlier = known.scopes.iter().chain(agent.into_iter().flat_map(|pair| &pair.scopes));
        let scopes = parts::scopes(&output, earlier);
        let origin = self.origin(&output, &config.name, &scopes, &known, until).await?;
        let shipped = Shipped {
            output: Arc::clone(&config.name),
            files: files.to_vec(),
            counts: Arc::default(),
            reached: HashMap::new(),
            earlier: known.complete(),
            letters: wiring.letters()?,
            clean: false,
            reader_gone: false,
            by_position: Capabilities::of(&config.kind).by_position,
        };
        let shared = Shared {
            transforms: &job.transforms,
            moved: &self.moved,
            lives: Arc::default(),
            replay: Some((Arc::clone(&self.selection), Arc::clone(&shipped.counts))),
        };
        let large = Large::default();
        let (mut pipelines, mut ledgers) = (Vec::new(), Vec::new());
        for lane in 0..count {
            let mine: Vec<_> = files.iter().skip(lane).step_by(count).cloned().collect();
            let cursor = known.cursor_of(&mine);
            let input = Input::finite(log.clone(), key.clone(), &mine);
            let reader = wiring.reader(&input, Some(cursor.clone()), &large);
            let pair = known.pair(&log.name, lane_name(&config.name, lane), cursor, &scopes);
            let (pipeline, ledger) = wiring.pipeline(
                (Arc::new(input), reader),
                &output,
                shipped.letters.clone(),
                EarlierState { pair, origin: &origin, until },
                &shared,
            )?;
            pipelines.push(pipeline);
            ledgers.push(ledger);
        }
        refuse_unknown_file(&output, &known)?;
        Ok(Lanes { shipped, pipelines, ledgers, stdout })
    }

    /// Which events an output may hold already: none if its store holds nothing of these times, or else any of them,
    /// since anybody may have stored them. Requests of a killed run may be in flight until `until`.
    async fn origin(
        &self,
        output: &Output,
        name: &str,
        scopes: &[String],
        known: &EarlierRun,
        until: Instant,
    ) -> anyhow::Result<Origin> {
        let any = Origin::Lost(String::new());
        let Some(store) = output.queryable() else { return Ok(any) };
        tokio::time::sleep_until(until.into()).await;
        let empty = preflight::is_empty(self.job, store, scopes, self.files).await;
        let empty = empty.with_context(|| format!("outputs.{name}"))?;
        // A store may hide for a while what an earlier run has sent.
        let first = empty && known.generations.is_empty() && !known.maybe_killed();
        Ok(if first { Origin::First } else { any })
    }
}

/// A file that no earlier run of this command has written.
fn refuse_unknown_file(output: &Output, known: &EarlierRun) -> anyhow::Result<()> {
    match output.cut_back() {
        Some(file) if known.file.is_none() && !file.is_stdout() && file.mark().length > 0 => {
            bail!(
                "{} exists already, with unknown content: move it away, or give the output another `path`",
                file.path().display()
            )
        }
        _ => Ok(()),
    }
}

/// A pipeline's name in the checkpoint. The number of pipelines may change from run to run.
fn lane_name(output: &str, lane: usize) -> String {
    format!("{output}/{lane}")
}
