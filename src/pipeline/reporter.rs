//! Metrics, status and log lines of a pipeline. A line is logged once, and again only after a change or after
//! minutes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::counts::{Counts, EventCount};
use crate::dead_letters::Count as LettersCount;
use crate::event::{
    Batch, Fingerprint, GapFacts, GapReason, Nanos, Progress, RecordNames, RetryReason,
};
use crate::output::EventRef;
use crate::telemetry::{
    DeliveredUpTo, EventResult, GapSeen, HeartbeatResult, Identity, LogLimiter, LookupResult,
    PairStats, Telemetry, Time,
};

/// Metrics, status and log lines of one input and output.
pub(super) struct Reporter {
    pub(super) stats: Arc<PairStats>,
    telemetry: Telemetry,
    limits: Mutex<Limiters>,
    /// For a replay.
    counts: Option<Arc<Counts>>,
}

/// What limits each log line.
struct Limiters {
    state: LogLimiter<ReporterState>,
    lookups: LogLimiter<()>,
    taken: LogLimiter<bool>,
    earlier: LogLimiter<()>,
    refused: LogLimiter<()>,
    where_failed: LogLimiter<()>,
    heartbeat: LogLimiter<bool>,
}

#[derive(Clone, Copy, PartialEq)]
enum ReporterState {
    Running,
    Retrying(RetryReason),
    Stopped,
}

/// Logs a line with the names of the input and the output.
macro_rules! log {
    ($self:ident, $level:ident, $($rest:tt)*) => {
        tracing::$level!(input = &*$self.stats.input, output = &*$self.stats.output, $($rest)*)
    };
}

impl Reporter {
    /// `counts`: counts the results by generation, too.
    pub(super) fn new(
        stats: Arc<PairStats>,
        telemetry: Telemetry,
        counts: Option<Arc<Counts>>,
    ) -> Self {
        let minutes = Duration::from_mins;
        // A pipeline starts as running.
        let limits = Limiters {
            state: LogLimiter::flipping(minutes(5), ReporterState::Running),
            lookups: LogLimiter::every(minutes(60)),
            taken: LogLimiter::every(minutes(60)),
            earlier: LogLimiter::every(minutes(60)),
            refused: LogLimiter::every(minutes(1)),
            where_failed: LogLimiter::every(minutes(5)),
            // A pipeline starts as if its heartbeats arrive.
            heartbeat: LogLimiter::flipping(minutes(60), true),
        };
        Self { stats, telemetry, limits: Mutex::new(limits), counts }
    }

    /// Shows the cursor of an earlier process until this one moves it: the generation with the latest event.
    pub(super) fn begins_at(&self, generations: &BTreeMap<Fingerprint, Progress>) {
        if let Some((generation, progress)) =
            generations.iter().max_by_key(|(_, progress)| progress.time)
        {
            self.stats.set_cursor(DeliveredUpTo {
                generation: generation.0,
                file: None,
                offset: progress.offset,
                event_time: progress.time.map(Time::from_nanos),
            });
        }
    }

    /// Whether to log a line now: `Some`, with the number of lines suppressed since the last one.
    fn due(&self, limiter: impl FnOnce(&mut Limiters, Instant) -> Option<u64>) -> Option<u64> {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limiter(&mut limits, Instant::now())
    }

    fn count(&self, generation: Fingerprint, add: impl FnOnce(&mut EventCount)) {
        if let Some(counts) = &self.counts {
            counts.add(generation, add);
        }
    }

    /// A part of a generation is lost.
    pub(super) fn damaged(&self, generation: Fingerprint) {
        self.count(generation, |count| count.gaps += 1);
    }

    /// Counts the actions of the transform on a batch.
    pub(super) fn passed(&self, batch: &Batch) {
        let passed = &batch.passed;
        self.count(batch.generation, |count| {
            count.events += passed.read;
            count.left_out += passed.left_out;
        });
        self.stats.events.of(EventResult::Dropped).add(passed.left_out);
        for (counter, events) in self.stats.actions.iter().zip(passed.actions) {
            counter.add(events);
        }
        if let Some(problem) = &passed.problem
            && let Some(unsaid) = self.due(|limits, now| limits.where_failed.now((), now))
        {
            log!(
                self,
                warn,
                problem,
                repeated = repeated(unsaid),
                "`where` fails on some events, which are kept"
            );
        }
    }

    pub(super) fn delivered(&self, batch: &Batch, picks: &[EventRef]) {
        self.count(batch.generation, |count| count.stored += picks.len() as u64);
        let now = Time::now();
        self.stats.events.of(EventResult::Delivered).add(picks.len() as u64);
        for pick in picks {
            let time: Nanos = batch.events[pick.event as usize].time;
            self.stats.latency.observe(now.since(Time::from_nanos(time)));
        }
        self.stats.last_success.set(Some(now));
        self.runs();
    }

    /// The output answers, and nothing is in the way.
    fn runs(&self) {
        self.stats.running();
        // An output with waiting events counts as stopped.
        if self.stats.waiting() == 0 && self.enters(ReporterState::Running).is_some() {
            log!(self, info, "output takes events again");
        }
    }

    fn enters(&self, state: ReporterState) -> Option<u64> {
        self.due(|limits, now| limits.state.now(state, now))
    }

    pub(super) fn retrying(&self, reason: RetryReason, answer: &str) {
        self.stats.retrying(Time::now(), reason, answer);
        if let Some(unsaid) = self.enters(ReporterState::Retrying(reason)) {
            let reason = reason.to_string();
            let what = "output does not take events, trying again";
            log!(self, warn, reason, answer, repeated = repeated(unsaid), "{what}");
        }
    }

    /// The names of the log and the output, for records of the agent's own.
    pub(super) fn names(&self) -> RecordNames<'_> {
        let Identity { node, cluster, .. } = self.telemetry.identity();
        let (input, output) = (&self.stats.input, &self.stats.output);
        RecordNames { node, cluster: cluster.as_deref(), input, output }
    }

    /// `why`: the reason if the heartbeat is not stored.
    pub(super) fn heartbeat(&self, result: HeartbeatResult, why: &str) {
        let was_missing = self.stats.heartbeats.count(Time::now(), result);
        let stored = result == HeartbeatResult::Delivered;
        if stored && !was_missing {
            return;
        }
        let Some(unsaid) = self.due(|limits, now| limits.heartbeat.now(stored, now)) else {
            return;
        };
        if stored {
            log!(self, info, "heartbeats are stored again");
        } else {
            let what = "heartbeat is not stored and not sent again; the store does not show that this node works";
            log!(self, warn, why, repeated = repeated(unsaid), "{what}");
        }
    }

    /// A part of the log is lost to this output.
    pub(super) fn gap(&self, reason: GapReason, offset: u64, facts: GapFacts<'_>) {
        let GapFacts { file, bytes, at_least, times, from, to, .. } = facts;
        let gap = GapSeen {
            reason: reason.to_string(),
            file: file.to_owned(),
            bytes,
            at_least,
            from: from.map(Time::from_nanos),
            to: to.map(Time::from_nanos),
            detected: Time::now(),
        };
        match reason {
            // Most of the line or file is delivered, and the input logs these once, not once for each output.
            GapReason::TornLine | GapReason::NulHole | GapReason::OverLongLine => {
                log!(self, debug, offset, times, "gap: {gap}");
            }
            _ => log!(self, error, offset, "a part of the log is lost to this output: {gap}"),
        }
        self.stats.gap_seen(gap);
    }

    /// The back end was away: so many bytes of the log are sent again.
    pub(super) fn sends_again(&self, bytes: u64) {
        log!(
            self,
            warn,
            bytes,
            "the output was away, sending again what it acknowledged within `resend_window`"
        );
    }

    /// The pipeline takes a chunk that an earlier process may have sent.
    pub(super) fn begins_in_doubt(&self) {
        self.stats.retries.of(RetryReason::Restart).inc();
    }

    pub(super) fn stopped(&self, answer: &str, hint: &str) {
        self.stats.stopped(Time::now(), answer, hint);
        if let Some(unsaid) = self.enters(ReporterState::Stopped) {
            log!(
                self,
                error,
                answer,
                hint,
                repeated = repeated(unsaid),
                "output is stopped until this is mended"
            );
        }
    }

    /// Everything in the log is delivered, for the first time since the start.
    pub(super) fn caught_up(&self) {
        let delivered = self.stats.events.of(EventResult::Delivered).get();
        log!(self, info, delivered, "caught up: everything in the log is delivered");
    }

    pub(super) fn budget_spent(&self, hint: &str) {
        self.telemetry.disk().set_spent(Time::now(), Some(hint.to_owned()));
    }

    pub(super) fn refused(&self, batch: &Batch, count: usize, answer: &str, letters: LettersCount) {
        self.count(batch.generation, |sum| sum.refused += count as u64);
        self.telemetry.disk().set_spent(Time::now(), None);
        self.stats.events.of(EventResult::Refused).add(count as u64);
        self.letters(letters);
        self.runs();
        if let Some(unsaid) = self.due(|limits, now| limits.refused.now((), now)) {
            let what = "output refused events for their content, stored as dead letters";
            log!(self, error, count, answer, repeated = repeated(unsaid), "{what}");
        }
    }

    pub(super) fn letters(&self, count: LettersCount) {
        self.stats.set_letters(count.letters, count.bytes, count.damaged, count.oldest);
    }

    pub(super) fn looked_up(&self, batch: &Batch, found: usize, missing: usize, unavailable: bool) {
        self.count(batch.generation, |count| count.found += found as u64);
        self.stats.lookups.of(LookupResult::Found).add(found as u64);
        let rest = if unavailable { LookupResult::Unavailable } else { LookupResult::Missing };
        self.stats.lookups.of(rest).add(missing as u64);
        log!(self, debug, found, missing, "looked up events in doubt");
    }

    /// Other documents have the ids of this many events, or documents that cannot be compared.
    pub(super) fn taken(&self, events: usize, answer: &str, unavailable: bool) {
        self.stats.lookups.of(LookupResult::Other).add(events as u64);
        if self.due(|limits, now| limits.taken.now(unavailable, now)).is_none() {
            return;
        }
        let what = if unavailable {
            "other documents have the ids of these events, and the output does not let the agent compare them: the events are stored under other ids, perhaps a second time; grant read and maintenance on the target"
        } else {
            "another writer has stored other events under the ids of this log: a cloned machine with the same cluster, node and input, or this machine before it was rolled back; these events are stored under other ids, none is lost; give each node a name of its own"
        };
        log!(self, warn, answer, "{what}");
    }

    /// The output holds events that this process never sent and that the checkpoint does not cover.
    pub(super) fn stored_before(&self, events: usize) {
        if self.due(|limits, now| limits.earlier.now((), now)).is_some() {
            let what = "output holds events that this agent has not sent: a replay sent them, or the state directory is older than what this node did (restored, or rolled back); the agent looks up each event on disk before it sends it";
            log!(self, warn, events, "{what}");
        }
    }

    pub(super) fn cannot_look_up(&self, answer: &str) {
        if self.due(|limits, now| limits.lookups.now((), now)).is_some() {
            log!(self, warn, answer, "output cannot be queried, events in doubt are sent again");
        }
    }
}

/// How often the line was suppressed since it was last logged; `None`, hence no field, if never.
fn repeated(unsaid: u64) -> Option<u64> {
    (unsaid > 0).then_some(unsaid)
}
