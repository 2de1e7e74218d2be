//! A compressed backup truncated at every byte, and changed at every byte: power loss and bad disks cause both (state
//! 12).

use kit::log_writer::gzip;
use std::io::Read as _;

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress};

use super::play::{LIMITS, Play};
use super::server::event;
use crate::config::StartAt;

const EVENTS: usize = 5;

/// Events that compress badly, so that few bytes of the file belong to each.
fn log() -> String {
    let mut noise = 1_u32;
    let mut body = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{noise:x}")
    };
    let lines = (0..EVENTS).map(|n| {
        let line = event(&n.to_string(), 1);
        line.replace("\"x\"", &format!("\"{}{}{}\"", body(), body(), body())) + "\n"
    });
    lines.collect()
}

/// The most bytes that any decoder can recover from the rest of a file.
fn recoverable(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(100_000);
    if let Some(deflated) = file.get(10..) {
        let done = Decompress::new(false).decompress_vec(deflated, &mut out, FlushDecompress::Sync);
        done.unwrap();
    }
    out
}

/// Reads a damaged backup, a later intact one and the live log, with a restart in between.
fn read(damaged: &[u8], script: &str) -> Vec<String> {
    let mut play = Play::new(LIMITS, StartAt::Beginning);
    std::fs::write(play.path("1").with_extension("log.gz"), damaged).unwrap();
    let later = format!("{}\n{}\n", event("later", 0), event("last", 0));
    std::fs::write(play.path("2").with_extension("log.gz"), gzip(later.as_bytes())).unwrap();
    let found = play.script(&format!("append live | {script}"));
    let mut words: Vec<_> =
        found.split_whitespace().filter(|word| *word != "|").map(str::to_owned).collect();
    // Whatever became of the first backup, the later events arrive complete, once and in order.
    let whole = |word: &String| ["later", "last", "live"].contains(&word.as_str());
    assert_eq!(
        words.extract_if(.., |word| whole(word)).collect::<Vec<_>>(),
        ["later", "last", "live"]
    );
    words
}

#[test]
fn a_backup_cut_at_any_byte_gives_all_that_can_be_had_of_it_and_the_rest_is_said() {
    let (log, mut most) = (log(), 0);
    let whole = gzip(log.as_bytes());
    for cut in 0..whole.len() {
        let script = "read 3 | restart | read | wait 11 | read | restart | wait 11 | read";
        let mut words = read(&whole[..cut], script);
        let had = recoverable(&whole[..cut]);
        assert!(log.as_bytes().starts_with(&had));
        let mut lines = memchr::memchr_iter(b'\n', &had).count();
        let gap = words.pop().unwrap_or_default();
        assert!(gap.starts_with("damaged_gzip:"), "cut at {cut}: {gap}");
        // The rest of a line is torn, unless only its newline is missing.
        let rest = had.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        if rest.ends_with(b"Z\"}") {
            lines += 1;
        } else if !rest.is_empty() {
            let torn = words.pop().unwrap_or_default();
            assert!(torn.starts_with('~'), "cut at {cut}: {torn}");
        }
        let expected: Vec<_> = (0..lines).map(|n| n.to_string()).collect();
        assert_eq!(words, expected, "cut at {cut} of {}", whole.len());
        most = most.max(lines);
    }
    assert_eq!(most, EVENTS);
}

#[test]
fn a_backup_changed_at_any_byte_is_read_as_far_as_it_goes_and_the_damage_is_said_once() {
    let whole = gzip(log().as_bytes());
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        let words = read(&changed, "read 3 | restart | read | wait 11 | read | restart | read");
        let gaps = words.iter().filter(|word| word.starts_with("damaged_gzip:")).count();
        // Some bits do not affect the content: time and system in the header, and the padding of the last byte of the
        // stream.
        let mut plain = Vec::new();
        let read = MultiGzDecoder::new(&*changed).read_to_end(&mut plain);
        let harmless = read.is_ok() && plain == log().as_bytes();
        assert_eq!(gaps, usize::from(!harmless), "byte {at} of {}: {words:?}", whole.len());
    }
}
