//! Finds the value that a text assigns to a name: `password=x`, `"token": "x"`, `--api-key x`, `Authorization: x`, in
//! YAML and XML too.

use std::ops::Range;

use super::name_words::{ends_with_word, in_name};
use super::quoting::{begins_line, line_of, opening, quoted};
use super::secret_names::{Name, beside, prose};
use super::values::{is_literal, is_prose};
use super::{field_error, markup, paired, parted};

/// Finds the value that belongs to the name at `name`, and calls `each` with every part of it that is not empty.
/// Returns the end of an indented block below the name, if there is one.
///
/// `lines` says whether the text has several lines, as a file has.
pub(super) fn value(
    (text, lines): (&[u8], bool),
    name: Range<usize>,
    judged: Name,
    mut each: impl FnMut(Range<usize>),
) -> Option<usize> {
    if let Some(at) = markup::value(text, &name).or_else(|| paired::value(text, &name)) {
        each(at);
        return None;
    }
    let Some(from) = behind(text, &name) else {
        if let Some(at) =
            parted::called(text, &name).or_else(|| parted::value((text, lines), &name, judged))
        {
            each(at);
        }
        return None;
    };
    let rest = text.get(from..)?;
    if field_error::begins(rest) {
        return None;
    }
    if let Some(at) = quoted(text, from) {
        each(at);
        return None;
    }
    if let Some(end) = braces(text, from, judged) {
        each(from..end);
        return None;
    }
    if judged == Name::Header && is_header(&text[name.clone()]) {
        let length = rest.iter().position(|byte| b"\n\"'`".contains(byte)).unwrap_or(rest.len());
        each(from..from + rest[..length].trim_ascii_end().len());
        return None;
    }
    // `password: |` or nothing after the colon: lines of YAML follow.
    let mark = rest.iter().take_while(|byte| b"|>+-0123456789 \t\r".contains(byte)).count();
    if rest.get(mark) == Some(&b'\n') {
        match rest.trim_ascii_start().first() {
            Some(b'|' | b'>') => return Some(block(text, name.start, from + mark, true, each)),
            _ if rest[..mark].trim_ascii().is_empty() => {
                return judged.is_hot().then(|| block(text, name.start, from + mark, false, each));
            }
            _ => {}
        }
    }
    if judged == Name::Mention && str::from_utf8(line_of(rest)).is_ok_and(is_prose) {
        return None;
    }
    // In the middle of a sentence, a lower-case word that is followed by another one belongs to the sentence.
    let word = rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let sentence = text[name.end..from].starts_with(b":")
        && name.start > 0
        && text[name.start - 1] == b' '
        && !begins_line(text, name.start);
    if sentence
        && word > 2
        && rest.get(word) == Some(&b' ')
        && rest.get(word + 1).is_some_and(u8::is_ascii_lowercase)
    {
        return None;
    }
    let length = if lines && begins_line(text, name.start) {
        to_line_end(rest, text[name.end..from].first() == Some(&b':'))
    } else {
        bare(rest)
    };
    each(from..from + length + glued(rest, length));
    None
}

/// The end of a YAML flow map or list in one line, which is secret as a whole if its name is; `None` if it is not
/// one.
fn braces(text: &[u8], from: usize, judged: Name) -> Option<usize> {
    let close = match text.get(from)? {
        b'{' if text.get(from + 1) != Some(&b'{') => b'}',
        b'[' if text.get(from + 1) != Some(&b'[') => b']',
        _ => return None,
    };
    if !judged.is_hot() {
        // Its members are judged by their own names.
        return Some(from);
    }
    let line = &text[from..];
    let line = line_of(line);
    let end = memchr::memrchr(close, line)?;
    // Only literals, as in `{ expire: False }`.
    let inside = str::from_utf8(&line[1..end]).unwrap_or_default();
    let plain = inside
        .split(',')
        .all(|member| member.split_once(':').is_some_and(|(_, value)| is_literal(value.trim())));
    Some(if plain { from } else { from + end + 1 })
}

/// Length of a quoted part that is attached to a value: `--from-literal=key='a b'`.
fn glued(rest: &[u8], length: usize) -> usize {
    let quote = match rest.get(length) {
        Some(quote @ (b'\'' | b'"')) if length > 0 && rest[length - 1] == b'=' => *quote,
        _ => return 0,
    };
    memchr::memchr(quote, &rest[length + 1..]).map_or(0, |end| end + 1)
}

/// Whether a name is a header whose value has several words.
fn is_header(name: &[u8]) -> bool {
    [&b"authorization"[..], b"cookie", b"cookies"].iter().any(|end| {
        name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end)
    })
}

/// Length of a value that extends to the end of its line, without a trailing comment. A shell assignment ends with
/// its word.
fn to_line_end(rest: &[u8], colon: bool) -> usize {
    let line = line_of(rest);
    let line = &line[..memchr::memmem::find(line, b" #").unwrap_or(line.len())];
    let word = bare(rest);
    let behind = line.get(word..).unwrap_or_default();
    let shell = behind.iter().any(|byte| b"=$;|&\\,{}<>".contains(byte))
        || memchr::memmem::find(behind, b" -").is_some();
    if shell && !colon || behind.contains(&b'=') || behind.starts_with(b",") {
        word
    } else {
        let line = line.trim_ascii_end();
        line.len() - line.iter().rev().take_while(|byte| b",;".contains(byte)).count()
    }
}

/// Where the value begins, if this is an assignment.
fn behind(text: &[u8], name: &Range<usize>) -> Option<usize> {
    let at = |at: usize| text.get(at).copied();
    let blanks =
        |from: usize| from + text[from..].iter().take_while(|byte| b" \t".contains(byte)).count();
    let (backslashes, quote) = opening(text.get(name.end..)?);
    let is_quoted = quote.is_some();
    let mut end = if is_quoted { name.end + backslashes + 1 } else { name.end };
    // Subscripts: `config["password"] = "x"`, `requirepass[0]`.
    let inside = name.start > 0 && text[name.start - 1] == b'[';
    end += text[end.min(text.len())..]
        .iter()
        .take_while(|byte| b"])".contains(byte) && (is_quoted || inside))
        .count();
    let sign = blanks(end.min(text.len()));
    let flag = text[name.clone()].starts_with(b"-");
    match at(sign)? {
        b'!' | b'=' if at(sign + 1) == Some(b'=') => {
            // A comparison with the secret.
            let value = blanks(sign + 2 + usize::from(at(sign + 2) == Some(b'=')));
            opening(&text[value.min(text.len())..]).1.map(|_| value)
        }
        b'=' if at(sign + 1) == Some(b'~') => None,
        b'=' => Some(blanks(sign + 1 + usize::from(at(sign + 1) == Some(b'>')))),
        b':' if at(sign + 1) == Some(b'=') => Some(blanks(sign + 2)),
        // LDIF: base64 follows.
        b':' if at(sign + 1) == Some(b':') && at(sign + 2) == Some(b' ') => Some(blanks(sign + 2)),
        b'?' | b'+' if at(sign + 1) == Some(b'=') => Some(blanks(sign + 2)),
        b':' if sign == end
            || is_quoted
                && at(blanks(sign + 1))
                    .is_some_and(|byte| b"\"'\\".contains(&byte) || byte.is_ascii_digit()) =>
        {
            let open = matches!(
                at(sign + 1),
                None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b'\\')
            );
            // `system:serviceaccount:secrets:x` and `registry/token-service:1.2` are names.
            let chain = name.start > 0
                && b":/@".contains(&text[name.start - 1])
                && !(name.start == 1 || b" \t\"'".contains(&text[name.start - 2]));
            let word = || str::from_utf8(&text[name.clone()]).is_ok_and(ends_with_word);
            (is_quoted || open || !chain && word()).then(|| blanks(sign + 1))
        }
        b'%' if text[sign..].get(..3)?.eq_ignore_ascii_case(b"%3d") && sign == end => {
            Some(sign + 3)
        }
        b',' if flag => Some(blanks(sign + 1)),
        // Erlang: `{default_pass, <<"x">>}`.
        b',' if text[blanks(sign + 1)..].starts_with(b"<<\"") => Some(blanks(sign + 1) + 2),
        // An argument after the name: `define('PASSWORD', 'x')`.
        b',' if is_quoted
            && is_argument(text, name)
            && opening(&text[blanks(sign + 1)..]).1.is_some() =>
        {
            Some(blanks(sign + 1))
        }
        next if flag && next != b'-' && sign > end => Some(sign),
        _ => None,
    }
}

/// Whether a quoted name is the first argument of a call.
fn is_argument(text: &[u8], name: &Range<usize>) -> bool {
    let before = text[..name.start].trim_ascii_end();
    let quotes = before.iter().rev().take_while(|byte| b"\\\"'`".contains(byte)).count();
    before[..before.len() - quotes].trim_ascii_end().ends_with(b"(")
}

/// Length of an unquoted value, without trailing punctuation. A closing bracket belongs to it if the value opened
/// one.
fn bare(rest: &[u8]) -> usize {
    let end = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`&;<>".contains(byte);
    let mut length = rest.iter().position(end).unwrap_or(rest.len());
    // In `a=x,b=y` the next member begins.
    for comma in memchr::memchr_iter(b',', &rest[..length]) {
        let name = rest[comma + 1..length].iter().take_while(|byte| in_name(**byte)).count();
        if name > 0 && rest.get(comma + 1 + name) == Some(&b'=') {
            length = comma;
            break;
        }
    }
    let opened = rest[..length].iter().any(|byte| b"([{".contains(byte));
    let behind: &[u8] = if opened { b",.\\" } else { b",.)]}\\" };
    let trimmed = rest[..length].iter().rev().take_while(|byte| behind.contains(byte)).count();
    length - trimmed
}

/// Handles the lines below a YAML key that are indented further: a literal block as a whole, or the values of other
/// lines.
///
/// Returns where they end.
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
            Some(colon)
                if str::from_utf8(&content[..colon]).is_ok_and(|key| beside(key) || prose(key)) =>
            {
                continue;
            }
            Some(colon) => colon + 2,
            None if !literal && content.ends_with(b":") => continue,
            None => 0,
        };
        let measures = str::from_utf8(&content[start..]).is_ok_and(super::values::is_measure);
        if start < content.len() && !(measures && colon.is_some()) {
            each(from + start..from + content.len());
        }
    }
    text.len()
}
