//! Is the agent ready, is it alive: one check for each thing that can keep it from its work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::DiskStats;
use super::finding::InputFinding;
use super::human;
use super::input::InputStats;
use super::number::Label as _;
use super::pair::{PairState, PairStats};
use super::reload::ReloadStats;
use super::time::Time;

/// A loop that has not come round for so long is stuck: each waits for requests and files beside a timer, never alone.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// A disk that makes one read wait for so long does not work as it should.
const SLOW_AFTER: Duration = Duration::from_secs(5);

/// One thing that was looked at.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Check {
    pub(crate) name: String,
    /// One sentence with the way out; `None`: all is well.
    pub(crate) problem: Option<String>,
    /// What deserves a look without being a problem.
    pub(crate) warnings: Vec<String>,
    /// What to say where all is well; begins with a comma, or is empty.
    pub(crate) note: String,
}

impl Check {
    /// `state`: that of the pair, as it may be shown.
    pub(super) fn pair(
        pair: &PairStats,
        state: PairState,
        now: Time,
        unready_after: Duration,
    ) -> Self {
        let name = format!("output {} of input {}", pair.output, pair.input);
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
        let warnings = if whole { Vec::new() } else { vec![said] };
        Self { name, problem, warnings, note }
    }

    pub(super) fn input(input: &InputStats) -> Self {
        let name = format!("input {}", input.name);
        let sentence = |finding: &InputFinding| format!("{}: {}", finding.what, finding.hint);
        let (failures, warnings): (Vec<_>, Vec<_>) =
            input.findings().into_iter().partition(InputFinding::is_failure);
        let problem: Vec<_> = failures.iter().map(sentence).collect();
        let problem = (!problem.is_empty()).then(|| format!("{name}: {}", problem.join("; ")));
        let warnings = warnings.iter().map(sentence).collect();
        Self { name, problem, warnings, note: String::new() }
    }

    pub(super) fn checkpoint(disk: &DiskStats) -> Self {
        let problem = disk.checkpoint_error().map(|error| {
            format!("the checkpoint cannot be saved ({error}): make `state_dir` writable and see that its disk has room")
        });
        Self { name: "checkpoint".into(), problem, ..Self::default() }
    }

    /// What a reload left out is in force after a restart; until then the agent works as before.
    pub(super) fn configuration(reload: &ReloadStats) -> Self {
        let warnings = reload.problem().into_iter().collect();
        Self { name: "configuration".into(), warnings, ..Self::default() }
    }

    pub(super) fn budget(disk: &DiskStats) -> Self {
        let problem = disk.spent().map(|spent| {
            format!("the disk budget is spent ({spent}): free space below `state_dir` or raise `disk.max_bytes`")
        });
        Self { name: "disk budget".into(), problem, ..Self::default() }
    }
}

/// The loops that must keep turning.
#[derive(Debug)]
pub(super) struct Hearts {
    began: Instant,
    /// Locked when a loop begins or ends and when someone asks, never for a beat.
    loops: Mutex<Vec<Loop>>,
}

#[derive(Clone, Debug)]
struct Loop {
    name: String,
    input: Option<Arc<str>>,
    beats: Arc<Beats>,
}

/// When a loop last came round.
#[derive(Debug, Default)]
struct Beats {
    /// Since the process began.
    last_millis: AtomicU64,
    /// It waits for something that may take any time.
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
        // A loop that has ended dropped its half.
        loops.retain(|one| Arc::strong_count(&one.beats) > 1);
        loops.push(Loop { name, input, beats: Arc::clone(&heart.beats) });
        heart
    }

    /// Which loops have not come round for longer than a loop ever takes.
    pub(super) fn stuck(&self, now: Instant) -> Vec<String> {
        let silent = self.silent(now, STUCK_AFTER).into_iter();
        silent
            .map(|(one, silent)| {
                format!("{} has not moved for {}", one.name, human::duration(silent))
            })
            .collect()
    }

    /// Which loops of an input have waited for the file system longer than any healthy one lets them wait.
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

/// Held by a loop that must come round at least once in 60 seconds unless it rests; dropped when the loop ends.
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

    /// The loop waits for something that may take any time; the next beat ends that.
    pub(crate) fn rest(&self) {
        self.beats.rests.store(true, Relaxed);
    }
}
