//! The frames that container runtimes (CRI, Docker, journald) and log shippers put around a line, including partial
//! lines. Also recognises lines that are no event: messages of the API server itself, comments, headings.

use std::ops::Range;

use super::probe::Probe;
use crate::json::{self, Value, members};

/// A text inside a frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TextFrame {
    /// Where the text is in the line.
    pub content: Range<usize>,
    /// The text is a JSON string, to be unescaped.
    escaped: bool,
    /// The container wrote it to its standard error.
    pub stderr: bool,
    /// A partial line: it continues in the next frame of the same stream.
    pub partial: bool,
}

/// The byte-order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl TextFrame {
    /// Reads the frame of a line, if it has one of a kind that can hold a partial line.
    pub fn of(line: &[u8]) -> Option<Self> {
        cri(line).or_else(|| json(line))
    }

    /// Whether it can only hold a log message of the server, not an event.
    pub fn is_quiet(&self, line: &[u8]) -> bool {
        let first = line.get(self.content.start);
        (self.stderr && first != Some(&b'{')) || is_klog(&line[self.content.clone()])
    }

    /// Whether `next` can continue this partial line.
    pub fn is_continued_by(&self, next: &Self) -> bool {
        (self.escaped, self.stderr) == (next.escaped, next.stderr)
    }

    /// Moves the text, with escapes undone, to index `to` of `bytes`. `at` is where the frame's line begins; `to` must
    /// not be beyond the text. Returns where the moved text ends.
    pub fn unpack(&self, bytes: &mut [u8], at: usize, to: usize) -> usize {
        let content = at + self.content.start..at + self.content.end;
        if !self.escaped {
            let end = to + content.len();
            bytes.copy_within(content, to);
            return end;
        }
        let decoded = json::unescape_bytes(&bytes[content]).into_owned();
        let decoded = decoded.strip_suffix(b"\n").unwrap_or(&decoded);
        bytes[to..to + decoded.len()].copy_from_slice(decoded);
        to + decoded.len()
    }
}

/// The frame of the Container Runtime Interface: `2006-01-02T15:04:05.999999999Z stdout F text`.
pub(super) fn cri(line: &[u8]) -> Option<TextFrame> {
    if !line.first()?.is_ascii_digit() {
        return None;
    }
    let time = memchr::memchr(b' ', &line[..line.len().min(40)])?;
    super::rfc3339(&line[..time])?;
    let rest = &line[time + 1..];
    let stderr = rest.starts_with(b"stderr ");
    if !stderr && !rest.starts_with(b"stdout ") {
        return None;
    }
    let tags = &rest[7..];
    let end = memchr::memchr(b' ', tags).unwrap_or(tags.len());
    let partial = match tags[..end].split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    let start = (time + 8 + end + 1).min(line.len());
    Some(TextFrame { content: start..line.len(), escaped: false, stderr, partial })
}

/// A JSON frame: Docker's json-file, journald, and what Fluent Bit and Fluentd write for partial lines.
fn json(line: &[u8]) -> Option<TextFrame> {
    if line.first() != Some(&b'{') {
        return None;
    }
    let (mut content, mut docker, mut stderr, mut partial, mut framed) =
        (None, [false; 3], false, false, false);
    let text = |value: Value| &line[value.at.range()];
    members(line, 0, |key, value| match key {
        b"log" | b"message" | b"MESSAGE" if value.string => {
            content = Some(value.at);
            docker[2] = key == b"log";
        }
        b"stream" if value.string => {
            docker[0] = true;
            stderr = text(value) == b"stderr";
        }
        b"time" => docker[1] = true,
        b"logtag" => {
            framed = true;
            partial = text(value) == b"P";
        }
        b"_LINE_BREAK" => partial = text(value) == b"line-max",
        b"__REALTIME_TIMESTAMP" => framed = true,
        b"partial_message" | b"CONTAINER_PARTIAL_MESSAGE" => {
            framed = true;
            partial |= text(value) == b"true";
        }
        b"partial_last" | b"CONTAINER_PARTIAL_LAST" => partial &= text(value) != b"true",
        _ => {}
    })?;
    let at = content?;
    if !framed {
        if docker != [true; 3] {
            return None;
        }
        partial = !ends_with_newline(&line[at.range()]);
    }
    Some(TextFrame { content: at.range(), escaped: true, stderr, partial })
}

/// Whether an escaped text ends with `\n` whose backslash is not itself escaped.
fn ends_with_newline(text: &[u8]) -> bool {
    let Some(rest) = text.strip_suffix(b"n") else { return false };
    rest.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Number of leading bytes to ignore: blanks, a byte-order mark, a terminal colour, a comma.
pub(super) fn leading(line: &[u8]) -> usize {
    skip(line, 0, |rest| match rest {
        [b' ' | b'\t' | b'\r' | b',' | 0x1e, ..] => 1,
        _ if rest.starts_with(BYTE_ORDER_MARK) => BYTE_ORDER_MARK.len(),
        _ => colour(rest),
    })
}

/// Index after the separators between two values of a list, starting at `at`.
pub(super) fn between(line: &[u8], at: usize) -> usize {
    skip(line, at, |rest| match rest {
        [b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' | 0x1e, ..] => 1,
        _ => colour(rest),
    })
}

fn skip(line: &[u8], mut at: usize, length: impl Fn(&[u8]) -> usize) -> usize {
    while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
        match length(rest) {
            0 => break,
            more => at += more,
        }
    }
    at
}

/// Length of an escape sequence of a terminal: `ESC [ 32 m`.
fn colour(text: &[u8]) -> usize {
    let Some(rest) = text.strip_prefix(b"\x1b[") else { return 0 };
    let digits = rest.iter().take(16).take_while(|byte| byte.is_ascii_digit() || **byte == b';');
    let digits = digits.count();
    if rest.get(digits).is_some_and(u8::is_ascii_alphabetic) { digits + 3 } else { 0 }
}

/// Whether a line, after the bytes that [`leading`] skips, certainly holds no event: a comment, a heading, a separator
/// or a klog message.
pub(super) fn is_passed_over(text: &[u8]) -> bool {
    let text = text.trim_ascii_end();
    let only = |set: &[u8]| text.iter().all(|byte| set.contains(byte) || *byte == b' ');
    let around = |open: &[u8], close: &[u8]| {
        text.len() >= open.len() + close.len() && text.starts_with(open) && text.ends_with(close)
    };
    text.starts_with(b"#")
        || only(b"[],")
        || only(b"-=*")
        || around(b"==> ", b" <==")
        || around(b"-- ", b" --")
        || around(b"=== ", b" ===")
        || is_klog(text)
}

/// Whether a line of JSON holds a log message of the server: in a frame, or in klog's JSON format.
pub(super) fn is_message(line: &[u8]) -> bool {
    let start = leading(line);
    let text = &line[start..];
    match json(text) {
        Some(frame) => frame.is_quiet(text),
        None => text.first() == Some(&b'{') && Probe::of(text, 0).is_klog(),
    }
}

/// `I0102 15:04:05.000000       1 file.go:12] text`, as Kubernetes components write it.
pub(super) fn is_klog(text: &[u8]) -> bool {
    let digits = |range: Range<usize>| {
        text.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    matches!(text.first(), Some(b'I' | b'W' | b'E' | b'F'))
        && digits(1..5)
        && text.get(5) == Some(&b' ')
        && digits(6..8)
        && text.get(8) == Some(&b':')
        && digits(9..11)
        && text.get(11) == Some(&b':')
        && digits(12..14)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(line: &str) -> Option<(&str, bool, bool)> {
        let frame = TextFrame::of(line.as_bytes())?;
        Some((&line[frame.content], frame.stderr, frame.partial))
    }

    #[test]
    fn frames_say_what_stands_in_them_and_whether_it_goes_on() {
        let table = [
            ("2026-11-26T03:00:00.000000001Z stdout F text", Some(("text", false, false))),
            ("2026-11-26T04:00:00+01:00 stderr P te", Some(("te", true, true))),
            ("2026-11-26T03:00:00Z stdout F", Some(("", false, false))),
            ("2026-11-26T03:00:00Z stdout P:x a b", Some(("a b", false, true))),
            ("2026-11-26T03:00:00Z stdin F a", None),
            (r#"{"log":"a\n","stream":"stderr","time":"t"}"#, Some((r"a\n", true, false))),
            (r#"{"log":"a\\n","stream":"stdout","time":"t"}"#, Some((r"a\\n", false, true))),
            (r#"{"time":"t","logtag":"P","message":"a"}"#, Some(("a", false, true))),
            (
                r#"{"__REALTIME_TIMESTAMP":"1","_LINE_BREAK":"line-max","MESSAGE":"a"}"#,
                Some(("a", false, true)),
            ),
            (r#"{"log":"a"}"#, None),
        ];
        for (line, found) in table {
            assert_eq!(frame(line), found, "{line}");
        }
    }

    #[test]
    fn what_is_no_event_of_any_kind_is_known() {
        for line in [
            "I1126 03:00:00.000000       1 trace.go:236] Trace[1]",
            "# collected today",
            "==> /var/log/audit.log <==",
            "-- Logs begin at Thu. --",
            "[",
            "],",
        ] {
            assert!(is_passed_over(line.as_bytes()), "{line}");
        }
        for line in ["hello", "{", "}", "E1126", "Info: x", "-- torn"] {
            assert!(!is_passed_over(line.as_bytes()), "{line}");
        }
        assert!(is_message(br#"{"ts":1.5,"caller":"a.go:1","msg":"HTTP","v":0}"#));
        assert!(is_message(
            br#"{"log":"W1126 03:00:00.000000 1 a.go:1] b\n","stream":"stdout","time":"t"}"#
        ));
        assert!(!is_message(br#"{"log":"hello\n","stream":"stdout","time":"t"}"#));
    }
}
