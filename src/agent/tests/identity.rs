//! Two machines with one name, a machine that was rolled back, ids that another document has, and the ids of version
//! 0.1.0: each event is stored once, whatever document has its id.

use std::fs;
use std::path::Path;

use kit::FakeStore;
use kit::store::{Do, Stored};

use super::agent::{Node, Process, TENS, elasticsearch, loki, until};
use crate::checkpoint::{Origin, Store};
use crate::config::Config;
use crate::event::{Ids, Position, RecordKind};
use crate::telemetry::LookupResult;

const FORBIDDEN: &str = r#"{"error":{"type":"security_exception","reason":"no"},"status":403}"#;

/// A store that refuses an id that it has.
fn guarding() -> FakeStore {
    let fake = FakeStore::new();
    fake.state().unique_from = Some(0);
    fake
}

/// Runs an agent until its whole log is acknowledged; returns how many ids other documents had.
fn run(node: &Node, outputs: &str) -> u64 {
    let process = node.start(outputs);
    let name = if outputs.contains("loki") { "loki" } else { "es" };
    until("all is acknowledged", || node.is_all_acknowledged(name));
    let others = process.telemetry.pair("api", name).lookups.of(LookupResult::Other).get();
    assert!(process.stop());
    others
}

/// The same names and the same first event, then events as long as those of the other.
fn twin(first: usize) -> Node {
    let mut node = Node::new();
    node.write(1);
    node.written = first;
    node.write(10);
    node
}

fn times(fake: &FakeStore) -> (usize, Vec<(String, usize)>) {
    let counts = fake.counts();
    let all = counts.len();
    let mut doubled: Vec<_> = counts.into_iter().filter(|(_, times)| *times > 1).collect();
    doubled.sort();
    (all, doubled)
}

#[test]
fn of_two_machines_with_the_same_names_neither_loses_an_event_to_the_other() {
    let fake = guarding();
    let outputs = elasticsearch(&fake, TENS);
    let (one, other) = (twin(10), twin(20));
    assert_eq!(run(&one, &outputs), 0);
    assert_eq!(run(&other, &outputs), 10);
    assert_eq!(times(&fake), (21, Vec::new()));
    // Both lose their state and send everything again: their own events have their ids.
    for node in [&one, &other] {
        fs::remove_dir_all(node.state()).unwrap();
        run(node, &outputs);
    }
    assert_eq!(times(&fake), (21, Vec::new()));
}

#[test]
fn where_documents_cannot_be_compared_nothing_is_lost_and_what_was_sent_here_is_not_doubled() {
    let fake = guarding();
    fake.state().always_look_up = Some(Do::Answer(403, FORBIDDEN));
    let outputs = elasticsearch(&fake, TENS);
    let node = twin(10);
    fake.script([Do::TakeAndBreak]);
    run(&node, &outputs);
    assert_eq!(times(&fake), (11, Vec::new()));
    run(&twin(20), &outputs);
    // Both logs begin with this event, whose document cannot be fetched and compared.
    assert_eq!(times(&fake), (21, vec![("0".to_owned(), 2)]));
}

#[test]
fn nobody_makes_an_event_vanish_by_taking_its_id_beforehand() {
    let learning = guarding();
    run(&twin(10), &elasticsearch(&learning, TENS));
    let junk = [
        "{}",
        r#"{"auditID":5,"stage":[]}"#,
        r#"{"auditID":"10"}"#,
        r#"{"kubernetes":"x","event":7}"#,
        r#"{"kubernetes":{"audit":{"auditID":"14","stage":"ResponseComplete"}}}"#,
        r#"{"auditID":"15","stage":"ResponseComplete","requestReceivedTimestamp":"2026-11-21T06:00:00.000015Z","stageTimestamp":"2026-11-21T06:00:00.000016Z"}"#,
    ];
    let fake = guarding();
    let ids: Vec<_> = learning.state().stored.iter().map(|one| one.under.clone()).collect();
    let occupied = ids.iter().zip(junk.iter().cycle()).map(|(id, junk)| Stored {
        under: id.clone(),
        tenant: String::new(),
        time: 0,
        line: (*junk).to_owned(),
    });
    fake.state().stored.extend(occupied);
    let node = twin(10);
    let outputs = elasticsearch(&fake, TENS);
    assert_eq!(run(&node, &outputs), 11);
    let ours = |fake: &FakeStore| {
        fake.state().stored.drain(..11).for_each(drop);
        times(fake)
    };
    // Once more, with everything in doubt.
    fs::remove_dir_all(node.state()).unwrap();
    run(&node, &outputs);
    assert_eq!(ours(&fake), (11, Vec::new()));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (kind, to) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn roll_back(saved: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    copy(saved, to);
}

#[test]
fn a_machine_that_was_rolled_back_with_its_log_sends_what_came_after_all_the_same() {
    for output in [loki, elasticsearch] {
        let (fake, mut node, saved) = (guarding(), Node::new(), tempfile::tempdir().unwrap());
        let outputs = output(&fake, TENS);
        node.write(10);
        run(&node, &outputs);
        let (log, state) = (node.log(), node.state());
        copy(log.parent().unwrap(), &saved.path().join("log"));
        copy(&state, &saved.path().join("state"));
        node.write(10);
        run(&node, &outputs);
        roll_back(&saved.path().join("log"), log.parent().unwrap());
        roll_back(&saved.path().join("state"), &state);
        node.write(10);
        let taken = run(&node, &outputs);
        assert_eq!(times(&fake), (30, Vec::new()));
        assert_eq!(taken > 0, !outputs.contains("loki"));
    }
}

#[test]
fn a_state_directory_from_a_backup_makes_nothing_arrive_twice() {
    for output in [loki, elasticsearch] {
        // The store does not refuse an id that it has, as after a rollover.
        let (fake, mut node, saved) = (FakeStore::new(), Node::new(), tempfile::tempdir().unwrap());
        let outputs = output(&fake, TENS);
        node.write(10);
        run(&node, &outputs);
        copy(&node.state(), saved.path());
        node.write(25);
        run(&node, &outputs);
        roll_back(saved.path(), &node.state());
        assert!(matches!(Store::load(&node.state()).unwrap().origin, Origin::Restored(_)));
        node.write(5);
        run(&node, &outputs);
        assert_eq!(times(&fake), (40, Vec::new()));
        // From then on the checkpoint counts as current.
        assert_eq!(Store::load(&node.state()).unwrap().origin, Origin::Current);
    }
}

/// The log, state directory and documents that version 0.1.0 left when it was killed.
fn left_behind() -> (Node, FakeStore) {
    let sample = Path::new("tests/data/state-0.1.0");
    let (fake, node) = (FakeStore::new(), Node::new());
    fs::create_dir_all(node.log().parent().unwrap()).unwrap();
    fs::create_dir_all(node.state()).unwrap();
    fs::copy(sample.join("audit.log"), node.log()).unwrap();
    for name in ["checkpoint.json", "node.key"] {
        fs::copy(sample.join(name), node.state().join(name)).unwrap();
    }
    let state = Store::load(&node.state()).unwrap().state;
    let (generation, _) = state.pairs[0].cursor.generations.iter().next().unwrap();
    let [log, documents] = ["audit.log", "documents.ndjson"]
        .map(|name| fs::read_to_string(sample.join(name)).unwrap());
    let mut offset = 0;
    for (line, document) in log.split_inclusive('\n').zip(documents.lines()) {
        let position = Position { generation: *generation, offset, whole: RecordKind::Event };
        offset += line.len() as u64;
        fake.state().stored.push(Stored {
            under: Ids::Position.id(&position),
            tenant: String::new(),
            time: 0,
            line: document.to_owned(),
        });
    }
    (node, fake)
}

fn config(node: &Node, fake: &FakeStore) -> Config {
    let text = format!(
        "node = \"cp-1\"\ncluster = \"prod\"\nstate_dir = {:?}\ndisk = {{ min_free = \"0%\" }}\n\
         checkpoint_interval = \"10ms\"\n[server]\nlisten = \"off\"\n[inputs.apiserver]\ntype = \"file\"\npath = {:?}\n\
         hold = {{ min_free = \"0%\" }}\n{}",
        node.state(),
        node.log(),
        elasticsearch(fake, "").replace("outputs.es", "outputs.search")
    );
    Config::parse(&text, Path::new("test"), &|_| None).unwrap()
}

fn acknowledged(node: &Node) -> u64 {
    let state = Store::load(&node.state()).unwrap().state;
    let pair = state.pair("apiserver", "search").unwrap();
    pair.cursor.generations.values().map(|progress| progress.offset).sum()
}

#[test]
fn an_upgrade_from_the_ids_of_version_0_1_0_doubles_nothing() {
    let (node, fake) = left_behind();
    let all = fs::metadata(node.log()).unwrap().len();
    let process = Process::start(config(&node, &fake));
    until("all is acknowledged", || acknowledged(&node) == all);
    assert!(process.stop());
    assert_eq!(fake.state().stored.len(), 8, "what was in doubt is found under its former id");
    assert!(fake.state().writes.is_empty());
    let ids = Store::load(&node.state()).unwrap().state.pairs[0].ids.clone();
    assert_eq!(ids.len(), 2, "{ids:?}");
}

#[test]
fn another_document_under_an_id_of_version_0_1_0_is_not_taken_for_the_event() {
    let (node, fake) = left_behind();
    for stored in &mut fake.state().stored {
        stored.line = stored.line.replace("0000-4000", "ffff-4000").replace("hmac", "other");
    }
    let all = fs::metadata(node.log()).unwrap().len();
    let process = Process::start(config(&node, &fake));
    until("all is acknowledged", || acknowledged(&node) == all);
    assert!(process.stop());
    // Four were acknowledged before.
    assert_eq!(fake.state().stored.len(), 12);
}
