//! The task that writes the checkpoint: one write for all pipelines, at most one an interval, none when nothing moved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{CheckpointError, Ledger, State, Store};
use crate::telemetry::{Say, Telemetry, Time};

/// Owns the state directory and writes what the ledgers say.
pub(crate) struct Keeper {
    store: Arc<Store>,
    state: State,
    ledgers: Vec<Arc<Ledger>>,
    interval: Duration,
    telemetry: Telemetry,
    said: Say<bool>,
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
        }
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
        for entry in &entries {
            let pair = &entry.pair;
            match self
                .state
                .pairs
                .iter_mut()
                .find(|old| old.input == pair.input && old.output == pair.output)
            {
                Some(old) => *old = pair.clone(),
                None => self.state.pairs.push(pair.clone()),
            }
        }
        let (store, state, ledgers) =
            (Arc::clone(&self.store), self.state.clone(), self.ledgers.clone());
        let written = tokio::task::spawn_blocking(move || {
            for ledger in &ledgers {
                let path = store.directory().to_owned();
                ledger.sync().map_err(|source| CheckpointError::Write { path, source })?;
            }
            store.save(&state)
        });
        let result = written.await.unwrap_or_else(|error| {
            let path = self.store.directory().to_owned();
            Err(CheckpointError::Write { path, source: std::io::Error::other(error) })
        });
        self.tell(&result);
        for (ledger, entry) in self.ledgers.iter().zip(&entries) {
            match result {
                Ok(()) => ledger.saved(entry),
                Err(_) => ledger.not_saved(),
            }
        }
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
                    let what =
                        "checkpoint cannot be written, outputs stop when what is reserved is sent";
                    tracing::error!(%error, source, "{what}");
                }
            }
        }
    }
}
