//! Model-based test of the whole agent with random scripts: whatever happens to the log, the agent and the back ends,
//! each output holds each readable line exactly once.
//!
//! `AUDITRAIL_MODEL_CASES` sets how many scripts are played, `AUDITRAIL_MODEL_SEED` the first of their seeds,
//! `AUDITRAIL_MODEL_THREADS` how many run at once. A script that fails is shortened as far as possible and printed
//! with its seed; add it to `model/found.rs`. The operating system schedules the threads, so the same script need not
//! fail each time.
//!
//! The disk of the agent may fail for a while, too: then the agent may end with an error and is started again.
//!
//! `step.rs`: the possible steps; `ideal.rs`: the model; `told.rs`: the model for gaps; `disk.rs`, `rollback.rs`:
//! the environment; `play.rs`, `setup.rs`, `end.rs`: one play of a script.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

mod disk;
mod end;
mod found;
mod ideal;
mod play;
mod rollback;
mod setup;
mod shorten;
mod step;
mod told;

use step::Script;

/// How often a script is played, so that a failure that is not certain shows.
const TRIES: usize = 4;
/// Time limit for making a script shorter.
const SHRINK: Duration = Duration::from_mins(1);
/// An event that has not arrived after this long, with nothing else arriving either, is lost.
const PATIENCE: Duration = Duration::from_secs(6);

#[test]
fn whatever_happens_in_whatever_order_each_line_arrives_once() {
    let (cases, first) = (number("CASES", 100), number("SEED", 0));
    let (next, failed) = (AtomicU64::new(first), Mutex::new(None));
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..number("THREADS", 12) {
            scope.spawn(|| {
                while failed.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + cases {
                        return;
                    }
                    if let Err(what) = outcome(&script(seed), PATIENCE) {
                        let played = next.load(Ordering::SeqCst) - first;
                        failed.lock().unwrap().get_or_insert((seed, what, played, begun.elapsed()));
                    }
                }
            });
        }
    });
    let Some((seed, what, played, after)) = failed.into_inner().unwrap() else { return };
    let (shorter, why) = shorten::shorten(script(seed), what.clone(), SHRINK, any_outcome);
    panic!(
        "at first: {what}\n{why}\nafter {played} scripts and {after:.1?}, with AUDITRAIL_MODEL_SEED={seed} AUDITRAIL_MODEL_CASES=1; made shorter:\n{shorter}"
    );
}

#[test]
fn what_once_went_wrong_goes_well() {
    for script in found::scripts() {
        for _ in 0..TRIES {
            outcome(&script, PATIENCE).unwrap_or_else(|what| panic!("{what}\n{script}"));
        }
    }
}

fn number(name: &str, usual: u64) -> u64 {
    let set = std::env::var(format!("AUDITRAIL_MODEL_{name}")).ok();
    set.map_or(usual, |text| text.parse().unwrap())
}

fn script(seed: u64) -> Script {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { failure_persistence: None, ..Config::default() };
    step::script().new_tree(&mut TestRunner::new_with_rng(config, rng)).unwrap().current()
}

fn outcome(script: &Script, patience: Duration) -> Result<(), String> {
    let played = catch_unwind(AssertUnwindSafe(|| play::play(script, patience)));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(text.unwrap_or_else(|| "a panic".to_owned()))
    })
}

/// Plays a script a few times in parallel, with less patience; returns the failure of one play, if any.
fn any_outcome(script: &Script) -> Option<String> {
    thread::scope(|scope| {
        let plays: Vec<_> =
            (0..TRIES).map(|_| scope.spawn(|| outcome(script, PATIENCE / 3).err())).collect();
        plays.into_iter().find_map(|play| play.join().unwrap())
    })
}
