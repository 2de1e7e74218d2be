//! The loop of a pipeline: takes chunks from the reader, starts a delivery for each, and moves the cursor after them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::acks::Acks;
use super::backoff::Backoff;
use super::delivery::{Context, Delivery};
use super::fate::RefusalHandling;
use super::in_doubt::InDoubt;
use super::in_flight::Slots;
use super::lives::Lives;
use super::rate::Rate;
use super::read_thread::{self, Reply};
use super::recovery::Waking;
use super::reporter::Reporter;
use super::selection::Selection;
use super::waits::Waits;
use crate::checkpoint::{Ledger, RESERVE};
use crate::config::Retry;
use crate::dead_letters::DeadLetters;
use crate::event::{FileMark, Fingerprint, Nanos, Progress};
use crate::input::{Chunk, Input, Reader, ReaderItem};
use crate::output::Output;
use crate::telemetry::{GapReason, Heartbeat, InputStats, Telemetry};
use crate::transform::ReloadableChain;

/// At most this many chunks and gaps wait for one before them. While one is stuck, the others continue up to here.
const AHEAD: usize = 256;

mod finite;
mod gaps;
mod housekeeping;
mod settle;

use gaps::Gaps;
use settle::{carry_out, file_mark, give_back};

/// One input, one output, and everything in flight between them.
pub(crate) struct Pipeline {
    input: Arc<Input>,
    reader: Option<(Reader, Arc<ReloadableChain>)>,
    context: Arc<Context>,
    ledger: Arc<Ledger>,
    doubts: InDoubt,
    settings: Settings,
    input_stats: Arc<InputStats>,
    heart: Heartbeat,
    acks: Acks<PendingAck>,
    tasks: JoinSet<Outcome>,
    rate: Rate,
    /// Bytes handed to deliveries since the start.
    taken: u64,
    /// Bytes handed to deliveries that the cursor has not passed yet.
    under_way: u64,
    /// How far the reader has read in each generation, ahead of the cursor.
    read: BTreeMap<Fingerprint, Progress>,
    /// An item that was read while there was no room to deliver it.
    parked: Option<Parked>,
    /// Large chunks whose buffer was released and that are read again, by generation and start.
    returned: HashMap<(Fingerprint, u64), Returned>,
    gaps: Gaps,
    absent: HashMap<Fingerprint, Instant>,
    ticks: u64,
    /// The log line "caught up" was written.
    caught_up: bool,
    scopes: Arc<[String]>,
    selection: Option<Arc<Selection>>,
}

/// The configuration of one pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) in_flight: usize,
    pub(crate) retry: Retry,
    pub(crate) max_bytes_per_second: Option<u64>,
    /// Of one request.
    pub(crate) timeout: Duration,
    pub(crate) drain_timeout: Duration,
}

/// How a pipeline ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// Everything that was sent is acknowledged.
    Drained,
    /// `drain_timeout` passed while requests were still unacknowledged.
    TimedOut,
    /// The reading thread ended by itself, which is a bug.
    Broken,
}

/// How to move the cursor once a chunk and all chunks before it are acknowledged.
struct PendingAck {
    generation: Fingerprint,
    /// `None`: the cursor does not move for this entry; the entry behind it says how far.
    progress: Option<Progress>,
    bytes: u64,
    file: Arc<str>,
    first_event: Option<Nanos>,
    mark: Option<FileMark>,
}

/// How a task ended.
enum Outcome {
    Settled(u64, Option<FileMark>, bool),
    /// Gaps are delivered: their tickets and ids.
    GapsDelivered(Vec<u64>, Vec<Fingerprint>, Option<FileMark>),
    /// A large chunk has to wait. It released its buffer.
    Deferred(Returned, Instant),
    /// The wait is over: read the chunk again.
    Again(Returned),
}

/// A large chunk without its bytes.
struct Returned {
    ticket: u64,
    delivery: Delivery,
    generation: Fingerprint,
    stretch: Range<u64>,
    /// The ledger has to grant sending up to this byte count first.
    grant: u64,
    before: Progress,
    /// The revision of the transform that produced its events.
    revision: u64,
}

/// An item that was read and cannot be delivered yet.
enum Parked {
    ReaderItem(ReaderItem),
    /// A chunk that released the process's one large buffer, for another output: where to read it again.
    Large(Fingerprint, Progress),
}

impl Pipeline {
    #[expect(clippy::too_many_arguments, reason = "called once, by `agent`, which names each")]
    pub(crate) fn new(
        input: Arc<Input>,
        (reader, transform): (Reader, Arc<ReloadableChain>),
        output: Arc<Output>,
        names: (Arc<str>, Arc<str>),
        letters: DeadLetters,
        ledger: Arc<Ledger>,
        doubts: InDoubt,
        settings: Settings,
        lives: Arc<Lives>,
        telemetry: &Telemetry,
    ) -> Self {
        let heart = telemetry.heart(format!("the pipeline from {} to {}", names.0, names.1));
        let input_stats = telemetry.input(&names.0);
        let tell = Reporter::new(names.0, names.1, telemetry.clone());
        tell.letters(letters.count());
        let read = ledger.cursor().generations;
        tell.begins_at(&read);
        if !input.is_finite() {
            ledger.show_losses(&tell.stats);
        }
        Self {
            input,
            reader: Some((reader, transform)),
            context: Arc::new(Context {
                waits: Waits::new(Arc::clone(&tell.stats)),
                output,
                fate: RefusalHandling::keep(letters),
                tell,
                timeout: settings.timeout,
                waking: Waking::default(),
                slots: Slots::new(settings.in_flight),
                lives,
            }),
            ledger,
            scopes: doubts.scopes.clone().into(),
            doubts,
            settings,
            input_stats,
            heart,
            acks: Acks::default(),
            tasks: JoinSet::new(),
            rate: Rate::new(settings.max_bytes_per_second, Instant::now()),
            taken: 0,
            under_way: 0,
            read,
            parked: None,
            returned: HashMap::new(),
            gaps: Gaps::default(),
            absent: HashMap::new(),
            ticks: 0,
            caught_up: false,
            selection: None,
        }
    }

    /// The events that wait for the operator, who can have them stored as dead letters.
    pub(crate) fn waits(&self) -> Arc<Waits> {
        Arc::clone(&self.context.waits)
    }

    /// Runs until `stop` is true and then drains; or until a finite list of files is read and settled.
    ///
    /// # Errors
    /// If the reading thread cannot be started.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<Ended> {
        let Some((reader, transform)) = self.reader.take() else { return Ok(Ended::Broken) };
        let name = format!("{}-{}", self.context.tell.input, self.context.tell.output);
        let mut reading = read_thread::start(&name, reader, transform, self.selection.take())?;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        // The sender is dropped only when the process ends.
        let stopped = async move { if stop.wait_for(|stop| *stop).await.is_err() {} };
        tokio::pin!(stopped);
        self.take_up_gaps();
        let mut read = false;
        loop {
            self.ship_gaps();
            if read && self.is_settled() {
                self.ledger.settle();
                return Ok(Ended::Drained);
            }
            if let Some(reply) = self.unpark() {
                // The reader lives as long as it waits for this reply.
                let _ = reading.replies.send(reply);
            }
            // Gaps that were taken just now.
            self.ship_gaps();
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(self.drain().await),
                news = reading.news.recv(), if self.parked.is_none() && !read => match news {
                    Some(news) => self.park(news),
                    None if self.input.is_finite() && !self.input.is_stopped() => read = true,
                    // The reader can notice the stop first.
                    None if self.input.is_stopped() => return Ok(self.drain().await),
                    None => return Ok(Ended::Broken),
                },
                Some(outcome) = self.tasks.join_next() => {
                    let Ok(outcome) = outcome else { return Ok(Ended::Broken) };
                    if let Some(reply) = self.settle(outcome) {
                        let _ = reading.replies.send(reply);
                    }
                }
                () = self.context.slots.changed() => {}
                _ = tick.tick() => self.look_after(),
            }
        }
    }

    /// Whether another chunk may be delivered. While a large chunk has to be read again, the bounds do not apply:
    /// those before it must get through first.
    fn has_room(&self) -> bool {
        let bounded = self.acks.len() < AHEAD
            && self.under_way < RESERVE
            && self.ledger.gaps_to_send() < AHEAD;
        self.has_slot() && (bounded || !self.returned.is_empty())
    }

    fn has_slot(&self) -> bool {
        self.context.slots.has_room(self.tasks.len())
    }

    fn park(&mut self, news: ReaderItem) {
        self.parked = Some(match news {
            ReaderItem::Chunk(chunk) if chunk.permit.is_some() && !self.has_room() => {
                let before = self.read.get(&chunk.generation).cloned().unwrap_or_default();
                Parked::Large(chunk.generation, before)
            }
            news => Parked::ReaderItem(news),
        });
    }

    /// Takes the parked item as soon as there is room.
    fn unpark(&mut self) -> Option<Reply> {
        if !self.has_room() || self.waits_for_acks() {
            return None;
        }
        match self.parked.take()? {
            Parked::Large(generation, before) => return Some(Reply::Again(generation, before)),
            Parked::ReaderItem(news) => self.take(news),
        }
        None
    }

    /// The new content of a truncated file is looked up, which cannot see requests still in flight.
    fn waits_for_acks(&mut self) -> bool {
        let Some(Parked::ReaderItem(ReaderItem::Gap(gap))) = &self.parked else { return false };
        if gap.reason != GapReason::Truncated {
            return false;
        }
        let generation = gap.generation;
        self.give_up_returned(generation);
        self.acks.any(|passing| passing.generation == generation)
    }

    fn take(&mut self, news: ReaderItem) {
        match news {
            ReaderItem::Started(cursor) => {
                self.read.clone_from(&cursor.generations);
                self.ledger.start(cursor);
            }
            ReaderItem::Gap(gap) => self.pass_gap(gap),
            ReaderItem::Chunk(mut chunk) => {
                let damaged = self.pass_damage(&mut chunk);
                if damaged && self.context.output.capabilities().ordered {
                    // The output keeps the order of events: the gap first.
                    self.parked = Some(Parked::ReaderItem(ReaderItem::Chunk(chunk)));
                } else {
                    self.deliver(*chunk);
                }
            }
        }
    }

    fn deliver(&mut self, chunk: Chunk) {
        let before = self.read.insert(chunk.generation, chunk.progress.clone()).unwrap_or_default();
        let (start, end) = (chunk.batch.start, chunk.batch.end);
        let (ticket, delivery, grant, wait) = match self.returned.remove(&(chunk.generation, start))
        {
            Some(returned)
                if returned.stretch.end == end
                    && returned.revision == chunk.batch.passed.revision =>
            {
                (returned.ticket, returned.delivery, returned.grant, Duration::ZERO)
            }
            other => {
                // It ends elsewhere, or another transform made its events: the delivery knows other ones.
                if let Some(returned) = other {
                    self.give_up(returned);
                }
                self.count(&chunk);
                self.context.tell.passed(&chunk.batch);
                let (ticket, delivery) = self.enter(&chunk);
                (ticket, delivery, self.taken, self.rate.wait(end - start, Instant::now()))
            }
        };
        let (context, ledger) = (Arc::clone(&self.context), Arc::clone(&self.ledger));
        self.tasks.spawn(async move {
            if chunk.permit.is_some() && !(wait.is_zero() && ledger.is_granted(grant)) {
                let returned = give_back(&chunk, ticket, delivery, grant, before);
                return Outcome::Deferred(returned, Instant::now() + wait);
            }
            ledger.granted(grant).await;
            tokio::time::sleep(wait).await;
            carry_out(context, chunk, ticket, delivery, grant, before).await
        });
        self.context.tell.stats.in_flight.set(self.tasks.len() as u64);
    }

    /// Gives a new chunk its place in the order of acknowledgements.
    fn enter(&mut self, chunk: &Chunk) -> (u64, Delivery) {
        let batch = &chunk.batch;
        if self.context.lives.has_earlier() {
            self.doubts.doubt_all();
        }
        let earlier =
            self.doubts.holds(chunk).then(|| (Arc::clone(&self.scopes), self.doubts.until));
        match earlier {
            Some(_) => self.context.tell.begins_in_doubt(),
            None => self.ledger.doubt_passed_unless_bounded(),
        }
        let delivery =
            Delivery::new(&self.context.output, batch, Backoff::new(self.settings.retry), earlier);
        self.taken += batch.end - batch.start;
        self.under_way += batch.end - batch.start;
        let ticket = self.acks.enter(PendingAck {
            generation: chunk.generation,
            progress: Some(chunk.progress.clone()),
            bytes: batch.end - batch.start,
            file: Arc::clone(&chunk.file),
            first_event: batch.passed.first,
            mark: None,
        });
        (ticket, delivery)
    }

    fn give_up_returned(&mut self, generation: Fingerprint) {
        let is_gone =
            |(fingerprint, _): &(Fingerprint, u64), _: &mut Returned| *fingerprint == generation;
        let gone: Vec<_> = self.returned.extract_if(is_gone).collect();
        for (_, returned) in gone {
            self.give_up(returned);
        }
    }

    /// A large chunk whose file was gone, or ended elsewhere, at the second reading. Parts may have been sent.
    fn give_up(&mut self, returned: Returned) {
        let Returned { ticket, generation, stretch, .. } = returned;
        self.doubts.give_up(generation, stretch, Instant::now() + self.settings.timeout);
        if let Some(passing) = self.acks.at(ticket) {
            passing.progress = None;
            let bytes = std::mem::take(&mut passing.bytes);
            self.taken -= bytes;
            self.under_way -= bytes;
        }
        self.pass(ticket);
    }
}
