//! The one loop: takes what is read, hands it to deliveries, and moves the cursor behind them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::acks::Acks;
use super::backoff::Backoff;
use super::delivery::{Context, Delivery, Step};
use super::doubt::Doubts;
use super::rate::Rate;
use super::reading::{self, Reply};
use super::refused::Refused;
use super::tell::Tell;
use crate::checkpoint::{FileMark, Ledger};
use crate::config::Retry;
use crate::event::{Fingerprint, Nanos, Progress};
use crate::input::{Chunk, Gap, Input, News, Reader};
use crate::output::Output;
use crate::telemetry::{Cursor as CursorView, GapReason, Heart, InputStats, Telemetry, Time};

/// A generation that no listing has shown for so long is forgotten; a directory may be unmounted for a while.
const FORGET: Duration = Duration::from_mins(10);
/// Generations that are gone but not forgotten, at most.
const GONE: usize = 1000;

/// What a pipeline is made of.
pub(crate) struct Pipeline {
    input: Arc<Input>,
    reader: Option<Reader>,
    context: Arc<Context>,
    ledger: Arc<Ledger>,
    doubts: Doubts,
    settings: Settings,
    input_stats: Arc<InputStats>,
    heart: Heart,
    acks: Acks<Passing>,
    tasks: JoinSet<Outcome>,
    rate: Rate,
    /// Bytes handed out since the start.
    taken: u64,
    /// Where reading stands in each generation, ahead of the cursor.
    read: BTreeMap<Fingerprint, Progress>,
    /// A large chunk that was given back, to be read again.
    returned: Option<Returned>,
    absent: HashMap<Fingerprint, Instant>,
    scopes: Arc<[String]>,
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
    /// Answers were missing when the time was up.
    TimedOut,
    /// The reading thread ended by itself, which is a fault of the program.
    Broken,
}

/// What the cursor becomes when a chunk and all before it are acknowledged.
struct Passing {
    generation: Fingerprint,
    /// `None`: a chunk that is gone for good; the gap behind it says so.
    progress: Option<Progress>,
    bytes: u64,
    file: Arc<str>,
    first_event: Option<Nanos>,
    mark: Option<FileMark>,
}

/// How a task ended.
enum Outcome {
    Settled(u64, Option<FileMark>, bool),
    /// A large chunk has to wait, without its bytes.
    Deferred(Returned, Instant),
    /// The wait is over.
    Again(Returned),
}

/// A large chunk without its bytes.
struct Returned {
    ticket: u64,
    delivery: Delivery,
    generation: Fingerprint,
    start: u64,
    before: Progress,
}

impl Pipeline {
    #[expect(clippy::too_many_arguments, reason = "called once, by `cli::run`, which names each")]
    pub(crate) fn new(
        input: Arc<Input>,
        reader: Reader,
        output: Output,
        names: (Arc<str>, Arc<str>),
        refused: Refused,
        ledger: Arc<Ledger>,
        doubts: Doubts,
        settings: Settings,
        telemetry: &Telemetry,
    ) -> Self {
        let heart = telemetry.heart(format!("the pipeline from {} to {}", names.0, names.1));
        let input_stats = telemetry.input(&names.0);
        let tell = Tell::new(names.0, names.1, telemetry.clone());
        tell.stats.refused_bytes.set(refused.bytes());
        let read = ledger.cursor().generations;
        Self {
            input,
            reader: Some(reader),
            context: Arc::new(Context { output, refused, tell, timeout: settings.timeout }),
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
            read,
            returned: None,
            absent: HashMap::new(),
        }
    }

    /// Runs until `stop` is true, then waits for what is under way.
    ///
    /// # Errors
    /// If the reading thread cannot be started.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<Ended> {
        let Some(reader) = self.reader.take() else { return Ok(Ended::Broken) };
        let name = format!("{}-{}", self.context.tell.input, self.context.tell.output);
        let mut reading = reading::start(&name, reader)?;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let told = stop.clone();
        // The other side goes away only when the process ends.
        let stopped = async move { if stop.wait_for(|stop| *stop).await.is_err() {} };
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                // The stop comes before the end of the reader, which follows from it.
                biased;
                () = &mut stopped => return Ok(self.drain().await),
                news = reading.news.recv(), if self.tasks.len() < self.settings.in_flight => match news {
                    Some(news) => self.take(news),
                    // The reader ends when the input is stopped, which may be seen here before the stop itself is.
                    None if *told.borrow() => return Ok(self.drain().await),
                    None => return Ok(Ended::Broken),
                },
                Some(outcome) = self.tasks.join_next() => {
                    let Ok(outcome) = outcome else { return Ok(Ended::Broken) };
                    if let Some(reply) = self.settle(outcome) {
                        // The reader is there as long as it waits for this.
                        let _ = reading.replies.send(reply);
                    }
                }
                _ = tick.tick() => self.look_after(),
            }
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Started(cursor) => {
                self.read.clone_from(&cursor.generations);
                self.ledger.start(cursor);
            }
            News::Gap(gap) => self.pass_gap(gap),
            News::Chunk(chunk) => self.deliver(*chunk),
        }
    }

    fn deliver(&mut self, chunk: Chunk) {
        let before = self.read.insert(chunk.generation, chunk.progress.clone()).unwrap_or_default();
        let (ticket, delivery) = match self.returned.take() {
            Some(returned)
                if (returned.generation, returned.start)
                    == (chunk.generation, chunk.batch.start) =>
            {
                (returned.ticket, returned.delivery)
            }
            other => {
                if let Some(returned) = other {
                    self.give_up(returned.ticket);
                }
                self.count(&chunk);
                self.enter(&chunk)
            }
        };
        let (context, ledger, end) =
            (Arc::clone(&self.context), Arc::clone(&self.ledger), self.taken);
        let wait = self.rate.wait(chunk.batch.end - chunk.batch.start, Instant::now());
        self.tasks.spawn(async move {
            ledger.granted(end).await;
            tokio::time::sleep(wait).await;
            carry_out(context, chunk, ticket, delivery, before).await
        });
        self.context.tell.stats.in_flight.set(self.tasks.len() as u64);
    }

    /// Gives a new chunk its place in the order.
    fn enter(&mut self, chunk: &Chunk) -> (u64, Delivery) {
        let batch = &chunk.batch;
        let earlier =
            self.doubts.holds(chunk).then(|| (Arc::clone(&self.scopes), self.doubts.until));
        match earlier {
            Some(_) => self.context.tell.begins_in_doubt(),
            None => self.ledger.doubt_passed_unless_bounded(),
        }
        let delivery =
            Delivery::new(&self.context.output, batch, Backoff::new(self.settings.retry), earlier);
        self.taken += batch.end - batch.start;
        let ticket = self.acks.enter(Passing {
            generation: chunk.generation,
            progress: Some(chunk.progress.clone()),
            bytes: batch.end - batch.start,
            file: Arc::clone(&chunk.file),
            first_event: batch.events.first().map(|event| event.time),
            mark: None,
        });
        (ticket, delivery)
    }

    /// Counts what was read, if no other output's reader did.
    fn count(&self, chunk: &Chunk) {
        if !self.input.is_news(chunk.generation, chunk.batch.end) {
            return;
        }
        let (stats, told) = (&self.input_stats, &chunk.told);
        stats.bytes.add(chunk.batch.end - chunk.batch.start);
        stats.events.add(chunk.batch.events.len() as u64);
        stats.torn_lines.add(told.torn.into());
        stats.hole_bytes.add(told.hole_bytes);
        stats.over_long_lines.add(told.over_long.into());
        stats.unreadable_lines.add(told.unreadable.into());
        if let Some(event) = chunk.batch.events.last() {
            stats.last_event.set(Some(Time::from_nanos(event.time)));
        }
        let gaps = [
            (GapReason::TornLine, told.torn_bytes, u64::from(told.torn)),
            (GapReason::NulHole, told.hole_bytes, u64::from(told.hole_bytes > 0)),
            (GapReason::OverLongLine, told.over_long_bytes, u64::from(told.over_long)),
        ];
        for (reason, bytes, times) in gaps.into_iter().filter(|(_, _, times)| *times > 0) {
            stats.gap(reason, bytes);
            let (input, file) = (&*self.context.tell.input, &*chunk.file);
            tracing::warn!(
                input,
                file,
                offset = chunk.batch.start,
                ?reason,
                bytes,
                times,
                "log is damaged here"
            );
        }
    }

    /// A stretch that nobody can read any more: counted, said, and passed over in its turn.
    fn pass_gap(&mut self, gap: Gap) {
        if let Some(returned) = self.returned.take() {
            self.give_up(returned.ticket);
        }
        self.input_stats.gap(gap.reason, gap.bytes);
        let tell = &self.context.tell;
        tracing::error!(
            input = &*tell.input, output = &*tell.output, file = &*gap.file, offset = gap.offset, bytes = gap.bytes,
            reason = ?gap.reason, "a part of the log is lost to this output"
        );
        self.read.insert(gap.generation, gap.progress.clone());
        if gap.reason == GapReason::Truncated {
            self.doubts.read_again(gap.generation);
        }
        let (generation, progress) = (gap.generation, Some(gap.progress));
        let ticket = self.acks.enter(Passing {
            generation,
            progress,
            bytes: 0,
            file: gap.file,
            first_event: None,
            mark: None,
        });
        self.pass(ticket);
    }

    /// A large chunk whose file was gone when it was to be read again.
    fn give_up(&mut self, ticket: u64) {
        if let Some(passing) = self.acks.at(ticket) {
            passing.progress = None;
        }
        self.pass(ticket);
    }

    fn settle(&mut self, outcome: Outcome) -> Option<Reply> {
        self.context.tell.stats.in_flight.set(self.tasks.len() as u64);
        match outcome {
            Outcome::Settled(ticket, mark, large) => {
                if let Some(passing) = self.acks.at(ticket) {
                    passing.mark = mark;
                }
                self.pass(ticket);
                large.then_some(Reply::Settled)
            }
            Outcome::Deferred(returned, until) => {
                self.tasks.spawn(async move {
                    tokio::time::sleep_until(until.into()).await;
                    Outcome::Again(returned)
                });
                None
            }
            Outcome::Again(returned) => {
                let (generation, before) = (returned.generation, returned.before.clone());
                self.read.insert(generation, before.clone());
                self.returned = Some(returned);
                Some(Reply::Again(generation, before))
            }
        }
    }

    /// Acknowledges a chunk and moves the cursor over what is contiguous.
    fn pass(&mut self, ticket: u64) {
        for Passing { generation, progress, bytes, file, mark, .. } in self.acks.acknowledge(ticket)
        {
            let Some(progress) = progress else { continue };
            self.context.tell.stats.set_cursor(CursorView {
                generation: generation.0,
                file: Some(file),
                offset: progress.offset,
                event_time: progress.time.map(Time::from_nanos),
            });
            self.ledger.advance(generation, progress, bytes, mark);
        }
    }

    /// Once a second: how far behind, and what can be forgotten.
    fn look_after(&mut self) {
        self.heart.beat();
        let cursor = self.ledger.cursor();
        let stats = &self.context.tell.stats;
        stats.lag_bytes.set(self.input.backlog(&cursor));
        let latest = cursor.generations.values().filter_map(|progress| progress.time).max();
        let oldest = self.acks.oldest().and_then(|passing| passing.first_event).or(latest);
        stats.oldest_pending.set(oldest.map(Time::from_nanos));
        let now = Instant::now();
        for print in cursor.generations.keys() {
            match self.input.shows(*print) {
                Some(true) => drop(self.absent.remove(print)),
                Some(false) => drop(self.absent.entry(*print).or_insert(now)),
                None => {}
            }
        }
        if self.absent.values().all(|since| now.duration_since(*since) < FORGET)
            && self.absent.len() <= GONE
        {
            return;
        }
        // The directory itself may be away: then nothing is shown, and nothing is forgotten.
        if cursor.generations.keys().any(|print| self.input.shows(*print) == Some(true)) {
            self.forget(now);
        }
    }

    fn forget(&mut self, now: Instant) {
        let mut gone: Vec<_> = self.absent.iter().map(|(print, since)| (*since, *print)).collect();
        gone.sort_unstable();
        let excess = gone.len().saturating_sub(GONE);
        let old = |(index, (since, print)): (usize, (Instant, Fingerprint))| {
            (index < excess || now.duration_since(since) >= FORGET).then_some(print)
        };
        let gone: Vec<_> = gone.into_iter().enumerate().filter_map(old).collect();
        self.ledger.forget(|print| gone.contains(print));
        for print in gone {
            self.absent.remove(&print);
            self.read.remove(&print);
        }
    }

    /// Waits for what is under way, as long as is allowed.
    async fn drain(mut self) -> Ended {
        self.context.tell.stats.draining();
        let deadline = tokio::time::Instant::now() + self.settings.drain_timeout;
        while let Ok(Some(outcome)) =
            tokio::time::timeout_at(deadline, self.tasks.join_next()).await
        {
            match outcome {
                // What has to be read again will be, by the next process.
                Ok(Outcome::Settled(..)) => drop(outcome.map(|outcome| self.settle(outcome))),
                Ok(Outcome::Deferred(..) | Outcome::Again(_)) | Err(_) => {}
            }
        }
        self.tasks.abort_all();
        if self.acks.is_empty() {
            self.ledger.settle();
            return Ended::Drained;
        }
        Ended::TimedOut
    }
}

/// Delivers one chunk. One that holds the large buffer is given back whenever there is something to wait for.
async fn carry_out(
    context: Arc<Context>,
    chunk: Chunk,
    ticket: u64,
    mut delivery: Delivery,
    before: Progress,
) -> Outcome {
    loop {
        match delivery.step(&context, &chunk.batch).await {
            Step::Done => {
                let mark = match &context.output {
                    Output::File(file) => Some(file.mark()),
                    Output::Loki(_) | Output::Elasticsearch(_) => None,
                };
                let mark =
                    mark.map(|mark| FileMark { sequence: mark.sequence, length: mark.length });
                return Outcome::Settled(ticket, mark, chunk.permit.is_some());
            }
            Step::Wait(until) if chunk.permit.is_some() => {
                let (generation, start) = (chunk.generation, chunk.batch.start);
                return Outcome::Deferred(
                    Returned { ticket, delivery, generation, start, before },
                    until,
                );
            }
            Step::Wait(until) => tokio::time::sleep_until(until.into()).await,
        }
    }
}
