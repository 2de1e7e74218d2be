//! Markers: secrets that the test plants, and the search for them in any encoding.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// One planted secret: which row of the reference's table it stands for, how it got into the log, and which texts must
/// not be found.
pub(super) struct Row {
    pub(super) place: &'static str,
    pub(super) how: &'static str,
    markers: Vec<String>,
}

/// All planted secrets.
#[derive(Default)]
pub(super) struct Planted {
    pub(super) rows: Vec<Row>,
}

impl Planted {
    /// Adds a row with a marker of its own, and inserts the marker into a text: `§M` becomes the marker, `§B` its
    /// base64, `§L` a long run of base64 that contains it, `§J` a JSON Web Token, `§U` the marker in escapes.
    pub(super) fn plant(&mut self, place: &'static str, how: &'static str, text: &str) -> String {
        assert!(!self.rows.iter().any(|row| row.how == how), "two rows are called {how}");
        let marker = marker(how);
        let jwt = format!(
            "eyJhbGciOiJSUzI1NiJ9.{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{marker}"}}"#)),
            BASE64_URL_SAFE_NO_PAD.encode(&marker)
        );
        let long = format!("some bytes before and {marker} and more behind, 0123456789");
        let escaped: Vec<_> = marker.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        let planted = text
            .replace("§M", &marker)
            .replace("§B", &BASE64_STANDARD.encode(&marker))
            .replace("§L", &BASE64_STANDARD.encode(long))
            .replace("§J", &jwt)
            .replace("§U", &escaped.concat());
        self.made(place, how, marker);
        planted
    }

    /// Adds a secret that the test did not choose, such as a token that the server made.
    pub(super) fn made(&mut self, place: &'static str, how: &'static str, marker: String) {
        assert!(marker.len() >= 12, "{how}: {marker} may be found by chance");
        self.rows.push(Row { place, how, markers: vec![marker] });
    }

    pub(super) fn finder(&self) -> Finder<'_> {
        let mut forms = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            for once in row.markers.iter().flat_map(|marker| self::forms(marker)) {
                // A token in a Secret is base64-encoded twice.
                forms.extend(self::forms(&once).into_iter().map(|form| (form, number)));
            }
        }
        let (patterns, rows): (Vec<_>, Vec<_>) = forms.into_iter().unzip();
        Finder { rows: &self.rows, search: AhoCorasick::new(patterns).unwrap(), row: rows }
    }
}

/// The marker of a row: fourteen letters and digits, different for each row. It is no word and has no known shape of a
/// secret, and it is valid as the name of an object.
fn marker(how: &str) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let hash = Sha256::digest(how.as_bytes());
    let letters = hash.iter().take(12).map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    "q7".chars().chain(letters).collect()
}

/// The marker as it is, and its base64 at each of the three offsets within a group of four characters, without those
/// characters that depend on neighbouring bytes.
fn forms(marker: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([marker.to_owned()]);
    for shift in 0..3 {
        let padded = [vec![b'x'; shift], marker.as_bytes().to_vec()].concat();
        for engine in [&BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE_NO_PAD] {
            let text = engine.encode(&padded);
            let to = text.len() - usize::from(!padded.len().is_multiple_of(3));
            forms.insert(text[[0, 2, 3][shift]..to].to_owned());
        }
    }
    forms
}

/// Searches for all markers at once.
pub(super) struct Finder<'a> {
    rows: &'a [Row],
    search: AhoCorasick,
    /// The row of each pattern.
    row: Vec<usize>,
}

impl Finder<'_> {
    /// The rows of which a marker was found, each with the text around it.
    pub(super) fn find(&self, bytes: &[u8]) -> Vec<(&Row, String)> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for form in [bytes, &undone(bytes)] {
            for hit in self.search.find_iter(form) {
                let number = self.row[hit.pattern().as_usize()];
                if seen.insert(number) {
                    let around = hit.start().saturating_sub(150)..(hit.end() + 60).min(form.len());
                    let around = String::from_utf8_lossy(&form[around]).into_owned();
                    found.push((&self.rows[number], around));
                }
            }
        }
        found
    }
}

/// Decodes `\u0041`, however many backslashes precede it, and `%41`, also where one is nested in the other.
fn undone(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..3 {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = &bytes[..];
        while let Some((first, tail)) = rest.split_first() {
            let number = match first {
                b'\\' if tail.starts_with(b"u") => number(tail, 1..5),
                b'%' => number(tail, 0..2),
                _ => None,
            };
            if let Some((byte, length)) = number {
                while *first == b'\\' && out.last() == Some(&b'\\') {
                    out.pop();
                }
                out.push(byte);
                rest = &tail[length..];
            } else {
                out.push(*first);
                rest = tail;
            }
        }
        bytes = out;
    }
    bytes
}

/// The ASCII character with the hexadecimal code at `at`, and the index after its digits.
fn number(text: &[u8], at: std::ops::Range<usize>) -> Option<(u8, usize)> {
    let digits = str::from_utf8(text.get(at.clone())?).ok()?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    byte.is_ascii().then_some((byte, at.end))
}
