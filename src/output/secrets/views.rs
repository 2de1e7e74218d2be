//! Decoded views of a text for the search for secrets: percent-encoding, JSON escapes and HTML entities, also nested.

use std::ops::Range;

use super::odd::is_odd;

/// How many decodings are tried inside each other.
const DEPTH: usize = 2;
/// The longest HTML tag that is recognised, in bytes.
const TAG: usize = 60;

/// Named HTML entities; numeric ones are decoded as well.
const ENTITIES: [(&[u8], &str); 16] = [
    (b"amp", "&"),
    (b"lt", "<"),
    (b"gt", ">"),
    (b"quot", "\""),
    (b"apos", "'"),
    (b"nbsp", " "),
    (b"shy", ""),
    (b"plus", "+"),
    (b"sol", "/"),
    (b"equals", "="),
    (b"colon", ":"),
    (b"commat", "@"),
    (b"num", "#"),
    (b"quest", "?"),
    (b"percnt", "%"),
    (b"lowbar", "_"),
];

/// Decodes the escape at the beginning of a text: its length in bytes, and the bytes that it stands for.
type Decode = fn(&[u8]) -> Option<(usize, Vec<u8>)>;

/// A decoded text, and the range in the original text that each byte came from.
#[derive(Clone)]
pub(super) struct View {
    bytes: Vec<u8>,
    from: Vec<Range<usize>>,
    /// White space is still there, so a pattern can find the end of a word.
    pub(super) spaced: bool,
}

impl View {
    /// The original text, the text without white space and tags, and each of them decoded in every way that changes it.
    pub(super) fn all(text: &str) -> Vec<Self> {
        let bytes = text.as_bytes().to_vec();
        let from = (0..bytes.len()).map(|at| at..at + 1).collect();
        let whole = Self { bytes, from, spaced: true };
        // A page may break a line inside an escape, so the compact views are decoded as well.
        let mut all = whole.compact();
        all.push(whole);
        let mut begin = 0;
        for _ in 0..DEPTH {
            let end = all.len();
            for index in begin..end {
                for decode in [percent, json, html] {
                    let decoded = all[index].decoded(decode);
                    all.extend(decoded);
                }
            }
            begin = end;
        }
        all
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The range in the original text that a range of this view came from.
    pub(super) fn origin(&self, stretch: Range<usize>) -> Range<usize> {
        let of = self.from.get(stretch).unwrap_or_default();
        match (of.first(), of.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        }
    }

    /// The view without white space, and a second one without tags if there may be any.
    pub(super) fn compact(&self) -> Vec<Self> {
        let whole = self.kept(&nothing(&self.bytes));
        if !self.bytes.contains(&b'<') {
            return vec![whole];
        }
        let untagged = self.kept(&tags(&self.bytes));
        let untagged = untagged.kept(&nothing(&untagged.bytes));
        vec![whole, untagged]
    }

    /// The view without the marked bytes.
    fn kept(&self, left_out: &[bool]) -> Self {
        let kept =
            || left_out.iter().zip(0..).filter(|(out, _)| !**out).map(|(_, at): (_, usize)| at);
        Self {
            bytes: kept().map(|at| self.bytes[at]).collect(),
            from: kept().map(|at| self.from[at].clone()).collect(),
            spaced: false,
        }
    }

    /// The view decoded once; `None` if it contains no escape.
    fn decoded(&self, decode: Decode) -> Option<Self> {
        let (mut bytes, mut from) = (Vec::new(), Vec::new());
        let (mut at, mut any) = (0, false);
        while at < self.bytes.len() {
            if let Some((length, meaning)) = decode(&self.bytes[at..]) {
                let origin = self.origin(at..at + length);
                from.extend(std::iter::repeat_n(origin, meaning.len()));
                bytes.extend(meaning);
                (at, any) = (at + length, true);
            } else {
                bytes.push(self.bytes[at]);
                from.push(self.from[at].clone());
                at += 1;
            }
        }
        any.then_some(Self { bytes, from, spaced: self.spaced })
    }
}

/// White space and invisible characters: a page or a proxy may have put them between any two characters.
pub(super) fn is_nothing(c: char) -> bool {
    c.is_whitespace() || is_odd(c)
}

fn nothing(bytes: &[u8]) -> Vec<bool> {
    let mut out = vec![false; bytes.len()];
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        for (start, c) in chunk.valid().char_indices() {
            if is_nothing(c) {
                out[at + start..at + start + c.len_utf8()].fill(true);
            }
        }
        at += chunk.valid().len() + chunk.invalid().len();
    }
    out
}

fn tags(bytes: &[u8]) -> Vec<bool> {
    let mut out = vec![false; bytes.len()];
    for at in memchr::memchr_iter(b'<', bytes) {
        let rest = &bytes[at..bytes.len().min(at + TAG)];
        let opens =
            rest.get(1).is_some_and(|byte| byte.is_ascii_alphabetic() || b"/!".contains(byte));
        if let Some(end) = memchr::memchr2(b'<', b'>', &rest[1..])
            .map(|end| end + 1)
            .filter(|end| opens && rest[*end] == b'>')
        {
            out[at..=at + end].fill(true);
        }
    }
    out
}

fn percent(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    let [b'%', high, low, ..] = text else { return None };
    Some((3, vec![hex(&[*high, *low])?.try_into().ok()?]))
}

fn json(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    let [b'\\', kind, rest @ ..] = text else { return None };
    Some(match kind {
        b'u' => {
            let unit = hex(rest.get(..4)?)?;
            let low = rest.get(6..10).filter(|_| rest[4..].starts_with(b"\\u")).and_then(hex);
            match (unit, low) {
                (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) => {
                    (12, utf8(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?)
                }
                _ => (6, utf8(unit)?),
            }
        }
        b'x' => (4, vec![hex(rest.get(..2)?)?.try_into().ok()?]),
        b'n' | b'r' | b't' | b'b' | b'f' => (2, vec![b' ']),
        other => (2, vec![*other]),
    })
}

fn html(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    let inside = text.strip_prefix(b"&")?;
    let end = memchr::memchr(b';', &inside[..inside.len().min(10)])?;
    let name = &inside[..end];
    let number = match name {
        [b'#', b'x' | b'X', digits @ ..] => hex(digits),
        [b'#', digits @ ..] => {
            std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok())
        }
        _ => None,
    };
    let meaning = match number {
        Some(number) => utf8(number)?,
        None => ENTITIES.iter().find(|(known, _)| *known == name)?.1.as_bytes().to_vec(),
    };
    Some((end + 2, meaning))
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn utf8(code: u32) -> Option<Vec<u8>> {
    Some(char::from_u32(code)?.to_string().into_bytes())
}
