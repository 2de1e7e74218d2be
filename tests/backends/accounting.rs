//! Nothing is lost silently: every event that a real API server counts is either stored, exactly once, or inside a gap
//! that the stores show.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::apiserver::ApiServer;
use crate::cluster::busy;
use crate::elastic::{self, Elastic};
use crate::loki::{self, Loki};
use crate::servers::{Server, have, unique};
use kit::agent::Agent;
use kit::events::{Expected, expected, reaches_over};
use kit::{tables, wait_for};

const LIMIT: Duration = Duration::from_mins(3);

/// Opens and keeps every file that ever appears in a folder, so that the test can still count the events of files that
/// the server deletes. It makes no hard links, since those would show in the link counts of the files.
struct LogKeeper {
    kept: Arc<Mutex<HashMap<u64, File>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LogKeeper {
    fn watch(folder: &Path) -> Self {
        let kept = Arc::new(Mutex::new(HashMap::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (folder, to, ended) = (folder.to_owned(), Arc::clone(&kept), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                    if entry.path().extension().is_some_and(|end| end == "log")
                        && let Ok(file) = File::open(entry.path())
                        && let Ok(meta) = file.metadata()
                        && meta.is_file()
                    {
                        // While a file is open, its inode number is not reused.
                        to.lock().unwrap().entry(meta.ino()).or_insert(file);
                    }
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        Self { kept, stop, thread: Some(thread) }
    }

    /// Every whole line that was ever written.
    fn events(&self) -> Vec<Expected> {
        let mut events = Vec::new();
        for mut file in self.kept.lock().unwrap().values() {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            events.extend(expected(&bytes[..whole]));
        }
        events
    }
}

impl Drop for LogKeeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The contents of a store: its events by auditID and stage, and its gap events.
struct Held {
    events: Vec<(String, String)>,
    gaps: Vec<Value>,
}

/// The server rotates at 1 MB and keeps two backups, so it deletes what an agent that is down has not read.
#[test]
fn what_the_stores_hold_and_what_the_gaps_say_is_all_that_the_api_server_counts() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let (loki, elastic) = (Loki::raised(), Elastic::users_or_shared());
    let dir = TempDir::new().unwrap();
    let mut cluster = ApiServer::keeping(2, LogKeeper::watch);
    let stream = &unique(elastic::OWN, "logs-kubernetes.audit_logs-accounting");
    let (job, selector) = loki::job("accounting");
    let config = tables::input("apiserver", &cluster.0.audit_log())
        + &tables::loki(&loki.url(), &job, "timeout = \"5s\"")
        + &tables::elasticsearch(&elastic.url(), stream, "timeout = \"5s\"");
    let mut agent = Agent::start(dir.path(), &config);
    busy(&cluster.0, "first");
    agent.kill();
    for namespace in ["second", "third", "fourth"] {
        busy(&cluster.0, namespace);
    }
    agent.resume();
    busy(&cluster.0, "fifth");
    agent.kill();
    agent.resume();
    busy(&cluster.0, "sixth");

    let (server, keeper) = (&mut cluster.0, &cluster.1);
    let counted = wait_for("as many events kept as the server counts", LIMIT, || {
        match (server.counted()?, keeper.events().len(), server.counted()?) {
            (before, kept, after) if before == kept && kept == after => Ok(kept),
            found => Err(format!("counted, kept, counted: {found:?}")),
        }
    });
    server.stop();
    let all = keeper.events();
    assert!(all.len() >= counted && counted > 1000, "{counted} counted, {} kept", all.len());

    let stores: [(&str, &dyn Fn() -> Held); 2] = [
        ("Loki", &|| in_loki(&loki, &selector, &all)),
        ("Elasticsearch", &|| in_elastic(&elastic, stream)),
    ];
    for (name, held) in stores {
        let lost =
            wait_for(&format!("{name} to account for all"), LIMIT, || account(&all, &held()));
        println!("{name}: {} counted, {lost} of them in gaps", all.len());
        assert!(lost > 0, "nothing was lost, so nothing was shown");
    }
    agent.stop_done();
}

fn in_loki(loki: &Loki, selector: &str, all: &[Expected]) -> Held {
    let mut around = all.to_vec();
    // A gap event has the time at which the agent met the gap.
    let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    around.push(Expected { ns: now, ..all[0].clone() });
    let mut held = Held { events: Vec::new(), gaps: Vec::new() };
    for (_, line) in loki.lines(selector, &around) {
        let event: Value = serde_json::from_str(&line).unwrap();
        held.take(&event);
    }
    held
}

fn in_elastic(elastic: &Elastic, stream: &str) -> Held {
    let mut held = Held { events: Vec::new(), gaps: Vec::new() };
    let audit = "kubernetes.audit";
    let fields = ["kind", "auditID", "stage", "gap"].map(|name| format!("{audit}.{name}"));
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    for document in elastic.documents(stream, &fields) {
        held.take(&document.source["kubernetes"]["audit"]);
    }
    held
}

impl Held {
    fn take(&mut self, event: &Value) {
        if event["kind"] == "Gap" {
            self.gaps.push(event["gap"].clone());
        } else {
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            self.events.push((text("auditID"), text("stage")));
        }
    }
}

/// How many events are lost, if every one of them is within a gap; `Err` if some are neither stored nor in a gap.
fn account(all: &[Expected], held: &Held) -> Result<usize, String> {
    let stored: HashSet<_> = held.events.iter().collect();
    assert_eq!(stored.len(), held.events.len(), "events are stored twice");
    let written: BTreeSet<_> = all.iter().map(|e| (e.audit_id.clone(), e.stage.clone())).collect();
    assert_eq!(written.len(), all.len(), "two events alike");
    let foreign = held.events.iter().find(|event| !written.contains(event));
    assert_eq!(foreign, None, "an event that nobody wrote");
    let lost: Vec<_> = all
        .iter()
        .filter(|event| !stored.contains(&(event.audit_id.clone(), event.stage.clone())))
        .collect();
    let within = |event: &&&Expected| held.gaps.iter().any(|gap| reaches_over(gap, event.ns));
    let untold = lost.iter().filter(|event| !within(event)).count();
    if untold > 0 {
        return Err(format!(
            "{untold} of {} lost events are in no gap: {:?}",
            lost.len(),
            held.gaps
        ));
    }
    let told = |name: &str| -> u64 { held.gaps.iter().filter_map(|gap| gap[name].as_u64()).sum() };
    let bytes: u64 = lost.iter().map(|event| event.line.len() as u64 + 1).sum();
    assert!(
        told("bytes") + told("bytes_at_least") <= bytes,
        "the gaps tell of more than the {bytes} bytes that are lost: {:?}",
        held.gaps
    );
    Ok(lost.len())
}
