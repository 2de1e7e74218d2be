//! Limits the requests in flight, and lets deliveries wait without taking a slot: for a retry, or to look up events
//! in doubt.
//!
//! After a lost answer a delivery waits for as long as the request might still arrive. If each such wait took a slot,
//! a few lost answers would block everything. So as many chunks as there are slots may wait aside. This does not hold
//! if the configuration asks for one request at a time: then each chunk is finished before the next, for a store that
//! refuses events out of order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Shared by a pipeline and its deliveries.
pub(super) struct Slots {
    in_flight: usize,
    requests: Semaphore,
    aside: AtomicUsize,
    changed: Notify,
}

impl Slots {
    pub(super) fn new(in_flight: usize) -> Self {
        Self {
            in_flight,
            requests: Semaphore::new(in_flight),
            aside: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    /// Whether another task may start if this many run.
    pub(super) fn has_room(&self, tasks: usize) -> bool {
        let most = if self.in_flight > 1 { self.in_flight } else { 0 };
        tasks < self.in_flight + self.aside.load(Ordering::SeqCst).min(most)
    }

    /// Waits for a slot to send a request.
    pub(super) async fn request(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.requests.acquire().await.ok()
    }

    /// Waits aside until then, so that another task may start.
    pub(super) async fn wait_aside(&self, until: Instant) {
        let _aside = Aside::new(self);
        tokio::time::sleep_until(until.into()).await;
    }

    /// Waits until there may be more room.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Counts one delivery as waiting aside until it is dropped.
struct Aside<'a>(&'a Slots);

impl<'a> Aside<'a> {
    fn new(slots: &'a Slots) -> Self {
        slots.aside.fetch_add(1, Ordering::SeqCst);
        slots.changed.notify_one();
        Self(slots)
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.aside.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_waits_aside_makes_room_for_another_but_no_more_requests() {
        let slots = Slots::new(2);
        assert!(slots.has_room(1) && !slots.has_room(2));
        let held = (slots.request().await, slots.request().await);
        {
            let waiting = slots.wait_aside(Instant::now() + Duration::from_mins(1));
            tokio::pin!(waiting);
            tokio::select! {
                biased;
                () = &mut waiting => {}
                () = slots.changed() => {}
            }
            assert!(slots.has_room(2) && !slots.has_room(3));
            assert_eq!(slots.requests.available_permits(), 0);
        }
        assert!(!slots.has_room(2), "its wait is over");
        drop(held);
    }

    #[tokio::test]
    async fn one_at_a_time_means_that_nothing_overtakes_what_waits() {
        let slots = Slots::new(1);
        let _aside = Aside::new(&slots);
        assert!(slots.has_room(0) && !slots.has_room(1));
    }
}
