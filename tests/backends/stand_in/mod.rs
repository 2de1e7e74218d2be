//! Stand-ins (mock servers) for Loki 3 and Elasticsearch 8, whose licences keep them out of tests. Each answers as the
//! real server was observed to answer (Loki 3.7.8, Elasticsearch 8.19.21), down to the wording of its errors. The code
//! is in the test kit (`kit::store`); the recorded behaviour is a table of tests for each (`loki.rs`, `elastic.rs`).
//!
//! They are not full servers: they replicate, compact and delete nothing, and they understand only those queries that
//! the agent and its tests send. Where the real server sometimes behaves in a way that is bad for a sender, the
//! stand-in always does.
//!
//! A stand-in is a process of its own, so that a test can kill it: the test binary starts itself with only the one test
//! that serves. Its journal holds everything that it acknowledged, and is synced (fsync) before the answer.

mod elastic;
mod loki;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, thread};

use serde::{Deserialize, Serialize};

use kit::store::elastic::{self as recorded_elastic, Elastic};
use kit::store::loki::{self as recorded_loki, Loki};
use kit::{FakeStore, free_port, wait_for};

use crate::servers::Process;

/// The environment variable that holds, in JSON, which server to run.
const VARIABLE: &str = "AUDITRAIL_STAND_IN";
/// The test below. It serves if the variable is set.
const SERVES: &str = "stand_in::what_a_stand_in_acknowledged_is_there_after_its_kill";

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Kind {
    Loki(recorded_loki::Settings),
    Elastic(recorded_elastic::Settings),
}

#[derive(Deserialize, Serialize)]
struct Task {
    kind: Kind,
    dir: PathBuf,
    port: u16,
}

/// A running stand-in. Dropping it kills the process.
pub(crate) struct StandIn {
    process: Process,
    task: Task,
}

impl StandIn {
    /// Starts a stand-in that keeps its data below `dir`.
    pub(crate) fn start(kind: Kind, dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let task = Task { kind, dir: dir.to_owned(), port: free_port() };
        let mut started = Self { process: spawn(&task), task };
        started.wait();
        started
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.task.port)
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data and port.
    pub(crate) fn resume(&mut self) {
        self.process = spawn(&self.task);
        self.wait();
    }

    fn wait(&mut self) {
        let url = format!("{}/ready", self.url());
        wait_for("the stand-in to answer", Duration::from_mins(1), || {
            self.process.alive()?;
            kit::http::get(&url).map(drop)
        });
    }
}

fn spawn(task: &Task) -> Process {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([SERVES, "--exact", "--nocapture"]);
    command.env(VARIABLE, serde_json::to_string(task).unwrap());
    Process::start("stand-in", &mut command, &task.dir)
}

/// Serves until it is killed, if this process was started to do so.
fn serve_if_asked() {
    let Ok(task) = env::var(VARIABLE) else { return };
    let Task { kind, dir, port } = serde_json::from_str(&task).unwrap();
    let _store = match kind {
        Kind::Loki(settings) => FakeStore::recorded(port, Loki::open(settings, &dir)),
        Kind::Elastic(settings) => FakeStore::recorded(port, Elastic::open(settings, &dir)),
    };
    loop {
        thread::park();
    }
}

#[test]
fn what_a_stand_in_acknowledged_is_there_after_its_kill() {
    serve_if_asked();
    let dir = tempfile::TempDir::new().unwrap();
    let kind = Kind::Elastic(recorded_elastic::Settings::default());
    let mut stand_in = StandIn::start(kind, dir.path());
    let send = |method, path: &str, body: &str| {
        let headers = [("Content-Type", "application/json")];
        let url = format!("{}{path}", stand_in.url());
        kit::http::send(method, &url, &headers, body.into()).unwrap()
    };
    let template = r#"{"index_patterns":["logs-*"],"data_stream":{}}"#;
    assert_eq!(send("PUT", "/_index_template/t", template).status, 200);
    let document = r#"{"@timestamp":"2026-11-21T06:25:22.533Z"}"#;
    assert_eq!(send("PUT", "/logs-a/_create/one", document).status, 201);
    stand_in.kill();
    stand_in.resume();
    let url = format!("{}/logs-a/_count", stand_in.url());
    assert_eq!(kit::http::get(&url).unwrap().json().unwrap()["count"], 1);
}
