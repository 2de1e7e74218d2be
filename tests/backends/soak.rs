//! Soak test: does anything leak or grow when the agent runs for long?
//!
//! The log is written, rotated, compressed and pruned. Now and then a store is killed with SIGKILL and started again.
//! The agent's pages are requested all the time. Meanwhile the test samples file descriptors, threads, memory, the
//! state directory and the links. At the end it compares the mean of the last tenth of the samples with that of the
//! second tenth, when everything has warmed up. Every event must be in both stores exactly once.
//!
//! A run takes 30 seconds by default, which shows that the test works. For an hour, with a release build:
//!
//! ```sh
//! cargo build --release
//! AUDITRAIL_SOAK_SECONDS=3600 AUDITRAIL_TEST_BINARY=target/release/auditrail \
//!   cargo test --test backends soak::nothing_grows -- --nocapture
//! ```
//!
//! The samples are written to `target/soak.csv`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::elastic::Elastic;
use crate::loki::{self, Loki};
use kit::agent::Agent;
use kit::events::{Expected, Maker, log_of};
use kit::log_writer::gz_of;
use kit::{LogWriter, listing, tables};

const STREAM: &str = "logs-kubernetes.audit_logs-soak";
/// Samples per run: in a run of an hour, one every 10 seconds.
const SAMPLES: u32 = 360;
/// How many backups are kept beside the log.
const BACKUPS: usize = 3;

/// What is sampled, and by how much the last tenth may exceed the second: by `part` of it, plus `beside`. Memory has
/// not settled in a short run (`beside_if_short`). In a long run the allocator keeps what the largest backlog needed.
/// How large that was depends on the load of the machine: chunks in flight and as many that wait, for both outputs.
#[rustfmt::skip]
const COUNTED: [Counted; 5] = [
    Counted { name: "descriptors", part: 0.1, beside: 4.0, beside_if_short: 20.0 },
    Counted { name: "threads", part: 0.0, beside: 1.0, beside_if_short: 8.0 },
    Counted { name: "memory_bytes", part: 0.1, beside: 32e6, beside_if_short: 64e6 },
    Counted { name: "state_bytes", part: 0.1, beside: 1e6, beside_if_short: 2e6 },
    Counted { name: "links", part: 0.1, beside: 1.0, beside_if_short: 4.0 },
];

struct Counted {
    name: &'static str,
    part: f64,
    beside: f64,
    beside_if_short: f64,
}

type Sample = [u64; COUNTED.len()];

/// The samples that grew too much, each with its name and both means.
fn grown(samples: &[Sample], short: bool) -> Vec<String> {
    let tenth = samples.len() / 10;
    let mean = |samples: &[Sample], column: usize| {
        let sum: u64 = samples.iter().map(|sample| sample[column]).sum();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let mean = sum as f64 / samples.len() as f64;
        mean
    };
    let mut found = Vec::new();
    for (column, counted) in COUNTED.iter().enumerate() {
        let second = mean(&samples[tenth..2 * tenth], column);
        let last = mean(&samples[samples.len() - tenth..], column);
        let beside = if short { counted.beside_if_short } else { counted.beside };
        println!("{:12}  second tenth {second:>14.1}  last tenth {last:>14.1}", counted.name);
        if last > second * (1.0 + counted.part) + beside {
            found.push(format!("{} grew from {second:.1} to {last:.1}", counted.name));
        }
    }
    found
}

/// Plays the API server: appends to a log, rotates, compresses and prunes it.
struct Writer {
    log: LogWriter,
    maker: Maker,
    events: Vec<Expected>,
    backups: Vec<PathBuf>,
    rotated: usize,
}

impl Writer {
    /// Rotates as the API server does: a backup is named after the time of the write that begins the next file, and its
    /// events are older than that. If they were younger, the agent would report a missing file.
    fn write(&mut self, count: usize, to_new_file: bool) {
        // Current timestamps, since a soak can last longer than the age of events that Loki accepts.
        self.maker.set(jiff::Timestamp::now() - SignedDuration::from_secs(1));
        let new: Vec<_> = (0..count).map(|n| self.maker.event(100 + n * 37 % 900)).collect();
        if to_new_file {
            self.rotate();
        }
        self.log.append(&log_of(&new));
        self.events.extend(new);
    }

    fn rotate(&mut self) {
        self.rotated += 1;
        let backup = self.log.rotate_now();
        if self.rotated.is_multiple_of(2) {
            assert!(Command::new("gzip").arg("--force").arg(&backup).status().unwrap().success());
            self.backups.push(gz_of(&backup));
        } else {
            self.backups.push(backup);
        }
        if self.backups.len() > BACKUPS {
            fs::remove_file(self.backups.remove(0)).unwrap();
        }
    }
}

fn sample(agent: &Agent, links: &Path) -> Sample {
    let count = |path: &Path| fs::read_dir(path).map_or(0, |entries| entries.count() as u64);
    let process = PathBuf::from(format!("/proc/{}", agent.id()));
    let state: u64 = listing(&agent.state_dir())
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    let (files, tasks) = (count(&process.join("fd")), count(&process.join("task")));
    [files, tasks, agent.memory("VmRSS:"), state, count(links)]
}

#[test]
fn nothing_grows_while_the_log_rotates_and_the_stores_come_and_go() {
    let seconds = env::var("AUDITRAIL_SOAK_SECONDS").map_or(30, |text| text.parse().unwrap());
    let duration = Duration::from_secs(seconds);
    let tick = duration / SAMPLES;
    let dir = TempDir::new().unwrap();
    let mut loki = Loki::stand_in(kit::store::loki::Settings::raised());
    let mut elastic = Elastic::stand_in(kit::store::elastic::Settings::default());
    let (job, selector) = loki::job("soak");
    fs::create_dir(dir.path().join("audit")).unwrap();
    let log = dir.path().join("audit/audit.log");
    let links = dir.path().join("audit/.auditrail-hold");
    let config = tables::input("apiserver", &log)
        + &tables::loki(&loki.url(), &job, "timeout = \"2s\"")
        + &tables::elasticsearch(&elastic.url(), STREAM, "timeout = \"2s\"");
    let maker = Maker::from_ago(SignedDuration::from_secs(1));
    let log = LogWriter::new(log);
    let mut writer = Writer { log, maker, events: Vec::new(), backups: Vec::new(), rotated: 0 };
    writer.write(10, false);
    let mut agent = Agent::start(dir.path(), &config);

    // 50 events per second, whatever the length of a tick.
    let each = usize::try_from(tick.as_millis() / 20).unwrap().max(1);
    let (begin, mut samples) = (Instant::now(), Vec::new());
    for round in 1..=SAMPLES {
        writer.write(each, matches!(round % 12, 2 | 8));
        // Kills one store, then the other: at times one is down, at times the other, mostly none.
        match round % 12 {
            3 => loki.kill(),
            4 => loki.resume(),
            6 => elastic.kill(),
            7 => elastic.resume(),
            _ => {}
        }
        // Rounds follow no fixed schedule: after a store was slow to come back, the log must not rotate twice in a
        // moment.
        let until = Instant::now() + tick;
        loop {
            let _ = agent.page("/metrics");
            let _ = agent.page("/status");
            if round % 6 == 0 {
                agent.command(&["status"]);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(Duration::from_millis(500)));
        }
        samples.push(sample(&agent, &links));
    }
    let mut table = COUNTED.map(|counted| counted.name).join(",") + "\n";
    for sample in &samples {
        writeln!(table, "{}", sample.map(|number| number.to_string()).join(",")).unwrap();
    }
    fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/soak.csv"), table).unwrap();
    println!("{} events, {} rotations, {:?}", writer.events.len(), writer.rotated, begin.elapsed());
    let grown = grown(&samples, seconds < 600);

    let limit = Duration::from_mins(2);
    loki.wait_count(&selector, &writer.events, limit);
    elastic.wait_count(STREAM, writer.events.len(), limit);
    agent.stop_done();
    loki.assert_holds(&selector, &writer.events);
    elastic.assert_holds(STREAM, &writer.events);
    println!("lost 0, doubled 0");
    assert!(grown.is_empty(), "{}", grown.join("; "));
}

#[test]
fn a_soak_notices_a_descriptor_lost_every_five_minutes_and_takes_no_swing_for_growth() {
    let steady = |n: u64| [30 + n % 3, 12, 50_000_000 + n % 7 * 1_000_000, 9000, 2 + n % 2];
    let mut samples: Vec<Sample> = (0..360).map(steady).collect();
    assert_eq!(grown(&samples, false), Vec::<String>::new());
    for (n, sample) in samples.iter_mut().enumerate() {
        // A sample every 10 seconds.
        sample[0] += n as u64 / 30;
    }
    let found = grown(&samples, false);
    assert!(found.len() == 1 && found[0].starts_with("descriptors grew"), "{found:?}");
}
