//! Runs the real binary in a directory of its own, with a log and three outputs, while the script goes on.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::FakeStore;
use kit::process::{self, Running};
use kit::store::{Refusal, Stored};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::script::{BEFORE, Log, POISON, SCRIPT, When};
use crate::tally;

/// The longest time that a run of the agent may take.
const LIMIT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(15);

/// A machine with its log, the agent's files and the fake back ends.
pub(crate) struct Node {
    pub(crate) dir: TempDir,
    pub(crate) log: Log,
    pub(crate) loki: FakeStore,
    pub(crate) elasticsearch: FakeStore,
    /// For each step of the script taken so far: how many lines of notes the agent had written before it.
    pub(crate) steps: Vec<usize>,
    /// Whether an agent was killed, ended with an error or lost its power.
    pub(crate) cut: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// By SIGKILL, at the requested point.
    Killed,
    /// Clean shutdown: exit code 0 after SIGTERM, with everything delivered and acknowledged.
    Well,
    /// With an error, or by SIGTERM after it asked for a restart.
    Failed,
}

/// An injected disk fault (`src/disk/faults.rs`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Fault {
    /// Whether reads fail; otherwise steps that change a file.
    pub(crate) is_read: bool,
    /// The first read or step that fails, counted from 1. With 0 none fails, and the run is only recorded on the tape.
    pub(crate) at: usize,
    /// How many fail in a row.
    pub(crate) count: usize,
    /// The error's name in `errno.h`.
    pub(crate) with: &'static str,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap(), BEFORE, Vec::new(), Vec::new())
    }

    /// A node in this directory, after this many steps of the script. The back ends already hold these events.
    pub(crate) fn at(
        dir: TempDir,
        steps: usize,
        loki: Vec<Stored>,
        elasticsearch: Vec<Stored>,
    ) -> Self {
        let log = Log::new(dir.path(), steps);
        let fake = |stored| {
            let fake = FakeStore::new();
            let notes = dir.path().join("notes");
            let mut state = fake.state();
            state.stored = stored;
            state.clock = Some(Box::new(move || lines(&notes)));
            drop(state);
            fake
        };
        let (loki, elasticsearch) = (fake(loki), fake(elasticsearch));
        loki.refuse(Refusal::Content, POISON);
        let node = Self { log, loki, elasticsearch, steps: vec![0; steps], cut: false, dir };
        fs::write(node.path("auditrail.toml"), node.config()).unwrap();
        node
    }

    /// The agent sends itself SIGKILL at a step, which its confinement would refuse.
    fn config(&self) -> String {
        let path = |name| self.path(name).display().to_string();
        // The time-out is long enough for the fakes to take a request on a busy machine.
        let http = "timeout = \"1500ms\"\nretry = { min = \"10ms\", max = \"40ms\" }\n\
                    batch = { max_events = 4, max_age = \"1ms\" }\nin_flight = 2";
        format!(
            "node = \"n\"\nstate_dir = \"{}\"\ndisk = {{ min_free = \"0%\" }}\n\
             checkpoint_interval = \"50ms\"\nconfine = false\n[server]\nlisten = \"off\"\n\
             [inputs.api]\ntype = \"file\"\npath = \"{}\"\nrescan = \"100ms\"\nhold = {{ min_free = \"0%\" }}\n\
             [outputs.loki]\ntype = \"loki\"\nendpoint = \"{}\"\n{http}\n\
             [outputs.es]\ntype = \"elasticsearch\"\nendpoints = [\"{}\"]\nsetup_template = \"never\"\n\
             compression = \"none\"\nlayout = \"flat\"\n{http}\n\
             [outputs.archive]\ntype = \"file\"\npath = \"{}\"\n\
             rotate = {{ max_bytes = \"64KiB\", max_files = 100 }}\n\
             batch = {{ max_events = 4, max_age = \"1ms\" }}\nretry = {{ min = \"10ms\", max = \"40ms\" }}\n",
            path("state/deep"),
            self.log.path().display(),
            self.loki.url,
            self.elasticsearch.url,
            path("archive/out.ndjson"),
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state/deep")
    }

    /// How many lines of notes the agent has written so far.
    pub(crate) fn notes(&self) -> usize {
        lines(&self.path("notes"))
    }

    /// Runs the agent to the end of the script and sends SIGTERM; or kills it at this point.
    pub(crate) fn run(&mut self, end_at: Option<usize>) -> Ended {
        let end_at = end_at.map(|point| point.to_string());
        self.run_with(
            &end_at.map(|point| ("AUDITRAIL_END_AT", point)).into_iter().collect::<Vec<_>>(),
        )
    }

    /// Runs the agent to the end of the script with this disk fault.
    pub(crate) fn run_failing(&mut self, fault: Fault) -> Ended {
        let at = if fault.is_read { "AUDITRAIL_FAIL_READ_AT" } else { "AUDITRAIL_FAIL_AT" };
        let mut environment = vec![
            ("AUDITRAIL_FAULTS", self.path("tape").display().to_string()),
            ("AUDITRAIL_FAIL_WITH", fault.with.to_owned()),
            ("AUDITRAIL_FAIL_COUNT", fault.count.to_string()),
        ];
        if fault.at > 0 {
            environment.push((at, fault.at.to_string()));
        }
        self.run_with(&environment)
    }

    fn run_with(&mut self, environment: &[(&str, String)]) -> Ended {
        let is = |name: &str| environment.iter().any(|(set, _)| *set == name);
        let (killed, failing) = (is("AUDITRAIL_END_AT"), is("AUDITRAIL_FAULTS"));
        let mut agent = self.start(environment);
        if self.log.next().is_none() {
            // One more event to wait for, so that the agent runs long enough to make a mistake.
            self.step();
        }
        let (start, mut told, mut asked) = (Instant::now(), false, false);
        loop {
            if let Some(status) = agent.ended() {
                match (status.signal(), status.code()) {
                    (Some(9), _) if killed => {
                        self.cut = true;
                        return Ended::Killed;
                    }
                    // A panic has another exit code.
                    (None, Some(code @ 0..=2)) if asked || (failing && code > 0) => {
                        self.cut = true;
                        return Ended::Failed;
                    }
                    (_, Some(0)) if told => return Ended::Well,
                    _ => panic!("ended with {status}, told: {told}{}", self.explain()),
                }
            }
            assert!(start.elapsed() < LIMIT, "it does not end, told: {told}{}", self.explain());
            match self.log.next() {
                Some(when) if self.is(when) => self.step(),
                None if !told && self.is(When::Acknowledged) => {
                    agent.signal(Signal::TERM);
                    told = true;
                }
                // After a failed fsync a running agent cannot know what is on the disk, so it asks for a restart.
                _ if failing && !asked && self.asks_for_restart() => {
                    agent.signal(Signal::TERM);
                    asked = true;
                }
                _ => thread::sleep(PAUSE),
            }
        }
    }

    fn asks_for_restart(&self) -> bool {
        let log = fs::read_to_string(self.path("agent.log")).unwrap_or_default();
        log.contains("restart the agent")
    }

    fn start(&self, environment: &[(&str, String)]) -> Running {
        let mut command = process::run(&self.path("auditrail.toml"));
        command.env("AUDITRAIL_STEPS", self.path("notes"));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Running::spawn(process::log_to(&mut command, &self.path("agent.log")))
    }

    /// Takes the next step of the script.
    pub(crate) fn step(&mut self) {
        self.steps.push(self.notes());
        self.log.step();
    }

    /// Takes at most this many steps while no agent runs, without waiting for their conditions.
    pub(crate) fn steps_while_down(&mut self, most: usize) {
        for _ in 0..most.min(SCRIPT.len() - self.log.done.min(SCRIPT.len())) {
            self.step();
        }
    }

    fn is(&self, when: When) -> bool {
        let written = self.log.events.len();
        match when {
            When::Now => true,
            When::Archived => tally::archived(self).0.len() >= written,
            When::Indexed => self.elasticsearch.counts().len() >= written,
            When::Acknowledged => {
                let Some(state) = tally::checkpoint(self) else { return false };
                let pairs = state["pairs"].as_array().unwrap();
                pairs.len() == 3 && pairs.iter().all(|pair| tally::passed(pair) >= self.log.bytes)
            }
        }
    }

    /// The message of a failing test: progress and the end of the agent's log. Keeps the directory and names it.
    pub(crate) fn explain(&self) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let kept = format!("auditrail-crash-{}-{number}", std::process::id());
        let kept = std::env::temp_dir().join(kept);
        let _ = fs::rename(self.dir.path(), &kept);
        let log = fs::read_to_string(kept.join("agent.log")).unwrap_or_default();
        let tail: Vec<_> = log.lines().rev().take(40).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        format!(
            "\n{} of {} steps taken, {} events written; kept in {}\n{}",
            self.log.done,
            SCRIPT.len(),
            self.log.events.len(),
            kept.display(),
            tail.join("\n")
        )
    }
}

/// How many lines a file has; 0 if it is not there.
pub(crate) fn lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |notes| memchr::memchr_iter(b'\n', &notes).count())
}
