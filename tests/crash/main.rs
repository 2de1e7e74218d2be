//! Crash tests: SIGKILL before and after each step, a power cut after each step, and disk errors (fault injection). No
//! event is lost or duplicated, and no file is left behind.
//!
//! - `script.rs`: a short run with rotations, compression, a damaged backup and a refused event. It delivers to Loki,
//!   Elasticsearch and a file.
//! - `node.rs` runs the real binary through the script, and again after a crash. The script waits for the agent's
//!   progress.
//! - `tally.rs` counts the events, gaps and dead letters after a clean shutdown.
//! - `kills.rs` kills the binary at one point after another.
//! - `power.rs` rebuilds the files that a power cut would leave (`disk.rs`) from the notes that a debug build writes of
//!   every write, fsync and rename, and starts the binary on them.
//! - `faults.rs` makes one step or one read after another fail, with each error that a disk can return.
//! - `webhook.rs` does the first two with the receiver of the API server's webhook.
//!
//! The tests try a sample of the points; `AUDITRAIL_EVERY_POINT=1` tries all.
// clippy.toml allows these in test functions; the helpers that only tests call need the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod disk;
mod node;
mod script;
mod tally;

mod faults;
mod kills;
mod power;
mod webhook;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Runs the cases on 16 threads, since each case mostly waits. Panics as soon as a case fails.
fn in_parallel<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        test(case);
                    }
                })
            })
            .collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                // Do not start the remaining cases.
                next.store(cases.len(), Ordering::Relaxed);
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// A sample of about this many cases; all of them if `AUDITRAIL_EVERY_POINT` is set.
fn sample<T>(cases: Vec<T>, about: usize) -> Vec<T> {
    if std::env::var_os("AUDITRAIL_EVERY_POINT").is_some() {
        return cases;
    }
    let every = cases.len().div_ceil(about).max(1);
    cases.into_iter().step_by(every).collect()
}
