//! Sends the heartbeats of a pipeline: at most one in each slot of time, so that a stopped node is seen in the store.
//!
//! A heartbeat is never retried, looked up or kept, so it is never stored twice: this process sends one only in a slot
//! that began while it ran, and no other process has the state directory then. While the output is retried (an outage,
//! a throttled store) or the last heartbeat is still under way, the heartbeat of a slot is dropped. It takes no slot of
//! the deliveries, moves no cursor, and the counters of events do not count it.
//!
//! Not promised: a heartbeat in every slot. Its absence says that nobody sent it, and the metrics and the log say why,
//! as far as the agent lives. If the clock is set back and the agent restarts, Loki may hold two of one slot.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::context::{DeliveryContext, HeartbeatSettings};
use crate::event::{
    Fingerprint, HeartbeatFacts, HeartbeatNames, HeartbeatRecord, HeartbeatTime, Nanos,
};
use crate::output::{Answer, EventRef, Verdict};
use crate::telemetry::{HeartbeatResult, Telemetry, Time};

/// The heartbeats of one pipeline.
pub(super) struct Heartbeats {
    settings: HeartbeatSettings,
    context: Arc<DeliveryContext>,
    telemetry: Telemetry,
    /// The latest slot that has begun.
    slot: Nanos,
    /// The request of the last heartbeat. Dropped with the pipeline, which ends it.
    under_way: JoinSet<()>,
}

impl Heartbeats {
    pub(super) fn new(
        settings: HeartbeatSettings,
        context: &Arc<DeliveryContext>,
        telemetry: &Telemetry,
    ) -> Self {
        let (context, telemetry) = (Arc::clone(context), telemetry.clone());
        let mut beats =
            Self { settings, context, telemetry, slot: 0, under_way: JoinSet::default() };
        beats.slot = beats.names().slot(Time::now().nanos());
        beats
    }

    fn names(&self) -> HeartbeatNames<'_> {
        let names = self.context.reporter.names();
        HeartbeatNames { names, interval_seconds: self.settings.every.as_secs() }
    }

    /// Call it about once a second, from the loop of the pipeline: if that hangs, there are no heartbeats.
    pub(super) fn tick(&mut self, now: Time) {
        let slot = self.names().slot(now.nanos());
        // Slots that have passed meanwhile are not made up for.
        if slot <= self.slot {
            return;
        }
        self.slot = slot;
        while self.under_way.try_join_next().is_some() {}
        let stats = &self.context.reporter.stats;
        let why = if stats.is_retrying() {
            Some("the output takes nothing at the moment")
        } else if !self.under_way.is_empty() {
            Some("the one before is still under way")
        } else {
            None
        };
        if let Some(why) = why {
            return self.context.reporter.heartbeat(HeartbeatResult::Dropped, why);
        }
        match self.record(slot, now) {
            Ok(record) => drop(self.under_way.spawn(send(Arc::clone(&self.context), record))),
            Err(error) => {
                let why = error.to_string();
                self.context.reporter.heartbeat(HeartbeatResult::Failed, &why);
            }
        }
    }

    /// Says of back ends' answers only the class, as the pages over TCP do: this store may have other readers.
    fn record(&self, slot: Nanos, now: Time) -> serde_json::Result<HeartbeatRecord> {
        let stats = &self.context.reporter.stats;
        let (telemetry, trail) = (&self.telemetry, stats.trail());
        let checks = telemetry.public_checks(now, self.settings.unready_after);
        let verdict = telemetry.verdict_of(&checks, now);
        let cursor = stats.cursor();
        let stamp = |time: Time| HeartbeatTime(time.nanos());
        let facts = HeartbeatFacts {
            version: telemetry.identity().version,
            started: stamp(telemetry.started()),
            state: &verdict.state.to_string(),
            since: verdict.since.map(stamp),
            why: &verdict.why,
            lag_bytes: stats.lag_bytes.get(),
            lag_seconds: stats.lag(now).as_secs(),
            generation: cursor.as_ref().map(|cursor| Fingerprint(cursor.generation)),
            offset: cursor.as_ref().map(|cursor| cursor.offset),
            last_event: cursor.and_then(|cursor| cursor.event_time).map(stamp),
            last_write: telemetry.input(&stats.input).last_write.get().map(stamp),
            gaps: trail.gaps,
            dead_letters: trail.dead_letters,
        };
        HeartbeatRecord::new(self.names(), facts, slot, now.nanos())
    }
}

/// Sends a heartbeat once.
async fn send(context: Arc<DeliveryContext>, record: HeartbeatRecord) {
    let batch = record.batch();
    let verdict = match context.output.send(&batch, &[EventRef::new(0)]).await {
        Answer::Whole(verdict) => Some(verdict),
        Answer::Each(verdicts) => verdicts.into_iter().next(),
    };
    let reporter = &context.reporter;
    match &verdict {
        Some(Verdict::Delivered) => reporter.heartbeat(HeartbeatResult::Delivered, ""),
        Some(Verdict::Taken { .. }) => {
            let why = "another document has its id: another machine writes with the same cluster, node and input, or the clock was set back";
            reporter.heartbeat(HeartbeatResult::Failed, why);
        }
        other => {
            let answer = other.as_ref().and_then(Verdict::answer);
            let why = answer.unwrap_or("an answer without a verdict");
            reporter.heartbeat(HeartbeatResult::Failed, why);
        }
    }
}
