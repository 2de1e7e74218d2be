//! The file output with a log that the real rotation library writes: the output equals the input, in order.

use std::fs;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::corpus;
use crate::rotating_writer::Writer;
use crate::servers::{Server, have};
use kit::agent::Agent;
use kit::{tables, wait_for};

/// Follows 30,000 events through rotation and compression; the agent is killed after each of `lives` milliseconds.
fn check(max_size: &str, lives: &[u64]) {
    if !have(&[Server::Lumberjack]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let archive = dir.path().join("archive.ndjson");
    let config = tables::input("apiserver", &dir.path().join("audit/audit.log"))
        + &tables::archive(&archive);
    let mut agent = Agent::start(dir.path(), &config);
    let writer = Writer::start(
        &corpus::plain_file(dir.path()),
        dir.path(),
        &["-events=30000", "-megabytes-per-second=6", max_size, "-compress", "-fresh-ids"],
    );
    for life in lives {
        thread::sleep(Duration::from_millis(*life));
        agent.kill();
        agent.resume();
    }
    let written = writer.written();
    wait_for("the archive to have every byte", Duration::from_mins(1), || {
        match fs::metadata(&archive).map_or(0, |meta| meta.len()) {
            len if len >= written.len() as u64 => Ok(()),
            len => Err(format!("{len} of {}", written.len())),
        }
    });
    agent.stop_done();
    let archived = fs::read(&archive).unwrap();
    let differs = archived.iter().zip(&written).position(|(a, b)| a != b);
    assert_eq!(differs, None, "first byte that differs");
    assert_eq!(archived.len(), written.len(), "the archive is longer than what was written");
}

#[test]
fn a_log_rotated_every_megabyte_arrives_in_order_and_whole() {
    check("-max-size=1", &[]);
}

#[test]
fn a_log_rotated_every_five_megabytes_arrives_in_order_and_whole() {
    check("-max-size=5", &[]);
}

#[test]
fn kills_while_a_log_is_rotated_every_megabyte_neither_lose_nor_repeat() {
    check("-max-size=1", &[300, 700, 1100, 50, 900, 400]);
}

#[test]
fn kills_while_a_log_is_rotated_every_five_megabytes_neither_lose_nor_repeat() {
    check("-max-size=5", &[500, 900, 20, 1300, 600, 250]);
}
