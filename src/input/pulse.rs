//! Asked at each turn of a loop over a file: whether to go on. Shows at the same time that the loop turns.
//!
//! A file can be cheap to make and dear to read, and a file system can keep a thread waiting for ever.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::telemetry::Heartbeat;

/// Shared by all loops of one thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse {
    stopped: Arc<AtomicBool>,
    heart: Option<Arc<Heartbeat>>,
}

/// The input was stopped in the middle of a loop: what the loop found is to be forgotten.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the input is stopped")]
pub(super) struct Stopped;

impl Stopped {
    /// Whether this is what an error says.
    pub(super) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> Self {
        Self::other(stopped)
    }
}

impl Pulse {
    /// Of loops that end once `stopped` is set.
    pub(super) fn until(stopped: &Arc<AtomicBool>) -> Self {
        Self { stopped: Arc::clone(stopped), heart: None }
    }

    /// Shows in the agent's health whether the loops turn.
    pub(super) fn shown_by(self, heart: Heartbeat) -> Self {
        Self { heart: Some(Arc::new(heart)), ..self }
    }

    /// A loop comes round.
    pub(super) fn turn(&self) -> Result<(), Stopped> {
        if let Some(heart) = &self.heart {
            heart.beat();
        }
        if self.stopped.load(Relaxed) { Err(Stopped) } else { Ok(()) }
    }

    /// The thread waits for something that may take any time; the next turn ends that.
    pub(super) fn rest(&self) {
        if let Some(heart) = &self.heart {
            heart.rest();
        }
    }
}
