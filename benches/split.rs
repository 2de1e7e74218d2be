//! How fast the body of a webhook request is split into lines, in MB of body per second of CPU time:
//! `cargo bench --bench split`.
//!
//! The bodies hold the recorded log: as the list that the API server posts, as an array of events, indented, and a body
//! of blanks only. They come in pieces of 64 KiB, as a connection delivers them. The floor to compare with is a copy of
//! the body. The benchmark never fails for being slow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::fs;
use std::hint::black_box;
use std::io::Read as _;

use auditrail_events::event::ListSplitter;
use flate2::read::MultiGzDecoder;
use kit::process::cpu_seconds;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/recorded/audit");
const FRONT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","#;
const LIST: &str = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;
const PIECE: usize = 64 << 10;
/// Each body is split for this long, since a tick is 10 ms.
const SECONDS: f64 = 2.0;

fn main() {
    let log = recorded();
    let lines: Vec<_> = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let items: Vec<_> = lines.iter().map(|line| [b"{", &line[FRONT.len()..]].concat()).collect();
    let list = [LIST.as_bytes(), &items.join(&b","[..]), b"]}"].concat();
    let array = [b"[", lines.join(&b","[..]).as_slice(), b"]"].concat();
    let value: serde_json::Value = serde_json::from_slice(&list).unwrap();
    let indented = serde_json::to_vec_pretty(&value).unwrap();
    let blanks = vec![b' '; 10_000_000];
    println!(
        "{} events, {} bytes each\n{:32}{:>12}",
        lines.len(),
        log.len() / lines.len(),
        "",
        "MB / CPU s"
    );
    row("a copy of the list", list.len(), || black_box(list.clone()).len());
    for (name, body) in [
        ("the API server's list", &list),
        ("an array of events", &array),
        ("the list, indented", &indented),
        ("blanks", &blanks),
    ] {
        row(name, body.len(), || split(body));
    }
}

/// The bytes of all lines.
fn split(body: &[u8]) -> usize {
    let (mut splitter, mut lines, mut bytes) = (ListSplitter::default(), Vec::new(), 0);
    for piece in body.chunks(PIECE) {
        splitter.push(piece, &mut lines);
        bytes += lines.len();
        lines.clear();
    }
    black_box(splitter.finish(&mut lines));
    bytes + lines.len()
}

fn row(name: &str, length: usize, mut once: impl FnMut() -> usize) {
    let own = || cpu_seconds(&fs::read_to_string("/proc/self/stat").unwrap());
    let (begin, mut rounds) = (own(), 0_u32);
    while own() - begin < SECONDS {
        // Asking for the time costs some, too.
        for _ in 0..10 {
            black_box(once());
        }
        rounds += 10;
    }
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let speed = length as f64 / 1e6 * f64::from(rounds) / (own() - begin);
    println!("{name:32}{speed:>12.0}");
}

fn recorded() -> Vec<u8> {
    let mut log = Vec::new();
    for entry in fs::read_dir(RECORDED).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut log).unwrap();
        } else if bytes.starts_with(FRONT.as_bytes()) {
            log.extend_from_slice(&bytes);
        }
    }
    log
}
