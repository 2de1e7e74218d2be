//! What the agent knows of itself, and how others learn it: metrics, readiness, status, logs, systemd.
//!
//! [`Telemetry`] is made once and cloned into every room; nothing is global but the log, as `tracing` wants it. Rooms write
//! into [`InputStats`], [`PairStats`] and [`DiskStats`], and beat a [`Heartbeat`]; `server` and `cli` read a
//! [`Snapshot`], the checks and the metrics. What is written for each event is an atomic, without lock or allocation.
//!
//! This room imports no other. Its closed sets of label values are its own, and the rooms that count translate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

mod disk;
mod exposition;
mod finding;
mod health;
pub(crate) mod human;
mod input;
pub(crate) mod log;
mod log_limiter;
mod metrics;
mod number;
mod pair;
mod process;
mod public;
mod reload;
mod requests;
mod status;
pub(crate) mod systemd;
pub(crate) mod systemd_fdstore;
mod time;
mod trail;

pub(crate) use disk::DiskStats;
pub(crate) use exposition::Format as MetricsFormat;
pub(crate) use finding::{FindingKind, InputFinding, Severity};
pub(crate) use health::{Check, Heartbeat};
pub(crate) use input::{GapReason, InputState, InputStats, Watch};
pub(crate) use log_limiter::LogLimiter;
pub(crate) use pair::{
    Action, Cursor, EventResult, LookupResult, PairState, PairStats, RetryReason,
};
pub(crate) use requests::Outcome;
pub(crate) use status::{CursorView, InputView, PairView, Snapshot};
pub(crate) use time::Time;
pub(crate) use trail::{GapSeen, Trail};

/// Who this agent is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node: String,
    pub(crate) cluster: Option<String>,
    pub(crate) version: &'static str,
}

/// A handle on all that is counted and known; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Telemetry(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    identity: Identity,
    started: Time,
    /// Of the process; see [`process::started`].
    process_started: Option<f64>,
    /// Locked when a room begins and when someone looks; in the order in which they were first named.
    inputs: Mutex<Vec<Arc<InputStats>>>,
    pairs: Mutex<Vec<Arc<PairStats>>>,
    disk: DiskStats,
    /// Bytes; see [`Telemetry::set_memory_bound`].
    memory_bound: number::Level,
    reload: reload::ReloadStats,
    hearts: health::Hearts,
}

impl Telemetry {
    pub(crate) fn new(identity: Identity) -> Self {
        Self(Arc::new(Shared {
            identity,
            started: Time::now(),
            process_started: process::started(),
            inputs: Mutex::default(),
            pairs: Mutex::default(),
            disk: DiskStats::default(),
            memory_bound: number::Level::default(),
            reload: reload::ReloadStats::default(),
            hearts: health::Hearts::new(),
        }))
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Numbers of its own under the same name, which nobody looks at.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.0.identity.clone())
    }

    /// The numbers of an input, made when first asked for.
    pub(crate) fn input(&self, name: &str) -> Arc<InputStats> {
        let is_it = |input: &InputStats| *input.name == *name;
        find_or_add(&self.0.inputs, is_it, || InputStats::new(name))
    }

    /// The numbers of a pipeline, made when first asked for.
    pub(crate) fn pair(&self, input: &str, output: &str) -> Arc<PairStats> {
        let is_it = |pair: &PairStats| *pair.input == *input && *pair.output == *output;
        let of = self.input(input);
        find_or_add(&self.0.pairs, is_it, || PairStats::new(of, output))
    }

    /// The checkpoint and the state directory.
    pub(crate) fn disk(&self) -> &DiskStats {
        &self.0.disk
    }

    /// The most memory that the configuration allows, in bytes.
    pub(crate) fn set_memory_bound(&self, bytes: u64) {
        self.0.memory_bound.set(bytes);
    }

    /// How the last reload went.
    pub(crate) fn reload(&self) -> &reload::ReloadStats {
        &self.0.reload
    }

    /// A loop begins that comes round at least once in 60 seconds, under a name that an operator understands.
    pub(crate) fn heart(&self, name: impl Into<String>) -> Heartbeat {
        self.0.hearts.begin(name.into(), None)
    }

    /// A loop over the files of an input begins: whether it waits for the file system shows there too.
    pub(crate) fn heart_of(&self, input: &Arc<str>, name: impl Into<String>) -> Heartbeat {
        self.0.hearts.begin(name.into(), Some(Arc::clone(input)))
    }

    /// Notes for each input whether a thread of it waits for the file system. To be called every second or so.
    pub(crate) fn look_for_hangs(&self, now: Instant) {
        for input in self.inputs() {
            let waiting = self.0.hearts.waiting(now, &input.name);
            input.set_finding(FindingKind::FileSystemHangs, finding::hang(&waiting));
        }
    }

    /// Everything that readiness depends on. An output may be unreachable for `unready_after` before it counts.
    pub(crate) fn checks(&self, now: Time, unready_after: Duration) -> Vec<Check> {
        self.checks_with(now, unready_after, PairStats::state)
    }

    /// The same for everybody: of a back end's answer its class alone.
    pub(crate) fn public_checks(&self, now: Time, unready_after: Duration) -> Vec<Check> {
        self.checks_with(now, unready_after, |pair| pair.state().public())
    }

    fn checks_with(
        &self,
        now: Time,
        unready_after: Duration,
        state: impl Fn(&PairStats) -> PairState,
    ) -> Vec<Check> {
        let inputs = self.inputs().into_iter().map(|input| Check::input(&input));
        let pairs = self
            .pairs()
            .into_iter()
            .map(|pair| Check::pair(&pair, state(&pair), now, unready_after));
        let disk = [Check::checkpoint(&self.0.disk), Check::budget(&self.0.disk)];
        let reload = Some(Check::configuration(&self.0.reload));
        let reload = reload.filter(|check| !check.warnings.is_empty());
        inputs.chain(pairs).chain(disk).chain(reload).collect()
    }

    /// Why the agent is not ready, one sentence each with the way out; empty: it is.
    pub(crate) fn readiness(&self, now: Time, unready_after: Duration) -> Vec<String> {
        self.checks(now, unready_after).into_iter().filter_map(|check| check.problem).collect()
    }

    /// Which loops are stuck; empty: the agent is alive.
    pub(crate) fn liveness(&self, now: Instant) -> Vec<String> {
        self.0.hearts.stuck(now)
    }

    fn inputs(&self) -> Vec<Arc<InputStats>> {
        self.0.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn pairs(&self) -> Vec<Arc<PairStats>> {
        self.0.pairs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn find_or_add<T>(
    all: &Mutex<Vec<Arc<T>>>,
    is_it: impl Fn(&T) -> bool,
    new: impl FnOnce() -> T,
) -> Arc<T> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.iter().find(|one| is_it(one)) {
        return Arc::clone(known);
    }
    let new = Arc::new(new());
    all.push(Arc::clone(&new));
    new
}

#[cfg(test)]
pub(crate) mod tests;
