//! Runs Prometheus and promtool, which comes with it.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use kit::process::Running;
use kit::{free_port, http, wait_for};

/// Runs promtool with this standard input, and fails unless it succeeds. Returns what it printed, or `None` if there is
/// no promtool on this machine; in CI there must be one.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            missing("promtool", &error);
            return None;
        }
    };
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = promtool.wait_with_output().unwrap();
    let said = [&ended.stdout[..], &ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(ended.status.success(), "promtool {arguments:?}: {said}\n{input}");
    Some(said)
}

/// Fails in CI because a program of Prometheus is missing. Elsewhere prints that the test did not run.
fn missing(program: &str, error: &io::Error) {
    let why = format!("no {program} ({error}): it is in the Debian package prometheus");
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("NOT TESTED: {why}");
}

/// A running Prometheus. Dropping it kills the process.
pub(crate) struct Prometheus {
    _process: Running,
    address: String,
}

impl Prometheus {
    /// Scrapes this port each second, in the job `auditrail`, and evaluates the rules of a file. Keeps its data in `dir`.
    /// `None` if there is no Prometheus on this machine; in CI there must be one.
    pub(crate) fn start(dir: &Path, port: u16, rules: &Path) -> Option<Self> {
        if let Err(error) = Command::new("prometheus").arg("--version").output() {
            missing("prometheus", &error);
            return None;
        }
        let rules = rules.display().to_string();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: [{rules:?}]\n\
             scrape_configs:\n  - job_name: auditrail\n    static_configs: [{{targets: [\"127.0.0.1:{port}\"]}}]\n",
        );
        let file = dir.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .current_dir(dir)
            .stdin(Stdio::null());
        let started = Self { _process: Running::spawn(&mut command), address };
        wait_for("Prometheus to be ready", Duration::from_secs(30), || {
            let answer = http::get(&format!("http://{}/-/ready", started.address))?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        });
        Some(started)
    }

    /// The data of an answer of its API.
    pub(crate) fn ask(&self, question: &str) -> Result<Value, String> {
        let url = format!("http://{}/api/v1/{question}", self.address);
        let mut answer = http::get(&url)?.json()?;
        if answer["status"] == "success" {
            Ok(answer["data"].take())
        } else {
            Err(answer.to_string())
        }
    }

    /// The rows of an instant query whose value is a number.
    pub(crate) fn rows(&self, query: &str) -> Result<usize, String> {
        let data = self.ask(&format!("query?query={}", http::escape(query)))?;
        let rows = data["result"].as_array().ok_or_else(|| data.to_string())?;
        Ok(rows.iter().filter(|row| row["value"][1] != "NaN").count())
    }
}
