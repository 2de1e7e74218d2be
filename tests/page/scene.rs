//! An agent with two outputs, an API server that writes, and the stores, in any state that a test wants.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kit::agent::Agent;
use kit::events::Maker;
use kit::{FakeStore, LogWriter, tables, wait_for};

/// Milliseconds between two samples of the chart: an hour passes in fourteen seconds.
const SAMPLE_MILLIS: u64 = 60;

/// The parts. The agent is dropped first.
pub(crate) struct Scene {
    pub(crate) agent: Agent,
    pub(crate) loki: FakeStore,
    pub(crate) search: FakeStore,
    pub(crate) log: LogWriter,
    maker: Maker,
    tables: String,
    _dir: tempfile::TempDir,
}

impl Scene {
    /// All is well, and a hundred events are delivered.
    pub(crate) fn new() -> Self {
        Self::in_folder("node", "")
    }

    /// The same in a folder of this name. `more` are further keys of the output `search`.
    pub(crate) fn in_folder(name: &str, more: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("audit-").tempdir().unwrap();
        let place = dir.path().join(name);
        std::fs::create_dir(&place).unwrap();
        let (loki, search) = (FakeStore::new(), FakeStore::new());
        let log_path = place.join("kubernetes/audit.log");
        let redact = "transform = { redact = { mode = \"mask\" } }\n";
        let config = input(&log_path)
            + &tables::loki(&loki.url, "kubernetes-audit", redact)
            + &tables::search(&search.url, &format!("{redact}{more}")).replace("300ms", "5s");
        let mut log = LogWriter::new(&log_path);
        let mut maker = Maker::from_ago(SignedDuration::from_secs(1));
        for _ in 0..100 {
            log.append(&maker.event_with(b"{}").1);
        }
        let sample = [("AUDITRAIL_SAMPLE_MILLIS", SAMPLE_MILLIS.to_string())];
        let agent = Agent::start_failing(&sample, &place, &config);
        let mut scene = Self { agent, loki, search, log, maker, tables: config, _dir: dir };
        scene.agent.wait_readyz(200, Duration::from_secs(30));
        scene.wait_delivered();
        scene
    }

    /// Restarts the agent with further keys of the output `search`, the last table.
    pub(crate) fn restart(&mut self, more: &str) {
        self.agent.stop_done();
        self.agent.configure(&format!("{}{more}", self.tables));
        self.agent.resume();
        self.agent.wait_readyz(200, Duration::from_secs(30));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.agent.port())
    }

    /// Writes so many events now.
    pub(crate) fn write(&mut self, events: usize) {
        self.write_from(SignedDuration::ZERO, events);
    }

    /// Writes events that happened this long ago.
    pub(crate) fn write_from(&mut self, ago: SignedDuration, events: usize) {
        self.maker.set(Timestamp::now() - ago);
        let lines: Vec<u8> = (0..events).flat_map(|_| self.maker.event_with(b"{}").1).collect();
        self.log.append(&lines);
    }

    /// Writes for so long, more and less by turns.
    pub(crate) fn write_for(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            let turn = began.elapsed().as_secs_f64();
            let events = 14.0 + 8.0 * (turn * 1.1).sin() + 4.0 * (turn * 4.7).sin();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            self.write(events as usize);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until both outputs have acknowledged everything.
    pub(crate) fn wait_delivered(&mut self) {
        wait_for("every event to be delivered", Duration::from_secs(30), || {
            let status = self.agent.page("/status")?.json()?;
            let pairs = status["pairs"].as_array().ok_or("no pairs")?;
            let done = |pair: &serde_json::Value| pair["lag_bytes"] == 0 && pair["delivered"] != 0;
            if pairs.iter().all(done) { Ok(()) } else { Err(status["pairs"].to_string()) }
        });
    }

    /// The log was last written to this long ago.
    pub(crate) fn age_log(&self, age: Duration) {
        let then = std::time::SystemTime::now() - age;
        let file = std::fs::File::options().write(true).open(self.log.live()).unwrap();
        file.set_modified(then).unwrap();
    }

    /// A file beside the log.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.log.beside(name)
    }
}

/// A path may contain what TOML treats as special, so the path is a literal string.
fn input(log: &Path) -> String {
    let shown = log.display().to_string();
    let plain = tables::input("apiserver", Path::new("LOG"));
    plain.replace("\"LOG\"", &format!("'''{shown}'''"))
}
