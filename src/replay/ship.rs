//! Connects files to outputs: several pipelines for each output, each with some of the files, which it ships oldest
//! first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::preflight::{is_empty, output};
use super::progress::Progress as Showing;
use super::{Job, cores};
use crate::agent::parts;
use crate::agent::wiring::{EarlierState, Shared, Wiring};
use crate::checkpoint::{ALL, CheckpointWriter, Ledger, Loaded, Origin, Pair, State};
use crate::config;
use crate::dead_letters::DeadLetters;
use crate::event::{Cursor, Fingerprint, IdScheme, Progress};
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
    let mut all = Vec::new();
    for output in &job.outputs {
        all.push(lanes(job, output, files, loaded, &selection, &moved).await?);
    }
    let ledgers: Vec<_> = all.iter().flat_map(|lanes| lanes.ledgers.clone()).collect();
    let state = State { node: job.node.clone(), ..State::default() };
    let interval = job.config.checkpoint_interval;
    let keeper = CheckpointWriter::new(
        Arc::clone(&job.store),
        state,
        ledgers.clone(),
        interval,
        job.telemetry.clone(),
    );
    let keeper_stop = Arc::<Notify>::default();
    let keeper = tokio::spawn(keeper.run(Arc::clone(&moved), Arc::clone(&keeper_stop)));
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

/// How many files go to an output at a time: one, if it keeps the order of events.
fn lanes_of(output: &config::Output, files: usize) -> usize {
    if Capabilities::of(&output.kind).ordered { 1 } else { cores().min(files).max(1) }
}

/// Builds the pipelines of one output.
async fn lanes(
    job: &Job,
    config: &config::Output,
    files: &[Listed],
    loaded: &Loaded,
    selection: &Arc<Selection>,
    moved: &Arc<Notify>,
) -> anyhow::Result<Lanes> {
    let count = lanes_of(config, files.len());
    let known = known(loaded, &config.name);
    // The id schemes of this replay, and of the agent before.
    let agent = job.agent.pair(&job.input.name, &config.name);
    let mut ids = parts::all_ids(agent);
    ids.extend(known.ids.iter().cloned());
    let wiring = Wiring {
        config: &job.config,
        input: &job.input,
        output: config,
        node: &job.node,
        directory: job.store.directory(),
        telemetry: &job.telemetry,
        lanes: count,
    };
    let output = Arc::new(output(job, &wiring, files, &ids).await?);
    let stdout = output.cut_back().filter(|file| file.is_stdout()).cloned();
    // Requests of a killed process may still be in flight.
    let killed = known.reserved > 0;
    let until = Instant::now() + if killed { wiring.settings().timeout } else { Duration::ZERO };
    let earlier = known.scopes.iter().chain(agent.into_iter().flat_map(|pair| &pair.scopes));
    let scopes = parts::scopes(&output, earlier);
    // Any event may be stored already, by anybody.
    let mut origin = Origin::Lost(String::new());
    if let Some(store) = output.queryable() {
        tokio::time::sleep_until(until.into()).await;
        let asked = is_empty(job, store, &scopes, files).await;
        let empty = asked.with_context(|| format!("outputs.{}", config.name))?;
        // A store may hide for a while what an earlier run has sent.
        if empty && known.generations.is_empty() && !killed {
            origin = Origin::First;
        }
    }
    let letters = wiring.letters()?;
    let counts = Arc::<Counts>::default();
    let shared = Shared {
        transforms: &job.transforms,
        moved,
        lives: Arc::default(),
        replay: Some((Arc::clone(selection), Arc::clone(&counts))),
    };
    let (large, earlier) = (Large::default(), known.complete());
    let (mut pipelines, mut ledgers) = (Vec::new(), Vec::new());
    for lane in 0..count {
        let mine: Vec<_> = files.iter().skip(lane).step_by(count).cloned().collect();
        let cursor = known.cursor_of(&mine);
        let input = Input::finite(job.input.clone(), job.key.clone(), &mine);
        let reader = wiring.reader(&input, Some(cursor.clone()), &large);
        let pair = Pair {
            input: job.input.name.to_string(),
            output: lane_name(&config.name, lane),
            cursor,
            scopes: scopes.clone(),
            ids: known.ids.clone(),
            file: known.file,
            ..Pair::default()
        };
        let (pipeline, ledger) = wiring.pipeline(
            (Arc::new(input), reader),
            &output,
            letters.clone(),
            EarlierState { pair, origin: &origin, until },
            &shared,
        )?;
        pipelines.push(pipeline);
        ledgers.push(ledger);
    }
    refuse_unknown_file(&output, &known)?;
    let shipped = Shipped {
        output: Arc::clone(&config.name),
        files: files.to_vec(),
        counts,
        reached: HashMap::new(),
        earlier,
        letters,
        clean: false,
        reader_gone: false,
        by_position: Capabilities::of(&config.kind).by_position,
    };
    Ok(Lanes { shipped, pipelines, ledgers, stdout })
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

/// The progress of an earlier run of the same command at one output.
#[derive(Default)]
pub(super) struct EarlierRun {
    pub(super) generations: BTreeMap<Fingerprint, Progress>,
    reserved: u64,
    scopes: Vec<String>,
    ids: Vec<IdScheme>,
    file: Option<crate::event::FileMark>,
}

fn known(loaded: &Loaded, output: &str) -> EarlierRun {
    let mut known = EarlierRun::default();
    let is_lane =
        |pair: &&Pair| pair.output.strip_prefix(output).is_some_and(|rest| rest.starts_with('/'));
    for pair in loaded.state.pairs.iter().filter(is_lane) {
        known.generations.extend(pair.cursor.generations.clone());
        known.reserved = known.reserved.max(pair.reserved);
        known.scopes.extend(pair.scopes.iter().cloned());
        let new: Vec<_> = pair.ids.iter().filter(|ids| !known.ids.contains(ids)).cloned().collect();
        known.ids.extend(new);
        known.file = pair.file.or(known.file);
    }
    if matches!(loaded.origin, Origin::Previous(_) | Origin::Lost(_) | Origin::Restored(_)) {
        known.reserved = ALL;
    }
    known
}

impl EarlierRun {
    fn complete(&self) -> HashSet<Fingerprint> {
        let complete = self.generations.iter().filter(|(_, progress)| progress.complete);
        complete.map(|(fingerprint, _)| *fingerprint).collect()
    }

    fn cursor_of(&self, files: &[Listed]) -> Cursor {
        let of = |file: &Listed| {
            Some((file.fingerprint(), self.generations.get(&file.fingerprint())?.clone()))
        };
        Cursor { generations: files.iter().filter_map(of).collect(), since: None, watched: None }
    }
}
