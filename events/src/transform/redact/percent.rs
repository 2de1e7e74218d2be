//! Decodes the percent-encoding of parts of URIs and remembers the place of each byte.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use super::Redaction;

/// A decoded part of a URI, with the place of each byte.
pub(super) struct Plain<'u> {
    pub(super) raw: &'u str,
    pub(super) text: Cow<'u, str>,
    /// For each byte of `text` its place in `raw`, and at the end the length of `raw`; empty if both are the same.
    places: Vec<usize>,
    /// The decoded bytes are not UTF-8, so parts of the text have no exact place.
    broken: bool,
}

impl<'u> Plain<'u> {
    /// `query` says that `+` stands for a blank.
    pub(super) fn new(raw: &'u str, query: bool) -> Self {
        let bytes = raw.as_bytes();
        if !bytes.iter().any(|byte| *byte == b'%' || query && *byte == b'+') {
            return Self { raw, text: raw.into(), places: Vec::new(), broken: false };
        }
        let (mut text, mut places, mut at) = (Vec::with_capacity(raw.len()), Vec::new(), 0);
        while let Some(byte) = bytes.get(at) {
            places.push(at);
            let hex = raw.get(at + 1..at + 3).filter(|hex| *byte == b'%' && !hex.starts_with('+'));
            if let Some(code) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                text.push(code);
                at += 3;
            } else {
                text.push(if query && *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
        places.push(raw.len());
        match String::from_utf8(text) {
            Ok(text) => Self { raw, text: text.into(), places, broken: false },
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                Self { raw, text: text.into(), places: Vec::new(), broken: true }
            }
        }
    }

    /// The part as it was written, with ranges of the text replaced.
    pub(super) fn replaced(&self, redaction: &Redaction, parts: &[Range<usize>]) -> String {
        if self.broken {
            return self.whole(redaction);
        }
        let place = |at: usize| self.places.get(at).copied().unwrap_or(at);
        let mut out = String::with_capacity(self.raw.len());
        let mut done = 0;
        for part in parts {
            out.push_str(&self.raw[done..place(part.start)]);
            out.push_str(&encode(&redaction.mode.token(&self.text.as_bytes()[part.clone()])));
            done = place(part.end);
        }
        out.push_str(&self.raw[done..]);
        out
    }

    pub(super) fn whole(&self, redaction: &Redaction) -> String {
        encode(&redaction.mode.token(self.text.as_bytes()))
    }
}

/// Decodes `%41` and the like. Invalid UTF-8 is replaced; the result is only searched, never written.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    Plain::new(text, false).text
}

/// Percent-encodes the bytes that need it.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~*:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
