//! The loop of a pipeline: takes chunks from the reader, starts a task for each, and moves the cursor after them. At
//! shutdown it drains: it waits for the requests in flight, for `drain_timeout` at most.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::absence::Absence;
use super::chunk_task::TaskEnd;
use super::context::{DeliveryContext, Settings};
use super::counts::Counts;
use super::flow::Flow;
use super::gap_journal::GapJournal;
use super::heartbeats::Heartbeats;
use super::housekeeping::Housekeeping;
use super::in_doubt::InDoubt;
use super::lives::Lives;
use super::read_thread::{ReadThread, ReaderReply};
use super::refusals::RefusalHandling;
use super::reporter::Reporter;
use super::selection::Selection;
use super::waits::Waits;
use crate::checkpoint::Ledger;
use crate::dead_letters::DeadLetters;
use crate::event::{Fingerprint, GapReason, Progress};
use crate::input::{Chunk, Gap, Input, Reader, ReaderItem, Rewinds};
use crate::output::Output;
use crate::telemetry::{PairStats, Telemetry, Time};
use crate::transform::ReloadableChain;

/// What a pipeline is built from.
pub(crate) struct PipelineParts {
    pub(crate) input: Arc<Input>,
    pub(crate) reader: Reader,
    pub(crate) transform: Arc<ReloadableChain>,
    pub(crate) output: Arc<Output>,
    pub(crate) letters: DeadLetters,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) doubts: InDoubt,
    pub(crate) settings: Settings,
    pub(crate) lives: Arc<Lives>,
    pub(crate) stats: Arc<PairStats>,
    /// For a replay: the events to ship, and the counts of their results by file.
    pub(crate) replay: Option<(Arc<Selection>, Arc<Counts>)>,
}

/// One input, one output, and everything in flight between them.
pub(crate) struct Pipeline {
    input: Arc<Input>,
    source: Option<ReadThread>,
    context: Arc<DeliveryContext>,
    ledger: Arc<Ledger>,
    drain_timeout: Duration,
    tasks: JoinSet<TaskEnd>,
    flow: Flow,
    gaps: GapJournal,
    housekeeping: Housekeeping,
    heartbeats: Option<Heartbeats>,
    absence: Absence,
    /// An item that was read while there was no room to deliver it.
    parked: Option<Parked>,
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

/// What the reader waits to hear about an item that is dropped: a large chunk holds the one large buffer.
fn unwanted(parked: &Parked) -> Option<ReaderReply> {
    match parked {
        Parked::Large(..) => Some(ReaderReply::Settled),
        Parked::Item(ReaderItem::Chunk(chunk)) if chunk.permit.is_some() => {
            Some(ReaderReply::Settled)
        }
        Parked::Item(_) => None,
    }
}

/// An item that was read and cannot be delivered yet.
enum Parked {
    Item(ReaderItem),
    /// A chunk that released the process's one large buffer, for another output: where to read it again.
    Large(Fingerprint, Progress),
}

impl Pipeline {
    pub(crate) fn new(parts: PipelineParts, telemetry: &Telemetry) -> Self {
        let PipelineParts { input, reader, transform, output, letters, ledger, .. } = parts;
        let (selection, counts) = parts.replay.unzip();
        let reporter = Reporter::new(parts.stats, telemetry.clone(), counts);
        reporter.letters(letters.count());
        if !input.is_finite() {
            ledger.show_losses(&reporter.stats);
        }
        let (settings, refusals) = (&parts.settings, RefusalHandling::keep(letters));
        let context = DeliveryContext::new(output, refusals, reporter, settings, parts.lives);
        let context = Arc::new(context);
        // A replay does not say whether the node works.
        let heartbeat = settings.heartbeat.filter(|_| !input.is_finite());
        Self {
            source: Some(ReadThread { reader, transform, selection }),
            drain_timeout: settings.drain_timeout,
            tasks: JoinSet::new(),
            flow: Flow::new(&context, &ledger, parts.doubts, settings),
            gaps: GapJournal::new(&context, &ledger, settings.retry, input.is_finite()),
            housekeeping: Housekeeping::new(&input, &context, &ledger, telemetry),
            heartbeats: heartbeat.map(|every| Heartbeats::new(every, &context, telemetry)),
            absence: Absence::new(&context, &ledger),
            parked: None,
            input,
            context,
            ledger,
        }
    }

    /// The events that wait for the operator, who can have them stored as dead letters.
    pub(crate) fn waits(&self) -> Arc<Waits> {
        Arc::clone(&self.context.waits)
    }

    /// Runs until `stop` is true and then drains; or until a finite list of files is read and settled.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<Ended> {
        let Some(source) = self.source.take() else { return Ok(Ended::Broken) };
        let mut reading = source.start(&self.context.reporter.stats)?;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        // The sender is dropped only when the process ends.
        let stopped = async move { if stop.wait_for(|stop| *stop).await.is_err() {} };
        tokio::pin!(stopped);
        let mut read = false;
        loop {
            self.ship_gaps();
            if read && self.is_settled() {
                self.ledger.settle();
                return Ok(Ended::Drained);
            }
            if let Some(reply) = self.send_again(&reading.rewinds) {
                let _ = reading.replies.send(reply);
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
                item = reading.items.recv(), if self.parked.is_none() && !read => match item {
                    Some(item) => {
                        if let Some(reply) = self.park(item) {
                            let _ = reading.replies.send(reply);
                        }
                    }
                    None if self.input.is_finite() && !self.input.is_stopped() => read = true,
                    // The reader can notice the stop first.
                    None if self.input.is_stopped() => return Ok(self.drain().await),
                    None => return Ok(Ended::Broken),
                },
                Some(end) = self.tasks.join_next() => {
                    let Ok(end) = end else { return Ok(Ended::Broken) };
                    if let Some(reply) = self.settle(end) {
                        let _ = reading.replies.send(reply);
                    }
                }
                () = self.context.slots.changed() => {}
                _ = tick.tick() => self.tick(),
            }
        }
    }

    /// Once a second.
    fn tick(&mut self) {
        self.housekeeping.look_after(&mut self.flow);
        if let Some(heartbeats) = &mut self.heartbeats {
            heartbeats.tick(Time::now());
        }
    }

    /// Whether everything that was read is settled.
    fn is_settled(&self) -> bool {
        self.parked.is_none()
            && self.flow.is_empty()
            && self.gaps.is_empty()
            && self.tasks.is_empty()
    }

    fn has_slot(&self) -> bool {
        self.context.slots.has_room(self.tasks.len())
    }

    fn has_room(&self) -> bool {
        self.has_slot() && self.flow.has_room()
    }

    /// Keeps an item until there is room; returns a reply for the reader if the item is not wanted.
    fn park(&mut self, item: ReaderItem) -> Option<ReaderReply> {
        if matches!(item, ReaderItem::Rewound) {
            self.absence.is_back();
            return None;
        }
        if self.absence.is_going_back() {
            return unwanted(&Parked::Item(item));
        }
        self.parked = Some(match item {
            ReaderItem::Chunk(chunk) if chunk.permit.is_some() && !self.has_room() => {
                Parked::Large(chunk.generation, self.flow.read_in(chunk.generation))
            }
            item => Parked::Item(item),
        });
        None
    }

    /// Goes back to the beginning of the resend window if the back end was away and nothing is in flight any more.
    fn send_again(&mut self, rewinds: &Rewinds) -> Option<ReaderReply> {
        let is_idle = self.flow.is_empty() && self.gaps.is_empty() && self.tasks.is_empty();
        if !self.absence.is_noticed() || !is_idle || !self.input.is_listed() {
            return None;
        }
        rewinds.ask(self.absence.go_back(&self.input)?);
        self.flow.go_back();
        self.parked.take().as_ref().and_then(unwanted)
    }

    /// Takes the parked item as soon as there is room.
    fn unpark(&mut self) -> Option<ReaderReply> {
        if self.absence.is_noticed() || !self.has_room() || self.waits_for_acks() {
            return None;
        }
        match self.parked.take()? {
            Parked::Large(generation, before) => {
                return Some(ReaderReply::Again(generation, before));
            }
            Parked::Item(item) => self.take(item),
        }
        None
    }

    /// The new content of a truncated file is looked up, which cannot see requests still in flight.
    fn waits_for_acks(&mut self) -> bool {
        let Some(Parked::Item(ReaderItem::Gap(gap))) = &self.parked else { return false };
        if gap.reason != GapReason::Truncated {
            return false;
        }
        self.flow.give_up_returned(gap.generation);
        self.flow.holds(gap.generation)
    }

    fn take(&mut self, item: ReaderItem) {
        match item {
            // Never parked.
            ReaderItem::Rewound => {}
            ReaderItem::Started(cursor) => self.flow.start(cursor),
            ReaderItem::Gap(gap) => self.take_gap(gap),
            ReaderItem::Chunk(mut chunk) => {
                let damaged = self.take_damage(&mut chunk);
                if damaged && self.context.is_ordered() {
                    // The gap first.
                    self.parked = Some(Parked::Item(ReaderItem::Chunk(chunk)));
                } else {
                    self.deliver(*chunk);
                }
            }
        }
    }

    fn deliver(&mut self, chunk: Chunk) {
        if !self.flow.resumes(&chunk) {
            self.housekeeping.count(&chunk);
        }
        let (task, wait) = self.flow.take(chunk);
        self.tasks.spawn(task.run(wait));
        self.context.reporter.stats.in_flight.set(self.tasks.len() as u64);
    }

    /// A stretch that cannot be read any more: reports the gap and passes it in its turn.
    fn take_gap(&mut self, gap: Gap) {
        self.flow.give_up_returned(gap.generation);
        let record = self.gaps.record(&gap);
        let ticket = self.flow.enter_gap(gap.generation, gap.file, Some(gap.progress));
        match record {
            Some(record) => self.gaps.enter(record, ticket),
            // An earlier process wrote the gap down, so the cursor does not wait for more.
            None => self.flow.acknowledge(ticket, None),
        }
    }

    /// Enters the damage in a chunk as gaps before the chunk; returns whether there is any.
    fn take_damage(&mut self, chunk: &mut Chunk) -> bool {
        self.absence.forget_known_damage(chunk);
        if chunk.told.damage.is_empty() {
            return false;
        }
        let read = self.flow.read_in(chunk.generation).time;
        let records = self.gaps.record_damage(chunk, read);
        let any = !records.is_empty();
        for record in records {
            let ticket = self.flow.enter_gap(chunk.generation, Arc::clone(&chunk.file), None);
            self.gaps.enter(record, ticket);
        }
        any
    }

    /// Sends the waiting gaps as soon as there is a slot.
    fn ship_gaps(&mut self) {
        if self.has_slot()
            && let Some(request) = self.gaps.next_request(&self.flow.doubts)
        {
            self.tasks.spawn(request);
        }
    }

    /// Acts on the end of a task; returns the reply for the reader, if the reader waits for one.
    fn settle(&mut self, end: TaskEnd) -> Option<ReaderReply> {
        self.context.reporter.stats.in_flight.set(self.tasks.len() as u64);
        match end {
            TaskEnd::Settled { ticket, mark, large } => {
                self.flow.acknowledge(ticket, mark);
                large.then_some(ReaderReply::Settled)
            }
            TaskEnd::GapsDelivered { tickets, ids, mark } => {
                self.gaps.delivered(&ids);
                for ticket in tickets {
                    self.flow.acknowledge(ticket, mark);
                }
                None
            }
            TaskEnd::Deferred(returned, until) => {
                let (context, ledger) = (Arc::clone(&self.context), Arc::clone(&self.ledger));
                self.tasks.spawn(returned.wait(context, ledger, until));
                None
            }
            TaskEnd::Again(returned) => {
                let (generation, before) = self.flow.read_again(returned);
                Some(ReaderReply::Again(generation, before))
            }
        }
    }

    /// Shutdown: waits for the requests in flight, for `drain_timeout` at most.
    async fn drain(mut self) -> Ended {
        self.context.reporter.stats.draining();
        let deadline = tokio::time::Instant::now() + self.drain_timeout;
        loop {
            self.ship_gaps();
            // Wakes as often as before, so that the heartbeat continues and a long drain is not taken for a hang.
            let next = deadline.min(tokio::time::Instant::now() + Duration::from_secs(1));
            match tokio::time::timeout_at(next, self.tasks.join_next()).await {
                // The next process reads the chunk again.
                Ok(Some(Ok(TaskEnd::Deferred(..) | TaskEnd::Again(_)) | Err(_))) => {}
                Ok(Some(Ok(end))) => {
                    // The reader has stopped, so nobody takes the reply.
                    let _ = self.settle(end);
                }
                Ok(None) => break,
                Err(_) if next == deadline => break,
                Err(_) => self.housekeeping.beat(),
            }
        }
        self.tasks.abort_all();
        if self.flow.is_empty() && self.gaps.is_empty() {
            self.ledger.settle();
            return Ended::Drained;
        }
        Ended::TimedOut
    }
}
