//! Progress of a replay: a bar on a terminal, otherwise a log line now and then.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::checkpoint::Ledger;
use crate::event::{Cursor, Fingerprint};
use crate::input::Listed;
use crate::pipeline::Counts;
use crate::telemetry::{PairState, Telemetry, human, log};

/// Interval between two updates of the bar, and between two log lines.
const BAR: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(10);

/// Shows the progress until [`Progress::end`].
pub(super) struct Progress {
    task: JoinHandle<()>,
    bar: ProgressBar,
    work: Work,
}

/// The sources of the numbers.
#[derive(Clone)]
struct Work {
    /// Decompressed bytes of each file.
    files: Arc<HashMap<Fingerprint, u64>>,
    ledgers: Arc<[Arc<Ledger>]>,
    counts: Arc<[Arc<Counts>]>,
    telemetry: Telemetry,
    /// Decompressed bytes to all outputs.
    of: u64,
}

impl Progress {
    pub(super) fn start(
        files: &[Listed],
        ledgers: Vec<Arc<Ledger>>,
        counts: Vec<Arc<Counts>>,
        telemetry: &Telemetry,
    ) -> Self {
        let of = files.iter().map(Listed::length).sum::<u64>() * counts.len() as u64;
        let work = Work {
            files: Arc::new(files.iter().map(|file| (file.fingerprint(), file.length())).collect()),
            ledgers: ledgers.into(),
            counts: counts.into(),
            telemetry: telemetry.clone(),
            of,
        };
        // `--quiet` leaves out the bar as well as the lines.
        let terminal = io::stderr().is_terminal() && tracing::enabled!(tracing::Level::INFO);
        let bar = if terminal { bar(of) } else { ProgressBar::hidden() };
        bar.set_position(work.done());
        // Bytes that an earlier run shipped say nothing about the speed of this one.
        bar.reset_eta();
        let task = if terminal {
            log::step_aside(Some(bar.clone()));
            tokio::spawn(draw(bar.clone(), work.clone()))
        } else {
            tokio::spawn(lines(work.clone()))
        };
        Self { task, bar, work }
    }

    pub(super) fn end(self) {
        self.task.abort();
        self.bar.set_position(self.work.done());
        self.bar.set_message(self.work.message());
        log::step_aside(None);
        self.bar.abandon();
        if !self.bar.is_hidden() {
            // The output that follows starts on its own line.
            let _ = io::stderr().write_all(b"\n");
        }
    }
}

fn bar(of: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(of), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(
        "{bar:24} {percent:>3}%  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left  {msg}",
    );
    // The template is a constant, and the default bar is a fallback.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar
}

async fn draw(bar: ProgressBar, work: Work) {
    let mut tick = tokio::time::interval(BAR);
    loop {
        tick.tick().await;
        bar.set_position(work.done());
        bar.set_message(work.message());
    }
}

async fn lines(work: Work) {
    let (began, before) = (Instant::now(), work.done());
    let mut tick = tokio::time::interval(LINE);
    tick.tick().await;
    loop {
        tick.tick().await;
        let done = work.done();
        let speed = done.saturating_sub(before) / began.elapsed().as_secs().max(1);
        let left = work.of.saturating_sub(done) / speed.max(1);
        tracing::info!(
            done = human::size(done),
            of = human::size(work.of),
            events = work.events(),
            per_second = human::size(speed),
            left = human::duration(Duration::from_secs(left)),
            "shipping"
        );
    }
}

impl Work {
    /// Decompressed bytes that are acknowledged.
    fn done(&self) -> u64 {
        let of = |cursor: &Cursor| {
            let done = cursor.generations.iter().filter_map(|(fingerprint, progress)| {
                let length = *self.files.get(fingerprint)?;
                // The length of a `.gz` is an estimate.
                Some(if progress.complete { length } else { progress.offset.min(length) })
            });
            done.sum::<u64>()
        };
        self.ledgers.iter().map(|ledger| ledger.with_cursor(of)).sum()
    }

    fn events(&self) -> u64 {
        self.counts.iter().map(|counts| counts.events()).sum()
    }

    /// The number of events, and the error that stops an output, if any.
    fn message(&self) -> String {
        let stuck = self.telemetry.pairs().into_iter().find_map(|pair| match pair.state() {
            PairState::Retrying { answer, .. } => Some(format!("{}: {answer}", pair.output)),
            PairState::Stopped { answer, .. } => {
                Some(format!("{} has stopped: {answer}", pair.output))
            }
            PairState::Running | PairState::Draining | PairState::NotRunning => None,
        });
        let events = format!("{} events", human::count(self.events()));
        match stuck {
            Some(stuck) => format!("{events}  {}", human::line(&stuck, 60)),
            None => events,
        }
    }
}
