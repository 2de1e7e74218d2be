//! Memory limit: with outputs that hang and lines of many megabytes, the agent stays within the bound that `status`
//! prints.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;

use kit::agent::Agent;
use kit::events::Maker;
use kit::{LogWriter, tables, wait_for};

const MIB: u64 = 1 << 20;

/// Two outputs that hang, since the kernel accepts connections that nobody answers, and one file output.
fn outputs(listener: &TcpListener, out: &Path) -> String {
    let url = format!("http://{}", listener.local_addr().unwrap());
    let more = "in_flight = 4\nbatch = { max_bytes = \"256KiB\" }";
    tables::loki(&url, "t", more)
        + &tables::elasticsearch(&url, "logs-a-b", more)
        + &tables::archive(out)
}

struct Log {
    writer: LogWriter,
    maker: Maker,
    bytes: u64,
}

impl Log {
    fn write(&mut self, events: usize, bytes: usize) {
        for _ in 0..events {
            let line = self.maker.event(bytes).line + "\n";
            self.writer.append(line.as_bytes());
            self.bytes += line.len() as u64;
        }
    }

    fn wait(&self, out: &Path) {
        wait_for("every byte to arrive in the file", Duration::from_secs(150), || {
            let found = std::fs::metadata(out).map_or(0, |meta| meta.len());
            if found >= self.bytes { Ok(()) } else { Err(format!("{found} of {}", self.bytes)) }
        });
    }
}

#[test]
fn memory_stays_within_what_status_prints_however_much_waits_for_outputs_that_hang() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("audit.log"), dir.path().join("out"));
    let maker = Maker::from_ago(SignedDuration::from_mins(5));
    let mut log = Log { writer: LogWriter::new(&path), maker, bytes: 0 };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let input = tables::input("apiserver", &path) + "max_line_bytes = \"16MiB\"\n";
    log.write(4000, 2000);
    let mut agent = Agent::start(dir.path(), &(input + &outputs(&listener, &out)));
    log.wait(&out);
    let before = agent.memory("VmRSS:");
    // Write many times more than both outputs may buffer.
    log.write(12_000, 2000);
    log.wait(&out);
    let after = agent.memory("VmRSS:");
    assert!(after < before + 16 * MIB, "{before} bytes before, {after} after 28 MB more");
    // Large lines in a row; the last one is longer than `max_line_bytes`.
    for bytes in [5 << 20, 15 << 20, 12 << 20, 20 << 20] {
        log.write(1, bytes);
    }
    log.write(10, 100);
    wait_for("the last event to arrive", Duration::from_secs(150), || {
        let found = agent.events("archive", "delivered");
        // All events and one gap, for the bodies of the longest one.
        if found == 16_015 { Ok(()) } else { Err(format!("{found} of 16015")) }
    });
    let (peak, bound) = (agent.memory("VmHWM:"), agent.count("auditrail_memory_bound_bytes", &[]));
    assert!(peak <= bound, "{peak} bytes at the peak, and {bound} are said to be the most");
    // The bound includes the windows of three decompressors, 64 MiB each, one per output.
    assert!(bound < 640 * MIB + 3 * 64 * MIB, "{bound} bytes are no bound");
    agent.kill();
}
