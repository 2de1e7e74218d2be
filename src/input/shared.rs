//! What the thread that looks at the directory and the threads that read tell each other.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::generation::Generation;
use crate::config::Waits;
use crate::event::Fingerprint;

/// How far a reader has come in each generation: its offset, and whether it wants no more of it.
pub(super) type Reading = Arc<Mutex<HashMap<Fingerprint, (u64, bool)>>>;

/// The state of one input.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pub(super) waits: Waits,
}

#[derive(Default)]
struct State {
    view: View,
    /// Counts everything that may have brought something to read.
    news: u64,
    /// Some file does not yet hold what tells whose it is.
    awaited: bool,
    stopped: bool,
    readers: Vec<Reading>,
    /// Threads in [`Shared::wait`]: without any, appended bytes need no waking.
    waiting: usize,
    /// How far each generation has been read by whichever reader is ahead.
    furthest: HashMap<Fingerprint, u64>,
}

/// The generations at the last look, oldest first.
#[derive(Clone, Default)]
pub(super) struct View {
    pub(super) generations: Arc<[Arc<Generation>]>,
    /// Looks that succeeded so far; 0: nothing is known yet.
    pub(super) looks: u64,
}

impl Shared {
    pub(super) fn new(waits: Waits) -> Self {
        Self { waits, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements: a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last view, and a count that [`Shared::wait`] takes.
    pub(super) fn view(&self) -> (View, u64) {
        let state = self.lock();
        (state.view.clone(), state.news)
    }

    /// `awaited`: a file is there that does not yet hold what tells whose it is.
    pub(super) fn publish(&self, generations: Vec<Arc<Generation>>, awaited: bool) {
        let prints: HashSet<_> = generations.iter().map(|generation| generation.print).collect();
        let mut state = self.lock();
        state.furthest.retain(|print, _| prints.contains(print));
        state.awaited = awaited;
        state.view = View { generations: generations.into(), looks: state.view.looks + 1 };
        state.news += 1;
        self.changed.notify_all();
    }

    /// Bytes may have been appended. Answers whether the directory has to be looked at again for that.
    pub(super) fn nudge(&self) -> bool {
        let mut state = self.lock();
        state.news += 1;
        if state.waiting > 0 {
            self.changed.notify_all();
        }
        state.awaited
    }

    /// Ends every wait, now and later.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits for news since `seen`, or until the time is up, or for the end; `false` at the end.
    pub(super) fn wait(&self, seen: u64, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.waiting += 1;
        let waited = self
            .changed
            .wait_timeout_while(state, timeout, |state| state.news == seen && !state.stopped);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        !state.stopped
    }

    /// Waits until an instant, whatever happens, but for the end; `false` at the end.
    pub(super) fn pause(&self, until: Instant) -> bool {
        let timeout = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| !state.stopped);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }

    pub(super) fn register(&self, reading: &Reading) {
        self.lock().readers.push(Arc::clone(reading));
    }

    /// Whether the bytes of a generation up to `end` have been read by no reader before.
    pub(super) fn is_news(&self, print: Fingerprint, end: u64) -> bool {
        let mut state = self.lock();
        let furthest = state.furthest.entry(print).or_default();
        let news = *furthest < end;
        *furthest = end.max(*furthest);
        news
    }

    /// Whether some reader has not finished with a generation.
    pub(super) fn is_wanted(&self, print: Fingerprint) -> bool {
        let readers = self.lock().readers.clone();
        readers.iter().any(|reading| {
            let reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            reading.get(&print).is_none_or(|(_, complete)| !complete)
        })
    }
}
