//! Reads the head of a file and computes the fingerprint of its generation. The fingerprint is the same before and
//! after gzip, so the agent recognises a compressed backup by it.
//!
//! The fingerprint is the hash of auditID, stage and both time stamps of the first readable event. It is not the hash
//! of its line: a line can hold a secret, and a plain hash would let people guess it. Lines before it that are no
//! events do not count. If a file has no event at all, its first line is hashed with the node's key. A log that the agent
//! writes itself has the fingerprint in its first line (`src/own_log`).

use std::io::{self, Read};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::lines::{Cut, blank, cut, work};
use super::parts::{NextPart, Parts, join};
use super::skim::Skim;
use crate::event::{Fingerprint, Form, Key, Nanos, OddLine, Piece, plain, unwrap};
use crate::input::pulse::Pulse;
use crate::own_log::LogHeader;

/// The most lines searched for an event.
const LINES: usize = 16;
/// The most messages of the server itself, which do not count as lines: it writes many when it starts.
const MESSAGES: usize = 1024;
/// A line is kept whole up to this many bytes, and skimmed beyond.
const HELD: usize = 4 << 20;
/// Bytes compared to check that a file still has the same beginning.
pub(crate) const PROBE: usize = 512;
/// The most work that the search for the first event does: see [`work`]. If no event is found by then, the first
/// bytes of the file identify it, and it is read like any other.
pub(crate) const MOST: u64 = 64 << 20;
/// Bytes read at once.
const STEP: usize = 1 << 20;

/// The limits of a search.
pub(crate) struct HeadSearch<'a> {
    pub(crate) pulse: &'a Pulse,
    /// The most work.
    pub(crate) most: u64,
}

/// The beginning of a generation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) fingerprint: Fingerprint,
    /// Time of the first readable event.
    pub(crate) time: Option<Nanos>,
    /// The first bytes of the file, up to [`PROBE`] but not beyond the first line.
    pub(crate) probe: Arc<[u8]>,
}

/// Reads the head; `None` if the file has no complete first event yet, so it has no fingerprint.
///
/// `closed` says that nothing more will be written, so that a file without a readable event is not waited for.
pub(crate) fn read(
    mut source: impl Read,
    closed: bool,
    key: &Key,
    search: &HeadSearch<'_>,
) -> io::Result<Option<Head>> {
    let mut walk = HeadWalk::new(key);
    let mut buffer = Vec::new();
    let mut seen = 0;
    let mut read = 0;
    loop {
        search.pulse.turn()?;
        let start = buffer.len();
        // The longer the search, the more is read at once.
        let room = (8 << 10).max(start).max(usize::try_from(read).unwrap_or(STEP)).min(STEP);
        buffer.resize(start + room, 0);
        let got = read_some(&mut source, &mut buffer[start..])?;
        buffer.truncate(start + got);
        read += got as u64;
        if closed && work(read, walk.hole as u64) > search.most {
            return Ok(Some(walk.without_event()));
        }
        if walk.probe.len() < PROBE {
            let room = PROBE - walk.probe.len();
            walk.probe.extend_from_slice(&buffer[start..][..got.min(room)]);
        }
        if got == 0 {
            return Ok(if closed { walk.end(&mut buffer) } else { None });
        }
        let mut at = 0;
        loop {
            if walk.parts.is_none() && walk.skim.is_none() && seen == 0 {
                at += blank(&buffer[at..]);
            }
            let Some(found) = cut(&buffer[at + walk.held()..], seen) else { break };
            let head;
            (head, at) = walk.take(&mut buffer, at, found);
            if head.is_some() {
                return Ok(head);
            }
            seen = 0;
        }
        buffer.drain(..at);
        let waiting = walk.held();
        seen = buffer.len() - waiting;
        if seen > HELD && walk.parts.is_some() {
            if let Some(head) = walk.joined(&mut buffer[..waiting]) {
                return Ok(Some(head));
            }
            buffer.drain(..waiting);
        }
        if walk.parts.is_none() && (buffer.len() > HELD || walk.skim.is_some()) {
            walk.skim.get_or_insert_default().push(&buffer);
            buffer.clear();
            seen = 0;
        }
    }
}

/// The findings from the lines so far.
struct HeadWalk<'a> {
    key: &'a Key,
    probe: Vec<u8>,
    /// Keyed hash of the first line.
    first: Option<Fingerprint>,
    lines: usize,
    messages: usize,
    /// NUL bytes.
    hole: usize,
    /// Lines before the next one that are parts of a split line, waiting for its last part.
    parts: Option<Parts>,
    /// The beginning of the next line, if that is too long to be kept.
    skim: Option<Skim>,
}

impl<'a> HeadWalk<'a> {
    fn new(key: &'a Key) -> Self {
        let (probe, parts, skim) = (Vec::new(), None, None);
        Self { key, probe, first: None, lines: 0, messages: 0, hole: 0, parts, skim }
    }

    /// The bytes of the parts that wait for the last part of their line.
    fn held(&self) -> usize {
        self.parts.as_ref().map_or(0, |parts| parts.bytes)
    }

    /// Takes the line or the hole that was found behind the parts, which begin at `at`. Returns where to go on.
    fn take(&mut self, buffer: &mut [u8], at: usize, found: Cut) -> (Option<Head>, usize) {
        let from = at + self.held();
        match (found, self.skim.take()) {
            (Cut::Line(length), Some(mut skim)) => {
                skim.push(&buffer[at..at + length]);
                (self.line(&mut skim.finish().0, true), at + length + 1)
            }
            (Cut::Broken(length), Some(mut skim)) => {
                skim.push(&buffer[at..at + length]);
                (self.line(&mut skim.finish().0, false), at + length)
            }
            (Cut::Line(length), None) => {
                let next = self.part(&mut buffer[at..from + length], from - at);
                let done = if self.parts.is_some() { at } else { from + length + 1 };
                (next, done)
            }
            _ if self.parts.is_some() => (self.joined(&mut buffer[at..from]), from),
            (Cut::Broken(length), None) => {
                (self.line(&mut buffer[at..at + length], false), at + length)
            }
            (Cut::Hole(length), skim) => {
                self.hole += length;
                let mut kept = skim.map(|skim| skim.finish().0);
                (kept.as_mut().and_then(|kept| self.line(kept, false)), at + length)
            }
        }
    }

    /// Takes the last line of `text`; the `held` bytes before it are earlier parts of a split line.
    fn part(&mut self, text: &mut [u8], held: usize) -> Option<Head> {
        let line = &text[held..];
        match &mut self.parts {
            None => {
                self.parts = Parts::begin(line);
                if self.parts.is_some() { None } else { self.line(&mut text[held..], true) }
            }
            Some(before) => match before.next(line) {
                NextPart::More if before.bytes <= HELD => None,
                NextPart::More | NextPart::Last => self.joined(text),
                NextPart::Foreign => {
                    let found = self.joined(&mut text[..held]);
                    found.or_else(|| self.part(&mut text[held..], 0))
                }
            },
        }
    }

    /// Joins the parts of one line and takes it.
    fn joined(&mut self, text: &mut [u8]) -> Option<Head> {
        self.parts = None;
        let (joined, _) = join(text);
        self.line(&mut text[joined], true)
    }

    fn line(&mut self, line: &mut [u8], ended: bool) -> Option<Head> {
        if line.is_empty() {
            return None;
        }
        // A log of the agent's own says in its first line which generation it is.
        if self.first.is_none()
            && let Some(header) = LogHeader::parse(line)
        {
            return Some(Head { fingerprint: header.id, time: header.time(), probe: self.probe() });
        }
        let first = *self.first.get_or_insert_with(|| self.key.hash(line));
        let mut found = Vec::new();
        let mut passed = false;
        if !plain(line, |piece| found.push(piece)) {
            passed = unwrap(line, ended, |piece| found.push(piece)) == OddLine::Passed;
        }
        if passed && self.messages < MESSAGES {
            self.messages += 1;
            return None;
        }
        self.lines += 1;
        let found = found.iter().find_map(|piece| {
            fingerprint(line, piece).map(|fingerprint| (fingerprint, piece.time))
        });
        let (fingerprint, time) = match found {
            Some(found) => found,
            None if self.lines >= LINES => (first, None),
            None => return None,
        };
        Some(Head { fingerprint, time, probe: self.probe() })
    }

    /// The file ends here, with an unfinished line or none.
    fn end(mut self, rest: &mut [u8]) -> Option<Head> {
        let (hole, held) = (self.hole, self.held());
        let last = self.parts.as_mut().is_some_and(|parts| {
            held < rest.len() && !matches!(parts.next(&rest[held..]), NextPart::Foreign)
        });
        let joined = if last { rest.len() } else { held };
        let found = if joined > 0 { self.joined(&mut rest[..joined]) } else { None };
        let key = self.key;
        // A file of NUL bytes only is a loss to report, so it needs a fingerprint.
        let nothing = || (hole > 0).then(|| key.hash(format!("{hole} NUL bytes").as_bytes()));
        found.or_else(|| self.line(&mut rest[joined..], false)).or_else(|| {
            Some(Head {
                fingerprint: self.first.or_else(nothing)?,
                time: None,
                probe: self.probe(),
            })
        })
    }

    /// The search found no event: the file is identified by its beginning.
    fn without_event(&self) -> Head {
        let beginning = || self.key.hash(&[b"no event after ", &*self.probe].concat());
        let fingerprint = self.first.unwrap_or_else(beginning);
        Head { fingerprint, time: None, probe: self.probe() }
    }

    fn probe(&self) -> Arc<[u8]> {
        let end =
            memchr::memchr(b'\n', &self.probe).map_or(self.probe.len(), |newline| newline + 1);
        self.probe[..end].into()
    }
}

/// The fingerprint of an event; `None` if too few of its fields are known.
fn fingerprint(line: &[u8], piece: &Piece) -> Option<Fingerprint> {
    let fields = &piece.fields;
    let undated = fields.stage_time.is_empty() && fields.received.is_empty();
    let unnamed = fields.audit_id.is_empty() && (undated || !piece.is_event(line));
    if piece.form == Form::Unreadable || unnamed {
        return None;
    }
    let mut hash = Sha256::new();
    let text = &line[piece.at.range()];
    for span in [fields.audit_id, fields.stage, fields.received, fields.stage_time] {
        hash.update(&text[span.range()]);
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

/// A search without a limit.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_all(source: impl Read, closed: bool, key: &Key) -> io::Result<Option<Head>> {
    read(source, closed, key, &HeadSearch { pulse: &Pulse::default(), most: u64::MAX })
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
        read_all(text.as_bytes(), closed, &KEY).unwrap()
    }

    fn print_of(text: &str) -> Fingerprint {
        head(text, true).unwrap().fingerprint
    }

    #[test]
    fn a_generation_is_known_by_its_first_event_only() {
        let one = format!("{}\n", event("a", 0));
        assert_eq!(print_of(&one), print_of(&format!("{one}{}\n", event("b", 0))));
        assert_ne!(print_of(&one), print_of(&format!("{}\n", event("b", 0))));
        // The body is not part of it: an event redacted or shortened elsewhere is the same generation.
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
        assert_eq!(head(&whole, true).unwrap().fingerprint, print_of(&format!("{whole}\n")));
        assert_eq!(head(&whole[..50], false), None);
        assert!(head(&whole[..50], true).is_some());
    }

    #[test]
    fn a_file_without_any_event_is_known_by_a_keyed_hash() {
        let junk = "junk\n".repeat(LINES);
        let found = head(&junk, false).unwrap();
        assert_eq!(found.fingerprint, KEY.hash(b"junk"));
        assert_eq!(head("junk\n", false), None);
        assert_eq!(print_of("junk\n"), found.fingerprint);
    }
}
