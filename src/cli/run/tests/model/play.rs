//! Plays a script with the whole agent, and compares what arrived with what the model says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::super::agent::{Node, Process};
use super::disk::Disk;
use super::ideal::{Expected, Ideal, Item};
use super::step::{Kind, Script, Step};
use super::store::Store;
use super::told::{self, Told};
use crate::config::{Config, OutputKind, Waits};
use crate::telemetry::Time;

/// Of a request.
const TIMEOUT: Duration = Duration::from_millis(120);
/// As the agent's own, but of a world in which everything is quicker.
const WAITS: Waits = Waits {
    closed: Duration::from_millis(30),
    settled: Duration::from_millis(600),
    lost: Duration::from_millis(300),
    again: Duration::from_millis(20),
};
/// Nothing happens any more.
const IDLE: Duration = Duration::from_millis(40);

/// One play under way.
struct Play<'a> {
    script: &'a Script,
    /// What must arrive and has not will not, if nothing else has for so long.
    patience: Duration,
    node: Node,
    disk: Disk,
    ideal: Ideal,
    stores: BTreeMap<Kind, Store>,
    process: Option<Process>,
    /// Stretches that were told to be lost, with their bytes, by reason, over all processes.
    gaps: BTreeMap<String, (u64, u64)>,
}

/// Plays a script; what was wrong in the end.
pub(super) fn play(script: &Script, patience: Duration) -> Result<(), String> {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let node = Node { dir: dir.unwrap(), written: 0 };
    let arrived = Arc::<AtomicU64>::default();
    let over_http = script.outputs.iter().filter(|kind| **kind != Kind::Archive);
    let mut play = Play {
        script,
        patience,
        disk: Disk::new(node.log().parent().unwrap().to_owned()),
        node,
        ideal: Ideal::default(),
        stores: over_http.map(|kind| (*kind, Store::new(&arrived))).collect(),
        process: None,
        gaps: BTreeMap::new(),
    };
    for step in &script.steps {
        play.step(*step)?;
    }
    play.end().map_err(|what| format!("{what}\n{}", play.disk.listing()))
}

impl Play<'_> {
    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Start => self.start(),
            Step::Kill(requests) => {
                self.wait(requests);
                if let Some(process) = self.process.take() {
                    is_alive(&process)?;
                    self.note(&process);
                    process.kill();
                }
            }
            Step::Stop => drop(self.stop()),
            Step::Await(requests) => self.wait(requests),
            Step::Weather(of, weather, times) => {
                if let Some(store) = self.stores.get(&of) {
                    store.set(weather, times);
                }
            }
            Step::Deaf(of, times) => {
                if let Some(store) = self.stores.get(&of) {
                    store.state().deaf = times;
                }
            }
            Step::Delete(which) => self.delete(which),
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

    fn start(&mut self) {
        if self.process.is_none() {
            self.process = Some(Process::start(self.config()));
        }
    }

    /// Whether it ended with nothing under way.
    fn stop(&mut self) -> bool {
        let Some(process) = self.process.take() else { return true };
        self.note(&process);
        process.stop()
    }

    fn delete(&mut self, which: u8) {
        let Some(files) = self.ideal.files(which) else { return };
        let kept = self.disk.is_pinned(&files);
        for file in files {
            self.disk.make(super::ideal::Change::Unlink(file), || {});
        }
        self.ideal.delete(which, kept);
    }

    fn wait(&self, requests: u8) {
        wait(&self.stores, requests);
    }

    /// Everything is well from now on: waits for all that must arrive, and for what comes last of all.
    fn end(&mut self) -> Result<(), String> {
        self.stores.values().for_each(Store::recover);
        self.start();
        self.all_arrived()?;
        if !self.stop() {
            return Err("it did not end in time, with nothing in its way".to_owned());
        }
        // Read and sent after all that is older.
        self.step(Step::Append(1))?;
        self.start();
        self.all_arrived()?;
        if !self.stop() {
            return Err("it did not end in time, with nothing in its way".to_owned());
        }
        for kind in &self.script.outputs {
            self.compare(*kind).map_err(|what| format!("{kind:?}: {what}"))?;
        }
        self.compare_gaps()
    }

    fn all_arrived(&self) -> Result<(), String> {
        for kind in &self.script.outputs {
            let (mut since, mut missed) = (Instant::now(), usize::MAX);
            loop {
                if let Some(process) = &self.process {
                    is_alive(process)?;
                }
                let missing = self.missing(*kind)?;
                if missing.is_empty() {
                    break;
                }
                if missing.len() != missed {
                    (since, missed) = (Instant::now(), missing.len());
                }
                if since.elapsed() > self.patience {
                    return Err(format!("{kind:?}: never came: {missing:?}"));
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    fn missing(&self, kind: Kind) -> Result<Vec<Item>, String> {
        let Expected { must, venom, .. } = self.ideal.expected(kind != Kind::Archive);
        let (arrived, refused) = (self.arrived(kind)?, self.refused(kind));
        let missing = must.into_iter().filter(|item| !arrived.contains(item));
        Ok(missing.chain(venom.into_iter().filter(|item| !refused.contains(item))).collect())
    }

    fn compare(&self, kind: Kind) -> Result<(), String> {
        let expected = self.ideal.expected(kind != Kind::Archive);
        let may = |item: &Item| expected.may.iter().any(|backup| backup.contains_key(item));
        let refusable = |item: &Item| {
            expected.venom.contains(item)
                || (kind != Kind::Archive && self.ideal.is_venom(*item) && may(item))
        };
        let arrived = self.arrived(kind)?;
        once(&arrived)?;
        if told::SHIPPED {
            told::compare(&self.told(kind), &arrived, &expected)?;
        }
        if let Some(item) = arrived.iter().find(|item| !expected.must.contains(item) && !may(item))
        {
            return Err(format!("came, and should not: {item:?}"));
        }
        let refused = self.refused(kind);
        once(&refused)?;
        if let Some(item) = refused.iter().find(|item| !refusable(item)) {
            return Err(format!("was put aside, and should not: {item:?}"));
        }
        if kind == Kind::Archive {
            // A file takes one after the other.
            self.in_order(&arrived)?;
        }
        Ok(())
    }

    fn in_order(&self, arrived: &[Item]) -> Result<(), String> {
        for generation in self.ideal.generations() {
            let places = generation
                .items
                .iter()
                .filter_map(|(item, _)| arrived.iter().position(|other| other == item));
            if !places.is_sorted() {
                return Err(format!("not in order: {:?} of {arrived:?}", generation.items));
            }
        }
        Ok(())
    }

    fn compare_gaps(&self) -> Result<(), String> {
        let no_loss = self.ideal.expected(false).may.is_empty();
        for reason in ["damaged_gzip", "truncated", "over_long_line"] {
            if let Some((times, bytes)) = self.gaps.get(reason).filter(|(times, _)| *times > 0) {
                return Err(format!("{reason} was told {times} times, {bytes} bytes"));
            }
        }
        match self.gaps.get("backup_gone") {
            Some((_, bytes)) if no_loss && *bytes > 0 => {
                Err(format!("{bytes} bytes were told to be lost, and nothing is"))
            }
            _ => Ok(()),
        }
    }

    fn lines(&self, kind: Kind) -> Vec<String> {
        match self.stores.get(&kind) {
            Some(store) => store.state().stored.iter().map(|stored| stored.line.clone()).collect(),
            None => fs::read_to_string(self.archive())
                .map(|text| text.lines().map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }

    fn arrived(&self, kind: Kind) -> Result<Vec<Item>, String> {
        let lines = self.lines(kind);
        let events = lines.iter().filter(|line| told::told(line).is_none());
        events.map(|line| item(line).ok_or_else(|| format!("no event: {line:.300}"))).collect()
    }

    fn told(&self, kind: Kind) -> Vec<Told> {
        self.lines(kind).iter().filter_map(|line| told::told(line)).collect()
    }

    fn refused(&self, kind: Kind) -> Vec<Item> {
        let letters = self.node.refused(name(kind));
        letters.iter().filter_map(|letter| item(letter["line"].as_str()?)).collect()
    }

    /// Adds what a process told.
    fn note(&mut self, process: &Process) {
        let metrics = process.telemetry.metrics(Time::now()).unwrap();
        for line in metrics.lines() {
            let Some((_, rest)) = line.split_once("auditrail_gap") else { continue };
            let Some((_, rest)) = rest.split_once("reason=\"") else { continue };
            let (reason, rest) = rest.split_once('"').unwrap();
            let number: u64 = rest.split_whitespace().last().unwrap().parse().unwrap();
            let (times, bytes) = self.gaps.entry(reason.to_owned()).or_default();
            *if line.contains("_bytes_") { bytes } else { times } += number;
        }
    }

    fn archive(&self) -> std::path::PathBuf {
        self.node.dir.path().join("archive.ndjson")
    }

    fn config(&self) -> Config {
        let mut text = format!(
            "disk = {{ min_free = \"0%\" }}\nnode = \"n\"\nstate_dir = {:?}\ndrain_timeout = \"5s\"\n[server]\n\
             listen = \"off\"\n[inputs.api]\ntype = \"file\"\npath = {:?}\n",
            self.node.state(),
            self.node.log()
        );
        for kind in &self.script.outputs {
            writeln!(text, "[outputs.{}]", name(*kind)).unwrap();
            match (kind, self.stores.get(kind).map(Store::url).unwrap_or_default()) {
                (Kind::Loki, url) => write!(text, "type = \"loki\"\nendpoint = \"{url}\""),
                (Kind::Elasticsearch, url) => write!(
                    text,
                    "type = \"elasticsearch\"\nendpoints = [\"{url}\"]\nsetup_template = \"never\"\n\
                     compression = \"none\"\nlayout = \"flat\""
                ),
                (Kind::Archive, _) => write!(text, "type = \"file\"\npath = {:?}", self.archive()),
            }
            .unwrap();
            let Script { batch, in_flight, .. } = self.script;
            writeln!(text, "\nbatch = {{ max_events = {batch}, max_age = \"1ms\" }}").unwrap();
            if *kind != Kind::Archive {
                writeln!(text, "in_flight = {in_flight}").unwrap();
            }
        }
        let mut config = Config::parse(&text, Path::new("test"), &|_| None)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        config.checkpoint_interval = Duration::from_millis(3);
        for input in &mut config.inputs {
            (input.waits, input.rescan) = (WAITS, Duration::from_millis(15));
        }
        for output in &mut config.outputs {
            output.retry.min = Duration::from_millis(1);
            output.retry.max = Duration::from_millis(10);
            match &mut output.kind {
                OutputKind::Loki(loki) => loki.http.timeout = TIMEOUT,
                OutputKind::Elasticsearch(elasticsearch) => elasticsearch.http.timeout = TIMEOUT,
                OutputKind::File(_) => {}
            }
        }
        config
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Loki => "loki",
        Kind::Elasticsearch => "es",
        Kind::Archive => "archive",
    }
}

fn is_alive(process: &Process) -> Result<(), String> {
    if process.has_ended() { Err("the agent ended by itself".to_owned()) } else { Ok(()) }
}

/// Until so many requests have arrived, or it seems that none will.
fn wait(stores: &BTreeMap<Kind, Store>, requests: u8) {
    let arrived = || stores.values().next().map_or(0, Store::arrived);
    let (begun, wanted) = (Instant::now(), arrived() + u64::from(requests));
    while arrived() < wanted && begun.elapsed() < IDLE {
        thread::sleep(Duration::from_micros(500));
    }
}

fn micros() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

/// What a stored line or document is.
fn item(line: &str) -> Option<Item> {
    let (_, rest) = line.split_once("auditID")?;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let event = digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let whole = line.contains(&format!("z{event}z"));
    Some(if whole { Item::Whole(event) } else { Item::Torn(event) })
}

fn once(items: &[Item]) -> Result<(), String> {
    let mut counts = BTreeMap::<Item, u32>::new();
    items.iter().for_each(|item| *counts.entry(*item).or_default() += 1);
    counts.retain(|_, times| *times > 1);
    if counts.is_empty() { Ok(()) } else { Err(format!("more than once: {counts:?}")) }
}
