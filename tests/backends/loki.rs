//! A Loki to test against, and queries to it: the stand-in for Loki 3, a real Loki 1.6.1, or a server of the user's
//! own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::servers::{Process, built, source, unique, users_own};
use crate::stand_in::{Kind, StandIn};
use kit::events::{Expected, assert_exactly_once};
use kit::store::loki::Settings;
use kit::{free_port, http, wait_for};

/// A value of the label `job`, and the selector that finds it. On a server of the user's own it is a value that no
/// earlier run has used.
pub(crate) fn job(name: &str) -> (String, String) {
    let job = unique(OWN, name);
    let selector = format!("{{job=\"{job}\"}}");
    (job, selector)
}

/// Largest number of lines that Loki returns for one query by default.
const PAGE: usize = 5000;

/// In nanoseconds.
const HOUR: i64 = 3_600_000_000_000;

/// The environment variable that names a Loki of the user's own.
pub(crate) const OWN: &str = "AUDITRAIL_TEST_LOKI_URL";

pub(crate) struct Loki {
    server: Running,
    /// Holds its data and its log.
    dir: TempDir,
    /// Sent with each query; empty: no tenant.
    pub(crate) tenant: &'static str,
}

enum Running {
    StandIn(StandIn),
    /// Loki 1.6.1 on this port.
    Real {
        _process: Process,
        port: u16,
    },
    /// The URL of a Loki of the user's own.
    Own(String),
}

impl Loki {
    /// A Loki with raised limits that accepts old timestamps; the user's own if there is one.
    pub(crate) fn raised() -> Self {
        Self::own().unwrap_or_else(|| Self::stand_in(Settings::raised()))
    }

    /// A Loki with default settings: stream sharding, level discovery, 256 KB per line, default rate limits; or the
    /// user's own.
    pub(crate) fn defaults() -> Self {
        Self::own().unwrap_or_else(|| Self::stand_in(Settings::default()))
    }

    fn own() -> Option<Self> {
        let url = users_own(OWN, "a stand-in answers as Loki 3 does")?;
        Some(Self { server: Running::Own(url), dir: TempDir::new().unwrap(), tenant: "" })
    }

    /// A stand-in with these settings, which a test may kill.
    pub(crate) fn stand_in(settings: Settings) -> Self {
        let dir = TempDir::new().unwrap();
        let server = Running::StandIn(StandIn::start(Kind::Loki(settings), dir.path()));
        Self { server, dir, tenant: "" }
    }

    /// Loki 1.6.1, which accepts each stream in strict order only, and keeps new entries in memory only.
    pub(crate) fn strict() -> Self {
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let mut config = fs::read_to_string(source("loki/loki.yaml")).unwrap();
        // This Loki does not expand environment variables in its configuration.
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

    /// Its URL, for `endpoint`.
    pub(crate) fn url(&self) -> String {
        match &self.server {
            Running::StandIn(stand_in) => stand_in.url(),
            Running::Real { port, .. } => format!("http://127.0.0.1:{port}"),
            Running::Own(url) => url.clone(),
        }
    }

    /// Sends SIGKILL, as when a node dies.
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

    /// The result of `sum(count_over_time)` around these events. It counts duplicates, which a log query hides.
    pub(crate) fn count(&self, selector: &str, around: &[Expected]) -> Result<usize, String> {
        let (from, to) = span(around);
        let hours = (to - from) / HOUR + 1;
        let query = http::escape(&format!("sum(count_over_time({selector}[{hours}h]))"));
        let answer = self.get(&format!("query?query={query}&time={to}"))?;
        let first = &answer["data"]["result"][0]["value"][1];
        Ok(first.as_str().map_or(0, |count| count.parse().unwrap()))
    }

    /// Every line that a log query returns around these events, with its timestamp in nanoseconds.
    pub(crate) fn lines(&self, selector: &str, around: &[Expected]) -> Vec<(i64, String)> {
        self.answers(selector, around).iter().flat_map(entries).collect()
    }

    /// The streams that a log query returns around these events: lines, labels, metadata.
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

    /// Makes Loki flush its memory to storage. Queries for older events look only there.
    pub(crate) fn flush(&self) {
        let answer = http::send("POST", &format!("{}/flush", self.url()), &[], Vec::new()).unwrap();
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    /// The folder of its data.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until the count reaches the number of events.
    pub(crate) fn wait_count(&self, selector: &str, events: &[Expected], limit: Duration) {
        wait_for("Loki to count all events", limit, || match self.count(selector, events)? {
            found if found >= events.len() => Ok(()),
            found => Err(format!("{found} of {}", events.len())),
        });
    }

    /// Exactly once: fails unless exactly these events are stored, each line once, byte for byte, at its own time, by
    /// both queries.
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

/// From a minute before the first event to a minute after the last, in nanoseconds.
fn span(events: &[Expected]) -> (i64, i64) {
    let times = || events.iter().map(|event| event.ns);
    (times().min().unwrap() - HOUR / 60, times().max().unwrap() + HOUR / 60)
}

/// The span, split into time ranges with few enough events and bytes for one query. Loki's internal gRPC messages may
/// have 4 MiB; half of that is left free for duplicates and other unexpected lines. Above 4 MiB Loki retries five
/// times, and answers 500 after 15 seconds.
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
