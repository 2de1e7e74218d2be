//! Promise 7: secrets stay home. The test checks redaction end to end, for leaks. It plants a marker in every row of
//! section 7 of the Kubernetes reference: through a real API server where that can be made to log it
//! (`leaks/server.rs`, `leaks/requests.rs`), by hand elsewhere (`leaks/by_hand.rs`). The agent ships everything with
//! default redaction to a Loki, an Elasticsearch, a file, and two stores that refuse every other event. Neither a
//! marker nor its base64 may be in any byte that leaves the agent: in the back ends, in dead letters and the rest of
//! the state directory, in its log, metrics, pages and the output of commands. There are no alerts yet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::apiserver::ApiServer;
use crate::elastic::Elastic;
use crate::loki::Loki;
use crate::servers::{Server, have};
use kit::agent::Agent;
use kit::events::{Expected, expected};
use kit::store::Refusal;
use kit::store::loki::Settings;
use kit::{FakeStore, contents, tables, wait_for};

mod by_hand;
mod deeds;
mod markers;
mod requests;
mod server;

use deeds::assert_who_did_what;
use markers::Planted;

const STREAM: &str = "logs-kubernetes.audit_logs-leaks";
/// Everything in Loki, and everything but the gap events, with which the agent reports torn lines.
const STORED: &str = "{job=\"leaks\"}";
const EVENTS: &str = "{job=\"leaks\",auditrail!=\"gap\"}";
const LIMIT: Duration = Duration::from_mins(1);

/// The rows of the reference's table. Names of users and groups are not redacted by default: an audit log says who did
/// something.
const PLACES: &[&str] = &[
    "Secret create/update",
    "Secret patch",
    "Secret read",
    "Secret delete / deletecollection",
    "any object",
    "ConfigMap",
    "TokenReview",
    "ServiceAccount `token` subresource",
    "CSR",
    "Pod specs and every template",
    "exec / attach",
    "service/pod/node proxy",
    "requestURI generally",
    "objectRef.name, URI path",
    "annotations[patch.webhook...]",
    "other audit annotations",
    "responseStatus.message",
    "user.extra, impersonatedUser.extra",
    "userAgent, auditID",
    "custom resources",
    "Helm release Secrets",
    "bootstrap token, dockercfg, service-account-token Secrets",
    "legacy lines",
    "torn or unparseable lines",
];

#[test]
fn no_secret_of_any_kind_is_in_any_byte_that_leaves() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let (loki, elastic) =
        (thread::spawn(|| Loki::stand_in(Settings::raised())), thread::spawn(Elastic::shared));
    let mut cluster = ApiServer::start();
    let mut planted = Planted::default();
    server::plant(&cluster, &mut planted);
    cluster.logged_and_counted();
    cluster.stop();
    let written = server::log(cluster.audit_log().parent().unwrap());
    let made = by_hand::Made::plant(&mut planted);
    assert_planted(&planted, &written, &made.log);

    let stage = Stage::new(loki.join().unwrap(), elastic.join().unwrap(), &cluster, &made.log);
    let mut events = expected(&written);
    assert_delivered(&stage, &mut events, made.events);
    assert_who_did_what(&written, &stage.file());
    assert_nothing_leaks(&planted, &stage.leave(&events));
}

/// Fails unless every row of the table is in the log, in every place where it should be.
fn assert_planted(planted: &Planted, written: &[u8], made: &[u8]) {
    let finder = planted.finder();
    let places: BTreeSet<_> = planted.rows.iter().map(|row| row.place).collect();
    assert_eq!(places, PLACES.iter().copied().collect());
    let lines: Vec<_> = [written, made]
        .iter()
        .flat_map(|log| log.split(|byte| *byte == b'\n'))
        .map(|line| (line, finder.find(line)))
        .filter(|(_, found)| !found.is_empty())
        .collect();
    let within = |how: &str, parts: &[&str]| {
        lines.iter().any(|(line, found)| {
            let there = |part: &&str| memchr::memmem::find(line, part.as_bytes()).is_some();
            found.iter().any(|(row, _)| row.how == how) && parts.iter().all(there)
        })
    };
    let mut missing = Vec::new();
    for row in &planted.rows {
        if !within(row.how, &[]) {
            missing.push(format!("{}: {} is not in the log", row.place, row.how));
        }
    }
    for (how, parts) in requests::ALSO_IN {
        if !within(how, parts) {
            missing.push(format!("{how} is in no line with {parts:?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The agent and its outputs.
struct Stage {
    loki: Loki,
    elastic: Arc<Elastic>,
    halves: [FakeStore; 2],
    agent: Agent,
    archive: PathBuf,
    logs: [PathBuf; 2],
    _dir: TempDir,
}

impl Stage {
    fn new(loki: Loki, elastic: Arc<Elastic>, cluster: &ApiServer, made: &[u8]) -> Self {
        let dir = TempDir::new().unwrap();
        let archive = dir.path().join("archive-{input}.ndjson");
        let by_hand = dir.path().join("by-hand/audit.log");
        fs::create_dir(by_hand.parent().unwrap()).unwrap();
        fs::write(&by_hand, made).unwrap();
        let halves = [0, 1].map(|half| {
            let store = FakeStore::new();
            let sum = |id: &str| id.bytes().map(u32::from).sum::<u32>();
            store.refuse_if(Refusal::Content, move |event| sum(&event.under) % 2 == half);
            store
        });
        let leaving = |bytes: &str, managed_fields: bool| {
            format!(
                "transform = {{ redact = \"default\", omit_managed_fields = {}, max_event_bytes = \"{bytes}\" }}\n",
                !managed_fields
            )
        };
        let mut config = tables::input("apiserver", &cluster.audit_log())
            + &tables::input("by-hand", &by_hand)
            + &tables::loki(&loki.url(), "leaks", &leaving("256KiB", false))
            + &tables::elasticsearch(&elastic.url(), STREAM, &leaving("off", false))
            + &tables::archive(&archive)
            + &leaving("off", true);
        for (half, name) in halves.iter().zip(["even", "odd"]) {
            let table = tables::search(&half.url, &leaving("off", false)).replace("300ms", "5s");
            config += &table.replace("[outputs.search]", &format!("[outputs.{name}]"));
        }
        let agent = Agent::start_saying(Some("trace"), dir.path(), &config);
        let logs = [cluster.audit_log().parent().unwrap().to_owned(), by_hand];
        Self { loki, elastic, halves, agent, archive, logs, _dir: dir }
    }

    /// The bytes that the file output wrote.
    fn file(&self) -> Vec<u8> {
        let archive = self.archive.to_str().unwrap();
        let of = |input| fs::read(archive.replace("{input}", input)).unwrap_or_default();
        ["apiserver", "by-hand"].map(of).concat()
    }

    /// Number of lines in the file, without gap events.
    fn lines(&self) -> usize {
        let gap = |line: &&[u8]| line.starts_with(br#"{"kind":"Gap""#);
        self.file().split_inclusive(|byte| *byte == b'\n').filter(|line| !gap(line)).count()
    }

    /// Number of documents, without gap events.
    fn documents(&self) -> Result<usize, String> {
        let all = self.elastic.count(STREAM)?;
        let question = format!("/{STREAM}/_count?q=kubernetes.audit.kind:Gap");
        let gaps = self.elastic.ask("GET", &question, "")?["count"].as_u64().unwrap();
        Ok(all - usize::try_from(gaps).unwrap())
    }

    /// Stops the agent and collects every byte that it gave away, by the place where it was found.
    fn leave(mut self, events: &[Expected]) -> Vec<(&'static str, Vec<u8>)> {
        let mut all = Vec::new();
        for page in ["/metrics", "/status", "/", "/readyz?verbose", "/livez?verbose"] {
            all.push((page, self.agent.page(page).unwrap().body));
        }
        let sample =
            |log: &Path| vec!["check".to_owned(), "--sample".to_owned(), log.display().to_string()];
        let letters = ["dead-letters", "list", "--json"].map(str::to_owned).to_vec();
        let groups = ["dead-letters", "list"].map(str::to_owned).to_vec();
        let each = ["dead-letters", "list", "--each"].map(str::to_owned).to_vec();
        let status = ["status", "--json"].map(str::to_owned).to_vec();
        for (name, arguments) in [
            ("status --json", status),
            ("check", vec!["check".to_owned()]),
            ("check --sample, the server's", sample(&self.logs[0])),
            ("check --sample, by hand", sample(&self.logs[1])),
            ("config print", vec!["config".to_owned(), "print".to_owned()]),
            ("dead-letters list", groups),
            ("dead-letters list --each", each),
            ("dead-letters list --json", letters),
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let (code, out, error) = self.agent.command(&arguments);
            assert!(code != Some(2), "{name}: {out}{error}");
            if name == "dead-letters list --json" {
                let refused =
                    self.agent.events("even", "refused") + self.agent.events("odd", "refused");
                assert_eq!(out.lines().count(), refused, "letters");
                assert!(
                    refused > events.len(),
                    "every event is a dead letter, of one output or the other"
                );
            }
            all.push((name, (out + &error).into_bytes()));
        }
        self.agent.stop_done();
        all.push(("log", fs::read(self.agent.log()).unwrap()));
        all.push(("state directory", self.agent.state().into_bytes()));
        all.push(("file", self.file()));
        all.push(("Elasticsearch", self.elastic.answers(STREAM).concat()));
        let answers: String =
            self.loki.answers(STORED, events).iter().map(Value::to_string).collect();
        all.push(("Loki", answers.into_bytes()));
        all.push(("Loki's files", contents(self.loki.dir()).into_bytes()));
        for half in &self.halves {
            let stored: String =
                half.state().stored.iter().map(|stored| stored.line.as_str()).collect();
            all.push(("half a store", stored.into_bytes()));
        }
        all
    }
}

/// Fails unless each output holds as many events as the logs. Adds their time range to `events`.
fn assert_delivered(stage: &Stage, events: &mut Vec<Expected>, by_hand: usize) {
    let total = events.len() + by_hand;
    let around = |ago: i64| Expected { ns: nanoseconds_ago(ago), ..events[0].clone() };
    let (first, last) = (around(300), around(0));
    events.extend([first, last]);
    let same = |what: &str, ask: &dyn Fn() -> Result<usize, String>| {
        wait_for(what, LIMIT, || match ask()? {
            found if found >= total => Ok(()),
            found => Err(format!("{found} of {total}")),
        });
        assert_eq!(ask().unwrap(), total, "{what}");
    };
    same("events in the file", &|| Ok(stage.lines()));
    same("events in Loki", &|| stage.loki.count(EVENTS, events));
    same("events in Elasticsearch", &|| stage.documents());
    for output in ["even", "odd"] {
        wait_for("events stored or put aside", LIMIT, || {
            let results = ["delivered", "refused"].map(|result| stage.agent.events(output, result));
            if results[0] + results[1] >= total { Ok(()) } else { Err(format!("{results:?}")) }
        });
    }
}

fn nanoseconds_ago(seconds: i64) -> i64 {
    let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    now - seconds * 1_000_000_000
}

fn assert_nothing_leaks(planted: &Planted, places: &[(&str, Vec<u8>)]) {
    let finder = planted.finder();
    let mut leaks = Vec::new();
    for (name, bytes) in places {
        println!("{name}: {} bytes", bytes.len());
        for (row, around) in finder.find(bytes) {
            leaks.push(format!("{}: {} is in {name}:\n    {around}", row.place, row.how));
        }
    }
    assert!(leaks.is_empty(), "{} leaks\n{}", leaks.len(), leaks.join("\n"));
}
