//! Connects one input to one output: the only place that makes an output, its dead letters, its ledger and its pipeline
//! from the configuration. `run`, `replay` and `dead-letters resend` all use it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::Notify;

use super::parts;
use super::transforms::Transforms;
use crate::checkpoint::{Budget, Ledger, Origin, Pair};
use crate::config::{self, Config, FollowedLog};
use crate::dead_letters::DeadLetters;
use crate::event::{Cursor, IdScheme, RetryReason};
use crate::input::{Input, Large, Reader};
use crate::output::{Capabilities, Deduplication, Ended, Exchange, File, Meter, Output, Queryable};
use crate::pipeline::{
    Counts, HeartbeatSettings, InDoubt, Lives, Pipeline, PipelineParts, Selection, Settings,
};
use crate::telemetry::{Outcome, PairStats, Telemetry};

/// One input and one output of the configuration.
#[derive(Clone, Copy)]
pub(crate) struct Wiring<'a> {
    pub(crate) config: &'a Config,
    pub(crate) input: &'a FollowedLog,
    pub(crate) output: &'a config::Output,
    pub(crate) node: &'a str,
    /// The directory of the checkpoint and the dead letters: `state_dir`, or that of a replay.
    pub(crate) directory: &'a Path,
    pub(crate) telemetry: &'a Telemetry,
    /// How many pipelines share the output's rate limit.
    pub(crate) lanes: usize,
}

/// What the pipelines of a process share.
pub(crate) struct Shared<'a> {
    pub(crate) transforms: &'a Transforms,
    /// Notified when a cursor has moved.
    pub(crate) moved: &'a Arc<Notify>,
    pub(crate) lives: Arc<Lives>,
    /// For a replay: the events to ship, and the counts of their results by file.
    pub(crate) replay: Option<(Arc<Selection>, Arc<Counts>)>,
}

/// What an earlier process left.
pub(crate) struct EarlierState<'a> {
    pub(crate) pair: Pair,
    /// Decides which events are in doubt.
    pub(crate) origin: &'a Origin,
    /// By then the requests of that process have timed out.
    pub(crate) until: Instant,
}

impl Wiring<'_> {
    /// The output, whose requests are counted. It makes no request and opens no file yet. `earlier`: id schemes used
    /// before.
    ///
    /// # Errors If a file that its configuration names cannot be used.
    pub(crate) fn output(&self, earlier: &[IdScheme]) -> anyhow::Result<Output> {
        let Self { config, input, output, node, .. } = self;
        let stats = self.telemetry.pair(&input.name, &output.name);
        Ok(parts::output(config, output, node, &input.name, earlier)?.metered(meter(stats)))
    }

    /// The dead letters of this input and output.
    pub(crate) fn letters(&self) -> anyhow::Result<DeadLetters> {
        let budget = Budget::new(self.directory, self.config.disk);
        DeadLetters::open(self.directory, &self.input.name, &self.output.name, budget).with_context(
            || format!("cannot open the dead letters below {}", self.directory.display()),
        )
    }

    pub(crate) fn settings(&self) -> Settings {
        let timeout = self.output.kind.http().map_or(Duration::ZERO, |http| http.timeout);
        let share = |rate: u64| (rate / self.lanes as u64).max(1);
        Settings {
            in_flight: self.output.in_flight,
            retry: self.output.retry,
            max_bytes_per_second: self.output.max_bytes_per_second.map(share),
            timeout,
            drain_timeout: self.config.drain_timeout,
            heartbeat: self.heartbeat(),
        }
    }

    /// Only a store that can be asked has heartbeats. A file is cut back after a crash to what is acknowledged, which a
    /// heartbeat is not, and Falco would take a heartbeat for an event.
    fn heartbeat(&self) -> Option<HeartbeatSettings> {
        let store = Capabilities::of(&self.output.kind).deduplication == Deduplication::LookUp;
        let every = self.config.heartbeat.filter(|_| store)?;
        Some(HeartbeatSettings { every, unready_after: self.config.unready_after })
    }

    pub(crate) fn reader(&self, input: &Input, cursor: Option<Cursor>, large: &Large) -> Reader {
        let limits = parts::limits(self.output, self.input);
        input.reader(cursor, limits, self.output.batch.age, large.clone())
    }

    /// The pipeline from the reader to the output, and its ledger. Opens a file output.
    ///
    /// # Errors If the file of a file output cannot be written to.
    pub(crate) fn pipeline(
        &self,
        (input, reader): (Arc<Input>, Reader),
        output: &Arc<Output>,
        letters: DeadLetters,
        earlier: EarlierState<'_>,
        shared: &Shared<'_>,
    ) -> anyhow::Result<(Pipeline, Arc<Ledger>)> {
        // A replay reads each file once.
        let window = self.output.kind.resend_window().filter(|_| shared.replay.is_none());
        let (ledger, doubts) = ledger(output, earlier, window, shared.moved)?;
        let ledger = Arc::new(ledger);
        let parts = PipelineParts {
            input,
            reader,
            transform: shared.transforms.of(&self.output.name)?,
            output: Arc::clone(output),
            letters,
            ledger: Arc::clone(&ledger),
            doubts,
            settings: self.settings(),
            lives: Arc::clone(&shared.lives),
            stats: self.telemetry.pair(&self.input.name, &self.output.name),
            replay: shared.replay.clone(),
        };
        Ok((Pipeline::new(parts, self.telemetry), ledger))
    }
}

/// The ledger, and which events are in doubt. Nothing of a file output is in doubt once it is open, and what is in
/// doubt for an output that cannot be asked is sent again.
fn ledger(
    output: &Output,
    EarlierState { mut pair, origin, until }: EarlierState<'_>,
    window: Option<Duration>,
    moved: &Arc<Notify>,
) -> anyhow::Result<(Ledger, InDoubt)> {
    let moved = Arc::clone(moved);
    if let Some(file) = output.cut_back() {
        open_file(file, &mut pair)?;
        let doubts = InDoubt::new(&pair, &Origin::Current, "", Instant::now());
        let file = file.clone();
        return Ok((Ledger::of_file(pair, moved, move || file.sync()), doubts));
    }
    if output.capabilities().deduplication == Deduplication::None {
        pair.reserved = 0;
        let doubts = InDoubt::new(&pair, &Origin::Current, "", Instant::now());
        return Ok((Ledger::one_by_one(pair, window, moved), doubts));
    }
    let doubts = InDoubt::new(&pair, origin, &output.scope(), until);
    pair.reserved = doubts.reserved();
    let ids = output.queryable().and_then(Queryable::id_scheme);
    Ok((Ledger::new(pair, output.scope(), ids, moved), doubts))
}

/// Opens a file output at the position in the checkpoint.
fn open_file(file: &File, pair: &mut Pair) -> anyhow::Result<()> {
    file.open(pair.file).with_context(|| format!("cannot write to {}", file.path().display()))?;
    (pair.reserved, pair.file) = (0, Some(file.mark()));
    Ok(())
}

/// Counts the requests of an output in the metrics of its pipeline.
fn meter(stats: Arc<PairStats>) -> Meter {
    Meter::new(move |Exchange { ended, took, sent }| {
        let requests = &stats.requests;
        let outcome = match ended {
            Ended::Answered(code) => return requests.answered(code, took, sent),
            Ended::Unanswered(RetryReason::Connect) => Outcome::Connect,
            Ended::Unanswered(RetryReason::Timeout) => Outcome::Timeout,
            // There is no answer, so the other reasons do not occur here.
            Ended::Unanswered(_) => Outcome::ConnectionLost,
            Ended::Appended(true) => Outcome::Written,
            Ended::Appended(false) => Outcome::WriteFailed,
        };
        requests.unanswered(outcome, took, sent);
    })
}
