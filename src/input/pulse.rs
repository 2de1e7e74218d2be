//! Called at each turn of a loop over a file. It says whether to go on (the input may be stopped), and reports to the
//! agent's health that the loop makes progress.
//!
//! A file can be cheap to make and expensive to read, and a file system call can block a thread for ever.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::telemetry::Heartbeat;

/// Shared by all loops of one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse {
    stopped: Arc<AtomicBool>,
    heart: Option<Arc<Heartbeat>>,
}

/// The input was stopped in the middle of a loop; the result of the loop must be discarded.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the input is stopped")]
pub(crate) struct Stopped;

impl Stopped {
    /// Whether an error is this one.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> Self {
        Self::other(stopped)
    }
}

impl Pulse {
    /// A pulse for loops that end once `stopped` is set.
    pub(crate) fn until(stopped: &Arc<AtomicBool>) -> Self {
        Self { stopped: Arc::clone(stopped), heart: None }
    }

    /// Reports to the agent's health whether the loops make progress.
    pub(crate) fn shown_by(self, heart: Heartbeat) -> Self {
        Self { heart: Some(Arc::new(heart)), ..self }
    }

    /// Records a turn of a loop.
    pub(crate) fn turn(&self) -> Result<(), Stopped> {
        if let Some(heart) = &self.heart {
            heart.beat();
        }
        if self.stopped.load(Relaxed) { Err(Stopped) } else { Ok(()) }
    }

    /// Tells the agent's health that the thread is about to wait for any length of time, until its next turn.
    pub(crate) fn rest(&self) {
        if let Some(heart) = &self.heart {
            heart.rest();
        }
    }
}
