//! One node of `OpenSearch` or Elasticsearch, or the stand-in for Elasticsearch 8, and questions to it.

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::servers::{Process, Server, built, have_or, users_own};
use crate::stand_in::elastic;
use crate::stand_in::process::{Kind, StandIn};
use crate::support::events::{Expected, assert_exactly_once, nanoseconds};
use crate::support::{free_port, http, wait_for};

/// Names an Elasticsearch or `OpenSearch` of the user's own.
pub(crate) const OWN: &str = "AUDITRAIL_TEST_ELASTICSEARCH_URL";

/// Starting on a machine that does much else takes long.
const START: Duration = Duration::from_mins(3);

pub(crate) struct Elastic {
    server: Running,
    dir: TempDir,
    /// As an administrator.
    authorization: Option<String>,
}

enum Running {
    StandIn(StandIn),
    Real { name: &'static str, process: Process, command: Box<Command>, port: u16 },
    Own(String),
}

/// One stored document.
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) source: Value,
}

impl Elastic {
    /// One of the user's own if there is one, else the shared one.
    pub(crate) fn users_or_shared() -> Arc<Self> {
        let Some(url) =
            users_own(OWN, "OpenSearch and a stand-in take the place of Elasticsearch 8")
        else {
            return Self::shared();
        };
        let dir = TempDir::new().unwrap();
        Arc::new(Self { server: Running::Own(url), dir, authorization: None })
    }

    /// A node shared by the tests that run at the same time; each writes a data stream of its own. `OpenSearch` 3 where it is
    /// built, else the stand-in for Elasticsearch 8.
    pub(crate) fn shared() -> Arc<Self> {
        static NODE: Mutex<Weak<Elastic>> = Mutex::new(Weak::new());
        let mut node = NODE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = node.upgrade() {
            return running;
        }
        let started = Arc::new(Self::any());
        *node = Arc::downgrade(&started);
        started
    }

    /// A node of the test's own, to be killed.
    pub(crate) fn any() -> Self {
        Self::any_with(&[], elastic::Settings::default())
    }

    /// The same with settings of `OpenSearch`, and what they are in the stand-in.
    pub(crate) fn any_with(settings: &[&str], instead: elastic::Settings) -> Self {
        if have_or(Server::OpenSearch3, "Elasticsearch 8") {
            Self::open_search(Server::OpenSearch3, settings)
        } else {
            Self::stand_in(instead)
        }
    }

    /// Elasticsearch 8 as it was recorded.
    pub(crate) fn stand_in(settings: elastic::Settings) -> Self {
        let dir = TempDir::new().unwrap();
        let authorization = settings.secure.then(|| {
            let credentials = BASE64_STANDARD.encode(format!("elastic:{}", elastic::PASSWORD));
            format!("Basic {credentials}")
        });
        let server = Running::StandIn(StandIn::start(Kind::Elastic(settings), dir.path()));
        Self { server, dir, authorization }
    }

    /// Elasticsearch 7.10, which has no data streams without x-pack.
    pub(crate) fn seven() -> Self {
        // On a disk that is 90% full it would give no place to an index, and every request would wait for one.
        let settings = ["cluster.routing.allocation.disk.threshold_enabled=false"];
        Self::launch("elasticsearch", "EsNode", &settings)
    }

    /// A node of `OpenSearch`.
    pub(crate) fn open_search(which: Server, settings: &[&str]) -> Self {
        let name = if matches!(which, Server::OpenSearch2) { "opensearch2" } else { "opensearch3" };
        let disk = ["cluster.routing.allocation.disk.threshold_enabled=false"];
        Self::launch(name, "OsNode", &[settings, &disk[..]].concat())
    }

    fn launch(name: &'static str, class: &str, settings: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let mut command = java(name);
        command.arg(class).arg(dir.path().join("home")).args(settings);
        command.args([format!("http.port={port}"), format!("transport.port={}", free_port())]);
        command.current_dir(dir.path());
        let process = Process::start(name, &mut command, dir.path());
        let server = Running::Real { name, process, command: Box::new(command), port };
        let mut node = Self { server, dir, authorization: None };
        node.wait();
        node
    }

    fn wait(&mut self) {
        wait_for("the search engine to be usable", START, || {
            if let Running::Real { process, .. } = &mut self.server {
                process.alive()?;
            }
            self.ask("GET", "/_cluster/health", "")
        });
    }

    /// SIGKILL, as a node dies.
    pub(crate) fn kill(&mut self) {
        match &mut self.server {
            Running::StandIn(stand_in) => stand_in.kill(),
            Running::Real { process, .. } => process.kill(),
            Running::Own(url) => panic!("{url} is not ours to kill"),
        }
    }

    /// Starts it again on the same data and port.
    pub(crate) fn resume(&mut self) {
        match &mut self.server {
            Running::StandIn(stand_in) => stand_in.resume(),
            Running::Real { name, process, command, .. } => {
                *process = Process::start(name, command, self.dir.path());
            }
            Running::Own(url) => panic!("{url} was not killed"),
        }
        self.wait();
    }

    /// What goes into `endpoints`.
    pub(crate) fn url(&self) -> String {
        match &self.server {
            Running::StandIn(stand_in) => stand_in.url(),
            Running::Real { port, .. } => format!("http://127.0.0.1:{port}"),
            Running::Own(url) => url.clone(),
        }
    }

    /// One request as an administrator; `Err` unless it succeeds.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let mut headers = vec![("Content-Type", "application/json")];
        if let Some(authorization) = &self.authorization {
            headers.push(("Authorization", authorization));
        }
        http::send(method, &format!("{}{path}", self.url()), &headers, body.into())?.json()
    }

    /// How many documents a search would find; 0 while the target does not exist.
    pub(crate) fn count(&self, target: &str) -> Result<usize, String> {
        self.ask("POST", &format!("/{target}/_refresh?ignore_unavailable=true"), "")?;
        let answer = self.ask("GET", &format!("/{target}/_count?ignore_unavailable=true"), "")?;
        Ok(usize::try_from(answer["count"].as_u64().ok_or("no count")?).unwrap())
    }

    /// Waits until as many documents are counted.
    pub(crate) fn wait_count(&self, target: &str, documents: usize, limit: Duration) {
        wait_for("Elasticsearch to count all events", limit, || match self.count(target)? {
            found if found >= documents => Ok(()),
            found => Err(format!("{found} of {documents}")),
        });
    }

    /// Every document, with the named fields of its source.
    pub(crate) fn documents(&self, target: &str, fields: &[&str]) -> Vec<Document> {
        self.ask("POST", &format!("/{target}/_refresh"), "").unwrap();
        let body = serde_json::json!({"size": 5000, "sort": ["_doc"], "_source": fields});
        let mut page =
            self.ask("POST", &format!("/{target}/_search?scroll=1m"), &body.to_string()).unwrap();
        let mut all = Vec::new();
        loop {
            let hits = page["hits"]["hits"].as_array_mut().unwrap();
            if hits.is_empty() {
                return all;
            }
            all.extend(hits.iter_mut().map(|hit| Document {
                id: hit["_id"].as_str().unwrap().to_owned(),
                source: hit["_source"].take(),
            }));
            let next = serde_json::json!({"scroll": "1m", "scroll_id": page["_scroll_id"]});
            page = self.ask("POST", "/_search/scroll", &next.to_string()).unwrap();
        }
    }

    /// What a search for all answers, byte for byte: what stands there may be no JSON to others. For 10,000 at most.
    pub(crate) fn answers(&self, target: &str) -> Vec<Vec<u8>> {
        let documents = self.count(target).unwrap();
        let page = |from: usize| {
            let question = format!("{target}/_search?size=500&sort=_doc&from={from}");
            let answer = http::get(&format!("{}/{question}", self.url())).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.body
        };
        (0..documents).step_by(500).map(page).collect()
    }

    /// What a search for one value of a field finds, without some fields: what stands there may be no JSON to others.
    pub(crate) fn search(
        &self,
        target: &str,
        field: &str,
        value: &str,
        without: &[&str],
    ) -> Vec<Document> {
        let query = serde_json::json!({"term": {field: value}});
        let body = serde_json::json!({"query": query, "_source": {"excludes": without}});
        let mut answer =
            self.ask("POST", &format!("/{target}/_search"), &body.to_string()).unwrap();
        let hits = answer["hits"]["hits"].as_array_mut().unwrap();
        hits.iter_mut()
            .map(|hit| Document {
                id: hit["_id"].as_str().unwrap().to_owned(),
                source: hit["_source"].take(),
            })
            .collect()
    }

    /// Fails unless exactly these events are there, each once, under an id of its own, at its own time.
    pub(crate) fn assert_holds(&self, target: &str, events: &[Expected]) {
        let fields = ["@timestamp", "kubernetes.audit.auditID", "kubernetes.audit.stage"];
        let documents = self.documents(target, &fields);
        let found = documents.iter().map(|document| {
            let audit = &document.source["kubernetes"]["audit"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let at = nanoseconds(document.source["@timestamp"].as_str().unwrap());
            (at, text(&audit["auditID"]), text(&audit["stage"]))
        });
        let wanted = events.iter().map(|e| (e.ns, e.audit_id.clone(), e.stage.clone()));
        assert_exactly_once(&format!("Elasticsearch {target}"), found, wanted);
        let mut ids: Vec<&str> = documents.iter().map(|document| document.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), events.len(), "two documents of {target} share an id");
        assert_eq!(self.count(target).unwrap(), events.len(), "count of {target}");
    }

    /// Deletes the documents with one value of a field: one by one, since the server that is built here knows no other way.
    pub(crate) fn delete_where(&self, target: &str, field: &str, value: &str) {
        self.ask("POST", &format!("/{target}/_refresh"), "").unwrap();
        let query = serde_json::json!({"size": 10_000, "query": {"term": {field: value}}, "_source": false});
        let found = self.ask("POST", &format!("/{target}/_search"), &query.to_string()).unwrap();
        let mut lines = String::new();
        for hit in found["hits"]["hits"].as_array().unwrap() {
            let action =
                serde_json::json!({"delete": {"_index": hit["_index"], "_id": hit["_id"]}});
            lines.extend([action.to_string().as_str(), "\n"]);
        }
        assert!(!lines.is_empty(), "nothing has {field}: {value}");
        let answer = self.ask("POST", "/_bulk?refresh=true", &lines).unwrap();
        assert_eq!(answer["errors"], false, "{answer}");
    }

    /// Lets the data stream go on in a new backing index, where a `create` does not see what the old one holds.
    pub(crate) fn rollover(&self, target: &str) {
        let answer = self.ask("POST", &format!("/{target}/_rollover"), "").unwrap();
        assert_eq!(answer["rolled_over"], true, "{answer}");
    }
}

/// Java with little memory and a compiler that gets to work at once: the servers live for seconds.
fn java(server: &str) -> Command {
    let (lib, classes) = (built(&format!("{server}/lib/*")), built(&format!("{server}/classes")));
    let mut command = Command::new(built(&format!("{server}/java")));
    command.args(["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.args(["-Dlog4j2.disable.jmx=true", "-Dlog4j2.formatMsgNoLookups=true"]);
    command.arg("-cp").arg(format!("{}:{}", lib.display(), classes.display()));
    command
}
