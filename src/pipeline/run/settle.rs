//! The end of a chunk's task: its ticket is acknowledged and the cursor moves, or the chunk is given back to be read
//! again. Also the drain at shutdown.

use std::sync::Arc;
use std::time::Duration;

use super::super::delivery::{Context, Delivery, DeliveryStep};
use super::super::read_thread::Reply;
use super::{Ended, Outcome, PendingAck, Pipeline, Returned};
use crate::event::{FileMark, Progress};
use crate::input::Chunk;
use crate::output::{File, Output};
use crate::telemetry::{DeliveredUpTo as CursorView, Time};

impl Pipeline {
    /// Acts on the end of a task; returns the reply for the reader, if the reader waits for one.
    pub(super) fn settle(&mut self, outcome: Outcome) -> Option<Reply> {
        self.context.tell.stats.in_flight.set(self.tasks.len() as u64);
        match outcome {
            Outcome::Settled(ticket, mark, large) => {
                if let Some(passing) = self.acks.at(ticket) {
                    passing.mark = mark;
                }
                self.pass(ticket);
                large.then_some(Reply::Settled)
            }
            Outcome::GapsDelivered(tickets, ids, mark) => {
                self.settle_gaps(&tickets, &ids, mark);
                None
            }
            Outcome::Deferred(returned, until) => {
                let (ledger, waits) = (Arc::clone(&self.ledger), Arc::clone(&self.context.waits));
                self.tasks.spawn(async move {
                    ledger.granted(returned.grant).await;
                    tokio::select! {
                        () = tokio::time::sleep_until(until.into()) => {}
                        () = waits.called(returned.delivery.heard()) => {}
                    }
                    Outcome::Again(returned)
                });
                None
            }
            Outcome::Again(returned) => {
                let (generation, before) = (returned.generation, returned.before.clone());
                self.read.insert(generation, before.clone());
                self.returned.insert((generation, returned.stretch.start), returned);
                Some(Reply::Again(generation, before))
            }
        }
    }

    /// Acknowledges a chunk and moves the cursor over the contiguous acknowledged prefix.
    pub(super) fn pass(&mut self, ticket: u64) {
        for passing in self.acks.acknowledge(ticket) {
            let PendingAck { generation, progress, bytes, file, first_event, mark } = passing;
            self.under_way -= bytes;
            let Some(progress) = progress else { continue };
            self.context.tell.stats.set_cursor(CursorView {
                generation: generation.0,
                file: Some(file),
                offset: progress.offset,
                event_time: progress.time.map(Time::from_nanos),
            });
            if let Some(first) = first_event {
                self.ledger.begins(first);
                self.context.tell.stats.begins(Time::from_nanos(first));
            }
            self.ledger.advance(generation, progress, bytes, mark);
        }
    }

    /// Shutdown: waits for the requests in flight, for `drain_timeout` at most.
    pub(super) async fn drain(mut self) -> Ended {
        self.context.tell.stats.draining();
        let deadline = tokio::time::Instant::now() + self.settings.drain_timeout;
        loop {
            self.ship_gaps();
            // Wakes as often as before, so that the heartbeat continues and a long drain is not taken for a hang.
            let next = deadline.min(tokio::time::Instant::now() + Duration::from_secs(1));
            match tokio::time::timeout_at(next, self.tasks.join_next()).await {
                Ok(Some(Ok(outcome @ (Outcome::Settled(..) | Outcome::GapsDelivered(..))))) => {
                    // The reader has stopped, so nobody takes the reply.
                    let _ = self.settle(outcome);
                }
                // The next process reads the chunk again.
                Ok(Some(Ok(Outcome::Deferred(..) | Outcome::Again(_)) | Err(_))) => {}
                Ok(None) => break,
                Err(_) if next == deadline => break,
                Err(_) => self.heart.beat(),
            }
        }
        self.tasks.abort_all();
        if self.acks.is_empty() && self.gaps.is_empty() {
            self.ledger.settle();
            return Ended::Drained;
        }
        Ended::TimedOut
    }
}

/// Delivers one chunk. A chunk that holds the large buffer is given back whenever it has to wait.
pub(super) async fn carry_out(
    context: Arc<Context>,
    chunk: Chunk,
    ticket: u64,
    mut delivery: Delivery,
    grant: u64,
    before: Progress,
) -> Outcome {
    loop {
        let slot = context.slots.request().await;
        let step = delivery.step(&context, &chunk.batch).await;
        drop(slot);
        match step {
            DeliveryStep::Done => {
                let mark = file_mark(&context.output);
                return Outcome::Settled(ticket, mark, chunk.permit.is_some());
            }
            DeliveryStep::Wait(until) if chunk.permit.is_some() => {
                let returned = give_back(&chunk, ticket, delivery, grant, before);
                return Outcome::Deferred(returned, until);
            }
            // The output keeps the order of events, so no other chunk may start meanwhile.
            DeliveryStep::Wait(until) if context.output.capabilities().ordered => {
                tokio::time::sleep_until(until.into()).await;
            }
            DeliveryStep::Wait(until) => tokio::select! {
                () = context.slots.wait_aside(until) => {}
                () = context.waits.called(delivery.heard()) => {}
            },
        }
    }
}

/// Sequence number and length of the output file, for the checkpoint.
pub(super) fn file_mark(output: &Output) -> Option<FileMark> {
    output.cut_back().map(File::mark)
}

/// Drops the bytes of a large chunk and keeps what is needed to resume its delivery.
pub(super) fn give_back(
    chunk: &Chunk,
    ticket: u64,
    delivery: Delivery,
    grant: u64,
    before: Progress,
) -> Returned {
    let (generation, stretch) = (chunk.generation, chunk.batch.start..chunk.batch.end);
    let revision = chunk.batch.passed.revision;
    Returned { ticket, delivery, generation, stretch, grant, before, revision }
}
