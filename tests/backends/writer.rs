//! A busy API server: writes events to the log at a steady rate, in a thread, until it is stopped, and rotates it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kit::events::{Expected, Maker, log_of};
use kit::{LogWriter, wait_for};

/// Time between two writes.
const TICK: Duration = Duration::from_millis(10);
/// How many events a file of the log has at least, before it is rotated: four seconds of the usual rate.
const FILE: usize = 12_000;
const LIMIT: Duration = Duration::from_mins(1);

/// The running writer.
pub(crate) struct Writing {
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Expected>>,
}

impl Writing {
    /// Begins to append to this log.
    pub(crate) fn start(log: PathBuf, mut maker: Maker, per_second: usize) -> Self {
        let (count, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counter, stopped) = (Arc::clone(&count), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut log = LogWriter::new(log);
            let (start, mut events, mut rotated) = (Instant::now(), Vec::new(), 0);
            while !stopped.load(Ordering::Relaxed) {
                // As many as are due by now, so that a late thread does not lower the rate.
                let due = start.elapsed().as_millis() as usize * per_second / 1000;
                let new: Vec<_> = (events.len()..due).map(|_| maker.event(300)).collect();
                if events.len() - rotated >= FILE {
                    log.rotate_now();
                    rotated = events.len();
                }
                log.append(&log_of(&new));
                events.extend(new);
                counter.store(events.len(), Ordering::Relaxed);
                thread::sleep(TICK);
            }
            events
        });
        Self { count, stop, thread }
    }

    /// How many events it has written.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until it has written this many events.
    pub(crate) fn wait_for(&self, events: usize) {
        wait_for("the API server to write", LIMIT, || match self.count() {
            found if found >= events => Ok(()),
            found => Err(format!("{found} of {events}")),
        });
    }

    /// Stops writing, and returns the events that were written.
    pub(crate) fn stop(self) -> Vec<Expected> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
