//! Periodic work of a pipeline: counts what was read, measures the lag, and forgets generations that are gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::DeliveryContext;
use super::flow::Flow;
use crate::checkpoint::Ledger;
use crate::event::{Fingerprint, GapReason};
use crate::input::{Chunk, Input};
use crate::telemetry::{
    FindingKind, Heartbeat, InputFinding, InputStats, Severity, Telemetry, Time, human,
};

/// A generation is forgotten after no listing has shown it for this long; a directory may be unmounted for a while.
const FORGET: Duration = Duration::from_mins(10);
/// At most this many generations are kept that are gone from the directory.
const GONE: usize = 1000;
/// Ticks between two comparisons of the cursor with the listing. A comparison is expensive if there are many backups.
const COMPARE: u64 = 10;

/// The state of this work.
pub(super) struct Housekeeping {
    input: Arc<Input>,
    context: Arc<DeliveryContext>,
    ledger: Arc<Ledger>,
    input_stats: Arc<InputStats>,
    heart: Heartbeat,
    /// Generations that the listing no longer shows, and since when.
    absent: HashMap<Fingerprint, Instant>,
    ticks: u64,
    /// The log line "caught up" was written.
    caught_up: bool,
}

impl Housekeeping {
    pub(super) fn new(
        input: &Arc<Input>,
        context: &Arc<DeliveryContext>,
        ledger: &Arc<Ledger>,
        telemetry: &Telemetry,
    ) -> Self {
        let stats = &context.reporter.stats;
        let heart = format!("the pipeline from {} to {}", stats.input, stats.output);
        Self {
            input: Arc::clone(input),
            context: Arc::clone(context),
            ledger: Arc::clone(ledger),
            input_stats: telemetry.input(&stats.input),
            heart: telemetry.heart(heart),
            absent: HashMap::new(),
            ticks: 0,
            caught_up: false,
        }
    }

    /// The loop comes round.
    pub(super) fn beat(&self) {
        self.heart.beat();
    }

    /// Counts a chunk that was read, unless the reader of another output has counted it.
    pub(super) fn count(&self, chunk: &Chunk) {
        if !self.input.is_news(chunk.generation, chunk.batch.end) {
            return;
        }
        let (stats, told) = (&self.input_stats, &chunk.told);
        stats.bytes.add(chunk.batch.end - chunk.batch.start);
        stats.events.add(chunk.batch.passed.read);
        stats.torn_lines.add(told.torn.into());
        stats.hole_bytes.add(told.hole_bytes);
        stats.over_long_lines.add(told.over_long.into());
        stats.unreadable_lines.add(told.unreadable.into());
        stats.passed_over_lines.add(told.passed_over.into());
        self.report_foreign(chunk);
        if let Some(time) = chunk.batch.passed.last {
            stats.last_event.set(Some(Time::from_nanos(time)));
        }
        let gaps = [
            (GapReason::TornLine, told.torn_bytes, u64::from(told.torn)),
            (GapReason::NulHole, told.hole_bytes, u64::from(told.hole_bytes > 0)),
            (GapReason::OverLongLine, told.over_long_bytes, u64::from(told.over_long)),
        ];
        for (reason, bytes, times) in gaps.into_iter().filter(|(_, _, times)| *times > 0) {
            let (input, file) = (&*self.context.reporter.stats.input, &*chunk.file);
            let (offset, size) = (chunk.batch.start, human::size(bytes));
            tracing::warn!(input, file, offset, "log is damaged: {times} x {reason}, {size}");
        }
    }

    /// Reports that a log holds lines that are no events: how many of the lines, and what they look like.
    fn report_foreign(&self, chunk: &Chunk) {
        let (stats, kind) = (&self.input_stats, FindingKind::NotEvents);
        let (lines, of) = (stats.unreadable_lines.get(), stats.events.get());
        let severity = if lines < of { Severity::Warning } else { Severity::Failure };
        if let Some(format) = chunk.told.format {
            let file = &chunk.file;
            let what = format!(
                "{} of {} lines read are no audit events; those in {file} look like {}",
                human::count(lines),
                human::count(of.max(lines)),
                format.name()
            );
            let hint = format.way_out().replace("FILE", file);
            if self.input.is_finite() && stats.says_foreign() {
                tracing::warn!(input = &*self.context.reporter.stats.input, hint, "{what}");
            }
            stats.set_finding(kind, Some(InputFinding { kind, severity, what, hint }));
        } else if let Some(before) = stats.findings().into_iter().find(|one| one.kind == kind)
            && before.severity != severity
        {
            // Events arrive by now, so the severity changes.
            stats.set_finding(kind, Some(InputFinding { severity, ..before }));
        }
    }

    /// Once a second: updates the lag, and forgets what is gone.
    pub(super) fn look_after(&mut self, flow: &mut Flow) {
        self.beat();
        let pending = flow.oldest_event();
        let (backlog, oldest) = self.ledger.with_cursor(|cursor| {
            let latest = || cursor.generations.values().filter_map(|progress| progress.time).max();
            (self.input.backlog(cursor), pending.or_else(latest))
        });
        if !self.caught_up && backlog == 0 && flow.is_empty() && self.input.is_listed() {
            self.caught_up = self.ledger.with_cursor(|cursor| !cursor.generations.is_empty());
            if self.caught_up {
                self.context.reporter.caught_up();
            }
        }
        let stats = &self.context.reporter.stats;
        stats.lag_bytes.set(backlog);
        stats.name_cursor(|generation| self.input.file_of(Fingerprint(generation)));
        let left = self.ledger.with_cursor(|cursor| self.input.time_to_loss(cursor));
        stats.set_time_to_loss(left);
        stats.oldest_pending.set(oldest.map(Time::from_nanos));
        self.ticks += 1;
        if self.ticks.is_multiple_of(COMPARE) {
            self.compare(flow, Instant::now());
        }
    }

    /// Notes which generations of the cursor the listing no longer shows, and since when.
    fn compare(&mut self, flow: &mut Flow, now: Instant) {
        let mut fingerprints: Vec<_> =
            self.ledger.with_cursor(|cursor| cursor.generations.keys().copied().collect());
        fingerprints.extend(
            self.ledger
                .with_gaps(|gaps| gaps.iter().map(|gap| gap.place.generation).collect::<Vec<_>>()),
        );
        let mut any = false;
        for fingerprint in fingerprints {
            match self.input.shows(fingerprint) {
                Some(true) => {
                    any = true;
                    self.absent.remove(&fingerprint);
                }
                Some(false) => drop(self.absent.entry(fingerprint).or_insert(now)),
                None => {}
            }
        }
        let long = self.absent.values().any(|since| now.duration_since(*since) >= FORGET);
        // If the listing shows none, the directory itself may be unmounted, so nothing is forgotten.
        if any && (long || self.absent.len() > GONE) {
            self.forget(flow, now);
        }
    }

    fn forget(&mut self, flow: &mut Flow, now: Instant) {
        let mut gone: Vec<_> =
            self.absent.iter().map(|(fingerprint, since)| (*since, *fingerprint)).collect();
        gone.sort_unstable();
        let excess = gone.len().saturating_sub(GONE);
        let old = |(index, (since, fingerprint)): (usize, (Instant, Fingerprint))| {
            (index < excess || now.duration_since(since) >= FORGET).then_some(fingerprint)
        };
        let gone: HashSet<_> = gone.into_iter().enumerate().filter_map(old).collect();
        self.ledger.forget(|fingerprint| gone.contains(fingerprint));
        for fingerprint in gone {
            self.absent.remove(&fingerprint);
            flow.forget(fingerprint);
        }
    }
}
