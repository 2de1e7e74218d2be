//! A Loki of one process, and questions to it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::servers::{Process, built, source};
use crate::support::events::{Expected, assert_exactly_once};
use crate::support::{free_port, http, wait_for};

/// As many lines as Loki gives for one question by default.
const PAGE: usize = 5000;

/// In nanoseconds.
const HOUR: i64 = 3_600_000_000_000;

pub(crate) struct Loki {
    process: Process,
    dir: TempDir,
    port: u16,
    config: &'static str,
    settings: Vec<(String, String)>,
    /// Sent with each question; empty: none.
    pub(crate) tenant: &'static str,
}

impl Loki {
    /// Limits raised and old dates welcome, but for these variables of `raised.yaml`.
    pub(crate) fn raised(settings: &[(&str, &str)]) -> Self {
        Self::start("loki/raised.yaml", settings)
    }

    /// As Loki comes: stream sharding, level discovery, 256 KB a line, its own rates.
    pub(crate) fn defaults() -> Self {
        Self::start("loki/defaults.yaml", &[])
    }

    fn start(config: &'static str, settings: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let mut settings: Vec<(String, String)> =
            settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        settings.push(("PORT".to_owned(), port.to_string()));
        settings.push(("GRPC_PORT".to_owned(), free_port().to_string()));
        settings.push(("DIR".to_owned(), dir.path().join("data").to_str().unwrap().to_owned()));
        let process = Self::spawn(config, &settings, dir.path());
        let mut loki = Self { process, dir, port, config, settings, tenant: "" };
        loki.wait();
        loki
    }

    fn spawn(config: &str, settings: &[(String, String)], dir: &Path) -> Process {
        let mut command = Command::new(built("bin/loki"));
        command.arg(format!("-config.file={}", source(config).display()));
        command.args(["-config.expand-env=true", "-target=all"]);
        command.envs(settings.iter().map(|(k, v)| (k, v))).current_dir(dir);
        Process::start("loki", &mut command, dir)
    }

    fn wait(&mut self) {
        let url = format!("{}/ready", self.url());
        wait_for("Loki to be ready", Duration::from_mins(1), || {
            self.process.alive()?;
            match http::get(&url)? {
                answer if answer.status == 200 => Ok(()),
                answer => Err(answer.text()),
            }
        });
    }

    /// What goes into `endpoint`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// SIGKILL, as a node dies.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data and port.
    pub(crate) fn resume(&mut self) {
        self.process = Self::spawn(self.config, &self.settings, self.dir.path());
        self.wait();
    }

    /// `sum(count_over_time)` around these events: sees repeats that a log query hides.
    pub(crate) fn count(&self, selector: &str, around: &[Expected]) -> Result<usize, String> {
        let (from, to) = span(around);
        let hours = (to - from) / HOUR + 1;
        let query = http::escape(&format!("sum(count_over_time({selector}[{hours}h]))"));
        let answer = self.get(&format!("query?query={query}&time={to}"))?;
        let first = &answer["data"]["result"][0]["value"][1];
        Ok(first.as_str().map_or(0, |count| count.parse().unwrap()))
    }

    /// Every line that a log query shows, with its timestamp in nanoseconds, around these events.
    pub(crate) fn lines(&self, selector: &str, around: &[Expected]) -> Vec<(i64, String)> {
        self.answers(selector, around).iter().flat_map(entries).collect()
    }

    /// What a log query answers around these events: lines, labels, metadata.
    pub(crate) fn answers(&self, selector: &str, around: &[Expected]) -> Vec<Value> {
        let query = http::escape(selector);
        let ask = |(from, to)| {
            let page = self.get(&format!(
                "query_range?query={query}&start={from}&end={to}&limit={PAGE}&direction=forward"
            ));
            let page = page.unwrap();
            let full = entries(&page).len() >= PAGE;
            assert!(!full, "more lines in a window than could be meant for it");
            page
        };
        windows(around).into_iter().map(ask).collect()
    }

    /// Has it write down what it holds in memory: of older events a query sees nothing else.
    pub(crate) fn flush(&self) {
        let answer = http::send("POST", &format!("{}/flush", self.url()), &[], Vec::new()).unwrap();
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// Where it keeps its data.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until as many lines are counted as there are events.
    pub(crate) fn wait_count(&self, selector: &str, events: &[Expected], limit: Duration) {
        wait_for("Loki to count all events", limit, || match self.count(selector, events)? {
            found if found >= events.len() => Ok(()),
            found => Err(format!("{found} of {}", events.len())),
        });
    }

    /// Fails unless exactly these events are there: each line once, byte for byte, at its own time, by both queries.
    pub(crate) fn assert_holds(&self, selector: &str, events: &[Expected]) {
        let wanted = events.iter().map(|event| (event.ns, event.line.clone()));
        assert_exactly_once(&format!("Loki {selector}"), self.lines(selector, events), wanted);
        let counted = self.count(selector, events).unwrap();
        assert_eq!(counted, events.len(), "count_over_time sees repeats in Loki {selector}");
    }

    fn get(&self, question: &str) -> Result<Value, String> {
        let url = format!("{}/loki/api/v1/{question}", self.url());
        let headers = [("X-Scope-OrgID", self.tenant)];
        let headers = if self.tenant.is_empty() { &[][..] } else { &headers[..] };
        http::send("GET", &url, headers, Vec::new())?.json()
    }
}

/// From before the first event to after the last.
fn span(events: &[Expected]) -> (i64, i64) {
    let times = || events.iter().map(|event| event.ns);
    (times().min().unwrap() - HOUR / 60, times().max().unwrap() + HOUR / 60)
}

/// The span cut into stretches that hold few enough of the events, and few enough bytes: what goes through Loki's own
/// grpc may have 4 MiB, of which half is left for what should not be there; above that Loki tries five times, and
/// answers 500 after a quarter of a minute.
fn windows(events: &[Expected]) -> Vec<(i64, i64)> {
    let mut sizes: Vec<(i64, usize)> = events.iter().map(|e| (e.ns, e.line.len())).collect();
    sizes.sort_unstable();
    let (mut from, to) = span(events);
    let (mut windows, mut count, mut bytes, mut last) = (Vec::new(), 0, 0, from);
    for (ns, size) in sizes {
        if ns != last && (bytes + size > 2_000_000 || count >= PAGE / 2) {
            windows.push((from, ns));
            (from, count, bytes) = (ns, 0, 0);
        }
        (count, bytes, last) = (count + 1, bytes + size, ns);
    }
    windows.push((from, to));
    windows
}

fn entries(answer: &Value) -> Vec<(i64, String)> {
    let streams = answer["data"]["result"].as_array().unwrap();
    let values = streams.iter().flat_map(|stream| stream["values"].as_array().unwrap());
    values
        .map(|pair| (pair[0].as_str().unwrap().parse().unwrap(), pair[1].as_str().unwrap().into()))
        .collect()
}
