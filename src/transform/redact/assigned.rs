//! The value that a text gives to a name: `password=x`, `"token": "x"`, `--api-key x`, `Authorization: x`, in YAML and XML too.

use std::ops::Range;

use super::markup;
use super::words::{Name, beside, ends_with_word};

/// Where the value of the name at `name` stands; empty stretches are none. Answers the end of a block of lines below it.
pub(super) fn value(
    text: &[u8],
    name: Range<usize>,
    judged: Name,
    mut each: impl FnMut(Range<usize>),
) -> Option<usize> {
    if let Some(at) = markup::value(text, &name) {
        each(at);
        return None;
    }
    let from = behind(text, &name)?;
    let rest = text.get(from..)?;
    let (backslashes, quote) = opening(rest);
    if let Some(quote) = quote {
        let start = from + backslashes + 1;
        each(start..closing(text, start, quote, backslashes));
        return None;
    }
    if judged == Name::Header {
        let length = rest.iter().position(|byte| b"\n\"'`".contains(byte)).unwrap_or(rest.len());
        each(from..from + rest[..length].trim_ascii_end().len());
        return None;
    }
    // `password: |` or nothing: lines of YAML follow.
    let mark = rest.iter().take_while(|byte| b"|>+-0123456789 \t\r".contains(byte)).count();
    if rest.get(mark) == Some(&b'\n') {
        match rest.trim_ascii_start().first() {
            Some(b'|' | b'>') => return Some(block(text, name.start, from + mark, true, each)),
            _ if rest[..mark].trim_ascii().is_empty() => {
                return Some(block(text, name.start, from + mark, false, each));
            }
            _ => {}
        }
    }
    each(from..from + bare(rest));
    None
}

/// Where the value begins, if this is an assignment.
fn behind(text: &[u8], name: &Range<usize>) -> Option<usize> {
    let at = |at: usize| text.get(at).copied();
    let blanks =
        |from: usize| from + text[from..].iter().take_while(|byte| b" \t".contains(byte)).count();
    let (backslashes, quote) = opening(text.get(name.end..)?);
    let quoted = quote.is_some();
    let end = if quoted { name.end + backslashes + 1 } else { name.end };
    let sign = blanks(end.min(text.len()));
    let flag = text[name.clone()].starts_with(b"-");
    match at(sign)? {
        b'=' => Some(blanks(sign + 1 + usize::from(at(sign + 1) == Some(b'>')))),
        b':' if at(sign + 1) == Some(b'=') => Some(blanks(sign + 2)),
        b':' if sign == end => {
            let open = matches!(
                at(sign + 1),
                None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b'\\')
            );
            // `system:serviceaccount:secrets:x` and `registry/token-service:1.2` are names.
            let chain = name.start > 0 && b":/@".contains(&text[name.start - 1]);
            let word = || str::from_utf8(&text[name.clone()]).is_ok_and(ends_with_word);
            (quoted || open || !chain && word()).then(|| blanks(sign + 1))
        }
        b'%' if text[sign..].get(..3)?.eq_ignore_ascii_case(b"%3d") && sign == end => {
            Some(sign + 3)
        }
        b',' if flag => Some(blanks(sign + 1)),
        next if flag && next != b'-' && sign > end => Some(sign),
        _ => None,
    }
}

/// Backslashes and the quote behind them that a text begins with.
pub(super) fn opening(text: &[u8]) -> (usize, Option<u8>) {
    let backslashes = text.iter().take_while(|byte| **byte == b'\\').count();
    (backslashes, text.get(backslashes).copied().filter(|byte| b"\"'`".contains(byte)))
}

/// Where the quote stands that closes what began at `start`: one that is escaped no more than the opening one.
pub(super) fn closing(text: &[u8], start: usize, quote: u8, backslashes: usize) -> usize {
    for found in memchr::memchr_iter(quote, &text[start..]) {
        let before = text[start..start + found].iter().rev().take_while(|byte| **byte == b'\\');
        let before = before.count();
        if before <= backslashes {
            return start + found - before;
        }
    }
    text.len()
}

/// Length of a value without quotes. Punctuation behind it is none of it, brackets that it opened are.
fn bare(rest: &[u8]) -> usize {
    let end = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`&;<>".contains(byte);
    let length = rest.iter().position(end).unwrap_or(rest.len());
    let opened = rest[..length].iter().any(|byte| b"([{".contains(byte));
    let behind: &[u8] = if opened { b",.\\" } else { b",.)]}\\" };
    let trimmed = rest[..length].iter().rev().take_while(|byte| behind.contains(byte)).count();
    length - trimmed
}

/// The lines below a YAML key that are indented further: all of a literal block, the values of others.
///
/// Answers where they end.
fn block(
    text: &[u8],
    key: usize,
    line_end: usize,
    literal: bool,
    mut each: impl FnMut(Range<usize>),
) -> usize {
    let indent = |line: &[u8]| line.iter().take_while(|byte| b" \t-".contains(byte)).count();
    let begin = memchr::memrchr(b'\n', &text[..key]).map_or(0, |at| at + 1);
    let outer = indent(&text[begin..]);
    let mut at = line_end + 1;
    for line in text[at.min(text.len())..].split(|byte| *byte == b'\n') {
        let inner = indent(line);
        let content = line[inner..].trim_ascii_end();
        if !content.is_empty() && inner <= outer {
            return at;
        }
        let from = at + inner;
        at += line.len() + 1;
        let colon = memchr::memmem::find(content, b": ").filter(|_| !literal);
        let start = match colon {
            Some(colon) if str::from_utf8(&content[..colon]).is_ok_and(beside) => continue,
            Some(colon) => colon + 2,
            None if !literal && content.ends_with(b":") => continue,
            None => 0,
        };
        if start < content.len() {
            each(from + start..from + content.len());
        }
    }
    text.len()
}
