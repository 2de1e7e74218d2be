//! The process is killed before and after each of its steps, and the power is cut after each: nothing is lost, nothing
//! doubled, nothing left behind.
//!
//! A short run (`script.rs`) with rotations, compression, a damaged backup and a refused event delivers to Loki,
//! Elasticsearch and a file. `kills.rs` ends the real binary at point after point of it. `power.rs` rebuilds, from the notes
//! that a debug build takes, what a power cut would leave of its files (`disk.rs`), and starts on that. `node.rs` drives
//! the binary through the script, which goes on as the agent's progress allows, and across its end; `tally.rs` counts.
//! `faults.rs` lets the disk fail at step after step, and at read after read, with each error that it may give.
//!
//! A sample of the points is tried by default; `AUDITRAIL_EVERY_POINT=1` tries all.
// The leniency that clippy.toml grants to test functions, for the helpers that only tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

// The back ends with a memory, which the tests under the code have too.
#[allow(dead_code)]
#[path = "../../src/cli/run/tests/fake.rs"]
mod fake;
#[path = "../../src/cli/run/tests/wire.rs"]
mod wire;

mod disk;
mod node;
mod script;
mod tally;

mod faults;
mod kills;
mod power;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Tries each case on one of some threads: most of a case is waiting.
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
                // The other cases have not to be waited for.
                next.store(cases.len(), Ordering::Relaxed);
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// All cases, or about so many of them.
fn sample<T>(cases: Vec<T>, about: usize) -> Vec<T> {
    if std::env::var_os("AUDITRAIL_EVERY_POINT").is_some() {
        return cases;
    }
    let every = cases.len().div_ceil(about).max(1);
    cases.into_iter().step_by(every).collect()
}
