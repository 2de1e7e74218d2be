//! The task that writes the checkpoint: one write for all pipelines, at most one an interval, none when nothing moved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{CheckpointError, Ledger, Pair, State, Store};
use crate::telemetry::{Say, Telemetry, Time};

/// Owns the state directory and writes what the ledgers say.
pub(crate) struct Keeper {
    store: Arc<Store>,
    state: State,
    ledgers: Vec<Arc<Ledger>>,
    interval: Duration,
    telemetry: Telemetry,
    said: Say<bool>,
    /// Hears of each checkpoint that was written.
    told: Arc<dyn Fn(&State) + Send + Sync>,
}

impl Keeper {
    /// `state` holds the node's name, and pairs of earlier configurations, which are kept.
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
            interval,
            telemetry,
            said: Say::every(Duration::from_mins(1)),
            told: Arc::new(|_| {}),
        }
    }

    /// Tells of each checkpoint once it is written.
    pub(crate) fn telling(self, told: impl Fn(&State) + Send + Sync + 'static) -> Self {
        Self { told: Arc::new(told), ..self }
    }

    /// Saves whenever something moved, until `stop` is notified; then once more.
    pub(crate) async fn run(
        mut self,
        moved: Arc<Notify>,
        stop: Arc<Notify>,
    ) -> Result<(), CheckpointError> {
        loop {
            tokio::select! {
                () = moved.notified() => {}
                () = stop.notified() => return self.save().await,
            }
            if !self.ledgers.iter().any(|ledger| ledger.is_due().0) {
                continue;
            }
            // A failure has been counted and said, and what was due still is.
            let failed = self.save().await.is_err();
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = stop.notified() => return self.save().await,
            }
            if failed {
                moved.notify_one();
            }
        }
    }

    /// Writes one checkpoint.
    async fn save(&mut self) -> Result<(), CheckpointError> {
        let entries: Vec<_> = self.ledgers.iter().map(|ledger| ledger.entry()).collect();
        let store = Arc::clone(&self.store);
        let (mut state, ledgers) = (self.state.clone(), self.ledgers.clone());
        let told = Arc::clone(&self.told);
        let written = tokio::task::spawn_blocking(move || {
            // An output whose file cannot be synced stays where it was written down last; the others go on.
            let synced: Vec<_> = ledgers.iter().map(|ledger| ledger.sync()).collect();
            for (entry, synced) in entries.iter().zip(&synced) {
                if synced.is_ok() {
                    put(&mut state, &entry.pair);
                }
            }
            let saved = store.save(&state);
            if saved.is_ok() {
                told(&state);
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
                self.telemetry.disk().save_failed(format!("{error}{source}"));
            }
        }
        if self.said.now(result.is_ok(), Instant::now()).is_some() {
            match result {
                Ok(()) => tracing::debug!("checkpoint is written"),
                Err(error) => {
                    let source = std::error::Error::source(error);
                    let what = "checkpoint cannot be written whole, outputs stop when what is reserved is sent";
                    tracing::error!(%error, source, "{what}");
                }
            }
        }
    }
}

/// Enters what is to be written down of a pair.
fn put(state: &mut State, pair: &Pair) {
    let known =
        state.pairs.iter_mut().find(|old| old.input == pair.input && old.output == pair.output);
    match known {
        Some(old) => *old = pair.clone(),
        None => state.pairs.push(pair.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::event::{Fingerprint, Progress};
    use crate::telemetry::Identity;

    #[tokio::test]
    async fn an_output_file_that_cannot_be_synced_holds_up_no_other_output() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let pair = |output: &str| Pair { output: output.into(), ..Pair::default() };
        let broken = || Err(io::Error::other("no"));
        let ledgers = vec![
            Arc::new(Ledger::of_file(pair("broken"), Arc::default(), broken)),
            Arc::new(Ledger::new(pair("well"), String::new(), Arc::default())),
        ];
        for ledger in &ledgers {
            ledger.advance(Fingerprint([1; 16]), Progress::default(), 5, None);
        }
        let telemetry = Telemetry::new(Identity { node: "n".into(), cluster: None, version: "0" });
        let interval = Duration::from_millis(1);
        let mut keeper =
            Keeper::new(store, State::default(), ledgers.clone(), interval, telemetry.clone());
        let error = keeper.save().await.unwrap_err().to_string();
        assert!(error.contains("the output broken"), "{error}");
        assert!(telemetry.disk().checkpoint_error().is_some());
        let state = Store::load(dir.path()).unwrap().state;
        let saved: Vec<_> = state.pairs.iter().map(|pair| pair.output.as_str()).collect();
        assert_eq!(saved, ["well"]);
        assert!(ledgers[1].is_granted(6) && !ledgers[0].is_granted(1));
        assert!(ledgers[0].is_due().0 && !ledgers[1].is_due().0);
    }
}
