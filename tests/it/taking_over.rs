//! Takes over what an earlier version left when it got SIGKILL: the checkpoint, requests in doubt, a gap that is not
//! delivered, links, and dead letters. Whatever happened to the log since, each store has each event once.
//!
//! `tests/data/README.md` says what the sample holds and how it was made.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::root;
use kit::agent::Agent;
use kit::events::{Maker, assert_exactly_once};
use kit::log_writer::compress;
use kit::store::{Refusal, Stored, audit_id};
use kit::{FakeStore, LogWriter, copy, tables, wait_for};

const SAMPLE: &str = "tests/data/state-after-sigkill";
const LIMIT: Duration = Duration::from_secs(30);
/// Both stores refuse the event with this text.
const POISON: &str = "poison";
/// A backup that every output has passed.
const PASSED: &str = "audit-2026-11-27T07-00-00.000.log";
/// A backup with requests in doubt. The one after it was deleted: only its link keeps it.
const IN_DOUBT: &str = "audit-2026-11-27T07-01-00.000.log";

/// The directory that an earlier version left, and the stores with what they held then.
struct Node {
    dir: TempDir,
    log: LogWriter,
    /// `loki` and `search`.
    stores: [(&'static str, FakeStore); 2],
    /// All events of the log, each as it was written.
    lines: BTreeSet<String>,
}

impl Node {
    fn left_behind() -> Self {
        let (sample, dir) = (root().join(SAMPLE), TempDir::new().unwrap());
        let (log, hold) = (dir.path().join("audit"), dir.path().join("audit/.auditrail-hold"));
        copy(&sample.join("state"), &dir.path().join("state"));
        // Git does not keep its mode.
        let key = dir.path().join("state/node.key");
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
        copy(&sample.join("audit"), &log);
        copy(&sample.join("hold"), &hold);
        let lines = files(&log).iter().chain(&files(&hold)).flat_map(|file| events(file)).collect();
        link_again(&log, &hold);
        let stores = ["loki", "search"].map(|name| {
            let store = FakeStore::new();
            let text = fs::read_to_string(sample.join(name).with_extension("ndjson")).unwrap();
            store.state().stored = text.lines().map(stored).collect();
            store.refuse(Refusal::Content, POISON);
            (name, store)
        });
        Self { log: LogWriter::new(log.join("audit.log")), dir, stores, lines }
    }

    /// Starts this version's binary.
    fn start(&self) -> Agent {
        let more = "timeout = \"2s\"\nbatch = { max_events = 4, max_age = \"50ms\" }";
        let [(_, loki), (_, search)] = &self.stores;
        let search = tables::search(&search.url, "")
            .replace("timeout = \"300ms\"", more)
            .replace("batch = { max_age = \"5ms\" }\n", "");
        let input = tables::input("apiserver", self.log.live());
        Agent::start(self.dir.path(), &(input + &tables::loki(&loki.url, "audit", more) + &search))
    }

    /// The API server writes on.
    fn write(&mut self, events: usize) {
        let mut maker = Maker::from(Timestamp::now());
        for _ in 0..events {
            // The maker counts from one, as the sample does.
            let line = maker.event(20).line.replace("-4000-", "-4fff-");
            self.log.append(format!("{line}\n").as_bytes());
            self.lines.insert(line + "\n");
        }
    }

    /// The ids of what a store has to hold: each event that it takes, and each gap that the checkpoint has recorded.
    fn wanted(&self, output: &str, store: &FakeStore) -> Vec<String> {
        let takes_all = store.state().rules.is_empty();
        let events = self.lines.iter().filter(|line| takes_all || !line.contains(POISON));
        events.map(|line| audit_id(line)).chain(recorded_gaps(output)).collect()
    }

    fn wait_for_all(&self) {
        for (name, store) in &self.stores {
            let wanted = self.wanted(name, store);
            wait_for(&format!("all events in {name}"), LIMIT, || {
                let stored = store.counts();
                let missing = wanted.iter().filter(|id| !stored.contains_key(*id)).count();
                if missing == 0 { Ok(()) } else { Err(format!("{missing} missing")) }
            });
        }
    }

    /// Fails unless both stores have what they have to hold, once each, and nothing else. The backups of the sample have
    /// names that are older than their events. So once the oldest one is deleted, the agent suspects after three seconds
    /// that a file is missing behind it, as it should. A run that is quicker does not get so far.
    fn assert_each_once(&self) {
        let suspected =
            |stored: &&Stored| stored.line.contains("backup_gone") && stored.line.contains(PASSED);
        for (name, store) in &self.stores {
            let stored = store.state().stored.clone();
            let sure = stored.iter().filter(|stored| !suspected(stored));
            let found = sure.map(|stored| audit_id(&stored.line));
            assert_exactly_once(name, found, self.wanted(name, store));
        }
    }

    /// Lets the agent send everything, and stops it.
    fn ship(&self) {
        let mut agent = self.start();
        self.wait_for_all();
        agent.stop_done();
        self.assert_each_once();
        // If it took the state for a copy, it would look up far more than what was in doubt.
        let log = fs::read_to_string(agent.log()).unwrap();
        let mut errors = log.lines().filter(|line| line.contains(" ERROR "));
        assert!(errors.all(|line| line.contains("backup_gone") && line.contains(PASSED)), "{log}");
    }

    fn backup(&self, name: &str) -> PathBuf {
        self.log.beside(name)
    }
}

/// The events in the lines of a file. In one line the next event is glued to a torn one.
fn events(file: &Path) -> Vec<String> {
    const BEGIN: &str = r#"{"kind":"Event""#;
    let text = fs::read_to_string(file).unwrap();
    text.split(BEGIN).skip(1).map(|rest| format!("{BEGIN}{rest}")).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

/// Git keeps no hard links: links the files of the hold directory to the backups again.
fn link_again(log: &Path, hold: &Path) {
    for link in files(hold) {
        let is_same = |path: &&PathBuf| fs::read(path).unwrap() == fs::read(&link).unwrap();
        if let Some(backup) = files(log).iter().find(is_same) {
            fs::remove_file(&link).unwrap();
            fs::hard_link(backup, &link).unwrap();
        }
    }
}

/// One line of `loki.ndjson` or `search.ndjson`.
fn stored(line: &str) -> Stored {
    let value: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    let time = value["time"].as_i64().unwrap();
    Stored { under: text("under"), tenant: String::new(), time, line: text("line") }
}

/// The ids of the gaps that the earlier version had noticed, and had not delivered to this output.
fn recorded_gaps(output: &str) -> Vec<String> {
    let file = fs::read_to_string(root().join(SAMPLE).join("state/checkpoint.json")).unwrap();
    let state: Value = serde_json::from_str(file.lines().nth(1).unwrap()).unwrap();
    let pairs = state["pairs"].as_array().unwrap();
    let pair = pairs.iter().find(|pair| pair["output"] == output).unwrap();
    let gaps = pair["gaps"].as_array().unwrap();
    gaps.iter().map(|gap| gap["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_an_earlier_version_left_when_it_was_killed_is_shipped_once() {
    let node = Node::left_behind();
    for (name, store) in &node.stores {
        let missing = node.wanted(name, store).len() - store.counts().len();
        assert!(missing > 8, "{name} holds all but {missing}: the sample shows nothing");
    }
    node.ship();
    // Nothing is sent again after that.
    let before = node.stores.each_ref().map(|(_, store)| store.state().writes.len());
    let mut agent = node.start();
    agent.wait_readyz(200, LIMIT);
    agent.stop_done();
    assert_eq!(node.stores.each_ref().map(|(_, store)| store.state().writes.len()), before);
}

#[test]
fn an_upgrade_after_a_kill_finds_backups_that_were_compressed_renamed_or_deleted_since() {
    let mut node = Node::left_behind();
    compress(&node.backup(IN_DOUBT));
    fs::remove_file(node.backup(PASSED)).unwrap();
    node.write(3);
    node.log.rotate_now();
    node.write(3);
    node.ship();

    // The backup in doubt is gone, so its link is all that is left of it.
    let mut node = Node::left_behind();
    fs::remove_file(node.backup(IN_DOUBT)).unwrap();
    node.log.rotate_now();
    node.write(3);
    node.ship();
}

#[test]
fn dead_letters_of_an_earlier_version_are_listed_and_sent_again() {
    let node = Node::left_behind();
    let mut agent = node.start();
    node.wait_for_all();
    let list = || agent.command(&["dead-letters", "list", "--json"]).1;
    let letters = list();
    assert_eq!(letters.lines().count(), 2, "{letters}");
    assert!(letters.lines().all(|letter| letter.contains(POISON)), "{letters}");
    for (_, store) in &node.stores {
        store.refuse_nothing();
    }
    let (code, said, error) = agent.command(&["dead-letters", "resend"]);
    assert_eq!(code, Some(0), "{said}{error}");
    assert_eq!(list(), "");
    node.wait_for_all();
    agent.stop_done();
    node.assert_each_once();
}
