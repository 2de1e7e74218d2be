//! Caches prefilter results: users, their clients and annotations are often the same from event to event.
//!
//! The hits in such a stretch depend on its bytes alone, because it ends where a value ends. The edits of a user, in
//! an event that needs no other check, depend on them too. So the result is the same with or without the cache. A
//! cache belongs to one chain.

use std::ops::Range;

use super::hits::Hits;
use super::prefilter::{Finds, Screen};
use crate::event::{Record, Span};
use crate::transform::edit::Edits;

/// Number of stretches kept; a new one replaces the one at its place.
const PLACES: usize = 64;
/// Longest stretch that is kept, in bytes; longer ones are rare.
const LONGEST: usize = 2048;
/// The prefilter looks back at most this many bytes, so earlier text does not matter.
const BEFORE: usize = 128;

/// Buffers and cache that are kept from event to event.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) hits: Hits,
    finds: Finds,
    gone: Vec<Range<usize>>,
    stretches: Vec<CachedStretch>,
    /// The place of this event's user in the cache, and where it begins in the line.
    user: Option<(usize, usize)>,
}

#[derive(Debug, Default)]
struct CachedStretch {
    bytes: Vec<u8>,
    /// The hits, with places relative to its first byte.
    hits: Hits,
    /// The edits of the user in it, once they were computed.
    edits: Option<Vec<(Range<usize>, Vec<u8>)>>,
}

impl Scratch {
    /// Finds the hits of an event's line, except in ranges that are removed anyway.
    pub(super) fn screen(&mut self, screen: &Screen, record: &Record<'_>, edits: &Edits) {
        self.hits.clear();
        self.gone.clear();
        self.gone.extend(edits.removed());
        self.user = None;
        self.gone.extend(head(record.line).map(|end| 0..end));
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

    /// Adds the hits of a stretch, from the cache or by a search that fills it; returns its place in the cache.
    fn recall(&mut self, screen: &Screen, line: &[u8], at: Range<usize>) -> usize {
        let bytes = &line[at.clone()];
        if self.stretches.is_empty() {
            self.stretches.resize_with(PLACES, CachedStretch::default);
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

    /// Adds the edits of this event's user. `change` computes them the first time only. Returns the result of
    /// `change`.
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

/// Finds the end of the fixed beginning that the API server gives a line. No hit is possible in it. It extends to the
/// quote of the URI.
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

/// Whether all bytes fulfil a condition. The number of bytes is fixed and there is no early exit, so the compiler can
/// vectorise the loop.
fn all<const N: usize>(bytes: &[u8; N], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & is(*byte))
}

/// The place of a stretch in the cache: a hash of its length and some of its bytes.
fn place(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mix = |mixed: u64, word: &[u8; 8]| mixed.rotate_left(5) ^ u64::from_le_bytes(*word);
    let mixed = words.iter().step_by(3).fold(bytes.len() as u64, mix);
    usize::try_from(mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58).unwrap_or(0) % PLACES
}

/// The range from the user to the comma after `userAgent`.
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
