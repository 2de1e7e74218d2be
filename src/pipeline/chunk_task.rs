//! The task that delivers one chunk. A chunk that holds the process's one large buffer releases it whenever it has to
//! wait, and is read again.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::DeliveryContext;
use super::delivery::{Delivery, DeliveryStep};
use crate::checkpoint::Ledger;
use crate::event::{FileMark, Fingerprint, Progress};
use crate::input::Chunk;

/// One chunk and its delivery.
pub(super) struct ChunkTask {
    pub(super) context: Arc<DeliveryContext>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) chunk: Chunk,
    pub(super) ticket: u64,
    pub(super) delivery: Delivery,
    /// The ledger has to grant sending up to this byte count first.
    pub(super) grant: u64,
    /// The progress of the generation before the chunk.
    pub(super) before: Progress,
}

/// A large chunk without its bytes.
pub(super) struct Returned {
    pub(super) ticket: u64,
    pub(super) delivery: Delivery,
    pub(super) generation: Fingerprint,
    pub(super) stretch: Range<u64>,
    pub(super) grant: u64,
    pub(super) before: Progress,
    /// The revision of the transform that produced its events.
    pub(super) revision: u64,
}

/// How a task of a pipeline ended.
pub(super) enum TaskEnd {
    Settled {
        ticket: u64,
        mark: Option<FileMark>,
        large: bool,
    },
    GapsDelivered {
        tickets: Vec<u64>,
        ids: Vec<Fingerprint>,
        mark: Option<FileMark>,
    },
    /// A large chunk has to wait until then. It released its buffer.
    Deferred(Returned, Instant),
    /// The wait is over: read the chunk again.
    Again(Returned),
}

impl ChunkTask {
    /// Delivers the chunk after `wait`, once the ledger grants it.
    pub(super) async fn run(mut self, wait: Duration) -> TaskEnd {
        let large = self.chunk.permit.is_some();
        if large && !(wait.is_zero() && self.ledger.is_granted(self.grant)) {
            return self.defer(Instant::now() + wait);
        }
        self.ledger.granted(self.grant).await;
        tokio::time::sleep(wait).await;
        let context = Arc::clone(&self.context);
        loop {
            let slot = context.slots.request().await;
            let step = self.delivery.step(&context, &self.chunk.batch).await;
            drop(slot);
            match step {
                DeliveryStep::Done => {
                    let mark = context.file_mark();
                    return TaskEnd::Settled { ticket: self.ticket, mark, large };
                }
                DeliveryStep::Wait(until) if large => return self.defer(until),
                // No other chunk may start meanwhile.
                DeliveryStep::Wait(until) if context.is_ordered() => tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => {}
                    () = context.waits.called(self.delivery.heard()) => {}
                },
                DeliveryStep::Wait(until) => tokio::select! {
                    () = context.slots.wait_aside(until) => {}
                    () = context.waits.called(self.delivery.heard()) => {}
                },
            }
        }
    }

    /// Drops the bytes and keeps what is needed to resume the delivery.
    fn defer(self, until: Instant) -> TaskEnd {
        let Self { chunk, ticket, delivery, grant, before, .. } = self;
        let (generation, stretch) = (chunk.generation, chunk.batch.start..chunk.batch.end);
        let revision = chunk.batch.passed.revision;
        let returned = Returned { ticket, delivery, generation, stretch, grant, before, revision };
        TaskEnd::Deferred(returned, until)
    }
}

impl Returned {
    /// Waits until the chunk may be sent, or until the operator calls for its waiting events.
    pub(super) async fn wait(
        self,
        context: Arc<DeliveryContext>,
        ledger: Arc<Ledger>,
        until: Instant,
    ) -> TaskEnd {
        ledger.granted(self.grant).await;
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = context.waits.called(self.delivery.heard()) => {}
        }
        TaskEnd::Again(self)
    }
}
