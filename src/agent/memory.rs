//! The memory bound of a configuration: `status` prints it, and a memory limit on the process must not be below it.
//!
//! | part | most |
//! |---|---|
//! | program, runtime, allocator | fixed |
//! | each input | file heads being read, facts about 10,000 backups |
//! | each webhook | 512 connections with buffers, 200,000 digests; 64 MiB for the bodies of all webhooks |
//! | each pair | chunks in flight and read ahead, their events, requests and answers (`output/memory.rs`) |
//! | one line over 4 MiB | 3.5 times `max_line_bytes`, once in the process |
//!
//! A chunk ends with the line that fills it, and that line may have up to 4 MiB. The chunks of a pair in flight never
//! exceed the reservation in the checkpoint. Besides the chunks that are being sent, as many chunks can wait for a
//! retry or a look-up.

use crate::checkpoint::RESERVE;
use crate::config::{Config, FollowedLog, Output};
use crate::input::{LARGE, STRIDE};
use crate::output::memory::{self, Load};
use crate::receive::IN_MEMORY;

const MIB: u64 = 1 << 20;
/// The program's own pages, the runtime, TLS, status page and socket.
const BASE: u64 = 32 * MIB;
/// The head of a file is read into a buffer that grows to twice [`LARGE`]; 10,000 backups take some 2 KiB each.
const INPUT: u64 = 32 * MIB;
/// 512 connections of 256 KiB each, and 200,000 digests of 48 bytes.
const RECEIVER: u64 = 138 * MIB;
/// Threads, connections and the cursor.
const PAIR: u64 = 6 * MIB;
/// The window of a backup compressed by zstd or xz, as far as it is filled.
const WINDOW: u64 = crate::input::WINDOW;
/// Chunks that were read and not delivered: one waits for room and one is being read. Or one is there three times,
/// while the transform makes the new lines of a batch, and a batch of those.
const AHEAD: u64 = 4;
/// Events that one line may hold beyond the bound of a batch.
const GLUED: u64 = 64;
/// An event and two references to it: one while it waits, one while it is sent.
const EVENT: u64 = (size_of::<crate::event::Event>() + 24) as u64;

/// In bytes.
pub(crate) fn bound(config: &Config) -> u64 {
    let longest = config.logs().map(|input| input.max_line_bytes).max().unwrap_or_default();
    let large = if longest > LARGE as u64 { memory::large(longest) } else { 0 };
    let pairs: u64 = config
        .outputs
        .iter()
        .flat_map(|output| {
            super::parts::inputs_of(config, output).map(move |input| (input, output))
        })
        .map(|(input, output)| pair(input, output))
        .sum();
    BASE + INPUT * config.inputs.len() as u64 + webhooks(config) + pairs + large
}

/// The bodies of all webhooks, the connections of each, and the digests of its bodies.
fn webhooks(config: &Config) -> u64 {
    let count = config.logs().filter(|log| log.spool.is_some()).count() as u64;
    if count == 0 { 0 } else { IN_MEMORY as u64 + count * RECEIVER }
}

fn pair(input: &FollowedLog, output: &Output) -> u64 {
    let line = input.max_line_bytes.min(LARGE as u64);
    let longest = output.batch.bytes as u64 + line + STRIDE as u64;
    let requests = output.in_flight as u64;
    let most_events = output.batch.events as u64 + GLUED;
    let bytes = (requests * longest).min(RESERVE + longest);
    let held = (2 * requests * longest).min(RESERVE + longest);
    let ahead = AHEAD * longest + line;
    let events = requests * most_events;
    let load = Load { requests, bytes, events, longest, most_events };
    let sent = memory::requests(&output.kind, &load);
    PAIR + WINDOW + held + ahead + (2 * events + AHEAD * most_events) * EVENT + sent
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn bound_of(outputs: &str) -> u64 {
        let text = format!("[inputs.a]\ntype = \"file\"\npath = \"/a/audit.log\"\n{outputs}");
        bound(&Config::parse(&text, Path::new("test"), &|_| None).unwrap())
    }

    const LOKI: &str = "[outputs.loki]\ntype = \"loki\"\nendpoint = \"http://l\"\n";

    #[test]
    fn more_outputs_longer_lines_and_more_requests_take_more() {
        let one = bound_of(LOKI);
        assert!(bound_of(&format!("{LOKI}in_flight = 5\n")) > one);
        assert!(bound_of(&format!("{LOKI}batch = {{ max_events = 6000 }}\n")) > one);
        assert!(bound_of(&format!("{LOKI}[outputs.f]\ntype = \"file\"\npath = \"/f\"\n")) > one);
        assert!(
            bound_of(&format!("{LOKI}[inputs.b]\ntype = \"file\"\npath = \"/b/audit.log\"\n"))
                > one
        );
    }

    #[test]
    fn the_unit_and_the_manifest_leave_what_one_output_may_take() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let number = |text: &str, before: &str, after: &str| -> u64 {
            text.split(before).nth(1).unwrap().split(after).next().unwrap().parse().unwrap()
        };
        let elasticsearch =
            bound_of("[outputs.e]\ntype = \"elasticsearch\"\nendpoints = [\"http://e\"]\n");
        let needed = bound_of(LOKI).max(elasticsearch);
        assert!(
            number(&read("systemd/auditrail.service"), "MemoryMax=", "M\n") * MIB >= needed,
            "{needed}"
        );
        let manifest = read("etc/kubernetes/daemonset.yaml");
        let limits = manifest.split("limits:").nth(1).unwrap();
        assert!(number(limits, "memory: ", "Mi") * MIB >= needed, "{needed}");
    }
}
