//! The state that the follower thread (which looks at the directory) and the reader threads of one input share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pulse::Pulse;
use crate::config::Waits;
use crate::event::{Cursor, Fingerprint};
use crate::input::file::generation::Generation;
use crate::input::loss::time_to_loss::Outlook;
use crate::input::scan::watch::FileChange;

/// The progress of a reader in each generation: its offset, and whether it needs no more of it.
pub(crate) type Reading = Arc<Mutex<HashMap<Fingerprint, (u64, bool)>>>;

/// The state of one input.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<SharedState>,
    changed: Condvar,
    /// Set while the state is locked, so that no waiting thread misses it. Also read in the middle of a file.
    stopped: Arc<AtomicBool>,
    pub(crate) waits: Waits,
}

#[derive(Debug, Default)]
struct SharedState {
    view: View,
    /// Counts the events after which there may be something to read.
    news: u64,
    look_after: LookAfter,
    /// The list of files is finite: nothing is added after the first look.
    finite: bool,
    readers: Vec<Reading>,
    /// Threads in [`Shared::wait`]. If there are none, appended bytes need not wake anybody.
    waiting: usize,
    /// The offset up to which the most advanced reader has read each generation.
    furthest: HashMap<Fingerprint, u64>,
    /// The generations that every output had passed in the last checkpoint written, and in the one before.
    passed: [HashSet<Fingerprint>; 2],
    /// No output takes this input.
    unread: bool,
    /// Generations that the hold budget had no room for. They are kept here until every reader has been told.
    let_go: BTreeMap<Fingerprint, Arc<Generation>>,
}

/// After which changes of a file the directory has to be looked at again.
#[derive(Clone, Copy, Debug, Default)]
enum LookAfter {
    #[default]
    NoChange,
    /// Some file is unreadable until its mode or owner changes.
    Access,
    /// Some file has no complete first event yet, so it has no fingerprint.
    AnyChange,
}

/// Whether there are generations that no output needs any more, so that their links can be removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Released {
    /// With the checkpoint just written.
    pub(crate) now: bool,
    /// With the next checkpoint: before it, a damaged checkpoint would fall back to one that still needs them.
    pub(crate) next: bool,
}

/// The generations at the last look, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) generations: Arc<[Arc<Generation>]>,
    /// Successful looks so far. 0: nothing is known yet.
    pub(crate) looks: u64,
    pub(crate) outlook: Arc<Outlook>,
    /// A generation that is not shown may exist all the same: there is no log at all, or some file cannot be read.
    pub(crate) unsure: bool,
    /// Some file has no complete first event yet, so it has no fingerprint, or it cannot be read.
    pub(crate) awaited: bool,
}

impl Shared {
    pub(crate) fn new(waits: Waits) -> Self {
        Self { waits, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, SharedState> {
        // The state is consistent between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last view, and the count that [`Shared::wait`] takes.
    pub(crate) fn view(&self) -> (View, u64) {
        let state = self.lock();
        (state.view.clone(), state.news)
    }

    /// Publishes the result of a look. `awaited`: some file has no complete first event yet, so it has no
    /// fingerprint. `unsure`: nothing is known about some file.
    pub(crate) fn publish(&self, generations: Vec<Arc<Generation>>, awaited: bool, unsure: bool) {
        let fingerprints: HashSet<_> =
            generations.iter().map(|generation| generation.fingerprint).collect();
        let mut state = self.lock();
        state.furthest.retain(|fingerprint, _| fingerprints.contains(fingerprint));
        let unread = generations.iter().any(|generation| generation.unread);
        state.look_after = match (awaited, unread) {
            (true, _) => LookAfter::AnyChange,
            (false, true) => LookAfter::Access,
            (false, false) => LookAfter::NoChange,
        };
        state.view.awaited = awaited || unread;
        state.view.unsure = unsure || (generations.is_empty() && !awaited);
        state.view.generations = generations.into();
        state.view.looks += 1;
        state.news += 1;
        self.changed.notify_all();
    }

    /// Publishes what the last look predicts about losses.
    pub(crate) fn expect(&self, outlook: Arc<Outlook>) {
        self.lock().view.outlook = outlook;
    }

    /// Notes a change of a file, most likely an append. Returns whether the directory has to be looked at again
    /// because of it.
    pub(crate) fn nudge(&self, change: FileChange) -> bool {
        let mut state = self.lock();
        state.news += 1;
        if state.waiting > 0 {
            self.changed.notify_all();
        }
        match state.look_after {
            LookAfter::NoChange => false,
            LookAfter::Access => change == FileChange::Access,
            LookAfter::AnyChange => true,
        }
    }

    /// Makes the input finite: there is one look, and readers end when all that it found is read.
    pub(crate) fn end_when_read(&self) {
        self.lock().finite = true;
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.lock().finite
    }

    /// Ends every wait, now and later: for shutdown.
    pub(crate) fn stop(&self) {
        let _state = self.lock();
        self.stopped.store(true, Relaxed);
        self.changed.notify_all();
    }

    /// The pulse for the loops of one thread over the input's files.
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse::until(&self.stopped)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Waits for news since `seen`, a timeout, or the stop of the input; `false` once it is stopped.
    pub(crate) fn wait(&self, seen: u64, timeout: Duration) -> bool {
        let mut state = self.lock();
        state.waiting += 1;
        let waited = self
            .changed
            .wait_timeout_while(state, timeout, |state| state.news == seen && !self.is_stopped());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        !self.is_stopped()
    }

    /// Waits until an instant, ending early only if the input is stopped; `false` once it is stopped.
    pub(crate) fn pause(&self, until: Instant) -> bool {
        let timeout = until.saturating_duration_since(Instant::now());
        drop(self.changed.wait_timeout_while(self.lock(), timeout, |_| !self.is_stopped()));
        !self.is_stopped()
    }

    pub(crate) fn register(&self, reading: &Reading) {
        self.lock().readers.push(Arc::clone(reading));
    }

    /// Whether no reader had read the bytes of a generation up to `end` before.
    pub(crate) fn is_news(&self, fingerprint: Fingerprint, end: u64) -> bool {
        let mut state = self.lock();
        let furthest = state.furthest.entry(fingerprint).or_default();
        let news = *furthest < end;
        *furthest = end.max(*furthest);
        news
    }

    /// A checkpoint was written with these cursors of all outputs of this input.
    pub(crate) fn saved(&self, cursors: &[Option<&Cursor>]) -> Released {
        let complete =
            |cursor: &Cursor, fingerprint: &Fingerprint| cursor.is_complete(*fingerprint);
        let first = cursors.first().copied().flatten();
        let candidates = first.into_iter().flat_map(|cursor| cursor.generations.keys());
        let passed: HashSet<Fingerprint> = candidates
            .filter(|fingerprint| {
                cursors
                    .iter()
                    .all(|cursor| cursor.is_some_and(|cursor| complete(cursor, fingerprint)))
            })
            .copied()
            .collect();
        let mut state = self.lock();
        let [last, before] = &state.passed;
        let now = passed
            .iter()
            .any(|fingerprint| last.contains(fingerprint) && !before.contains(fingerprint));
        let next = passed.iter().any(|fingerprint| !last.contains(fingerprint));
        state.unread = cursors.is_empty();
        let readers = state.readers.clone();
        state.let_go.retain(|fingerprint, _| {
            !passed.contains(fingerprint) && wanted(&readers, *fingerprint)
        });
        let last = std::mem::replace(&mut state.passed[0], passed);
        state.passed[1] = last;
        Released { now, next }
    }

    /// Whether no output will need this generation again, even if the last checkpoint turns out to be damaged.
    pub(crate) fn is_passed(&self, fingerprint: Fingerprint) -> bool {
        let state = self.lock();
        state.unread || state.passed.iter().all(|passed| passed.contains(&fingerprint))
    }

    /// Records that a generation is no longer kept, whether or not readers have finished it.
    pub(crate) fn let_go(&self, generation: &Arc<Generation>) {
        let mut state = self.lock();
        let generation = Arc::new(Generation { held: None, ..(**generation).clone() });
        state.let_go.insert(generation.fingerprint, generation);
        state.news += 1;
        self.changed.notify_all();
    }

    /// The oldest released generation that a reader is not done with.
    pub(crate) fn spent(&self, done: impl Fn(Fingerprint) -> bool) -> Option<Arc<Generation>> {
        let state = self.lock();
        let mut spent: Vec<_> =
            state.let_go.values().filter(|one| !done(one.fingerprint)).collect();
        spent.sort_by_key(|one| (one.time, one.rotated));
        spent.first().map(|generation| Arc::clone(generation))
    }

    /// Whether some reader still needs a generation.
    pub(crate) fn is_wanted(&self, fingerprint: Fingerprint) -> bool {
        let readers = self.lock().readers.clone();
        wanted(&readers, fingerprint)
    }
}

/// Whether one of these readers still needs a generation.
fn wanted(readers: &[Reading], fingerprint: Fingerprint) -> bool {
    readers.iter().any(|reading| {
        let reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.get(&fingerprint).is_none_or(|(_, complete)| !complete)
    })
}
