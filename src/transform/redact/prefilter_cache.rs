//! Users, their clients and annotations are the same in one event after the other: what was seen of them is kept.
//!
//! What the screen sees in such a stretch follows from its bytes alone, for it ends where a value does, and so does what
//! becomes of a user in an event that needs no other look. So the result is the same with or without this. Kept
//! for one chain.

use std::ops::Range;

use super::hits::Hits;
use super::prefilter::{Finds, Screen};
use crate::event::{Record, Span};
use crate::transform::edit::Edits;

/// Stretches that are kept; a new one takes the place of another.
const PLACES: usize = 64;
/// Longer ones are rare, and not kept.
const LONGEST: usize = 2048;
/// The screen looks no further back, so that what stands before does not matter.
const BEFORE: usize = 128;

/// What is kept from event to event.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) hits: Hits,
    finds: Finds,
    gone: Vec<Range<usize>>,
    stretches: Vec<Stretch>,
    /// Where the user of this event is kept, and where it begins.
    user: Option<(usize, usize)>,
}

#[derive(Debug, Default)]
struct Stretch {
    bytes: Vec<u8>,
    /// From its first byte on.
    hits: Hits,
    /// What becomes of the user in it, if that was asked for.
    edits: Option<Vec<(Range<usize>, Vec<u8>)>>,
}

impl Scratch {
    /// Finds the hits of an event's line, but for stretches of it that leave it anyway.
    pub(super) fn screen(&mut self, screen: &Screen, record: &Record<'_>, edits: &Edits) {
        self.hits.clear();
        self.gone.clear();
        self.gone.extend(edits.removed());
        self.user = None;
        self.gone.extend(head(record.line).map(|end| 0..end));
        self.gone.extend(times(record));
        let (user, annotations) = (user(record), annotations(record));
        if let Some(at) = &user {
            self.user = Some((self.recall(screen, record.line, at.clone()), at.start));
        }
        if let Some(at) = annotations {
            self.recall(screen, record.line, at);
        }
        self.gone.sort_unstable_by_key(|at| at.start);
        screen.hits_beside(record.line, &self.gone, &mut self.finds, &mut self.hits);
    }

    /// Adds the hits of a stretch that is kept, or will be; answers its place.
    fn recall(&mut self, screen: &Screen, line: &[u8], at: Range<usize>) -> usize {
        let bytes = &line[at.clone()];
        if self.stretches.is_empty() {
            self.stretches.resize_with(PLACES, Stretch::default);
        }
        let place = place(bytes);
        let kept = &mut self.stretches[place];
        if kept.bytes != bytes {
            kept.bytes.clear();
            kept.bytes.extend_from_slice(bytes);
            kept.edits = None;
            kept.hits.clear();
            screen.hits_within(line, at.clone(), &mut self.finds, &mut kept.hits);
            kept.hits.back(at.start);
        }
        self.hits.extend(at.start, &kept.hits);
        self.gone.push(at);
        place
    }

    /// What becomes of the user of this event: `change` is asked the first time only. Answers what it does.
    pub(super) fn user(
        &mut self,
        edits: &mut Edits,
        change: impl FnOnce(&Hits, &mut Edits) -> bool,
    ) -> bool {
        let Some((place, start)) = self.user else { return change(&self.hits, edits) };
        let kept = &mut self.stretches[place];
        if let Some(known) = &kept.edits {
            for (at, with) in known {
                edits.replace(start + at.start..start + at.end, with);
            }
            return true;
        }
        let before = edits.len();
        let done = change(&self.hits, edits);
        let within = |at: &Range<usize>| at.start >= start && at.end <= start + kept.bytes.len();
        if done && edits.since(before).all(|(at, _)| within(&at)) {
            let new = edits.since(before);
            let new = new.map(|(at, with)| (at.start - start..at.end - start, with.to_vec()));
            kept.edits = Some(new.collect());
        }
        done
    }
}

/// Where the beginning of a line ends in which nothing can be seen, as the server writes it: all up to the URI's quote.
fn head(line: &[u8]) -> Option<usize> {
    const LEVELS: [&[u8]; 3] = [b"Metadata\"", b"RequestResponse\"", b"Request\""];
    const STAGES: [&[u8]; 4] =
        [b"RequestReceived\"", b"ResponseComplete\"", b"ResponseStarted\"", b"Panic\""];
    let one_of = |words: &[&[u8]], rest: &[u8]| {
        words.iter().find(|word| rest.starts_with(word)).map(|word| word.len())
    };
    let rest = line.strip_prefix(br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":""#)?;
    let rest = rest[one_of(&LEVELS, rest)?..].strip_prefix(br#","auditID":""#)?;
    let (id, rest) = rest.split_first_chunk::<36>()?;
    let rest = rest.strip_prefix(br#"","stage":""#)?;
    let rest = rest[one_of(&STAGES, rest)?..].strip_prefix(br#","requestURI":"#)?;
    all(id, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
        .then_some(line.len() - rest.len())
}

/// Both times and what is around them, as the server writes it, up to the quote behind.
fn times(record: &Record<'_>) -> Option<Range<usize>> {
    const BEFORE: &[u8] = br#""requestReceivedTimestamp":""#;
    const BETWEEN: &[u8] = br#"","stageTimestamp":""#;
    /// Bytes of a `metav1.MicroTime` (`micro_time.go` of apimachinery): `2026-11-21T07:32:22.085199Z`.
    const TIME: usize = 27;
    let fields = &record.event.fields;
    let (received, stage) = (fields.received.range(), fields.stage_time.range());
    let start = received.start.checked_sub(BEFORE.len())?;
    let time = |at: Range<usize>| {
        let time: Option<&[u8; TIME]> = record.line[at].as_array();
        time.is_some_and(|time| {
            all(time, |byte| matches!(byte, b'0'..=b':' | b'-' | b'.' | b'T' | b'Z'))
        })
    };
    let plain = record.line[start..].starts_with(BEFORE)
        && record.line.get(received.end..stage.start) == Some(BETWEEN);
    (plain && time(received) && time(stage.clone())).then_some(start..stage.end + 1)
}

/// Whether all bytes are of a kind. Their number is known and there is no way out in between, so that compilers look at
/// many at once.
fn all<const N: usize>(bytes: &[u8; N], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & is(*byte))
}

/// Where a stretch is kept, by its length and some of its bytes.
fn place(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mix = |mixed: u64, word: &[u8; 8]| {
        (mixed.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let mixed = words.iter().step_by(3).fold(bytes.len() as u64, mix);
    usize::try_from(mixed >> 58).unwrap_or(0) % PLACES
}

/// The user and what stands behind it up to the comma behind the client's name.
fn user(record: &Record<'_>) -> Option<Range<usize>> {
    let fields = &record.event.fields;
    let (user, agent) = (fields.user.range(), fields.user_agent.range());
    if user.is_empty() || agent.is_empty() || agent.start < user.end {
        return None;
    }
    let at = user.start..agent.end + 2;
    let apart = |other: Span| other.is_empty() || !at.contains(&(other.start as usize));
    let bodies = [fields.request_object, fields.response_object, fields.annotations];
    let other = fields.impersonated_user;
    let whole = record.line.get(at.end - 1) == Some(&b',')
        && bodies.into_iter().all(apart)
        && (other.is_empty() || !apart(other));
    (whole && short(&at)).then_some(at)
}

fn annotations(record: &Record<'_>) -> Option<Range<usize>> {
    let fields = &record.event.fields;
    let at = fields.annotations.range();
    let apart = |other: Span| other.is_empty() || !at.contains(&(other.start as usize));
    let others = [fields.user, fields.request_object, fields.response_object];
    (short(&at) && others.into_iter().all(apart)).then_some(at)
}

fn short(at: &Range<usize>) -> bool {
    at.start >= BEFORE && (1..LONGEST).contains(&at.len())
}
