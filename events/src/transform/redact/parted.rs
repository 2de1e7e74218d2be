//! Finds values that follow their name without a sign between: `password 'x'` in SQL, `requirepass x` on a line of a
//! file, netrc, `setPassword("x")`.

use std::ops::Range;

use super::lists::lists;
use super::name_words::{ends_with_word, is_password};
use super::quoting::{begins_line, line_of, quoted};
use super::secret_names::Name;
use super::values;

/// The last quoted argument of a call by that name: `setPassword("x")`, `PASSWORD('x')`. A call that only reads, such
/// as `getPassword`, does not count.
pub(super) fn called(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    const READS: &[&[u8]] = &[
        b"get", b"find", b"read", b"load", b"fetch", b"lookup", b"resolve", b"has", b"is", b"list",
        b"delete", b"from",
    ];
    let called = &text[name.clone()];
    if text.get(name.end) != Some(&b'(')
        || READS.iter().any(|verb| {
            called.get(..verb.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(verb))
        })
    {
        return None;
    }
    let word = str::from_utf8(called).ok()?;
    let auth = word.ends_with("auth");
    if !is_password(word) && !ends_with_word(word) && !auth {
        return None;
    }
    let (mut last, mut count) = (None, 0);
    let mut at = name.end + 1;
    loop {
        at += text[at..].iter().take_while(|byte| b" \t\n,".contains(byte)).count();
        let Some(inside) = quoted(text, at).filter(|_| count < 16) else {
            return last.filter(|_| !auth || count > 1);
        };
        count += 1;
        at = (inside.end + 1).min(text.len());
        at += text[at..].iter().take_while(|byte| b"\"'\\".contains(byte)).count();
        last = Some(inside);
    }
}

/// The value that only blanks separate from its name: `password 'x'` in SQL, `requirepass x` on a line of a file,
/// netrc.
pub(super) fn value(
    (text, lines): (&[u8], bool),
    name: &Range<usize>,
    judged: Name,
) -> Option<Range<usize>> {
    let word = str::from_utf8(&text[name.clone()]).ok()?;
    let blanks = text[name.end..].iter().take_while(|byte| b" \t".contains(byte)).count();
    let from = name.end + blanks;
    if blanks == 0 || from >= text.len() || matches!(judged, Name::Beside | Name::Plain) {
        return None;
    }
    let header = is_header(text, name);
    if text[from..].get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"for ")) {
        // `SET PASSWORD FOR 'a'@'b' = 'x'`
        let sign = from + memchr::memchr(b'=', line_of(&text[from..]))? + 1;
        return quoted(text, sign + text[sign..].iter().take_while(|byte| **byte == b' ').count());
    }
    if let Some(at) = quoted(text, from) {
        // An HCL block and its label.
        if text.get(at.end + 1..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{")) {
            return None;
        }
        return (is_password(word) || header || lines && begins_line(text, name.start))
            .then_some(at);
    }
    unquoted((text, lines), name, judged, from)
}

/// The value at `from` that is not in quotes.
fn unquoted(
    (text, lines): (&[u8], bool),
    name: &Range<usize>,
    judged: Name,
    from: usize,
) -> Option<Range<usize>> {
    let word = str::from_utf8(&text[name.clone()]).ok()?;
    let header = is_header(text, name);
    let rest = &text[from..];
    let line = line_of(rest).trim_ascii_end();
    let line = &line[..memchr::memmem::find(line, b" #").unwrap_or(line.len())];
    let (mut from, mut line) = (from, line);
    while is_directive(word) && line.starts_with(b"--") {
        let flag = line.iter().position(u8::is_ascii_whitespace)?;
        let next = flag + line[flag..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        (from, line) = (from + next, &line[next..]);
    }
    let length = line
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || b"\"'`\\".contains(byte))
        .unwrap_or(line.len());
    let value = str::from_utf8(&line[..length]).ok()?.trim_end_matches([';', ',']);
    let alone = line[length..].trim_ascii().is_empty();
    let directive = is_directive(word);
    let file = lines || directive;
    let plain = value.bytes().all(|byte| byte.is_ascii_lowercase());
    let sure = directive || !lists().sentence.iter().any(|prose| value.eq_ignore_ascii_case(prose));
    let shown = from..from + value.len();
    let prose = value.is_empty()
        || value.starts_with(['=', '-', '(', '{', '[', '<', '|', '&', '/', '?', '!', '+', ':'])
            && value.len() < 4;
    if prose || !sure {
        return None;
    }
    let user = named_before(text, name.start);
    if directive && word.ends_with("-pass") && !alone {
        // `sentinel auth-pass mymaster x`
        let last = line.iter().rposition(u8::is_ascii_whitespace)? + 1;
        return Some(from + last..from + line.len());
    }
    let scheme = ["bearer", "basic", "token", "splunk", "apikey", "geniekey"]
        .iter()
        .any(|scheme| value.eq_ignore_ascii_case(scheme));
    if header && scheme {
        return Some(from..from + line.trim_ascii_end().len());
    }
    if judged == Name::Weak {
        return (lines && alone && values::credentials(value)).then_some(shown);
    }
    if user
        || header
        || is_sure_directive(word)
        || file
            && alone
            && begins_line(text, name.start)
            && (is_password(word) || directive || !plain)
    {
        return Some(shown);
    }
    // In the middle of a directive: `neighbor 10.0.0.1 password x`.
    (lines && alone && is_password(word) && value.bytes().any(|byte| byte.is_ascii_digit()))
        .then_some(shown)
}

/// Whether the name is behind one such as `header`, so that a header follows.
fn is_header(text: &[u8], name: &Range<usize>) -> bool {
    text[..name.start].trim_ascii_end().ends_with(b"eader")
}

/// Whether the two words before are a keyword such as `login` and a user name, as in netrc and `HAProxy`.
pub(super) fn named_before(text: &[u8], at: usize) -> bool {
    let near = &text[at.saturating_sub(128)..at];
    let mut words = near.split(u8::is_ascii_whitespace).rev().filter(|word| !word.is_empty());
    let (user, kind) = (words.next(), words.next());
    user.is_some()
        && kind.is_some_and(|kind| {
            [&b"login"[..], b"user", b"account", b"username", b"uid", b"-u"].contains(&kind)
        })
}

/// Whether a name is a directive of a configuration file, which does not occur in sentences.
pub(super) fn is_directive(word: &str) -> bool {
    lists().directive.iter().any(|directive| word.eq_ignore_ascii_case(directive))
}

/// Whether a name is a directive and not a word of any language.
fn is_sure_directive(word: &str) -> bool {
    lists().sure_directive.iter().any(|directive| word.eq_ignore_ascii_case(directive))
}
