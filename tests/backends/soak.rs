//! A soak: does anything grow that should not, when the agent runs for long?
//!
//! The log is written, rotated, compressed and pruned; each store is away now and then, by SIGKILL; somebody asks for
//! status all the time. Meanwhile descriptors, threads, memory, the state directory and the links are counted. At the end
//! the mean of the last tenth is compared with that of the second, when everything has warmed up, and every event must be
//! in both stores once.
//!
//! 30 seconds, which shows that it works; an hour, on a binary that was built for release:
//!
//! ```sh
//! cargo build --release
//! AUDITRAIL_SOAK_SECONDS=3600 AUDITRAIL_TEST_BINARY=target/release/auditrail \
//!   cargo test --test backends soak::nothing_grows -- --nocapture
//! ```
//!
//! The samples are left in `target/soak.csv`.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::elastic::Elastic;
use crate::loki::{self, Loki};
use crate::stand_in;
use crate::support::agent::Agent;
use crate::support::events::{Expected, Maker, log_of};
use crate::support::{listing, tables};

const STREAM: &str = "logs-kubernetes.audit_logs-soak";
/// As long as the test of an hour samples every 10 seconds.
const SAMPLES: u32 = 360;
/// Backups that are kept beside the log.
const BACKUPS: usize = 3;

/// What is counted, and how much more of it the last tenth may have than the second: a part, and so much besides.
/// Memory has not settled in a short run. In a long one the allocator keeps what the largest backlog took, and how large
/// that is depends on what else the machine does: chunks under way and as many that wait, for both outputs.
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

/// What grew: name and both means.
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

/// The API server: a log that grows, is rotated, compressed and pruned.
struct Writer {
    log: PathBuf,
    maker: Maker,
    events: Vec<Expected>,
    backups: Vec<PathBuf>,
    rotated: usize,
}

impl Writer {
    /// As the server rotates: a backup is named after the write that begins the next file, and its events are older. Where
    /// they are younger than that name, the agent says that a file is missing.
    fn write(&mut self, count: usize, to_new_file: bool) {
        // Now: a soak is longer than Loki takes events after their time.
        self.maker.set(jiff::Timestamp::now() - SignedDuration::from_secs(1));
        let new: Vec<_> = (0..count).map(|n| self.maker.event(100 + n * 37 % 900)).collect();
        if to_new_file {
            self.rotate();
        }
        let mut log = File::options().create(true).append(true).open(&self.log).unwrap();
        log.write_all(&log_of(&new)).unwrap();
        self.events.extend(new);
    }

    fn rotate(&mut self) {
        self.rotated += 1;
        let stamp = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S.%3f").to_string();
        let backup = self.log.with_file_name(format!("audit-{stamp}.log"));
        fs::rename(&self.log, &backup).unwrap();
        if self.rotated.is_multiple_of(2) {
            assert!(Command::new("gzip").arg("--force").arg(&backup).status().unwrap().success());
            self.backups.push(backup.with_extension("log.gz"));
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
    let mut loki = Loki::stand_in(stand_in::loki::Settings::raised());
    let mut elastic = Elastic::stand_in(stand_in::elastic::Settings::default());
    let (job, selector) = loki::job("soak");
    fs::create_dir(dir.path().join("audit")).unwrap();
    let log = dir.path().join("audit/audit.log");
    let links = dir.path().join("audit/.auditrail-hold");
    let config = tables::input("apiserver", &log)
        + &tables::loki(&loki.url(), &job, "timeout = \"2s\"")
        + &tables::elasticsearch(&elastic.url(), STREAM, "timeout = \"2s\"");
    let maker = Maker::from_ago(SignedDuration::from_secs(1));
    let mut writer = Writer { log, maker, events: Vec::new(), backups: Vec::new(), rotated: 0 };
    writer.write(10, false);
    let mut agent = Agent::start(dir.path(), &config);

    // 50 events a second, whatever the length of a tick.
    let each = usize::try_from(tick.as_millis() / 20).unwrap().max(1);
    let (begin, mut samples) = (Instant::now(), Vec::new());
    for round in 1..=SAMPLES {
        writer.write(each, matches!(round % 12, 2 | 8));
        // In turns, so that at times one works, at times the other, mostly both.
        match round % 12 {
            3 => loki.kill(),
            4 => loki.resume(),
            6 => elastic.kill(),
            7 => elastic.resume(),
            _ => {}
        }
        // Not by a schedule: a store that takes long to come back must not make the log rotate twice in a moment.
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
