//! Finds tokens (API keys) that have a form defined by their issuer. Each form is a line of `formats.txt`; to support
//! a new one, add a line there.
//!
//! Searching for a hundred forms everywhere would cost too much. Nearly every token contains a long word, of
//! [`WORD`](super::stretches::WORD) bytes or more, and most texts have few of them. Each long word is looked up by
//! its first three bytes. Where `.`, `:` or `~` joins it to words before it, the beginning of those is looked up too.

use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::literal::Extractor;

use super::vector_search::{Found, look};

/// The table; the head of the file explains the columns.
const TABLE: &str = include_str!("formats.txt");
/// The furthest distance in bytes from the beginning of a token to its long word.
const JOINED: usize = 40;
/// Bytes of a token that are matched. Longer tokens are also long runs of base64 (`base64_runs.rs`).
const LONGEST: usize = 512;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub(super) name: &'static str,
    pattern: &'static str,
    /// A text in which the pattern finds a secret.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the table reads it"))]
    goes: &'static str,
    /// A text in which the pattern finds none.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the table reads it"))]
    stays: &'static str,
}

/// The lines of the table.
fn table() -> impl Iterator<Item = Format> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        Some(Format { name: next()?, pattern: next()?, goes: next()?, stays: next()? })
    })
}

/// The table, compiled.
#[derive(Debug)]
pub(super) struct Formats {
    rows: Vec<FormatRow>,
    /// Literal prefixes, each with the index of its row, sorted.
    heads: Vec<(Vec<u8>, usize)>,
    /// For each first byte, the index of the first prefix in `heads`.
    firsts: [usize; 256],
    /// One bit for each pair of bytes: whether a prefix begins with them. One look rejects most words.
    pairs: Box<[u64; 1024]>,
    /// A Bloom-like filter: one bit per hash of the first three bytes of a prefix.
    begins: Box<[u64; 1024]>,
    /// Rows without a literal prefix; `any` is one pattern for all of them.
    joined: Vec<usize>,
    any: OnceLock<Option<Regex>>,
}

#[derive(Debug)]
struct FormatRow {
    format: Format,
    /// Compiled when its prefix is seen for the first time; most never are.
    regex: OnceLock<Option<Regex>>,
}

/// A pattern of the table does not compile.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the form `{name}` of the built-in table is no regular expression: {reason}")]
pub struct FormatError {
    name: &'static str,
    reason: String,
}

impl Formats {
    pub(super) fn new() -> Result<Self, FormatError> {
        let mut all = Self {
            rows: Vec::new(),
            heads: Vec::new(),
            firsts: [0; 256],
            pairs: Box::new([0; 1024]),
            begins: Box::new([0; 1024]),
            joined: Vec::new(),
            any: OnceLock::new(),
        };
        for (index, format) in table().enumerate() {
            let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build();
            let hir = parser
                .parse(format.pattern)
                .map_err(|error| FormatError { name: format.name, reason: error.to_string() })?;
            let mut extractor = Extractor::new();
            let prefixes = extractor.limit_class(8).limit_literal_len(12).extract(&hir);
            let prefixes = prefixes.literals().unwrap_or_default();
            if prefixes.is_empty() || prefixes.iter().any(|literal| literal.len() < 2) {
                all.joined.push(index);
            } else {
                for literal in prefixes {
                    let head = literal.as_bytes();
                    set(&mut all.pairs, pair(head[0], head[1]));
                    // After a prefix of two bytes, any third byte may follow.
                    let thirds = head.get(2).map_or(0..=u8::MAX, |third| *third..=*third);
                    for third in thirds {
                        set(&mut all.begins, hash([head[0], head[1], third]));
                    }
                    all.heads.push((head.to_vec(), index));
                }
            }
            all.rows.push(FormatRow { format, regex: OnceLock::new() });
        }
        all.heads.sort();
        for (index, (head, _)) in all.heads.iter().enumerate().rev() {
            all.firsts[head[0] as usize] = index;
        }
        Ok(all)
    }

    /// Calls `each` with the secret part of every token in a text, in the order of their long words. The text may
    /// contain JSON escapes.
    pub(super) fn tokens(&self, text: &[u8], mut each: impl FnMut(Range<usize>)) {
        look(text, |found| {
            if let Found::Word(word) = found
                && let Some(at) = self.token(text, &word)
            {
                each(at);
            }
        });
    }

    /// The secret that [`Formats::tokens`] found at a place.
    pub(super) fn at(&self, text: &[u8], at: usize) -> Option<Range<usize>> {
        let before = text[..at].iter().rev().take(LONGEST);
        let from = at - before.take_while(|byte| in_word(**byte) || is_joint(**byte)).count();
        let behind = text[at..].iter().take(LONGEST);
        let to = at + behind.take_while(|byte| in_word(**byte) || is_joint(**byte)).count();
        let mut found = None;
        self.tokens(&text[from..to], |part| {
            let part = from + part.start..from + part.end;
            if part.contains(&at) {
                found = found.take().or(Some(part));
            }
        });
        found
    }

    /// The secret of the token that a word is, or is part of.
    #[inline]
    pub(super) fn token(&self, text: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
        // This check rejects nearly all words.
        let joined = |byte: &u8| is_joint(*byte) || *byte == b'\\';
        let before = word.start.checked_sub(1).and_then(|before| text.get(before));
        if before.is_none_or(|byte| !joined(byte)) && !self.may_begin(text, word.start) {
            return None;
        }
        self.token_of(text, word)
    }

    fn token_of(&self, text: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
        let start = word.start + escape(&text[..word.start], &text[word.clone()]);
        if let Some(at) = self.begins(text, start) {
            return Some(at);
        }
        let mut first = start;
        while first > 0 && is_joint(text[first - 1]) && start - first < JOINED {
            let before = text[..first - 1].iter().rev().take(JOINED);
            let length = before.take_while(|byte| in_word(**byte)).count();
            if length == 0 {
                break;
            }
            let word = first - 1 - length..first - 1;
            let begin = word.start + escape(&text[..word.start], &text[word]);
            if begin + 1 >= first {
                // The word consists of an escape only.
                break;
            }
            first = begin;
            let found = self.begins(text, first);
            if found.is_some() {
                return found;
            }
        }
        // Names of hosts and packages have no digit.
        let digits = || text[start..word.end].iter().any(u8::is_ascii_digit);
        if first == start
            || !digits()
            || text[..start].ends_with(b"sha256:")
            || !self.any(&text[first..text.len().min(first + LONGEST)])
        {
            return None;
        }
        self.joined.iter().find_map(|row| self.fits(*row, text, first))
    }

    /// Whether any row without a literal prefix matches.
    fn any(&self, text: &[u8]) -> bool {
        let compile = || {
            let rows = self.joined.iter().filter_map(|row| self.rows.get(*row));
            let patterns: Vec<_> = rows.map(|row| format!("(?:{})", row.format.pattern)).collect();
            let pattern = format!("^(?:{})", patterns.join("|"));
            RegexBuilder::new(&pattern).unicode(false).build().ok()
        };
        // If the joint pattern did not compile, each row is tried.
        self.any.get_or_init(compile).as_ref().is_none_or(|any| any.is_match(text))
    }

    /// Whether a token with a literal prefix may begin at a place.
    #[inline]
    fn may_begin(&self, text: &[u8], at: usize) -> bool {
        let Some(head @ [first, second, _]) = text[at..].first_chunk() else { return false };
        has(&self.pairs, pair(*first, *second)) && has(&self.begins, hash(*head))
    }

    /// The secret of the token that begins at a place.
    fn begins(&self, text: &[u8], at: usize) -> Option<Range<usize>> {
        if !self.may_begin(text, at) {
            return None;
        }
        let [first, second, ..] = text[at..] else { return None };
        let near = self.heads[self.firsts[first as usize]..].iter();
        let near = near.take_while(|(head, _)| head[0] == first);
        near.filter(|(head, _)| head[1] == second && text[at..].starts_with(head))
            .find_map(|(_, row)| self.fits(*row, text, at))
    }

    /// The secret that a row's pattern matches at a place.
    fn fits(&self, row: usize, text: &[u8], at: usize) -> Option<Range<usize>> {
        let row = self.rows.get(row)?;
        let compile = || {
            let pattern = format!("^(?:{})", row.format.pattern);
            RegexBuilder::new(&pattern).unicode(false).build().ok()
        };
        let regex = row.regex.get_or_init(compile).as_ref()?;
        let near = &text[at..text.len().min(at + LONGEST)];
        let found = regex.captures(near)?;
        let whole = found.get(0)?;
        if near.get(whole.end()).is_some_and(|next| in_word(*next)) && whole.end() < LONGEST {
            // The word goes on, so it is not this token.
            return None;
        }
        let secret = if found.len() > 1 { found.get(1)? } else { whole };
        // A short word without a digit is a name.
        let digits = secret.as_bytes().iter().any(u8::is_ascii_digit);
        (digits || secret.len() > 26 && is_mixed(secret.as_bytes()))
            .then(|| at + secret.start()..at + secret.end())
    }
}

fn has(bits: &[u64; 1024], bit: usize) -> bool {
    bits[bit / 64] >> (bit % 64) & 1 == 1
}

fn set(bits: &mut [u64; 1024], bit: usize) {
    bits[bit / 64] |= 1 << (bit % 64);
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// Hashes three bytes to 16 bits.
fn hash([first, second, third]: [u8; 3]) -> usize {
    let all = u32::from_le_bytes([first, second, third, 0]);
    usize::try_from(all.wrapping_mul(0x9e37_79b1) >> 16).unwrap_or(0)
}

/// Length of the remainder of an escape at the start of a word: the `n` of `\n`, `u003d` of `\u003d`.
fn escape(before: &[u8], word: &[u8]) -> usize {
    if before.last() != Some(&b'\\') {
        0
    } else if word.first() == Some(&b'u') {
        5.min(word.len())
    } else {
        1
    }
}

fn in_word(byte: u8) -> bool {
    IN_WORD[byte as usize]
}

static IN_WORD: [bool; 256] = {
    let mut word = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        word[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        byte += 1;
    }
    word
};

/// Whether a byte joins the words of one token.
fn is_joint(byte: u8) -> bool {
    matches!(byte, b'.' | b':' | b'~')
}

/// Whether a text has digits, or letters of both cases. A word of lower-case letters is a name.
fn is_mixed(text: &[u8]) -> bool {
    let any = |is: fn(&u8) -> bool| text.iter().any(is);
    any(u8::is_ascii_digit) || any(u8::is_ascii_uppercase) && any(u8::is_ascii_lowercase)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An example character for a placeholder of the table.
    fn character(kind: char, index: usize) -> char {
        let set: &[u8] = match kind {
            '@' => b"a7Bk3XqP9zLm2VtR5wYc8NsD4hJ6fG1",
            '#' => b"a7c3e9b2d5f8046",
            '^' => b"K7QX3ZP9WM2VT5RY8N",
            '~' => b"k7qx3zp9wm2vt5ry8n",
            _ => b"7392584610",
        };
        char::from(set[(index * 7 + index / 5) % set.len()])
    }

    /// A text of the table with its placeholders filled in.
    pub(in crate::transform::redact) fn vector(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['@', '#', '^', '~', '%']) {
            out.push_str(&rest[..at]);
            let kind = rest[at..].chars().next().unwrap();
            rest = &rest[at + 1..];
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            match rest[..digits].parse::<usize>() {
                Ok(count) => out.extend((0..count).map(|index| character(kind, index))),
                Err(_) => out.push(kind),
            }
            rest = &rest[digits..];
        }
        out + rest
    }

    /// For each row: its name, a text with a secret and a text without.
    pub(in crate::transform::redact) fn vectors() -> Vec<(&'static str, String, String)> {
        table().map(|row| (row.name, vector(row.goes), vector(row.stays))).collect()
    }

    fn found(formats: &Formats, text: &str) -> Vec<String> {
        let mut all = Vec::new();
        formats.tokens(text.as_bytes(), |at| all.push(text[at].to_owned()));
        all
    }

    #[test]
    fn each_form_finds_its_token_and_leaves_what_is_none() {
        let formats = Formats::new().unwrap();
        assert_eq!(table().count(), TABLE.lines().filter(|line| !line.starts_with('#')).count());
        for (name, goes, stays) in vectors() {
            for text in [
                goes.clone(),
                format!("x={goes}&y"),
                format!("a\\n{goes}\\n"),
                format!("\"{goes}\""),
            ] {
                let found = found(&formats, &text);
                assert!(!found.is_empty(), "{name}: {text}");
                assert!(goes.contains(&found[0]) && found[0].len() > 9, "{name}: {found:?}");
            }
            assert_eq!(found(&formats, &stays), [""; 0], "{name}: {stays}");
        }
    }

    #[test]
    fn a_longer_word_is_another_one() {
        let formats = Formats::new().unwrap();
        let token = vector("npm_@36");
        assert_eq!(found(&formats, &token).len(), 1);
        assert_eq!(found(&formats, &format!("{token}x")), [""; 0]);
        assert_eq!(found(&formats, &format!("x{token}")), [""; 0]);
    }
}
