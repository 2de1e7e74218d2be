//! The test kit: what unit tests, integration tests and benches share.
//!
//! - [`LogWriter`] writes, rotates and compresses a log as the API server does.
//! - [`FakeStore`] takes events as Loki and as Elasticsearch, and makes faults.
//! - [`Agent`](agent::Agent) runs the built binary as an operator does; `process.rs` starts and ends it.
//! - `events` makes audit events and checks that each arrived exactly once; `tables` has TOML that many tests need.
//! - `grafana` reads the queries of the dashboards.
//! - This file: waiting with a time limit, free ports, reading folders.

pub mod agent;
pub mod ca;
pub mod events;
pub mod grafana;
pub mod http;
pub mod log_writer;
pub mod process;
pub mod schema;
pub mod store;
pub mod tables;

pub use log_writer::LogWriter;
pub use store::FakeStore;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A loopback port that was free a moment ago.
///
/// This counts up instead of asking the kernel for a free port: the kernel could give the same port to two tests that
/// have not bound theirs yet. All ports are below 32768, where the kernel's range for outgoing connections begins.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Calls `ask` with a growing pause until it returns `Ok`; panics with the last `Err` once `limit` has passed.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        match ask() {
            Ok(value) => return value,
            Err(why) if start.elapsed() > limit => {
                panic!("waited {limit:?} in vain for {what}: {why}")
            }
            Err(_) => thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// All files below a folder, each with its length in bytes and its path. A failing test prints this.
pub fn listing(dir: &Path) -> String {
    let mut lines = Vec::new();
    visit(dir, &mut |path, len| {
        lines.push(format!("{len:>12}  {}", path.strip_prefix(dir).unwrap_or(path).display()));
    });
    lines.sort_by(|a, b| a[12..].cmp(&b[12..]));
    lines.join("\n")
}

/// The bytes of all files below a folder, concatenated, to search for text that must or must not be there.
pub fn contents(dir: &Path) -> String {
    let mut all = String::new();
    visit(dir, &mut |path, _| {
        all.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap_or_default()));
    });
    all
}

/// Copies a folder of plain files and folders.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let beside = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &beside);
        } else {
            fs::copy(path, beside).unwrap();
        }
    }
}

/// The last lines of a text file, to show what led to a failure.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn visit(dir: &Path, found: &mut impl FnMut(&Path, u64)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => visit(&entry.path(), found),
            Ok(meta) => found(&entry.path(), meta.len()),
            Err(_) => {} // Renamed since it was listed.
        }
    }
}
