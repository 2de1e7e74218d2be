//! Plays a script with the whole agent.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kit::FakeStore;
use kit::store::{Do, Refusal};
use rustix::io::Errno;

use super::super::agent::{Node, Process};
use super::disk::Disk;
use super::ideal::{Change, Ideal};
use super::rollback::Snapshot;
use super::step::{Kind, Script, Step};
use crate::checkpoint::{Origin, Store as CheckpointStore};
use crate::disk::{self, FaultKind};
use crate::telemetry::{MetricsFormat, Time};

/// By then the agent has made a link.
const PIN: Duration = Duration::from_secs(3);
/// After this long without a request, no more is expected.
const IDLE: Duration = Duration::from_millis(40);

/// An event that a busy machine delays beyond this counts as never sent.
const TOO_LATE: Duration = Duration::from_millis(70);

/// A back end that refuses venom, and ids that it has.
fn store() -> FakeStore {
    let store = FakeStore::new();
    store.refuse(Refusal::Content, "venom");
    let mut state = store.state();
    (state.unique_from, state.patience) = (Some(0), Some(TOO_LATE));
    drop(state);
    store
}

/// A script that is being played.
pub(super) struct Play<'a> {
    pub(super) script: &'a Script,
    /// If no event arrives for this long, those that are missing are lost.
    pub(super) patience: Duration,
    pub(super) node: Node,
    pub(super) disk: Disk,
    pub(super) ideal: Ideal,
    pub(super) stores: BTreeMap<Kind, FakeStore>,
    pub(super) process: Option<Process>,
    /// Reported gaps and their bytes, by reason, over all processes.
    pub(super) gaps: BTreeMap<String, (u64, u64)>,
    pub(super) snapshot: Option<Snapshot>,
}

/// Plays a script; returns the failure, if any.
pub(super) fn play(script: &Script, patience: Duration) -> Result<(), String> {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let node = Node { dir: dir.unwrap(), written: 0 };
    let over_http = script.outputs.iter().filter(|kind| **kind != Kind::Archive);
    let mut play = Play {
        script,
        patience,
        disk: Disk::new(node.log().parent().unwrap().to_owned()),
        node,
        ideal: Ideal::default(),
        stores: over_http.map(|kind| (*kind, store())).collect(),
        process: None,
        gaps: BTreeMap::new(),
        snapshot: None,
    };
    for step in &script.steps {
        play.step(*step)?;
    }
    play.end().map_err(|what| {
        if let Some(process) = play.process.take() {
            play.note(&process);
        }
        let checkpoint = fs::read_to_string(play.node.state().join("checkpoint.json"));
        let (listing, checkpoint) = (play.disk.listing(), checkpoint.unwrap_or_default());
        format!("{what}\n{listing}gaps told: {:?}\n{checkpoint}", play.gaps)
    })
}

impl Play<'_> {
    pub(super) fn step(&mut self, step: Step) -> Result<(), String> {
        self.revive()?;
        match step {
            Step::Start => self.start(),
            Step::Fault(kind, wrong, before, count) => {
                let (before, count) = (before.into(), count.into());
                disk::plan(self.node.dir.path(), kind, before, count, wrong.errno());
            }
            Step::Kill(requests) => {
                self.wait(requests);
                self.kill()?;
            }
            Step::Stop => drop(self.stop()?),
            Step::Rollover => {
                for store in self.stores.values() {
                    let mut state = store.state();
                    state.unique_from = Some(state.stored.len());
                }
            }
            // These steps do not go through the agent's disk faults.
            Step::Snapshot | Step::RollBack(_) | Step::Spoil => {
                self.mend_disk();
                match step {
                    Step::Snapshot => self.take_snapshot()?,
                    Step::RollBack(back) => self.roll_back(back)?,
                    _ => self.spoil(),
                }
            }
            Step::Await(requests) => self.wait(requests),
            Step::Weather(of, weather, times) => {
                if let Some(store) = self.stores.get(&of) {
                    let mut state = store.state();
                    state.script = vec![weather.act(); times.into()].into();
                    // 0: all from now on.
                    state.always = (times == 0).then(|| weather.act());
                }
            }
            Step::Deaf(of, times) => {
                if let Some(store) = self.stores.get(&of) {
                    store.state().look_ups = vec![Do::Answer(503, "later"); times.into()].into();
                }
            }
            Step::Delete(which) => self.delete(which, true)?,
            Step::Snatch(which) => self.delete(which, false)?,
            step => {
                let changes = self.ideal.step(step, micros());
                let stores = &self.stores;
                for change in changes {
                    self.disk.make(change, || wait(stores, 1));
                }
            }
        }
        Ok(())
    }

    pub(super) fn kill(&mut self) -> Result<(), String> {
        self.revive()?;
        if let Some(process) = self.process.take() {
            self.note(&process);
            process.kill();
        }
        Ok(())
    }

    /// Ends the disk faults.
    pub(super) fn mend_disk(&self) {
        disk::plan(self.node.dir.path(), FaultKind::Change, 0, 0, Errno::IO);
    }

    /// With disk faults an agent may end, and is started again as a service manager does. Without them it may not
    /// end.
    pub(super) fn revive(&mut self) -> Result<(), String> {
        while let Some(process) = self.process.take_if(|process| process.has_ended()) {
            if !self.script.has_faults() {
                return Err("the agent ended by itself".to_owned());
            }
            self.note(&process);
            self.why_ended(process.end())?;
            self.start();
        }
        Ok(())
    }

    /// Allows an end with an error if the disk failed, and never allows a bug.
    fn why_ended(&self, ended: Result<bool, String>) -> Result<bool, String> {
        match ended {
            Err(why) if !self.script.has_faults() || why.contains("fault of the program") => {
                Err(format!("the agent ended: {why}"))
            }
            other => Ok(other.unwrap_or(false)),
        }
    }

    pub(super) fn start(&mut self) {
        if self.process.is_none() {
            self.process = Some(Process::start(self.config()));
        }
    }

    /// Stops the agent; returns whether its shutdown was clean.
    pub(super) fn stop(&mut self) -> Result<bool, String> {
        let Some(process) = self.process.take() else { return Ok(true) };
        self.note(&process);
        self.why_ended(process.end())
    }

    /// Damages the checkpoint, unless it is the only one.
    fn spoil(&self) {
        let (state, checkpoint) = (self.node.state(), self.node.state().join("checkpoint.json"));
        let Ok(bytes) = fs::read(&checkpoint) else { return };
        if self.process.is_some() {
            return;
        }
        fs::write(&checkpoint, &bytes[..bytes.len() / 2]).unwrap();
        if !matches!(CheckpointStore::load(&state).unwrap().origin, Origin::Previous(_)) {
            fs::write(&checkpoint, bytes).unwrap();
        }
    }

    /// `seen`: not before the agent, if one runs, keeps the backup with a link or no longer needs it.
    fn delete(&mut self, which: u8, seen: bool) -> Result<(), String> {
        let Some(files) = self.ideal.files(which) else { return Ok(()) };
        let begun = Instant::now();
        while self.process.is_some() && seen {
            self.revive()?;
            if self.disk.is_pinned(&files) || self.is_everywhere(which)? {
                break;
            }
            if begun.elapsed() > PIN {
                return Err(format!("no link keeps {files:?}\n{}", self.disk.listing()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        let kept = self.disk.is_pinned(&files);
        for file in files {
            self.disk.make(Change::Unlink(file), || {});
        }
        self.ideal.delete(which, kept);
        Ok(())
    }

    fn wait(&self, requests: u8) {
        wait(&self.stores, requests);
    }

    /// Adds the gaps that a process reported.
    fn note(&mut self, process: &Process) {
        let metrics = process.telemetry.metrics(MetricsFormat::Text, Time::now(), Duration::MAX);
        for line in metrics.lines() {
            let Some((_, rest)) = line.split_once("auditrail_gap") else { continue };
            let Some((_, rest)) = rest.split_once("reason=\"") else { continue };
            let (reason, rest) = rest.split_once('"').unwrap();
            let number: u64 = rest.split_whitespace().last().unwrap().parse().unwrap();
            let (times, bytes) = self.gaps.entry(reason.to_owned()).or_default();
            *if line.contains("_bytes_") { bytes } else { times } += number;
        }
    }
}

/// Waits until this many requests have arrived, or until none is expected any more.
fn wait(stores: &BTreeMap<Kind, FakeStore>, requests: u8) {
    let arrived = || stores.values().map(|store| store.state().writes.len()).sum::<usize>();
    let (begun, wanted) = (Instant::now(), arrived() + usize::from(requests));
    while arrived() < wanted && begun.elapsed() < IDLE {
        thread::sleep(Duration::from_micros(500));
    }
}

fn micros() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}
