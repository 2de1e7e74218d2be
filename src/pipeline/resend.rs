//! Sends dead letters again, through the same delivery and under the same ids. Each event is looked up first, to
//! avoid a duplicate, since the output may hold it by now.
//!
//! A dead letter is removed once its event is acknowledged. If the output refuses it again, it stays with the new
//! answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::context::{DeliveryContext, Settings};
use super::delivery::{Delivery, DeliveryStep};
use super::refusals::RefusalHandling;
use super::reporter::Reporter;
use crate::checkpoint::Ledger;
use crate::dead_letters::{DeadLetters, StoredDeadLetter, batch};
use crate::event::Position;
use crate::output::Output;
use crate::telemetry::{PairState, Telemetry};

/// Sends the dead letters of one input and output again.
pub(crate) struct Resend {
    context: DeliveryContext,
    letters: DeadLetters,
    settings: Settings,
    /// Of one request: bytes and events.
    limits: (usize, usize),
    /// Of the running agent, if there is one: it may still be sending the events beyond its cursor.
    ledger: Option<Arc<Ledger>>,
}

/// The request of the operator.
pub(crate) struct Ask<'a> {
    /// `None`: all dead letters.
    pub(crate) ids: Option<&'a [String]>,
    /// The longest wait for the output to take something.
    pub(crate) patience: Duration,
    /// Called with each page and each wait; false: the caller no longer waits for the result.
    pub(crate) go_on: &'a (dyn Fn(&Sum) -> bool + Send + Sync),
}

/// The result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) delivered: usize,
    pub(crate) refused: usize,
    /// All dead letters that were asked for.
    pub(crate) of: usize,
    /// Ids that no dead letter has.
    pub(crate) unknown: Vec<String>,
    /// Why it ended before all were tried.
    pub(crate) problem: Option<String>,
}

impl Resend {
    pub(crate) fn new(
        output: Output,
        (input, output_name): (&str, &str),
        letters: DeadLetters,
        settings: Settings,
        limits: (usize, usize),
        ledger: Option<Arc<Ledger>>,
        telemetry: &Telemetry,
    ) -> Self {
        // Has counters of its own: the result of a resend says nothing about the pipeline.
        let telemetry = telemetry.another();
        let reporter = Reporter::new(telemetry.pair(input, output_name), telemetry, None);
        let one_request = Settings { in_flight: 1, ..settings };
        let (output, refusals) = (Arc::new(output), RefusalHandling::note());
        let lives = Arc::default();
        let context = DeliveryContext::new(output, refusals, reporter, &one_request, lives);
        Self { context, letters, settings, limits, ledger }
    }

    pub(crate) async fn run(&self, ask: &Ask<'_>) -> Sum {
        let _turn = self.letters.turn().await;
        let (mut wanted, unknown) = self.letters.select(ask.ids);
        let mut sum = Sum { of: wanted.len(), unknown, ..Sum::default() };
        wanted.retain(|position| self.is_passed(position));
        let unpassed = sum.of - wanted.len();
        sum.problem = match self.all(wanted, ask, &mut sum).await {
            Err(problem) => Some(problem),
            Ok(()) if unpassed > 0 => Some(format!(
                "{unpassed} were refused just now and the cursor has not passed them yet: try again"
            )),
            Ok(()) => None,
        };
        sum
    }

    fn is_passed(&self, position: &Position) -> bool {
        let Some(ledger) = &self.ledger else { return true };
        ledger.with_cursor(|cursor| {
            let progress = cursor.generations.get(&position.generation);
            progress.is_none_or(|progress| progress.offset > position.offset)
        })
    }

    async fn all(
        &self,
        mut wanted: HashSet<Position>,
        ask: &Ask<'_>,
        sum: &mut Sum,
    ) -> Result<(), String> {
        if wanted.is_empty() {
            return Ok(());
        }
        let under_way = self.letters.begin_resend().map_err(|error| unwritten(&error))?;
        let pause = if under_way { self.context.timeout } else { Duration::ZERO };
        let until = Instant::now() + pause;
        for segment in self.letters.segments() {
            loop {
                let page = self.letters.page(segment, self.limits, |at| wanted.contains(at));
                let page =
                    page.map_err(|error| format!("cannot read the dead letters: {error}"))?;
                if page.is_empty() {
                    break;
                }
                for kept in &page {
                    wanted.remove(&kept.letter.position());
                }
                let ended = self.page(page, until, ask, sum).await;
                self.settle(sum)?;
                ended?;
                goes_on(ask, sum)?;
            }
        }
        self.letters.end_resend().map_err(|error| unwritten(&error))
    }

    async fn page(
        &self,
        page: Vec<StoredDeadLetter>,
        until: Instant,
        ask: &Ask<'_>,
        sum: &Sum,
    ) -> Result<(), String> {
        let mut scopes: Vec<_> =
            page.first().map(|kept| kept.letter.scope.clone()).into_iter().collect();
        let Some(batch) = batch(page) else { return Ok(()) };
        if !scopes.contains(&self.context.output.scope()) {
            scopes.push(self.context.output.scope());
        }
        let backoff = Backoff::new(self.settings.retry);
        let earlier = Some((scopes.into(), until));
        let mut delivery = Delivery::new(&self.context.output, &batch, backoff, earlier);
        let deadline = until.max(Instant::now()) + ask.patience;
        loop {
            match delivery.step(&self.context, &batch).await {
                DeliveryStep::Done => return Ok(()),
                DeliveryStep::Wait(until) => {
                    let stopped =
                        matches!(self.context.reporter.stats.state(), PairState::Stopped { .. });
                    if stopped || until > deadline {
                        return Err(self.trouble());
                    }
                    goes_on(ask, sum)?;
                    tokio::time::sleep_until(until.into()).await;
                }
            }
        }
    }

    /// The output's last answer, or why there is none.
    fn trouble(&self) -> String {
        match self.context.reporter.stats.state() {
            PairState::Stopped { answer, hint, .. } => format!("{answer}: {hint}"),
            PairState::Retrying { answer, .. } => {
                format!(
                    "the output takes nothing ({answer}): check that it is up and can be reached from this node"
                )
            }
            PairState::Running | PairState::Draining | PairState::NotRunning => {
                "requests of an earlier attempt may still be in flight: try again".to_owned()
            }
        }
    }

    fn settle(&self, sum: &mut Sum) -> Result<(), String> {
        let noted = self.context.refusals.noted();
        tokio::task::block_in_place(|| self.letters.settle(&noted.delivered, &noted.refused))
            .map_err(|error| unwritten(&error))?;
        sum.delivered += noted.delivered.len();
        sum.refused += noted.refused.len();
        Ok(())
    }
}

/// An error if the command that asked no longer waits.
fn goes_on(ask: &Ask<'_>, sum: &Sum) -> Result<(), String> {
    if (ask.go_on)(sum) {
        return Ok(());
    }
    Err("stopped, because the command that asked for it has ended".to_owned())
}

fn unwritten(error: &std::io::Error) -> String {
    format!("cannot change the dead letters on disk: {error}")
}
