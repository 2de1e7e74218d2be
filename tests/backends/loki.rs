//! A Loki, and questions to it: the stand-in for Loki 3, a real Loki 1.6.1, or one of the user's own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::servers::{Process, built, source, unique, users_own};
use crate::stand_in::loki::Settings;
use crate::stand_in::process::{Kind, StandIn};
use crate::support::events::{Expected, assert_exactly_once};
use crate::support::{free_port, http, wait_for};

/// A value of the label `job`, and the selector that finds it: on a server of the user's own one that no earlier run has used.
pub(crate) fn job(name: &str) -> (String, String) {
    let job = unique(OWN, name);
    let selector = format!("{{job=\"{job}\"}}");
    (job, selector)
}

/// As many lines as Loki gives for one question by default.
const PAGE: usize = 5000;

/// In nanoseconds.
const HOUR: i64 = 3_600_000_000_000;

/// Names a Loki of the user's own.
pub(crate) const OWN: &str = "AUDITRAIL_TEST_LOKI_URL";

pub(crate) struct Loki {
    server: Running,
    /// Its data and its log.
    dir: TempDir,
    /// Sent with each question; empty: none.
    pub(crate) tenant: &'static str,
}

enum Running {
    StandIn(StandIn),
    /// Loki 1.6.1, and its port.
    Real {
        _process: Process,
        port: u16,
    },
    /// Where the user has one.
    Own(String),
}

impl Loki {
    /// Limits raised and old dates welcome; one of the user's own if there is one.
    pub(crate) fn raised() -> Self {
        Self::own().unwrap_or_else(|| Self::stand_in(Settings::raised()))
    }

    /// As Loki comes: stream sharding, level discovery, 256 KB a line, its own rates; or one of the user's own.
    pub(crate) fn defaults() -> Self {
        Self::own().unwrap_or_else(|| Self::stand_in(Settings::default()))
    }

    fn own() -> Option<Self> {
        let url = users_own(OWN, "a stand-in answers as Loki 3 does")?;
        Some(Self { server: Running::Own(url), dir: TempDir::new().unwrap(), tenant: "" })
    }

    /// With these settings, and to be killed.
    pub(crate) fn stand_in(settings: Settings) -> Self {
        let dir = TempDir::new().unwrap();
        let server = Running::StandIn(StandIn::start(Kind::Loki(settings), dir.path()));
        Self { server, dir, tenant: "" }
    }

    /// Loki 1.6.1, which takes every stream in strict order and keeps what is new in memory only.
    pub(crate) fn strict() -> Self {
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let mut config = fs::read_to_string(source("loki/loki.yaml")).unwrap();
        // It does not put in what stands in the environment.
        for (name, value) in [
            ("${PORT}", port.to_string()),
            ("${GRPC_PORT}", free_port().to_string()),
            ("${DIR}", dir.path().join("data").to_str().unwrap().to_owned()),
        ] {
            config = config.replace(name, &value);
        }
        let file = dir.path().join("loki.yaml");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(built("bin/loki"));
        command.arg(format!("-config.file={}", file.display())).arg("-target=all");
        command.current_dir(dir.path());
        let mut process = Process::start("loki", &mut command, dir.path());
        wait_for("Loki to be ready", Duration::from_mins(1), || {
            process.alive()?;
            match http::get(&format!("http://127.0.0.1:{port}/ready"))? {
                answer if answer.status == 200 => Ok(()),
                answer => Err(answer.text()),
            }
        });
        Self { server: Running::Real { _process: process, port }, dir, tenant: "" }
    }

    /// What goes into `endpoint`.
    pub(crate) fn url(&self) -> String {
        match &self.server {
            Running::StandIn(stand_in) => stand_in.url(),
            Running::Real { port, .. } => format!("http://127.0.0.1:{port}"),
            Running::Own(url) => url.clone(),
        }
    }

    /// SIGKILL, as a node dies.
    pub(crate) fn kill(&mut self) {
        match &mut self.server {
            Running::StandIn(stand_in) => stand_in.kill(),
            Running::Real { .. } | Running::Own(_) => panic!("only a stand-in keeps what it took"),
        }
    }

    /// Starts it again on the same data and port.
    pub(crate) fn resume(&mut self) {
        match &mut self.server {
            Running::StandIn(stand_in) => stand_in.resume(),
            Running::Real { .. } | Running::Own(_) => panic!("only a stand-in was killed"),
        }
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
