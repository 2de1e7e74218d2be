//! The task that writes the checkpoint. `state_dir.rs` writes the file and calls fsync.
//!
//! Promised: one write serves all pipelines, none happens when nothing moved, and there is at most one per interval.
//! The exception is a pipeline that has used up half of its reservation: for it the task writes early, so that a
//! backlog never waits.

use std::mem::Discriminant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::ledger::LedgerEntry;
use super::{CheckpointError, Ledger, Pair, Seen, State, Store};
use crate::event::SeenGenerations;
use crate::telemetry::{LogLimiter, Telemetry, Time};

/// Owns the state directory and writes the content of the ledgers to it.
pub(crate) struct CheckpointWriter {
    store: Arc<Store>,
    state: State,
    ledgers: Vec<Arc<Ledger>>,
    rolls: Vec<Arc<SeenGenerations>>,
    interval: Duration,
    telemetry: Telemetry,
    /// Limits log lines per kind of failure, so that one fault does not hide another.
    said: LogLimiter<Option<Discriminant<CheckpointError>>>,
    /// Called after each written checkpoint; returns whether another is wanted although nothing moves.
    told: Arc<dyn Fn(&State) -> bool + Send + Sync>,
    again: Arc<AtomicBool>,
}

impl CheckpointWriter {
    /// `state` holds the node's name, and the pairs of earlier configurations, which are kept.
    pub(crate) fn new(
        store: Arc<Store>,
        state: State,
        ledgers: Vec<Arc<Ledger>>,
        interval: Duration,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            store,
            state,
            ledgers,
            rolls: Vec::new(),
            interval,
            telemetry,
            said: LogLimiter::every(Duration::from_mins(1)),
            told: Arc::new(|_| false),
            again: Arc::default(),
        }
    }

    /// Calls `told` after each written checkpoint; it returns whether it wants another one.
    pub(crate) fn telling(self, told: impl Fn(&State) -> bool + Send + Sync + 'static) -> Self {
        Self { told: Arc::new(told), ..self }
    }

    /// Also stores the generations that were seen of the inputs.
    pub(crate) fn with_rolls(self, rolls: Vec<Arc<SeenGenerations>>) -> Self {
        Self { rolls, ..self }
    }

    /// Saves whenever something moved, until `stop` is notified; then saves once more.
    pub(crate) async fn run(
        mut self,
        moved: Arc<Notify>,
        stop: Arc<Notify>,
    ) -> Result<(), CheckpointError> {
        loop {
            let due = self.again.load(Relaxed) || self.ledgers.iter().any(|ledger| ledger.is_due());
            if !due && !self.rolls.iter().any(|roll| roll.is_due()) {
                tokio::select! {
                    () = moved.notified() => continue,
                    () = stop.notified() => return self.save().await,
                }
            }
            // `save` counts and logs its failure, and the ledgers stay due.
            let failed = self.save().await.is_err();
            let pause = tokio::time::sleep(self.interval);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    () = stop.notified() => return self.save().await,
                    // After a failed write the task waits for the whole interval before it retries.
                    () = moved.notified(), if !failed => {
                        if self.ledgers.iter().any(|ledger| ledger.runs_short()) {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Writes one checkpoint.
    async fn save(&mut self) -> Result<(), CheckpointError> {
        let entries: Vec<_> = self.ledgers.iter().map(|ledger| ledger.entry()).collect();
        for roll in &self.rolls {
            see(&mut self.state, roll, &entries);
        }
        let store = Arc::clone(&self.store);
        let (mut state, ledgers) = (self.state.clone(), self.ledgers.clone());
        let (told, again) = (Arc::clone(&self.told), Arc::clone(&self.again));
        let written = tokio::task::spawn_blocking(move || {
            // An output whose file cannot be fsynced keeps its old cursor in the checkpoint; the others advance.
            let synced: Vec<_> = ledgers.iter().map(|ledger| ledger.sync()).collect();
            for (entry, synced) in entries.iter().zip(&synced) {
                if synced.is_ok() {
                    put(&mut state, &entry.pair);
                }
            }
            let saved = store.save(&state);
            if saved.is_ok() {
                again.store(told(&state), Relaxed);
            }
            for ((ledger, entry), synced) in ledgers.iter().zip(&entries).zip(&synced) {
                match (&saved, synced) {
                    (Ok(()), Ok(())) => ledger.saved(entry),
                    _ => ledger.not_saved(),
                }
            }
            let unsynced = entries.into_iter().zip(synced).find_map(|(entry, synced)| {
                let Pair { input, output, .. } = entry.pair;
                synced.err().map(|source| CheckpointError::Sync { input, output, source })
            });
            (state, saved.and(unsynced.map_or(Ok(()), Err)))
        });
        let result = match written.await {
            Ok((state, result)) => {
                self.state = state;
                result
            }
            Err(error) => {
                let path = self.store.directory().to_owned();
                self.ledgers.iter().for_each(|ledger| ledger.not_saved());
                Err(CheckpointError::Write { path, source: std::io::Error::other(error) })
            }
        };
        if result.is_err() {
            self.rolls.iter().for_each(|roll| roll.not_saved());
        }
        self.tell(&result);
        result
    }

    fn tell(&mut self, result: &Result<(), CheckpointError>) {
        match result {
            Ok(()) => self.telemetry.disk().saved(Time::now()),
            Err(error) => {
                let source = std::error::Error::source(error)
                    .map(|source| format!(": {source}"))
                    .unwrap_or_default();
                self.telemetry.disk().save_failed(Time::now(), format!("{error}{source}"));
            }
        }
        let kind = result.as_ref().err().map(std::mem::discriminant);
        if self.said.now(kind, Instant::now()).is_some() {
            match result {
                Ok(()) => tracing::debug!("checkpoint written"),
                Err(error) => {
                    let source = std::error::Error::source(error);
                    let what = "cannot write the checkpoint of every output, such an output stops once the reserved bytes are sent";
                    tracing::error!(%error, source, "{what}");
                }
            }
        }
    }
}

/// Puts the entry of a pair into the state.
fn put(state: &mut State, pair: &Pair) {
    let known =
        state.pairs.iter_mut().find(|old| old.input == pair.input && old.output == pair.output);
    match known {
        Some(old) => *old = pair.clone(),
        None => state.pairs.push(pair.clone()),
    }
}

/// Puts an input's generations into the state: those that exist, and those that some output has not finished.
fn see(state: &mut State, roll: &SeenGenerations, entries: &[LedgerEntry]) {
    let pairs = || entries.iter().map(|entry| &entry.pair);
    let generations = roll.entry(|fingerprint| {
        let passed = |pair: &Pair| pair.cursor.is_complete(*fingerprint);
        pairs().filter(|pair| pair.input == roll.input()).all(passed)
    });
    if let Some(seen) = state.inputs.iter_mut().find(|seen| seen.input == roll.input()) {
        seen.generations = generations;
    } else {
        let input = roll.input().to_owned();
        state.inputs.push(Seen { input, path: None, generations });
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::RESERVE;
    use super::*;
    use crate::event::{Fingerprint, Progress};
    use crate::telemetry::Identity;

    /// A checkpoint writer with an interval of an hour, its ledger, and a count of its writes.
    fn hourly(
        dir: &std::path::Path,
    ) -> (CheckpointWriter, Arc<Notify>, Arc<Ledger>, Arc<AtomicUsize>) {
        let (moved, written) = (Arc::<Notify>::default(), Arc::<AtomicUsize>::default());
        let ledger =
            Arc::new(Ledger::new(Pair::default(), String::new(), None, Arc::clone(&moved)));
        let telemetry = Telemetry::new(Identity { node: "n".into(), cluster: None, version: "0" });
        let store = Arc::new(Store::open(dir).unwrap());
        let (ledgers, interval) = (vec![Arc::clone(&ledger)], Duration::from_hours(1));
        let count = Arc::clone(&written);
        let keeper = CheckpointWriter::new(store, State::default(), ledgers, interval, telemetry)
            .telling(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                false
            });
        (keeper, moved, ledger, written)
    }

    #[tokio::test]
    async fn a_backlog_does_not_wait_for_the_next_checkpoint_and_nothing_else_hurries_it() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, moved, ledger, written) = hourly(dir.path());
        let stop = Arc::<Notify>::default();
        let running = tokio::spawn(keeper.run(moved, Arc::clone(&stop)));
        let chunk = RESERVE / 16;
        // Uses up two hundred reservations before an interval ends.
        for end in 1..=3200 {
            let granted = ledger.granted(end * chunk);
            tokio::time::timeout(Duration::from_mins(1), granted).await.unwrap();
            ledger.advance(Fingerprint([1; 16]), Progress::default(), chunk, None);
        }
        let busy = written.load(Ordering::SeqCst);
        assert!((100..=800).contains(&busy), "{busy} checkpoints for 200 reservations");
        for _ in 0..100 {
            ledger.advance(Fingerprint([1; 16]), Progress::default(), 1, None);
            tokio::task::yield_now().await;
        }
        stop.notify_one();
        running.await.unwrap().unwrap();
        let last = written.load(Ordering::SeqCst);
        // The checkpoint at shutdown, and one that was in flight.
        assert!(last <= busy + 2, "{} more while nothing waited", last - busy);
    }

    #[tokio::test]
    async fn another_checkpoint_is_written_if_somebody_waits_for_it_and_then_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, moved, ledger, _) = hourly(dir.path());
        let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
        // Like an input that removes its hard links after the second checkpoint.
        let first = AtomicBool::new(true);
        let keeper = CheckpointWriter { interval: Duration::from_millis(1), ..keeper }
            .telling(move |_| sender.send(()).is_ok() && first.swap(false, Relaxed));
        let stop = Arc::<Notify>::default();
        let running = tokio::spawn(keeper.run(moved, Arc::clone(&stop)));
        ledger.advance(Fingerprint([1; 16]), Progress::default(), 1, None);
        for _ in 0..2 {
            tokio::time::timeout(Duration::from_mins(1), heard.recv()).await.unwrap().unwrap();
        }
        stop.notify_one();
        running.await.unwrap().unwrap();
        // The checkpoint at shutdown.
        assert_eq!((heard.recv().await, heard.recv().await), (Some(()), None));
    }

    #[tokio::test]
    async fn an_output_file_that_cannot_be_synced_holds_up_no_other_output() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let pair = |output: &str| Pair { output: output.into(), ..Pair::default() };
        let broken = || Err(io::Error::other("no"));
        let ledgers = vec![
            Arc::new(Ledger::of_file(pair("broken"), Arc::default(), broken)),
            Arc::new(Ledger::new(pair("well"), String::new(), None, Arc::default())),
        ];
        for ledger in &ledgers {
            ledger.advance(Fingerprint([1; 16]), Progress::default(), 5, None);
        }
        let telemetry = Telemetry::new(Identity { node: "n".into(), cluster: None, version: "0" });
        let interval = Duration::from_millis(1);
        let mut keeper = CheckpointWriter::new(
            store,
            State::default(),
            ledgers.clone(),
            interval,
            telemetry.clone(),
        );
        let error = keeper.save().await.unwrap_err().to_string();
        assert!(error.contains("the output broken"), "{error}");
        assert!(telemetry.disk().checkpoint_error().is_some());
        let state = Store::load(dir.path()).unwrap().state;
        let saved: Vec<_> = state.pairs.iter().map(|pair| pair.output.as_str()).collect();
        assert_eq!(saved, ["well"]);
        assert!(ledgers[1].is_granted(6) && !ledgers[0].is_granted(1));
        assert!(ledgers[0].is_due() && !ledgers[1].is_due());
    }
}
