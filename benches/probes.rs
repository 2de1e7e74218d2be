//! Latency of liveness probes while clients hold idle connections, and what these connections cost delivery:
//! `cargo bench --bench probes`.
//!
//! The attacker holds 1,000 connections from the address that the probes come from, and 50 from each of 20 other
//! addresses. It sends nothing, and reconnects as soon as the agent closes a connection. Other attackers send half a
//! request on each connection, or hold 8,000 connections from the one address.
//!
//! Delivery is measured in pairs of runs, one without and one with the attacker, since machines are shared. The
//! attacker and the server that takes the events compete for the same processors. The benchmark never fails for being
//! slow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use kit::process::{self, Running};
use kit::store::Counting;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/recorded/audit");
const PROBES: usize = 400;
const COMMANDS: usize = 40;
/// How many pairs of runs a ratio is the median of.
const PAIRS: usize = 5;
const PATIENCE: Duration = Duration::from_mins(5);

fn main() {
    let megabytes = std::env::var("AUDITRAIL_BENCH_MB").ok().and_then(|text| text.parse().ok());
    let dir = tempfile::tempdir().unwrap();
    let (log, events) = write_log(dir.path(), megabytes.unwrap_or(100) * 1_000_000);
    let server = Counting::start();

    println!(
        "{:46}{:>9}{:>9}{:>9}{:>9}{:>14}{:>10}",
        "", "p50 ms", "p99 ms", "max ms", "failed", "reconnects/s", "peak MiB"
    );
    for (name, attack) in [
        ("no attack", None),
        ("2,000 idle", Some(Attack { own: 1000, others: 20, each: 50, sent: b"" })),
        (
            "2,000 with half a request",
            Some(Attack { own: 1000, others: 20, each: 50, sent: b"GET /" }),
        ),
        ("8,000 idle", Some(Attack { own: 8000, others: 0, each: 0, sent: b"" })),
    ] {
        let empty = dir.path().join("none.log");
        File::create(&empty).unwrap();
        let agent = Agent::start(dir.path(), &empty, server.address);
        let attacker = attack.map(|attack| attack.start(agent.port));
        thread::sleep(Duration::from_secs(if attacker.is_some() { 5 } else { 1 }));
        let began = (Instant::now(), attacker.as_ref().map_or(0, Attacker::made));
        let pages = times(PROBES, || get(agent.port));
        let rate = attacker.as_ref().map_or(0, Attacker::made) - began.1;
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let rate = rate as f64 / began.0.elapsed().as_secs_f64();
        let commands = times(COMMANDS, || agent.probe());
        let peak = agent.peak();
        show(&format!("GET /livez, {name}"), &pages, rate, peak);
        show(&format!("auditrail probe, {name}"), &commands, rate, peak);
    }

    println!(
        "\ndelivery with 2,000 idle connections as a multiple of that without: median of {PAIRS} pairs, least and most"
    );
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let run = |attacked: bool| deliver(dir.path(), &log, &server, events, attacked);
        // The two runs take turns in being the first of the pair.
        let (calm, attacked) = if pair % 2 == 0 {
            let calm = run(false);
            (calm, run(true))
        } else {
            let attacked = run(true);
            (run(false), attacked)
        };
        wall.push(attacked.0 / calm.0);
        cpu.push(attacked.1 / calm.1);
    }
    for (name, mut ratios) in [("seconds", wall), ("CPU seconds of the agent", cpu)] {
        ratios.sort_by(f64::total_cmp);
        println!("{name:46}{:>9.2}{:>9.2}{:>9.2}", ratios[PAIRS / 2], ratios[0], ratios[PAIRS - 1]);
    }
}

/// Asks this many times. Returns the milliseconds of each request that succeeded, sorted, and how many failed.
fn times(count: usize, mut ask: impl FnMut() -> bool) -> (Vec<f64>, usize) {
    let (mut took, mut failed) = (Vec::new(), 0);
    for _ in 0..count {
        let began = Instant::now();
        if ask() {
            took.push(began.elapsed().as_secs_f64() * 1e3);
        } else {
            failed += 1;
        }
        thread::sleep(Duration::from_millis(10));
    }
    took.sort_by(f64::total_cmp);
    (took, failed)
}

fn show(name: &str, (took, failed): &(Vec<f64>, usize), rate: f64, peak: f64) {
    let at =
        |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
    let [p50, p99, max] = [50, 99, 100].map(|percent| at(percent).copied().unwrap_or(f64::NAN));
    println!("{name:46}{p50:>9.2}{p99:>9.2}{max:>9.2}{failed:>9}{rate:>14.0}{peak:>10.1}");
}

/// Sends one probe as the kubelet does, on a new connection.
fn get(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let patience = Duration::from_secs(5);
    let Ok(mut stream) = TcpStream::connect_timeout(&address, patience) else { return false };
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut answer = String::new();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200 ")
}

/// The connections that an attacker holds: `own` from 127.0.0.1, and `each` from each of `others` further addresses of
/// 127.0.0.0/8. Each connection begins with `sent`.
#[derive(Clone, Copy)]
struct Attack {
    own: usize,
    others: u8,
    each: usize,
    sent: &'static [u8],
}

struct Attacker {
    made: Arc<AtomicU64>,
    /// The attack ends when this is dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Attack {
    fn start(self, port: u16) -> Attacker {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let made = Arc::<AtomicU64>::default();
        let others = (2..2 + self.others).flat_map(|last| (0..self.each).map(move |_| last));
        for last in (0..self.own).map(|_| 1).chain(others) {
            let made = Arc::clone(&made);
            runtime.spawn(hold(Ipv4Addr::new(127, 0, 0, last), port, self.sent, made));
        }
        Attacker { made, _runtime: runtime }
    }
}

impl Attacker {
    fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }
}

/// Holds one connection and reconnects when it is closed. Never returns.
async fn hold(from: Ipv4Addr, port: u16, sent: &'static [u8], made: Arc<AtomicU64>) {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        let bound = from == Ipv4Addr::LOCALHOST || socket.bind(SocketAddr::from((from, 0))).is_ok();
        let connected = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        match connected.await {
            Ok(mut stream) if bound => {
                made.fetch_add(1, Relaxed);
                if stream.write_all(sent).await.is_ok() {
                    let _ = stream.read(&mut [0]).await;
                }
            }
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

struct Agent {
    process: Running,
    port: u16,
    state: PathBuf,
}

impl Agent {
    fn start(dir: &Path, log: &Path, store: SocketAddr) -> Self {
        let state = dir.join("state");
        let _ = fs::remove_dir_all(&state);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.join("auditrail.toml");
        let text = format!(
            "node = \"bench\"\nstate_dir = \"{}\"\ndisk = {{ min_free = \"0%\" }}\n[server]\nlisten = \"127.0.0.1:{port}\"\n\
             [inputs.apiserver]\ntype = \"file\"\npath = \"{}\"\nhold = {{ max_bytes = 0 }}\n\
             [outputs.out]\ntype = \"loki\"\nendpoint = \"http://{store}\"\n",
            state.display(),
            log.display(),
        );
        fs::write(&config, text).unwrap();
        let process = Running::spawn(process::run(&config).args(["--log-level", "error"]));
        let agent = Self { process, port, state };
        let began = Instant::now();
        while !get(port) {
            assert!(began.elapsed() < PATIENCE, "no agent answers");
            thread::sleep(Duration::from_millis(10));
        }
        agent
    }

    /// Runs `auditrail probe live`, as an exec probe of the kubelet does. Returns whether it succeeded.
    fn probe(&self) -> bool {
        Command::new(process::binary())
            .args(["probe", "live", "--timeout", "5s", "--state"])
            .arg(&self.state)
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    /// Peak memory in MiB.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn peak(&self) -> f64 {
        self.process.memory("VmHWM:") as f64 / 1_048_576.0
    }
}

/// Delivers the log. Returns the seconds until all events had arrived, and the CPU seconds of the agent.
fn deliver(dir: &Path, log: &Path, server: &Counting, events: u64, attacked: bool) -> (f64, f64) {
    let live = dir.join("live.log");
    File::create(&live).unwrap();
    let before = server.loki_events();
    let agent = Agent::start(dir, &live, server.address);
    let attack = Attack { own: 1000, others: 20, each: 50, sent: b"" };
    let _attacker = attacked.then(|| attack.start(agent.port));
    thread::sleep(Duration::from_secs(4));
    let (began, cpu) = (Instant::now(), agent.process.cpu());
    fs::rename(log, &live).unwrap();
    while server.loki_events() - before < events {
        assert!(began.elapsed() < PATIENCE, "{} arrived", server.loki_events() - before);
        thread::sleep(Duration::from_millis(5));
    }
    let took = (began.elapsed().as_secs_f64(), agent.process.cpu() - cpu);
    drop(agent);
    fs::rename(&live, log).unwrap();
    took
}

/// Writes the backups of the recorded log, repeated to at least this many bytes. Returns path and number of events.
fn write_log(dir: &Path, wanted: usize) -> (PathBuf, u64) {
    let mut paths: Vec<_> =
        fs::read_dir(RECORDED).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut recorded = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|name| name == "gz")) {
        MultiGzDecoder::new(File::open(path).unwrap()).read_to_end(&mut recorded).unwrap();
    }
    let lines = memchr::memchr_iter(b'\n', &recorded).count() as u64;
    let path = dir.join("big.log");
    let mut out = BufWriter::new(File::create(&path).unwrap());
    let rounds = wanted.div_ceil(recorded.len());
    for _ in 0..rounds {
        out.write_all(&recorded).unwrap();
    }
    out.flush().unwrap();
    (path, lines * rounds as u64)
}
