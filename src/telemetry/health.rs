//! Readiness and liveness: the checks behind `/readyz`, one for each thing that can keep the agent from its work, and
//! the loops' heartbeats behind `/livez`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::DiskStats;
use super::finding::InputFinding;
use super::human;
use super::input::InputStats;
use super::pair::PairStats;
use super::pair_state::PairState;
use super::reload::ReloadStats;
use super::time::Time;
use super::writing::Writing;
use crate::event::Label as _;

/// A loop without a beat for this long is stuck: every loop waits for requests and files together with a timer.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// A file system that blocks one read for this long does not work as it should.
const SLOW_AFTER: Duration = Duration::from_secs(5);

/// The result of one check.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Check {
    pub(crate) name: String,
    /// One sentence that says what is wrong and what to do; `None` if nothing is.
    pub(crate) problem: Option<String>,
    /// Since when there is a problem, if known.
    pub(crate) since: Option<Time>,
    /// Conditions that deserve a look without being a problem.
    pub(crate) warnings: Vec<String>,
    /// Text to show after "ok"; begins with a comma, or is empty.
    pub(crate) note: String,
}

impl Check {
    /// `state` is the state of the pair in the form that may be shown.
    pub(super) fn pair(
        pair: &PairStats,
        state: PairState,
        now: Time,
        unready_after: Duration,
    ) -> Self {
        let name = pair.title();
        let since = match state {
            PairState::Retrying { since, .. } | PairState::Stopped { since, .. } => Some(since),
            PairState::Running | PairState::Draining | PairState::NotRunning => None,
        };
        let problem = match state {
            PairState::Running | PairState::Draining | PairState::NotRunning => None,
            PairState::Retrying { since, reason, answer } => {
                let long = now.since(since);
                (long > unready_after).then(|| {
                    format!(
                        "{name} has taken nothing for {} ({}: {answer}): \
                         see that the back end is up and can be reached from this node",
                        human::duration(long),
                        reason.text()
                    )
                })
            }
            PairState::Stopped { answer, hint, .. } => {
                Some(format!("{name} has stopped ({answer}): {hint}"))
            }
        };
        let trail = pair.trail();
        let (said, whole) = (trail.to_string(), trail.whole);
        let note = if whole { format!(", {said}") } else { String::new() };
        let mut warnings = if whole { Vec::new() } else { vec![said] };
        if let Some(since) = pair.heartbeats.missing_since.get() {
            warnings.push(format!(
                "no heartbeat is stored since {since:.0}, so the store does not show that this node works: the log says why"
            ));
        }
        Self { name, problem, since, warnings, note }
    }

    pub(super) fn input(input: &InputStats, now: Time) -> Self {
        let name = format!("input {}", input.name);
        let sentence = |finding: &InputFinding| format!("{}: {}", finding.what, finding.hint);
        let (failures, warnings): (Vec<_>, Vec<_>) =
            input.findings().into_iter().partition(InputFinding::is_failure);
        let problem: Vec<_> = failures.iter().map(sentence).collect();
        let problem = (!problem.is_empty()).then(|| format!("{name}: {}", problem.join("; ")));
        let mut warnings: Vec<_> = warnings.iter().map(sentence).collect();
        if Writing::of(input.last_write.get(), now) == Writing::Silent {
            warnings.push(format!("{}: see that kube-apiserver runs", input.silence(now)));
        }
        Self { name, problem, since: input.failing_since(), warnings, note: String::new() }
    }

    pub(super) fn checkpoint(disk: &DiskStats) -> Self {
        let problem = disk.checkpoint_error().map(|error| {
            format!("the checkpoint cannot be saved ({error}): make `state_dir` writable and see that its disk has room")
        });
        let warnings = disk.forged().map(|what| {
            format!("a checkpoint failed authentication when the agent started ({what}): find out who may write to `state_dir`")
        });
        let warnings = warnings.into_iter().collect();
        let since = disk.unsaved_since.get();
        Self { name: "checkpoint".into(), problem, since, warnings, ..Self::default() }
    }

    /// Settings that a reload left out take effect after a restart; until then the agent works as before, so this
    /// only warns.
    pub(super) fn configuration(reload: &ReloadStats) -> Self {
        let warnings = reload.problem().into_iter().collect();
        Self { name: "configuration".into(), warnings, ..Self::default() }
    }

    /// Stuck loops, and for how long the first of them has not moved. A restart ends that, so `/livez` fails too.
    pub(super) fn loops(stuck: &[(String, Duration)], now: Time) -> Self {
        let said: Vec<_> = stuck.iter().map(|(name, silent)| not_moved(name, *silent)).collect();
        let problem = (!said.is_empty())
            .then(|| format!("the agent is stuck ({}): see that the disks of the log and of `state_dir` answer, and restart it", said.join("; ")));
        let since = stuck.iter().map(|(_, silent)| now.before(*silent)).min();
        Self { name: "loops".into(), problem, since, ..Self::default() }
    }

    pub(super) fn budget(disk: &DiskStats) -> Self {
        let problem = disk.spent().map(|spent| {
            format!("the disk budget is spent ({spent}): free space below `state_dir` or raise `disk.max_bytes`")
        });
        let since = disk.spent_since.get();
        Self { name: "disk budget".into(), problem, since, ..Self::default() }
    }
}

/// `the pipeline from a to b has not moved for 2m`.
pub(super) fn not_moved(name: &str, silent: Duration) -> String {
    format!("{name} has not moved for {}", human::duration(silent))
}

/// The loops that must beat.
#[derive(Debug)]
pub(super) struct Hearts {
    began: Instant,
    /// Locked when a loop starts or ends and when somebody reads, never for a beat.
    loops: Mutex<Vec<Loop>>,
}

#[derive(Clone, Debug)]
struct Loop {
    name: String,
    input: Option<Arc<str>>,
    beats: Arc<Beats>,
}

/// The heartbeat of one loop.
#[derive(Debug, Default)]
struct Beats {
    /// Time of the last beat, in milliseconds since the process started.
    last_millis: AtomicU64,
    /// The loop waits for something that may take any time.
    rests: AtomicBool,
}

impl Hearts {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), loops: Mutex::default() }
    }

    /// `input`: the loop reads files of this input.
    pub(super) fn begin(&self, name: String, input: Option<Arc<str>>) -> Heartbeat {
        let heart = Heartbeat { began: self.began, beats: Arc::default() };
        heart.beat();
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        // A loop that has ended dropped its `Arc`.
        loops.retain(|one| Arc::strong_count(&one.beats) > 1);
        loops.push(Loop { name, input, beats: Arc::clone(&heart.beats) });
        heart
    }

    /// The loops that are stuck, with the time since their last beat.
    pub(super) fn stuck(&self, now: Instant) -> Vec<(String, Duration)> {
        let silent = self.silent(now, STUCK_AFTER).into_iter();
        silent.map(|(one, silent)| (one.name, silent)).collect()
    }

    /// The loops of an input that have waited for the file system for longer than a healthy one makes them wait.
    pub(super) fn waiting(&self, now: Instant, input: &str) -> Vec<(String, Duration)> {
        let silent = self.silent(now, SLOW_AFTER).into_iter();
        let own = silent.filter(|(one, _)| one.input.as_deref() == Some(input));
        own.map(|(one, silent)| (one.name, silent)).collect()
    }

    fn silent(&self, now: Instant, limit: Duration) -> Vec<(Loop, Duration)> {
        let now = now.saturating_duration_since(self.began);
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let living = loops.iter().filter(|one| Arc::strong_count(&one.beats) > 1);
        let silent = living.filter(|one| !one.beats.rests.load(Relaxed)).map(|one| {
            let last = Duration::from_millis(one.beats.last_millis.load(Relaxed));
            (one, now.saturating_sub(last))
        });
        silent
            .filter(|(_, silent)| *silent > limit)
            .map(|(one, silent)| (one.clone(), silent))
            .collect()
    }
}

/// Held by a loop that must beat at least once in 60 seconds unless it rests; dropped when the loop ends.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    began: Instant,
    beats: Arc<Beats>,
}

impl Heartbeat {
    pub(crate) fn beat(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beats.last_millis.store(millis, Relaxed);
        self.beats.rests.store(false, Relaxed);
    }

    /// The loop waits for something that may take any time; the next beat ends the rest.
    pub(crate) fn rest(&self) {
        self.beats.rests.store(true, Relaxed);
    }
}
