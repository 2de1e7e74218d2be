//! Observability: the agent's metrics, readiness and liveness, status, logs and systemd notifications.
//!
//! [`Telemetry`] is made once and cloned into every folder of the source; the only global is the log, as `tracing`
//! requires. Other folders write to [`InputStats`], [`PairStats`] and [`DiskStats`], and beat a [`Heartbeat`];
//! `server` and `cli` read a [`Snapshot`], the checks and the metrics. Counters that change with every event are
//! atomics, without lock or allocation.
//!
//! Most closed sets of label values are defined here. The reasons of gaps and retries come from `event`, the actions of
//! the transform steps from `transform`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

mod disk;
mod errors;
mod exposition;
mod finding;
mod gaps;
mod health;
mod history;
pub(crate) mod human;
mod in_force;
mod input;
pub(crate) mod log;
mod log_limiter;
mod metrics;
mod number;
mod pair;
mod pair_state;
mod process;
mod public;
mod reload;
mod requests;
mod status;
pub(crate) mod systemd;
pub(crate) mod systemd_fdstore;
mod time;
mod trail;
mod trail_verdict;
mod webhook;
mod writing;

pub(crate) use disk::DiskStats;
pub(crate) use errors::ErrorSeen;
pub(crate) use exposition::Format as MetricsFormat;
pub(crate) use finding::{FindingKind, InputFinding, Severity};
pub(crate) use gaps::GapSeen;
pub(crate) use health::{Check, Heartbeat};
pub(crate) use history::{Point, SAMPLE_EVERY};
pub(crate) use in_force::{InForce, InputInForce, OutputInForce};
pub(crate) use input::{InputState, InputStats, Watch};
pub(crate) use log_limiter::LogLimiter;
pub(crate) use pair::{DeliveredUpTo, EventResult, HeartbeatResult, LookupResult, PairStats};
pub(crate) use pair_state::PairState;
pub(crate) use requests::Outcome;
pub(crate) use status::{CursorView, InputView, PairView, Snapshot};
pub(crate) use time::Time;
pub(crate) use trail::Trail;
pub(crate) use trail_verdict::{TrailState, TrailVerdict};
pub(crate) use webhook::WebhookStats;
pub(crate) use writing::Writing;

/// The identity of this agent.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node: String,
    pub(crate) cluster: Option<String>,
    pub(crate) version: &'static str,
}

/// A handle on all statistics of the agent; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Telemetry(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    identity: Identity,
    started: Time,
    /// Start time of the process; see [`process::started`].
    process_started: Option<f64>,
    /// Locked when an input or a pipeline starts and when somebody reads. In the order in which they were first
    /// named.
    inputs: Mutex<Vec<Arc<InputStats>>>,
    webhooks: Mutex<Vec<Arc<WebhookStats>>>,
    pairs: Mutex<Vec<Arc<PairStats>>>,
    disk: DiskStats,
    /// In bytes; see [`Telemetry::set_memory_bound`].
    memory_bound: number::GaugeValue,
    reload: reload::ReloadStats,
    in_force: Mutex<Option<InForce>>,
    hour: history::LastHour,
    hearts: health::Hearts,
}

impl Telemetry {
    pub(crate) fn new(identity: Identity) -> Self {
        Self(Arc::new(Shared {
            identity,
            started: Time::now(),
            process_started: process::started(),
            inputs: Mutex::default(),
            webhooks: Mutex::default(),
            pairs: Mutex::default(),
            disk: DiskStats::default(),
            memory_bound: number::GaugeValue::default(),
            reload: reload::ReloadStats::default(),
            in_force: Mutex::default(),
            hour: history::LastHour::default(),
            hearts: health::Hearts::new(),
        }))
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// When this process began to work.
    pub(crate) fn started(&self) -> Time {
        self.0.started
    }

    /// New, separate statistics under the same identity, which nobody reads.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.0.identity.clone())
    }

    /// The statistics of an input, created on the first call.
    pub(crate) fn input(&self, name: &str) -> Arc<InputStats> {
        let is_it = |input: &InputStats| *input.name == *name;
        find_or_add(&self.0.inputs, is_it, || InputStats::new(name))
    }

    /// The statistics of an input's receiver, created on the first call.
    pub(crate) fn webhook(&self, input: &str) -> Arc<WebhookStats> {
        let is_it = |webhook: &WebhookStats| *webhook.input == *input;
        find_or_add(&self.0.webhooks, is_it, || WebhookStats::new(input))
    }

    /// The statistics of a pipeline, created on the first call.
    pub(crate) fn pair(&self, input: &str, output: &str) -> Arc<PairStats> {
        let is_it = |pair: &PairStats| *pair.input == *input && *pair.output == *output;
        let of = self.input(input);
        find_or_add(&self.0.pairs, is_it, || PairStats::new(of, output))
    }

    /// The statistics of the checkpoint and the state directory.
    pub(crate) fn disk(&self) -> &DiskStats {
        &self.0.disk
    }

    /// The most memory that the configuration allows, in bytes.
    pub(crate) fn set_memory_bound(&self, bytes: u64) {
        self.0.memory_bound.set(bytes);
    }

    /// The configuration in force, from the start or the last reload on.
    pub(crate) fn set_in_force(&self, in_force: InForce) {
        self.0.disk.max_bytes.set(in_force.disk_max_bytes);
        for input in &in_force.inputs {
            self.input(&input.name).hold_max_bytes.set(input.hold_max_bytes);
        }
        *self.0.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Some(in_force);
    }

    /// The configuration in force.
    pub(crate) fn in_force(&self) -> Option<InForce> {
        self.0.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The result of the last reload.
    pub(crate) fn reload(&self) -> &reload::ReloadStats {
        &self.0.reload
    }

    /// Registers a loop that must come round at least once in 60 seconds, under a name that an operator understands.
    pub(crate) fn heart(&self, name: impl Into<String>) -> Heartbeat {
        self.0.hearts.begin(name.into(), None)
    }

    /// Registers a loop that reads files of an input, so that waiting for the file system shows as a finding there
    /// too.
    pub(crate) fn heart_of(&self, input: &Arc<str>, name: impl Into<String>) -> Heartbeat {
        self.0.hearts.begin(name.into(), Some(Arc::clone(input)))
    }

    /// Records for each input whether one of its threads waits for the file system. Call it about once a second.
    pub(crate) fn look_for_hangs(&self, now: Instant) {
        for input in self.inputs() {
            let waiting = self.0.hearts.waiting(now, &input.name);
            input.set_finding(FindingKind::FileSystemHangs, finding::hang(&waiting));
        }
    }

    /// Every readiness check. An output may be unreachable for `unready_after` before it counts as a problem.
    pub(crate) fn checks(&self, now: Time, unready_after: Duration) -> Vec<Check> {
        self.checks_with(now, unready_after, PairStats::state)
    }

    /// The checks without the wording of a back end's answer, only its class: safe to show to anybody.
    pub(crate) fn public_checks(&self, now: Time, unready_after: Duration) -> Vec<Check> {
        self.checks_with(now, unready_after, |pair| pair.state().public())
    }

    fn checks_with(
        &self,
        now: Time,
        unready_after: Duration,
        state: impl Fn(&PairStats) -> PairState,
    ) -> Vec<Check> {
        let inputs = self.inputs().into_iter().map(|input| Check::input(&input, now));
        let pairs = self
            .pairs()
            .into_iter()
            .map(|pair| Check::pair(&pair, state(&pair), now, unready_after));
        let disk = [Check::checkpoint(&self.0.disk), Check::budget(&self.0.disk)];
        let reload = Some(Check::configuration(&self.0.reload));
        let reload = reload.filter(|check| !check.warnings.is_empty());
        let loops = Check::loops(&self.0.hearts.stuck(Instant::now()), now);
        let loops = Some(loops).filter(|check| check.problem.is_some());
        inputs.chain(pairs).chain(disk).chain(reload).chain(loops).collect()
    }

    /// Why the agent is not ready, one sentence each that says what to do; empty if it is ready.
    pub(crate) fn readiness(&self, now: Time, unready_after: Duration) -> Vec<String> {
        self.checks(now, unready_after).into_iter().filter_map(|check| check.problem).collect()
    }

    /// Samples throughput and lag. Call it every `every`, which is [`SAMPLE_EVERY`] except in tests.
    pub(crate) fn sample(&self, now: Time, every: Duration) {
        self.0.hour.sample(&self.pairs(), now, every);
    }

    /// The last hour, the oldest first.
    pub(crate) fn last_hour(&self, now: Time) -> Vec<Point> {
        self.0.hour.points(now)
    }

    /// The verdict on the trail.
    pub(crate) fn verdict(&self, now: Time, unready_after: Duration) -> TrailVerdict {
        self.verdict_of(&self.checks(now, unready_after), now)
    }

    /// The verdict that follows from these checks, in their words.
    pub(crate) fn verdict_of(&self, checks: &[Check], now: Time) -> TrailVerdict {
        TrailVerdict::of(checks, &self.inputs(), &self.pairs(), now)
    }

    /// The loops that are stuck; empty if the agent is alive.
    pub(crate) fn liveness(&self, now: Instant) -> Vec<String> {
        let stuck = self.0.hearts.stuck(now);
        stuck.iter().map(|(name, silent)| health::not_moved(name, *silent)).collect()
    }

    fn inputs(&self) -> Vec<Arc<InputStats>> {
        self.0.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn webhooks(&self) -> Vec<Arc<WebhookStats>> {
        self.0.webhooks.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
