//! Finds the value of a pair in which one member is the name and the other the value: `name: PASSWORD` and
//! `value: x`, in YAML, TOML and JSON that could not be parsed.

use std::ops::Range;

use super::name_words::in_name;
use super::quoting::{opening, quoted};

/// The value of the pair (members or lines) whose name is at `name`: `name: PASSWORD` and `value: x`.
pub(super) fn value(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    /// The other member has to be within this many bytes.
    const NEAR: usize = 512;
    let marks =
        |text: &[u8]| text.iter().rev().take_while(|byte| b" \t\"'\\`".contains(byte)).count();
    let before = &text[..name.start];
    let before = &before[..before.len() - marks(before)];
    let key = before.strip_suffix(b":").or_else(|| before.strip_suffix(b"="))?;
    let key = &key[..key.len() - marks(key)];
    let length = key.iter().rev().take_while(|byte| in_name(**byte)).count();
    let key_at = key.len() - length;
    let is_key = |key: &[u8]| {
        let names: &[&[u8]] = &[
            b"name",
            b"key",
            b"header",
            b"field",
            b"property",
            b"variable",
            b"var",
            b"envvar",
            b"parameter",
        ];
        names.iter().any(|name| {
            key.eq_ignore_ascii_case(name) || key.len() > name.len() && key.ends_with(name)
        })
    };
    if !is_key(&key[key_at..]) {
        return None;
    }
    let limit = text.len().min(name.end + NEAR);
    let ahead = &text[name.end..limit];
    // The pair ends with its braces, or where the next pair begins.
    let end = ahead.iter().position(|byte| b"{}]".contains(byte)).unwrap_or(ahead.len());
    let next = [&b"- "[..], b"\n\n"]
        .iter()
        .filter_map(|next| {
            memchr::memmem::find_iter(&ahead[..end], next).find(|at| {
                *next == b"\n\n"
                    || ahead[..*at].trim_ascii_end().len() < *at
                        && ahead[..*at].iter().rev().find(|byte| !b" \t".contains(byte))
                            == Some(&b'\n')
            })
        })
        .min()
        .unwrap_or(end);
    if let Some(at) = member(text, name.end..name.end + next) {
        return Some(at);
    }
    let from = key_at.saturating_sub(NEAR);
    let back = &text[from..key_at];
    let begin = back.iter().rposition(|byte| b"{}[".contains(byte)).map_or(0, |at| at + 1);
    let item = memchr::memmem::rfind(&back[begin..], b"- ").map_or(begin, |at| begin + at);
    member(text, from + item..key_at)
}

/// The value of the member `value` in a range.
fn member(text: &[u8], within: Range<usize>) -> Option<Range<usize>> {
    let near = &text[within.clone()];
    for at in memchr::memmem::find_iter(near, b"alue") {
        let end = within.start + at + 4;
        if at == 0
            || near[at - 1] | 0x20 != b'v'
            || at > 1 && in_name(near[at - 2]) && !near[at - 2].is_ascii_lowercase()
        {
            continue;
        }
        let (backslashes, quote) = opening(&text[end..]);
        let sign = end + if quote.is_some() { backslashes + 1 } else { 0 };
        let sign = sign + text[sign..].iter().take_while(|byte| b" \t".contains(byte)).count();
        if !matches!(text.get(sign), Some(b':' | b'=')) {
            continue;
        }
        let from =
            sign + 1 + text[sign + 1..].iter().take_while(|byte| b" \t".contains(byte)).count();
        if let Some(at) = quoted(text, from) {
            return Some(at);
        }
        let line = &text[from..];
        let mark = line.iter().take_while(|byte| b"|>+-0123456789 \t".contains(byte)).count();
        if matches!(line.first(), Some(b'|' | b'>')) && line.get(mark) == Some(&b'\n') {
            // The lines of a block, as long as they are indented like the first.
            let indent = |line: &[u8]| line.iter().take_while(|byte| **byte == b' ').count();
            let first = from + mark + 1;
            let deep = indent(&text[first..]);
            let mut end = first;
            for line in text[first..].split(|byte| *byte == b'\n').take(64) {
                if indent(line) < deep && !line.trim_ascii().is_empty() {
                    break;
                }
                end += line.len() + 1;
            }
            let end = end.min(text.len());
            return Some(
                first + deep
                    ..first + deep + text[(first + deep).min(end)..end].trim_ascii_end().len(),
            );
        }
        let line =
            &line[..line.iter().position(|byte| b"\n,}".contains(byte)).unwrap_or(line.len())];
        return Some(from..from + line.trim_ascii_end().len());
    }
    None
}
