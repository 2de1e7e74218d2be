//! One node of `OpenSearch` or Elasticsearch, or the stand-in for Elasticsearch 8, and queries to it.

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::servers::{Process, Server, built, have_or, users_own};
use crate::stand_in::{Kind, StandIn};
use kit::events::{Expected, assert_exactly_once, nanoseconds};
use kit::store::elastic;
use kit::{free_port, http, wait_for};

/// The environment variable that names an Elasticsearch or `OpenSearch` of the user's own.
pub(crate) const OWN: &str = "AUDITRAIL_TEST_ELASTICSEARCH_URL";

/// Time limit for the start, which takes long on a busy machine.
const START: Duration = Duration::from_mins(3);

pub(crate) struct Elastic {
    server: Running,
    dir: TempDir,
    /// The `Authorization` header of an administrator.
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
    /// The user's own server if there is one, else the shared node.
    pub(crate) fn users_or_shared() -> Arc<Self> {
        let Some(url) =
            users_own(OWN, "OpenSearch and a stand-in take the place of Elasticsearch 8")
        else {
            return Self::shared();
        };
        let dir = TempDir::new().unwrap();
        Arc::new(Self { server: Running::Own(url), dir, authorization: None })
    }

    /// A node that concurrent tests share; each writes to a data stream of its own. `OpenSearch` 3 if it is built, else
    /// the stand-in for Elasticsearch 8.
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

    /// A node for one test only, which may kill it.
    pub(crate) fn any() -> Self {
        Self::any_with(&[], elastic::Settings::default())
    }

    /// Like [`Elastic::any`], with these settings of `OpenSearch`, and their counterparts in the stand-in.
    pub(crate) fn any_with(settings: &[&str], instead: elastic::Settings) -> Self {
        if have_or(Server::OpenSearch3, "Elasticsearch 8") {
            Self::open_search(Server::OpenSearch3, settings)
        } else {
            Self::stand_in(instead)
        }
    }

    /// The stand-in: answers as Elasticsearch 8 was recorded.
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
        // With the disk watermark, a disk that is 90% full gets no new index, and every request would wait for one.
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

    /// Sends SIGKILL, as when a node dies.
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

    /// Its URL, for `endpoints`.
    pub(crate) fn url(&self) -> String {
        match &self.server {
            Running::StandIn(stand_in) => stand_in.url(),
            Running::Real { port, .. } => format!("http://127.0.0.1:{port}"),
            Running::Own(url) => url.clone(),
        }
    }

    /// Sends one request as an administrator; `Err` unless it succeeds.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let mut headers = vec![("Content-Type", "application/json")];
        if let Some(authorization) = &self.authorization {
            headers.push(("Authorization", authorization));
        }
        http::send(method, &format!("{}{path}", self.url()), &headers, body.into())?.json()
    }

    /// How many documents a search finds after a refresh; 0 if the target does not exist.
    pub(crate) fn count(&self, target: &str) -> Result<usize, String> {
        self.ask("POST", &format!("/{target}/_refresh?ignore_unavailable=true"), "")?;
        let answer = self.ask("GET", &format!("/{target}/_count?ignore_unavailable=true"), "")?;
        Ok(usize::try_from(answer["count"].as_u64().ok_or("no count")?).unwrap())
    }

    /// Waits until the count reaches this number of documents.
    pub(crate) fn wait_count(&self, target: &str, documents: usize, limit: Duration) {
        wait_for("Elasticsearch to count all events", limit, || match self.count(target)? {
            found if found >= documents => Ok(()),
            found => Err(format!("{found} of {documents}")),
        });
    }

    /// Every document, with these fields of its source.
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

    /// The raw answers of a search for everything, byte for byte, since other JSON parsers may refuse what documents
    /// contain. Works for at most 10,000 documents.
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

    /// The documents with this value in a field, without the fields in `without`, since other JSON parsers may refuse
    /// what those contain.
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

    /// Exactly once: fails unless exactly these events are stored, each once, under an id of its own, at its own time.
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

    /// Deletes the documents with this value in a field. It deletes one by one, since the server that is built here has
    /// no delete by query.
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

    /// Rolls the data stream over to a new backing index, where a `create` does not see what the old one holds.
    pub(crate) fn rollover(&self, target: &str) {
        let answer = self.ask("POST", &format!("/{target}/_rollover"), "").unwrap();
        assert_eq!(answer["rolled_over"], true, "{answer}");
    }
}

/// Java with little memory and only its quick compiler (C1), since the servers live for seconds.
fn java(server: &str) -> Command {
    let (lib, classes) = (built(&format!("{server}/lib/*")), built(&format!("{server}/classes")));
    let mut command = Command::new(built(&format!("{server}/java")));
    command.args(["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.args(["-Dlog4j2.disable.jmx=true", "-Dlog4j2.formatMsgNoLookups=true"]);
    command.arg("-cp").arg(format!("{}:{}", lib.display(), classes.display()));
    command
}
