//! The beginning of a file: whose generation it is.
//!
//! The fingerprint is taken over auditID, stage and both time stamps of the first readable event, not over its line,
//! which can hold a secret that a plain hash would let people guess. Lines before it that are no events do not
//! count; of a file that has none at all, the first line is hashed with the node's key.

use std::io::{self, Read};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::lines::{Cut, cut};
use super::skim::Skim;
use crate::event::{Fingerprint, Form, Key, Nanos, Piece, pieces};

/// Lines looked at in search of an event.
const LINES: usize = 16;
/// A line is held up to here, and skimmed beyond.
const HELD: usize = 4 << 20;
/// Bytes compared to see that a file still begins as it did.
pub(super) const PROBE: usize = 512;

/// The beginning of a generation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    pub(super) print: Fingerprint,
    /// Time of the first readable event.
    pub(super) time: Option<Nanos>,
    /// The first bytes as they were, up to [`PROBE`] but not beyond the first line.
    pub(super) probe: Arc<[u8]>,
}

/// Reads the head; `None` if nothing that identifies the generation has been written yet.
///
/// `closed` says that nothing more will be written, so that a file without a readable event is not waited for.
pub(super) fn read(mut source: impl Read, closed: bool, key: &Key) -> io::Result<Option<Head>> {
    let mut walk = Walk { probe: Vec::new(), first: None, lines: 0, hole: 0 };
    let mut buffer = Vec::new();
    let mut seen = 0;
    let mut skim: Option<Skim> = None;
    loop {
        let start = buffer.len();
        buffer.resize(start + (8 << 10).max(start.min(1 << 20)), 0);
        let got = read_some(&mut source, &mut buffer[start..])?;
        buffer.truncate(start + got);
        if walk.probe.len() < PROBE {
            let room = PROBE - walk.probe.len();
            walk.probe.extend_from_slice(&buffer[start..][..got.min(room)]);
        }
        if got == 0 {
            return Ok(if closed { walk.end(&buffer, key) } else { None });
        }
        let mut at = 0;
        while let Some(found) = cut(&buffer[at..], seen) {
            let (length, next, ended) = match found {
                Cut::Line(length) => (length, length + 1, true),
                Cut::Broken(length) => (length, length, false),
                Cut::Hole(length) => {
                    walk.hole += length;
                    (0, length, false)
                }
            };
            let line = &buffer[at..at + length];
            let head = match skim.take() {
                Some(mut skim) => {
                    skim.push(line);
                    walk.line(&skim.finish().0, ended, key)
                }
                None => walk.line(line, ended, key),
            };
            if head.is_some() {
                return Ok(head);
            }
            at += next;
            seen = 0;
        }
        buffer.drain(..at);
        seen = buffer.len();
        if buffer.len() > HELD || skim.is_some() {
            skim.get_or_insert_default().push(&buffer);
            buffer.clear();
            seen = 0;
        }
    }
}

/// What the lines so far have told.
struct Walk {
    probe: Vec<u8>,
    /// Keyed hash of the first line.
    first: Option<Fingerprint>,
    lines: usize,
    /// NUL bytes.
    hole: usize,
}

impl Walk {
    fn line(&mut self, line: &[u8], ended: bool, key: &Key) -> Option<Head> {
        if line.is_empty() {
            return None;
        }
        let mut found = None;
        pieces(line, ended, |piece| {
            if found.is_none() {
                found = print(&line[piece.at.range()], &piece).map(|print| (print, piece.time));
            }
        });
        self.lines += 1;
        let first = *self.first.get_or_insert_with(|| key.hash(line));
        let (print, time) = match found {
            Some(found) => found,
            None if self.lines >= LINES => (first, None),
            None => return None,
        };
        Some(Head { print, time, probe: self.probe() })
    }

    /// The file ends here, with a line that was never finished or with none.
    fn end(mut self, tail: &[u8], key: &Key) -> Option<Head> {
        let hole = self.hole;
        // A file of nothing but NULs is a loss to be told, so it needs a name.
        let nothing = || (hole > 0).then(|| key.hash(format!("{hole} NUL bytes").as_bytes()));
        self.line(tail, false, key).or_else(|| {
            Some(Head { print: self.first.or_else(nothing)?, time: None, probe: self.probe() })
        })
    }

    fn probe(&self) -> Arc<[u8]> {
        let end =
            memchr::memchr(b'\n', &self.probe).map_or(self.probe.len(), |newline| newline + 1);
        self.probe[..end].into()
    }
}

/// The fingerprint of an event, `None` for what is not enough of one.
fn print(line: &[u8], piece: &Piece) -> Option<Fingerprint> {
    let fields = &piece.fields;
    if piece.form == Form::Unreadable || (fields.audit_id.is_empty() && piece.time.is_none()) {
        return None;
    }
    let mut hash = Sha256::new();
    for span in [fields.audit_id, fields.stage, fields.received, fields.stage_time] {
        hash.update(&line[span.range()]);
        hash.update([0]);
    }
    Some(Fingerprint::cut(&hash.finalize()))
}

fn read_some(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([3; 32]);

    fn event(id: &str, body: usize) -> String {
        let body = "x".repeat(body);
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"{id}","stage":"Panic","requestObject":"{body}","stageTimestamp":"2026-11-21T06:25:22.612771Z"}}"#
        )
    }

    fn head(text: &str, closed: bool) -> Option<Head> {
        read(text.as_bytes(), closed, &KEY).unwrap()
    }

    fn print_of(text: &str) -> Fingerprint {
        head(text, true).unwrap().print
    }

    #[test]
    fn a_generation_is_known_by_its_first_event_only() {
        let one = format!("{}\n", event("a", 0));
        assert_eq!(print_of(&one), print_of(&format!("{one}{}\n", event("b", 0))));
        assert_ne!(print_of(&one), print_of(&format!("{}\n", event("b", 0))));
        // The body does not enter: what was redacted or shrunk elsewhere is the same generation.
        assert_eq!(print_of(&one), print_of(&format!("{}\n", event("a", 9))));
    }

    #[test]
    fn what_stands_before_the_first_event_does_not_matter() {
        let one = format!("{}\n", event("a", 0));
        assert_eq!(print_of(&one), print_of(&format!("\0\0\0{one}")));
        assert_eq!(print_of(&one), print_of(&format!("{{\"torn{one}")));
        assert_eq!(print_of(&one), print_of(&format!("garbage\n\n{one}")));
    }

    #[test]
    fn an_event_of_many_megabytes_is_read_in_bounded_memory() {
        assert_eq!(
            print_of(&format!("{}\n", event("a", 9 << 20))),
            print_of(&format!("{}\n", event("a", 0)))
        );
    }

    #[test]
    fn an_unfinished_line_is_waited_for_until_the_file_is_closed() {
        let whole = event("a", 0);
        assert_eq!(head("", false), None);
        assert_eq!(head("", true), None);
        assert_eq!(head(&whole, false), None);
        assert_eq!(head(&whole, true).unwrap().print, print_of(&format!("{whole}\n")));
        assert_eq!(head(&whole[..50], false), None);
        assert!(head(&whole[..50], true).is_some());
    }

    #[test]
    fn a_file_without_any_event_is_known_by_a_keyed_hash() {
        let junk = "junk\n".repeat(LINES);
        let found = head(&junk, false).unwrap();
        assert_eq!(found.print, KEY.hash(b"junk"));
        assert_eq!(head("junk\n", false), None);
        assert_eq!(print_of("junk\n"), found.print);
    }
}
