//! Events that wait for an operator: the output refuses these events only, for a reason that somebody has to fix.
//! Examples are a read-only index, a clock that is ahead, and a refusal in unknown words. The output accepts other
//! events meanwhile. It still counts as stopped, and the status shows how many events wait.
//!
//! Each delivery enters its waiting events here. The operator can have them stored as dead letters (`dead-letters
//! set-aside`): every delivery notices that call while it waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::telemetry::{PairStats, Time};

/// The waiting events of all deliveries of a pipeline.
pub(crate) struct Waits {
    stats: Arc<PairStats>,
    books: Mutex<WaitList>,
    /// How often the operator has called `set-aside`.
    calls: watch::Sender<u64>,
}

#[derive(Default)]
struct WaitList {
    next: u64,
    /// In the order in which the deliveries began to wait.
    entries: BTreeMap<u64, WaitEntry>,
}

struct WaitEntry {
    since: Time,
    waits: Wait,
    /// The last call that the delivery has handled.
    heard: u64,
}

/// The waiting events of one delivery.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wait {
    pub(super) events: u64,
    /// Those of them that may become dead letters; the rest wait because the output takes nothing.
    pub(super) aside: u64,
    pub(super) answer: String,
    pub(super) hint: String,
}

impl Waits {
    pub(super) fn new(stats: Arc<PairStats>) -> Arc<Self> {
        Arc::new(Self { stats, books: Mutex::default(), calls: watch::Sender::new(0) })
    }

    /// The operator's last call.
    pub(super) fn call(&self) -> u64 {
        *self.calls.borrow()
    }

    /// Waits until the operator calls once more after `heard`.
    pub(super) async fn called(&self, heard: u64) {
        // The sender lives as long as `self`.
        let _ = self.calls.subscribe().wait_for(|call| *call > heard).await;
    }

    /// Stores all waiting events that may become dead letters as dead letters. Returns how many there were, and how
    /// many of them still wait: there was no room for them, or their delivery did not handle the call within
    /// `patience`.
    pub(crate) async fn set_aside(&self, patience: Duration) -> (u64, u64) {
        let before = self.with(|books| aside(books, u64::MAX));
        if before == 0 {
            return (0, 0);
        }
        let mut call = 0;
        self.calls.send_modify(|calls| {
            *calls += 1;
            call = *calls;
        });
        let deadline = tokio::time::Instant::now() + patience;
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            look.tick().await;
            let unheard = self.with(|books| aside(books, call));
            if unheard == 0 || tokio::time::Instant::now() >= deadline {
                return (before, self.with(|books| aside(books, u64::MAX)).min(before));
            }
        }
    }

    fn with<T>(&self, read: impl FnOnce(&mut WaitList) -> T) -> T {
        read(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows the sum of events and the reason that has lasted longest.
    fn show(&self, books: &WaitList) {
        let events = books.entries.values().map(|entry| entry.waits.events).sum();
        let first = books.entries.values().next();
        self.stats.set_waiting(
            events,
            first.map(|entry| (entry.since, &*entry.waits.answer, &*entry.waits.hint)),
        );
    }
}

/// Events that may become dead letters, of deliveries that have not handled this call.
fn aside(books: &WaitList, call: u64) -> u64 {
    let unheard = books.entries.values().filter(|entry| entry.heard < call);
    unheard.map(|entry| entry.waits.aside).sum()
}

/// The entry of one delivery. Dropping it removes the entry.
pub(super) struct WaitGuard {
    waits: Arc<Waits>,
    place: u64,
    pub(super) heard: u64,
}

impl WaitGuard {
    pub(super) fn new(waits: &Arc<Waits>) -> Self {
        let place = waits.with(|books| {
            books.next += 1;
            books.next
        });
        Self { waits: Arc::clone(waits), place, heard: waits.call() }
    }

    /// Sets the events that the delivery waits with now.
    pub(super) fn show(&self, waits: Option<Wait>) {
        let (place, heard) = (self.place, self.heard);
        self.waits.with(|books| {
            let known = books.entries.remove(&place);
            let changed = match (known, waits) {
                (None, None) => false,
                (Some(_), None) => true,
                (known, Some(waits)) => {
                    let since = known.map_or_else(Time::now, |entry| entry.since);
                    books.entries.insert(place, WaitEntry { since, waits, heard });
                    true
                }
            };
            if changed {
                self.waits.show(books);
            }
        });
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.show(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Identity, PairState, Telemetry};

    fn stats() -> Arc<PairStats> {
        let who = Identity { node: "n".into(), cluster: None, version: "0" };
        Telemetry::new(who).pair("apiserver", "search")
    }

    fn wait(events: u64, aside: u64) -> Wait {
        Wait { events, aside, answer: "403 blocked".into(), hint: "unblock it".into() }
    }

    #[test]
    fn an_output_is_stopped_as_long_as_any_event_waits_whatever_else_is_delivered() {
        let stats = stats();
        let waits = Waits::new(Arc::clone(&stats));
        let (one, other) = (WaitGuard::new(&waits), WaitGuard::new(&waits));
        one.show(Some(wait(3, 3)));
        other.show(Some(wait(4, 0)));
        stats.running();
        assert_eq!(stats.waiting(), 7);
        assert!(
            matches!(stats.state(), PairState::Stopped { answer, .. } if answer == "403 blocked")
        );
        one.show(None);
        assert_eq!(stats.waiting(), 4);
        drop(other);
        assert_eq!((stats.waiting(), stats.state()), (0, PairState::Running));
    }

    #[tokio::test]
    async fn a_call_is_over_once_every_delivery_has_heard_it_and_says_what_is_left() {
        let waits = Waits::new(stats());
        assert_eq!(waits.set_aside(Duration::from_secs(5)).await, (0, 0));
        let (mut one, mut other) = (WaitGuard::new(&waits), WaitGuard::new(&waits));
        one.show(Some(wait(3, 3)));
        other.show(Some(wait(4, 2)));
        let deliveries = async {
            waits.called(0).await;
            (one.heard, other.heard) = (waits.call(), waits.call());
            one.show(None);
            other.show(Some(wait(4, 1)));
        };
        let (counts, ()) = tokio::join!(waits.set_aside(Duration::from_secs(5)), deliveries);
        assert_eq!(counts, (5, 1));
    }
}
