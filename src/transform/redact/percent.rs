//! Parts of URIs without their percent-encoding, and where each byte of them stands.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use super::Redaction;

/// A part of a URI without its percent-encoding, and where each byte of it stands.
pub(super) struct Plain<'u> {
    pub(super) raw: &'u str,
    pub(super) text: Cow<'u, str>,
    /// The beginning of each byte of `text` in `raw`, and the end of `raw`; empty where they are the same.
    places: Vec<usize>,
    /// Its bytes are no UTF-8: parts of it cannot be told from each other.
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

    /// As it was written, with parts of the text replaced.
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

/// With `%41` undone; broken UTF-8 is repaired, for nothing of it is written.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    Plain::new(text, false).text
}

/// Percent-encoded, but for what need not be.
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
