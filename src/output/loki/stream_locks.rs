//! One push at a time into a stream, and as many at once as there are streams.
//!
//! Loki takes entries into a stream, numbers them, and writes its log after that; of two pushes at once the later
//! numbers may stand there first, and when it reads that log after a crash, it takes the other push for a repeat and
//! drops it (pkg/ingester/stream.go: `entryCt`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Who pushes into which stream. No larger than the number of pushes under way and waiting.
#[derive(Default)]
pub(super) struct Turns {
    // The std lock: held for a look at the map, never across an await.
    streams: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Turns {
    /// Waits until nobody else pushes into the stream of these labels; the turn lasts as long as what is returned.
    pub(super) async fn take(&self, labels: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            // Who has a turn or waits for one holds its lock: the map alone does not.
            streams.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(streams.entry(labels.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    use super::*;

    /// Is it this one's turn, without waiting?
    fn now<F: Future>(waiting: Pin<&mut F>) -> Option<F::Output> {
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(turn) => Some(turn),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn pushes_to_one_stream_wait_for_each_other_and_others_do_not() {
        let turns = Turns::default();
        let first = now(pin!(turns.take("a"))).unwrap();
        let mut second = pin!(turns.take("a"));
        assert!(now(second.as_mut()).is_none());
        let other = now(pin!(turns.take("b"))).unwrap();
        // One that waits keeps its place while others come and go.
        drop((first, other));
        let third = now(pin!(turns.take("c"))).unwrap();
        let second = now(second).unwrap();
        assert!(now(pin!(turns.take("a"))).is_none());
        drop((second, third));
    }

    #[test]
    fn streams_of_past_hours_are_forgotten() {
        let turns = Turns::default();
        for hour in 0..1000 {
            drop(now(pin!(turns.take(&hour.to_string()))).unwrap());
        }
        assert_eq!(turns.streams.lock().unwrap().len(), 1);
    }
}
