//! A single-node `VictoriaLogs`. It accepts both protocols, and does not deduplicate.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::servers::{Process, built};
use kit::{free_port, http, wait_for};

pub(crate) struct Victoria {
    _process: Process,
    _dir: TempDir,
    port: u16,
}

impl Victoria {
    /// Starts a server that keeps events of up to a century ago. By default it silently drops what is older than a
    /// week.
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let mut command = Command::new(built("bin/victoria-logs"));
        command.arg(format!("-storageDataPath={}", dir.path().join("data").display()));
        command.arg(format!("-httpListenAddr=127.0.0.1:{port}")).arg("-retentionPeriod=100y");
        let mut process = Process::start("victoria-logs", &mut command, dir.path());
        wait_for("VictoriaLogs to be usable", Duration::from_secs(30), || {
            process.alive()?;
            http::get(&format!("http://127.0.0.1:{port}/health"))
        });
        Self { _process: process, _dir: dir, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The result of `QUERY | stats count() n`. New lines are visible after a second or two.
    pub(crate) fn count(&self, query: &str) -> Result<usize, String> {
        let query = http::escape(&format!("{query} | stats count() n"));
        let answer = http::get(&format!("{}/select/logsql/query?query={query}", self.url()))?;
        let row: Value = answer.json()?;
        Ok(row["n"].as_str().ok_or("no count")?.parse().unwrap())
    }
}
