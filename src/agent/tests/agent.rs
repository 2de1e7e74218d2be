//! An agent in a temporary directory that a test can kill at any moment, and the log that it follows.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use kit::{FakeStore, LogWriter};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::build::Listeners;
use super::super::{Agent, Opened};
use crate::agent::transforms::Transforms;
use crate::checkpoint::{Pair, Store};
use crate::config::Config;
use crate::dead_letters::{self, StoredDeadLetter};
use crate::telemetry::{EventResult, PairState, Telemetry, Time};

/// A log, a state directory, and the number of events written so far.
pub(super) struct Node {
    pub(super) dir: TempDir,
    pub(super) written: usize,
}

/// One agent process, simulated by a runtime.
pub(super) struct Process {
    runtime: Runtime,
    pub(super) telemetry: Telemetry,
    stop: watch::Sender<bool>,
    ended: JoinHandle<anyhow::Result<bool>>,
}

/// `[outputs.loki]` to a fake, with small batches and short times; `more` adds keys.
pub(super) fn loki(fake: &FakeStore, more: &str) -> String {
    format!("[outputs.loki]\ntype = \"loki\"\nendpoint = \"{}\"\n{COMMON}{more}\n", fake.url)
}

/// `[outputs.es]` in the same way.
pub(super) fn elasticsearch(fake: &FakeStore, more: &str) -> String {
    format!(
        "[outputs.es]\ntype = \"elasticsearch\"\nendpoints = [\"{}\"]\nsetup_template = \"never\"\n\
         compression = \"none\"\nlayout = \"flat\"\n{COMMON}{more}\n",
        fake.url
    )
}

const COMMON: &str = "timeout = \"800ms\"\nretry = { min = \"10ms\", max = \"40ms\" }\n";

/// Batch bounds under which a chunk holds ten lines.
pub(super) const TENS: &str = "batch = { max_events = 10, max_age = \"1ms\" }";

impl Node {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), written: 0 }
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.path().join("audit/audit.log")
    }

    /// Follows what a test does to the path of the log.
    pub(super) fn writer(&self) -> LogWriter {
        LogWriter::reopening(self.log())
    }

    pub(super) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Appends this many events to the live log.
    pub(super) fn write(&mut self, events: usize) {
        (0..events).for_each(|_| self.write_with(""));
    }

    /// Appends an event with this text in its body.
    pub(super) fn write_with(&mut self, body: &str) {
        let n = self.written;
        self.written += 1;
        // One microsecond apart, like the first events of a busy API server.
        let (seconds, micros) = (n / 1_000_000, n % 1_000_000);
        let (hour, minute, second) = (6 + seconds / 3600, seconds / 60 % 60, seconds % 60);
        let time = format!("2026-11-21T{hour:02}:{minute:02}:{second:02}.{micros:06}Z");
        let line = format!(
            "{{\"kind\":\"Event\",\"auditID\":\"{n}\",\"stage\":\"ResponseComplete\",\"requestReceivedTimestamp\":\"{time}\",\"stageTimestamp\":\"{time}\",\"requestObject\":\"{body}\"}}\n"
        );
        self.writer().append(line.as_bytes());
    }

    pub(super) fn start(&self, outputs: &str) -> Process {
        // The disk of the test machine may be full.
        self.start_with("disk = { min_free = \"0%\" }", outputs)
    }

    /// `top` are keys before the first table.
    pub(super) fn start_with(&self, top: &str, outputs: &str) -> Process {
        self.start_all(top, "min_free = \"0%\"", outputs)
    }

    /// With another budget for `hold`.
    pub(super) fn start_holding(&self, hold: &str, outputs: &str) -> Process {
        self.start_all("", hold, outputs)
    }

    fn start_all(&self, top: &str, hold: &str, outputs: &str) -> Process {
        // Unless a test sets it, the free space of the disk must not matter.
        let disk = if top.contains("disk") { "" } else { "disk = { min_free = \"0%\" }" };
        let text = format!(
            "{disk}\nnode = \"n\"\nstate_dir = {:?}\ncheckpoint_interval = \"10ms\"\n{top}\n\
             transform = {{ redact = \"off\", omit_managed_fields = false, max_event_bytes = \"off\" }}\n\
             [server]\nlisten = \"off\"\n[inputs.api]\ntype = \"file\"\npath = {:?}\nrescan = \"100ms\"\nhold = {{ {hold} }}\n{outputs}",
            self.state(),
            self.log()
        );
        Process::start(Config::parse(&text, Path::new("test"), &|_| None).unwrap())
    }

    /// The checkpoint's entry for an output.
    pub(super) fn pair(&self, output: &str) -> Option<Pair> {
        Store::load(&self.state()).ok()?.state.pair("api", output).cloned()
    }

    /// Decompressed bytes that are acknowledged according to the checkpoint.
    pub(super) fn acknowledged(&self, output: &str) -> u64 {
        let pair = self.pair(output).unwrap_or_default();
        pair.cursor.generations.values().map(|progress| progress.offset).sum()
    }

    pub(super) fn is_all_acknowledged(&self, output: &str) -> bool {
        self.acknowledged(output) == fs::metadata(self.log()).unwrap().len()
    }

    /// Waits until every event so far is stored, and checks that there are no duplicates.
    pub(super) fn all_once(&self, fake: &FakeStore) {
        eventually("all events have arrived", || {
            (fake.counts().len() >= self.written).then_some(())
        });
        let doubled: Vec<_> = fake.counts().into_iter().filter(|(_, times)| *times > 1).collect();
        assert!(doubled.is_empty(), "doubled: {doubled:?}");
    }

    /// The dead letters of an output: event and answer.
    pub(super) fn letters(&self, output: &str) -> Vec<(String, String)> {
        // If a test lets reads fail, this read may fail.
        eventually("the dead letters can be read", || {
            let mut all = Vec::new();
            for found in dead_letters::look(&self.state()).ok()? {
                if found.output == output {
                    let take = |kept: StoredDeadLetter| {
                        let line = String::from_utf8(kept.line).unwrap();
                        all.push((line, kept.letter.answer));
                        true
                    };
                    dead_letters::each(&self.state(), &found, |_, _| true, take).ok()?;
                }
            }
            Some(all)
        })
    }
}

impl Process {
    pub(super) fn start(config: Config) -> Self {
        // A killed process holds the lock until its last thread has ended.
        let opened = eventually("the state directory is free", || Opened::new(&config).ok());
        let telemetry = opened.telemetry(&config);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (stop, stopped) = watch::channel(false);
        let (known, told) = (telemetry.clone(), stop.clone());
        let ended = runtime.spawn(async move {
            let transforms = Transforms::new(&config, &opened.key)?;
            let listeners = Listeners::new();
            Agent::start(&config, opened, (&transforms, &listeners), &known, &stopped)?
                .end(&told, config.drain_timeout)
                .await
        });
        Self { runtime, telemetry, stop, ended }
    }

    /// Whether the agent ended without a signal.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_finished()
    }

    /// Like SIGKILL: sends nothing more, writes nothing more.
    pub(super) fn kill(self) {
        drop(self.runtime);
    }

    /// Like SIGTERM; returns whether the shutdown was clean.
    pub(super) fn stop(self) -> bool {
        self.stop.send_replace(true);
        self.runtime.block_on(self.ended).unwrap().unwrap()
    }

    /// Like SIGTERM, for a process that may have ended with an error; a panic counts as one.
    pub(super) fn end(self) -> Result<bool, String> {
        self.stop.send_replace(true);
        match self.runtime.block_on(self.ended) {
            Ok(ended) => ended.map_err(|error| format!("{error:#}")),
            Err(panic) => Err(format!("a fault of the program: {panic}")),
        }
    }

    pub(super) fn delivered(&self, output: &str) -> u64 {
        self.telemetry.pair("api", output).events.of(EventResult::Delivered).get()
    }

    pub(super) fn refused(&self, output: &str) -> u64 {
        self.telemetry.pair("api", output).events.of(EventResult::Refused).get()
    }

    pub(super) fn pair_state(&self, output: &str) -> PairState {
        self.telemetry.pair("api", output).state()
    }

    /// The text of `/readyz`.
    pub(super) fn problems(&self) -> String {
        self.telemetry.readiness(Time::now(), Duration::from_mins(1)).join("\n")
    }
}

pub(super) fn eventually<T>(what: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(it) = is() {
            return it;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn until(what: &str, mut is: impl FnMut() -> bool) {
    eventually(what, || is().then_some(()));
}
