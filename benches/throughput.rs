//! Throughput benchmark: MB of log that the agent delivers per second of CPU time, and its peak memory (`cargo bench`).
//!
//! The log is the recorded one, repeated with fresh audit ids and times until it has some 200 MB. The real binary
//! delivers it to a file and to a small server in this process that accepts everything: from a plain file, from gzip
//! backups, and with the default transform. The floor to compare with is the cost of reading alone.
//!
//! The cost of redaction is a ratio of runs that follow each other directly, since machines are shared. Only the
//! agent's own CPU time counts, not the server's. The benchmark never fails for being slow.
//!
//! `AUDITRAIL_BENCH_MB=1000 cargo bench` takes a longer log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use kit::process::{self, Running, cpu_seconds};
use kit::store::Counting;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/recorded/audit");
/// Decompressed bytes of a backup, as the API server's `--audit-log-maxsize=100` makes them.
const BACKUP: usize = 100_000_000;
/// A transform that delivers every event as the API server wrote it.
const AS_IT_IS: &str =
    "[transform]\nredact = \"off\"\nomit_managed_fields = false\nmax_event_bytes = \"off\"\n";
const DEFAULTS: &str = "";
const NOT_REDACTED: &str = "[transform]\nredact = \"off\"\n";
/// How many pairs of runs a ratio is the median of.
const PAIRS: usize = 5;
/// Time-out of a run; the benchmark panics after it.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() {
    let megabytes = std::env::var("AUDITRAIL_BENCH_MB").ok().and_then(|text| text.parse().ok());
    let dir = tempfile::tempdir().unwrap();
    let log = Log::write(dir.path(), megabytes.unwrap_or(200) * 1_000_000);
    println!("{} events, {} MB\n", log.events, log.bytes / 1_000_000);
    println!("{:46}{:>8}{:>12}{:>14}{:>10}", "", "CPU s", "MB / CPU s", "of the floor", "peak MiB");

    let floor = reading_alone(&log);
    row("reading alone", &floor, log.bytes, &floor);
    for (name, output) in outputs(dir.path()) {
        row(
            &format!("to {name}"),
            &deliver(dir.path(), &log.plain, &output, AS_IT_IS, log.events),
            log.bytes,
            &floor,
        );
    }
    for (name, output) in outputs(dir.path()) {
        let cost = deliver(dir.path(), &log.gzip, &output, AS_IT_IS, log.events);
        row(&format!("from .gz backups to {name}"), &cost, log.bytes, &floor);
    }
    for (name, output) in stores(dir.path()) {
        let cost = deliver(dir.path(), &log.plain, &output, DEFAULTS, log.events);
        row(&format!("with the defaults to {name}"), &cost, log.bytes, &floor);
    }
    println!(
        "\nCPU time with redaction as a multiple of that without: median of {PAIRS} pairs, least and most"
    );
    for (name, output) in stores(dir.path()) {
        let cost = |transform| deliver(dir.path(), &log.plain, &output, transform, log.events).cpu;
        let mut ratios: Vec<_> = (0..PAIRS).map(|_| cost(DEFAULTS) / cost(NOT_REDACTED)).collect();
        ratios.sort_by(f64::total_cmp);
        let [least, .., most] = ratios[..] else { continue };
        println!("to {name:43}{:>8.2}{least:>12.2}{most:>12.2}", ratios[PAIRS / 2]);
    }
}

/// The outputs other than the file. Once a transform changes lines, the length of the file does not tell when all have
/// arrived.
fn stores(dir: &Path) -> impl Iterator<Item = (&'static str, Output)> {
    outputs(dir).into_iter().filter(|(_, output)| !output.is_file())
}

fn row(name: &str, cost: &Cost, bytes: usize, floor: &Cost) {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred megabytes")]
    let speed = bytes as f64 / 1e6 / cost.cpu;
    let share = 100.0 * floor.cpu / cost.cpu;
    let peak = cost.peak.map_or_else(|| "-".to_owned(), |mib| format!("{mib:.1}"));
    println!("{name:46}{:>8.2}{speed:>12.0}{share:>12.1} %{peak:>10}", cost.cpu);
}

/// The cost of a run.
struct Cost {
    /// Seconds of user and system time.
    cpu: f64,
    /// Peak memory: `VmHWM` in MiB.
    peak: Option<f64>,
}

/// The same events twice: as one plain live file, and as gzip backups beside an empty live file.
struct Log {
    plain: PathBuf,
    gzip: PathBuf,
    events: u64,
    bytes: usize,
}

impl Log {
    fn write(dir: &Path, wanted: usize) -> Self {
        let lines = recorded();
        let (plain, gzip) = (dir.join("plain/audit.log"), dir.join("gzip/audit.log"));
        for log in [&plain, &gzip] {
            fs::create_dir_all(log.parent().unwrap()).unwrap();
        }
        let mut out = BufWriter::new(File::create(&plain).unwrap());
        let (mut events, mut bytes, mut round) = (0, 0, 0);
        let mut backup = Backup::begin(&gzip, 0);
        while bytes < wanted {
            for line in &lines {
                let line = fresh(line, round);
                out.write_all(&line).unwrap();
                if backup.bytes + line.len() > BACKUP {
                    backup = backup.next(&gzip);
                }
                backup.write(&line);
                (events, bytes) = (events + 1, bytes + line.len());
            }
            round += 1;
        }
        out.flush().unwrap();
        backup.end();
        File::create(&gzip).unwrap();
        Self { plain, gzip, events, bytes }
    }
}

/// A gzip backup that is being written.
struct Backup {
    number: u32,
    bytes: usize,
    encoder: GzEncoder<File>,
}

impl Backup {
    fn begin(live: &Path, number: u32) -> Self {
        let name = format!("audit-2026-11-22T00-{:02}-00.000.log.gz", number % 60);
        let file = File::create(live.with_file_name(name)).unwrap();
        Self { number, bytes: 0, encoder: GzEncoder::new(file, Compression::new(6)) }
    }

    fn write(&mut self, line: &[u8]) {
        self.encoder.write_all(line).unwrap();
        self.bytes += line.len();
    }

    fn end(self) -> u32 {
        self.encoder.finish().unwrap();
        self.number
    }

    fn next(self, live: &Path) -> Self {
        let number = self.end();
        Self::begin(live, number + 1)
    }
}

/// The lines of the recorded log, newlines included, oldest first.
fn recorded() -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        fs::read_dir(RECORDED).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The live file's name sorts after the names of its backups.
    paths.sort();
    let mut bytes = Vec::new();
    for path in paths {
        let file = BufReader::new(File::open(&path).unwrap());
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => drop(MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap()),
            Some("log") => bytes.extend(fs::read(&path).unwrap()),
            _ => {}
        }
    }
    bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The event as a later round of the same traffic would have it: one minute later per round, with another audit id.
fn fresh(line: &[u8], round: u32) -> Vec<u8> {
    let mut line = line.to_vec();
    let id = b"\"auditID\":\"";
    if let Some(at) = memchr::memmem::find(&line, id) {
        line[at + id.len()..][..8].copy_from_slice(format!("{round:08x}").as_bytes());
    }
    for stamp in [&b"\"requestReceivedTimestamp\":\""[..], b"\"stageTimestamp\":\""] {
        if let Some(at) = memchr::memmem::rfind(&line, stamp) {
            // In 2026-11-21T07:30:32.986633Z the hour and the minute count the rounds.
            let clock = format!("{:02}:{:02}", round / 60 % 24, round % 60);
            line[at + stamp.len() + 11..][..5].copy_from_slice(clock.as_bytes());
        }
    }
    line
}

/// A configured output, and a count of what it has received: events, or bytes for a file.
struct Output {
    table: String,
    arrived: Box<dyn Fn() -> u64>,
}

impl Output {
    fn is_file(&self) -> bool {
        self.table.contains("type = \"file\"")
    }
}

fn outputs(dir: &Path) -> [(&'static str, Output); 3] {
    let server = Counting::start();
    let url = format!("http://{}", server.address);
    let loki = server.clone();
    let file = dir.join("out.ndjson");
    let _ = fs::remove_file(&file);
    let table = |kind: &str, rest: String| format!("[outputs.out]\ntype = \"{kind}\"\n{rest}\n");
    [
        (
            "Loki, 8 fields of metadata",
            Output {
                table: table("loki", format!("endpoint = \"{url}\"")),
                arrived: Box::new(move || loki.loki_events()),
            },
        ),
        (
            "Elasticsearch, gzip",
            Output {
                table: table("elasticsearch", format!("endpoints = [\"{url}\"]")),
                arrived: Box::new(move || server.elasticsearch_events()),
            },
        ),
        (
            "a file",
            Output {
                table: table("file", format!("path = \"{}\"", file.display())),
                // Bytes, since counting the lines would cost the machine more than writing them.
                arrived: Box::new(move || fs::metadata(&file).map_or(0, |meta| meta.len())),
            },
        ),
    ]
}

/// Runs the agent until the output has received everything, and returns the agent's cost.
fn deliver(dir: &Path, log: &Path, output: &Output, transform: &str, events: u64) -> Cost {
    let state = dir.join("state");
    let _ = fs::remove_dir_all(&state);
    let config = dir.join("auditrail.toml");
    let text = format!(
        "node = \"bench\"\nstate_dir = \"{}\"\ndisk = {{ min_free = \"0%\" }}\n[server]\nlisten = \"off\"\n{transform}\
         [inputs.apiserver]\ntype = \"file\"\npath = \"{}\"\n{}",
        state.display(),
        log.display(),
        output.table
    );
    fs::write(&config, text).unwrap();
    let wanted = if output.is_file() { bytes_of(dir) } else { events };
    let before = (output.arrived)();
    let mut agent = Running::spawn(process::run(&config).args(["--log-level", "error"]));
    let start = Instant::now();
    while (output.arrived)() - before < wanted {
        assert!(start.elapsed() < PATIENCE, "{} of {wanted} arrived", (output.arrived)() - before);
        assert!(agent.ended().is_none(), "the agent ended");
        thread::sleep(Duration::from_millis(20));
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let peak = agent.memory("VmHWM:") as f64 / 1_048_576.0;
    let cost = Cost { cpu: agent.cpu(), peak: Some(peak) };
    agent.kill();
    let _ = fs::remove_file(dir.join("out.ndjson"));
    cost
}

fn bytes_of(dir: &Path) -> u64 {
    fs::metadata(dir.join("plain/audit.log")).unwrap().len()
}

/// The floor: the cost of reading the log to its end through one buffer, as `cat` would.
fn reading_alone(log: &Log) -> Cost {
    let own = || cpu_seconds(&fs::read_to_string("/proc/self/stat").unwrap());
    let before = own();
    // A tick is 10 ms, so read the log often enough to measure some.
    let rounds = 10_u32;
    for _ in 0..rounds {
        let mut file = File::open(&log.plain).unwrap();
        let mut buffer = vec![0; 1 << 20];
        while file.read(&mut buffer).unwrap() > 0 {}
        io::sink().write_all(&buffer).unwrap();
    }
    Cost { cpu: (own() - before) / f64::from(rounds), peak: None }
}
