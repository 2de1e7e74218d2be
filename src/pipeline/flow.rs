//! The state between the reader and the cursor of a pipeline: how far the reader has read, which chunks and gaps are
//! in flight, and how the cursor moves over the contiguous acknowledged prefix.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acks::Acks;
use super::backoff::Backoff;
use super::chunk_task::{ChunkTask, Returned};
use super::context::{DeliveryContext, Settings};
use super::delivery::Delivery;
use super::in_doubt::InDoubt;
use super::rate::Rate;
use crate::checkpoint::{Ledger, RESERVE};
use crate::config::Retry;
use crate::event::{Cursor, FileMark, Fingerprint, Nanos, Progress};
use crate::input::Chunk;
use crate::telemetry::{DeliveredUpTo, Time};

/// At most this many chunks and gaps wait for one before them. While one is stuck, the others continue up to here.
pub(super) const AHEAD: usize = 256;

/// Chunks and gaps in flight, in the order in which they were read.
pub(super) struct Flow {
    context: Arc<DeliveryContext>,
    ledger: Arc<Ledger>,
    pub(super) doubts: InDoubt,
    retry: Retry,
    rate: Rate,
    acks: Acks<PendingAck>,
    /// How far the reader has read in each generation, ahead of the cursor.
    read: BTreeMap<Fingerprint, Progress>,
    /// Large chunks whose buffer was released and that are read again, by generation and start.
    returned: HashMap<(Fingerprint, u64), Returned>,
    /// Bytes handed to deliveries since the start.
    taken: u64,
    /// Bytes handed to deliveries that the cursor has not passed yet.
    under_way: u64,
}

/// How to move the cursor once a chunk and all chunks before it are acknowledged.
pub(super) struct PendingAck {
    generation: Fingerprint,
    /// `None`: the cursor does not move for this entry; the entry behind it says how far.
    progress: Option<Progress>,
    bytes: u64,
    file: Arc<str>,
    first_event: Option<Nanos>,
    mark: Option<FileMark>,
}

impl Flow {
    pub(super) fn new(
        context: &Arc<DeliveryContext>,
        ledger: &Arc<Ledger>,
        doubts: InDoubt,
        settings: &Settings,
    ) -> Self {
        let read = ledger.cursor().generations;
        context.reporter.begins_at(&read);
        Self {
            context: Arc::clone(context),
            ledger: Arc::clone(ledger),
            doubts,
            retry: settings.retry,
            rate: Rate::new(settings.max_bytes_per_second, Instant::now()),
            acks: Acks::default(),
            read,
            returned: HashMap::new(),
            taken: 0,
            under_way: 0,
        }
    }

    /// Whether another chunk may be delivered. While a large chunk has to be read again, the bounds do not apply:
    /// those before it must get through first.
    pub(super) fn has_room(&self) -> bool {
        let bounded = self.acks.len() < AHEAD
            && self.under_way < RESERVE
            && self.ledger.gaps_to_send() < AHEAD;
        bounded || !self.returned.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.acks.is_empty()
    }

    /// Whether a chunk or gap of this generation is in flight.
    pub(super) fn holds(&self, generation: Fingerprint) -> bool {
        self.acks.any(|pending| pending.generation == generation)
    }

    /// The time of the first event in the oldest chunk in flight.
    pub(super) fn oldest_event(&self) -> Option<Nanos> {
        self.acks.oldest().and_then(|pending| pending.first_event)
    }

    /// How far the reader has read in a generation.
    pub(super) fn read_in(&self, generation: Fingerprint) -> Progress {
        self.read.get(&generation).cloned().unwrap_or_default()
    }

    /// Starts a pipeline that had no cursor.
    pub(super) fn start(&mut self, cursor: Cursor) {
        self.read.clone_from(&cursor.generations);
        self.ledger.start(cursor);
    }

    /// The cursor has gone back, and nothing is in flight.
    pub(super) fn go_back(&mut self) {
        self.read = self.ledger.cursor().generations;
    }

    /// Forgets a generation that is gone.
    pub(super) fn forget(&mut self, generation: Fingerprint) {
        self.read.remove(&generation);
    }

    /// Whether this is a large chunk that was read again, and its delivery goes on.
    pub(super) fn resumes(&self, chunk: &Chunk) -> bool {
        let at = (chunk.generation, chunk.batch.start);
        self.returned.get(&at).is_some_and(|returned| {
            returned.stretch.end == chunk.batch.end
                && returned.revision == chunk.batch.passed.revision
        })
    }

    /// Enters a chunk; returns its task, and how long the rate limit makes it wait.
    pub(super) fn take(&mut self, chunk: Chunk) -> (ChunkTask, Duration) {
        let resumes = self.resumes(&chunk);
        let before = self.read.insert(chunk.generation, chunk.progress.clone()).unwrap_or_default();
        let (start, end) = (chunk.batch.start, chunk.batch.end);
        let (ticket, delivery, grant, wait) = match self.returned.remove(&(chunk.generation, start))
        {
            Some(returned) if resumes => {
                (returned.ticket, returned.delivery, returned.grant, Duration::ZERO)
            }
            other => {
                // It ends elsewhere, or another transform made its events: the delivery knows other ones.
                if let Some(returned) = other {
                    self.give_up(returned);
                }
                self.context.reporter.passed(&chunk.batch);
                let (ticket, delivery) = self.enter(&chunk);
                (ticket, delivery, self.taken, self.rate.wait(end - start, Instant::now()))
            }
        };
        let (context, ledger) = (Arc::clone(&self.context), Arc::clone(&self.ledger));
        (ChunkTask { context, ledger, chunk, ticket, delivery, grant, before }, wait)
    }

    /// Gives a new chunk its place in the order of acknowledgements.
    fn enter(&mut self, chunk: &Chunk) -> (u64, Delivery) {
        let batch = &chunk.batch;
        if self.context.lives.has_earlier() {
            self.doubts.doubt_all();
            self.ledger.doubt_all();
        }
        let earlier = self.doubts.holds(chunk).then(|| self.doubts.earlier());
        match earlier {
            Some(_) => self.context.reporter.begins_in_doubt(),
            None if InDoubt::end_before(chunk) => self.ledger.doubt_ends(self.taken),
            None => {}
        }
        let delivery =
            Delivery::new(&self.context.output, batch, Backoff::new(self.retry), earlier);
        let bytes = batch.end - batch.start;
        self.taken += bytes;
        self.under_way += bytes;
        let ticket = self.acks.enter(PendingAck {
            generation: chunk.generation,
            progress: Some(chunk.progress.clone()),
            bytes,
            file: Arc::clone(&chunk.file),
            first_event: batch.passed.first,
            mark: None,
        });
        (ticket, delivery)
    }

    /// Enters a gap; returns its ticket. Without `progress`, the chunk behind the gap says how far the cursor moves.
    pub(super) fn enter_gap(
        &mut self,
        generation: Fingerprint,
        file: Arc<str>,
        progress: Option<Progress>,
    ) -> u64 {
        if let Some(progress) = &progress {
            self.read.insert(generation, progress.clone());
        }
        let (bytes, first_event, mark) = (0, None, None);
        self.acks.enter(PendingAck { generation, progress, bytes, file, first_event, mark })
    }

    /// A large chunk is read again; returns where in its generation.
    pub(super) fn read_again(&mut self, returned: Returned) -> (Fingerprint, Progress) {
        let (generation, before) = (returned.generation, returned.before.clone());
        self.read.insert(generation, before.clone());
        self.returned.insert((generation, returned.stretch.start), returned);
        (generation, before)
    }

    pub(super) fn give_up_returned(&mut self, generation: Fingerprint) {
        let is_gone = |(of, _): &(Fingerprint, u64), _: &mut Returned| *of == generation;
        let gone: Vec<_> = self.returned.extract_if(is_gone).collect();
        for (_, returned) in gone {
            self.give_up(returned);
        }
    }

    /// A large chunk whose file was gone, or ended elsewhere, at the second reading. Parts may have been sent.
    fn give_up(&mut self, returned: Returned) {
        let Returned { ticket, generation, stretch, .. } = returned;
        self.doubts.give_up(generation, stretch, Instant::now() + self.context.timeout);
        if let Some(pending) = self.acks.at(ticket) {
            pending.progress = None;
            let bytes = std::mem::take(&mut pending.bytes);
            self.taken -= bytes;
            self.under_way -= bytes;
        }
        self.acknowledge(ticket, None);
    }

    /// Acknowledges a chunk or gap and moves the cursor over the contiguous acknowledged prefix.
    pub(super) fn acknowledge(&mut self, ticket: u64, mark: Option<FileMark>) {
        if let Some(pending) = self.acks.at(ticket) {
            pending.mark = mark;
        }
        let stats = &self.context.reporter.stats;
        for pending in self.acks.acknowledge(ticket) {
            let PendingAck { generation, progress, bytes, file, first_event, mark } = pending;
            self.under_way -= bytes;
            let Some(progress) = progress else { continue };
            stats.set_cursor(DeliveredUpTo {
                generation: generation.0,
                file: Some(file),
                offset: progress.offset,
                event_time: progress.time.map(Time::from_nanos),
            });
            if let Some(first) = first_event {
                self.ledger.begins(first);
                stats.begins(Time::from_nanos(first));
            }
            self.ledger.advance(generation, progress, bytes, mark);
        }
    }
}
