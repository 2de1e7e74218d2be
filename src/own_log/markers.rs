//! The lines that the agent adds to an own log: the header, commit lines, and digests carried from a removed file.
//!
//! Each begins with [`MARKER`]. The line of an event begins with `{`, so no client can forge such a line.
//!
//! ```text
//! #auditrail log {"id":"6d0c…","sequence":7,"group":12,"created":"2026-11-27T21:18:22.1Z"}
//! {"kind":"Event", …}
//! #auditrail commit 1c291ca3 {"digest":"9b2f…","group":12,"events":1,"bytes":734,"sender":"127.0.0.1","received":"…"}
//! ```

use serde::{Deserialize, Serialize};

use crate::event::{Fingerprint, Nanos, rfc3339};

/// Begins every line that the agent adds.
const MARKER: &[u8] = b"#auditrail ";
const HEADER: &str = "#auditrail log ";
const COMMIT: &str = "#auditrail commit ";
const CARRIED: &str = "#auditrail digests ";

/// Whether a line is one that the agent added to its own log.
pub(crate) fn is_marker(line: &[u8]) -> bool {
    line.starts_with(MARKER)
}

/// The first line of a file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct LogHeader {
    /// Random; the fingerprint of the generation.
    pub(crate) id: Fingerprint,
    /// The number in the file's name once it is rotated.
    pub(crate) sequence: u64,
    /// The first group of commits in the file ([`Commit::group`]); 0 for a body in a file of its own.
    pub(super) group: u64,
    /// RFC 3339.
    pub(crate) created: String,
}

/// What a commit line says of a body.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Commit {
    /// Keyed hash of the body as it was sent.
    pub(super) digest: Fingerprint,
    /// Bodies with one number were made durable by one fsync. A number is used only when the one before is durable.
    pub(super) group: u64,
    /// Lines before this one, back to the last marker.
    pub(super) events: u64,
    /// Length of the body as it was sent.
    pub(super) bytes: u64,
    /// Name of the client's certificate, or its address.
    pub(super) sender: String,
    /// RFC 3339.
    pub(super) received: String,
}

/// A digest of a body in a file that was removed, and the second at which the body was received.
pub(super) type CarriedDigest = (Fingerprint, i64);

/// A line that the agent added.
#[derive(Debug)]
pub(super) enum MarkerLine {
    Header(LogHeader),
    Commit(Commit),
    Carried(Vec<CarriedDigest>),
}

impl LogHeader {
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line.strip_prefix(HEADER.as_bytes())?).ok()
    }

    /// When the file was begun.
    pub(crate) fn time(&self) -> Option<Nanos> {
        rfc3339(self.created.as_bytes())
    }

    pub(super) fn line(&self) -> Vec<u8> {
        format!("{HEADER}{}\n", json(self)).into_bytes()
    }
}

impl Commit {
    /// The line. `lines` is the checksum of the lines that it commits.
    pub(super) fn line(&self, lines: &crc32fast::Hasher) -> Vec<u8> {
        checked(COMMIT, &json(self), lines)
    }

    /// The second at which the body was received.
    pub(super) fn second(&self) -> i64 {
        rfc3339(self.received.as_bytes()).unwrap_or_default() / 1_000_000_000
    }
}

/// A line with the digests of a file that is about to be removed.
pub(super) fn carried(digests: &[CarriedDigest]) -> Vec<u8> {
    checked(CARRIED, &json(&digests), &crc32fast::Hasher::new())
}

impl MarkerLine {
    /// Reads a line, newline included. `lines` is the checksum of the lines since the last marker. `None` if it does
    /// not hold.
    pub(super) fn parse(line: &[u8], lines: &crc32fast::Hasher) -> Option<Self> {
        let line = line.strip_suffix(b"\n")?;
        if let Some(header) = LogHeader::parse(line) {
            return Some(Self::Header(header));
        }
        if let Some(commit) = line.strip_prefix(COMMIT.as_bytes()) {
            return Some(Self::Commit(serde_json::from_slice(content(commit, lines)?).ok()?));
        }
        let digests = content(line.strip_prefix(CARRIED.as_bytes())?, &crc32fast::Hasher::new());
        Some(Self::Carried(serde_json::from_slice(digests?).ok()?))
    }
}

fn json(value: &impl Serialize) -> String {
    // Strings, numbers and lists of them: this does not fail.
    serde_json::to_string(value).unwrap_or_default()
}

fn checked(marker: &str, text: &str, lines: &crc32fast::Hasher) -> Vec<u8> {
    let mut sum = lines.clone();
    sum.update(text.as_bytes());
    format!("{marker}{:08x} {text}\n", sum.finalize()).into_bytes()
}

/// The text behind a checksum that is right.
fn content<'a>(rest: &'a [u8], lines: &crc32fast::Hasher) -> Option<&'a [u8]> {
    let (sum, text) = rest.split_at_checked(8)?;
    let text = text.strip_prefix(b" ")?;
    let expected = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    let mut sum = lines.clone();
    sum.update(text);
    (sum.finalize() == expected).then_some(text)
}
