//! Serialises pushes per stream: one push at a time into a stream, while different streams are pushed concurrently.
//!
//! Loki can lose one of two concurrent pushes to a stream when it crashes. It appends entries to a stream, numbers
//! them, and writes its WAL after that, so the later numbers may come first in the WAL. When Loki replays the WAL, it
//! takes the other push for a duplicate and drops it (pkg/ingester/stream.go: `entryCt`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// A lock per stream. Holds no more streams than there are pushes in flight or waiting.
#[derive(Default)]
pub(super) struct Turns {
    // A std lock: it is held for a look at the map, never across an await.
    streams: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Turns {
    /// Waits until no other push into the stream of these labels is in flight. The turn ends when the returned guard is
    /// dropped.
    pub(super) async fn take(&self, labels: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            // A push that has or waits for its turn holds a reference: drop the locks that only the map references.
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

    /// The turn, if it can be taken without waiting.
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
        // A waiting push keeps its place while others come and go.
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
