//! Shrinks lines that are not JSON: lines of the legacy text format, and lines that cannot be parsed.

use super::cut::cut;
use super::note::Note;
use crate::json::string_end;
use crate::transform::cuts::{Cut, Cuts, NOTE};

const MARK: &[u8] = b" AUDIT: ";
/// Number of keys that API servers write. A client can choose their values, but cannot add keys.
const KEYS: usize = 12;
/// A key has at most this many bytes; the longest is `user-agent`.
const KEY: usize = 16;
/// A value is never cut shorter than this many bytes.
const SMALLEST: usize = 48;

/// Appends a line of the text format with its long values cut, and the annotation as an additional value.
pub(super) fn legacy(line: &[u8], limit: usize, note: &Note, out: &mut Vec<u8>) -> Cuts {
    let begin = out.len();
    let mut cuts = Cuts::default();
    cuts.add(Cut::Strings);
    let end = format!(" {NOTE}=\"{}\"", note.value(cuts));
    let mut cap = limit / 2;
    loop {
        out.truncate(begin);
        values(line, cap, usize::MAX, out);
        if out.len() - begin + end.len() <= limit {
            break;
        }
        if cap <= SMALLEST {
            // The line has more values than an API server writes.
            out.truncate(begin);
            values(line, cap, KEYS, out);
            break;
        }
        cap = (cap / 2).max(SMALLEST);
    }
    out.extend_from_slice(end.as_bytes());
    cuts
}

/// Appends the first `count` values, each cut to `cap` bytes.
fn values(line: &[u8], cap: usize, count: usize, out: &mut Vec<u8>) {
    let Some(mark) = memchr::memmem::find(line, MARK) else { return };
    let mut at = mark + MARK.len() - 1;
    out.extend_from_slice(&line[..at]);
    for _ in 0..count {
        let Some(quote) = memchr::memchr(b'"', &line[at..]).map(|found| at + found) else { return };
        let Some(end) = string_end(line, quote + 1) else { return };
        // Including its blank and equals sign. The annotation of an earlier shrinking is longer, so it is left out.
        if quote - at <= KEY + 2 {
            out.extend_from_slice(&line[at..=quote]);
            cut(&line[quote + 1..end], cap, out);
            out.push(b'"');
        }
        at = end + 1;
    }
}

/// Appends the beginning of a line that cannot be parsed.
pub(super) fn unreadable(line: &[u8], limit: usize, note: &Note, out: &mut Vec<u8>) -> Cuts {
    let mut cuts = Cuts::default();
    cuts.add(Cut::Tail);
    let end = format!(" {NOTE}=\"{}\"", note.value(cuts));
    // The mark of the cut has at most 24 bytes.
    cut(line, limit.saturating_sub(end.len() + 24).min(line.len() - 1), out);
    out.extend_from_slice(end.as_bytes());
    cuts
}
