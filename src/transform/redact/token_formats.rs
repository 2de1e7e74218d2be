//! Finds tokens that their issuers give a form of their own. The forms are the lines of `formats.txt`: a new one needs one
//! more line there, and nothing else.
//!
//! Searching for a hundred forms everywhere would cost too much. Nearly every token has a long word, of
//! [`WORD`](super::stretches::WORD) bytes or more, and most text has few of them: each is looked up by its first three bytes.
//! Where `.`, `:` or `~` joins a word to others before it, the beginning of those is looked up too.

use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::literal::Extractor;

use super::vector_search::{Found, look};

/// The table; its head says what the columns are.
const TABLE: &str = include_str!("formats.txt");
/// How far before such a word its token can begin.
const JOINED: usize = 40;
/// Bytes of a token that are looked at. Longer ones are long runs of base64 as well (`base64_runs.rs`).
const LONGEST: usize = 512;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub(super) name: &'static str,
    pattern: &'static str,
    /// A text in which it finds a secret.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the table reads it"))]
    goes: &'static str,
    /// A text in which it finds none.
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

/// The table, ready for use.
#[derive(Debug)]
pub(super) struct Formats {
    rows: Vec<Row>,
    /// Literal beginnings and the row of each, in order.
    heads: Vec<(Vec<u8>, usize)>,
    /// Where those with each first byte begin.
    firsts: [usize; 256],
    /// A bit for each hash of the first three bytes of a head, so that most words are dealt with by one look.
    begins: Box<[u64; 1024]>,
    /// Rows without a literal beginning, and a pattern for all of them at once.
    joined: Vec<usize>,
    any: OnceLock<Option<Regex>>,
}

#[derive(Debug)]
struct Row {
    format: Format,
    /// Compiled when its head is seen for the first time: most never are.
    regex: OnceLock<Option<Regex>>,
}

/// A pattern of the table that is none.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the form `{name}` of the built-in table is no regular expression: {reason}")]
pub(crate) struct FormatError {
    name: &'static str,
    reason: String,
}

impl Formats {
    pub(super) fn new() -> Result<Self, FormatError> {
        let mut all = Self {
            rows: Vec::new(),
            heads: Vec::new(),
            firsts: [0; 256],
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
                    // Of a head of two bytes any third may follow.
                    let thirds = head.get(2).map_or(0..=u8::MAX, |third| *third..=*third);
                    for third in thirds {
                        let bit = hash([head[0], head[1], third]);
                        all.begins[bit / 64] |= 1 << (bit % 64);
                    }
                    all.heads.push((head.to_vec(), index));
                }
            }
            all.rows.push(Row { format, regex: OnceLock::new() });
        }
        all.heads.sort();
        for (index, (head, _)) in all.heads.iter().enumerate().rev() {
            all.firsts[head[0] as usize] = index;
        }
        Ok(all)
    }

    /// Hands out the secrets of tokens in a text, in the order in which their words begin. JSON may escape the text.
    pub(super) fn tokens(&self, text: &[u8], mut each: impl FnMut(Range<usize>)) {
        look(text, |found| {
            if let Found::Word(word) = found
                && let Some(at) = self.token(text, &word)
            {
                each(at);
            }
        });
    }

    /// The secret that stands at a place where [`Formats::tokens`] found one.
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
        // Nearly all are dealt with by this.
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
                // An escape is all that stands there.
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

    /// Whether a row without a literal beginning fits.
    fn any(&self, text: &[u8]) -> bool {
        let compile = || {
            let rows = self.joined.iter().filter_map(|row| self.rows.get(*row));
            let patterns: Vec<_> = rows.map(|row| format!("(?:{})", row.format.pattern)).collect();
            let pattern = format!("^(?:{})", patterns.join("|"));
            RegexBuilder::new(&pattern).unicode(false).build().ok()
        };
        // Without it each row is tried.
        self.any.get_or_init(compile).as_ref().is_none_or(|any| any.is_match(text))
    }

    /// Whether a token with a literal beginning may begin at a place.
    #[inline]
    fn may_begin(&self, text: &[u8], at: usize) -> bool {
        let Some(head) = text[at..].first_chunk() else { return false };
        let bit = hash(*head);
        self.begins[bit / 64] >> (bit % 64) & 1 == 1
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

    /// What a row finds at a place.
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
            // A longer word is another one.
            return None;
        }
        let secret = if found.len() > 1 { found.get(1)? } else { whole };
        // Short ones are names if they have no digit.
        let digits = secret.as_bytes().iter().any(u8::is_ascii_digit);
        (digits || secret.len() > 26 && is_mixed(secret.as_bytes()))
            .then(|| at + secret.start()..at + secret.end())
    }
}

/// Spreads three bytes over 16 bits.
fn hash([first, second, third]: [u8; 3]) -> usize {
    let all = u32::from_le_bytes([first, second, third, 0]);
    usize::try_from(all.wrapping_mul(0x9e37_79b1) >> 16).unwrap_or(0)
}

/// Length of the rest of an escape that a word begins with: the `n` of `\n`, `u003d` of `\u003d`.
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

/// What joins the words of one token.
fn is_joint(byte: u8) -> bool {
    matches!(byte, b'.' | b':' | b'~')
}

/// Whether a text has digits, or letters of both cases: a word of small letters is a name.
fn is_mixed(text: &[u8]) -> bool {
    let any = |is: fn(&u8) -> bool| text.iter().any(is);
    any(u8::is_ascii_digit) || any(u8::is_ascii_uppercase) && any(u8::is_ascii_lowercase)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What stands for one character of a kind.
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

    /// A text of the table with characters in place of what stands for them.
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

    /// Name, a text that goes and one that stays, of each row.
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
