//! Finds the places that deserve a look, at the speed of memory: most events have none and are left alone.
//!
//! What this screen does not see is never blanked, so that it knows a piece of every word and shape that any other
//! file of this room acts on. What it sees too much of costs time only. Escapes can hide a word from it; they
//! are themselves a place to look at.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{AhoCorasick, BuildError, PatternID};
use memchr::memmem::Finder;

use super::confirm::confirm;
use super::formats::{FormatError, Formats};
use super::hits::Hits;
use super::patterns::{COMMANDS, LINE, OTHER_LETTERS, What};
use super::stretches::{Found, look};
use super::{groups, runs, shapes};

/// Searches for all patterns at once.
#[derive(Debug)]
pub(super) struct Screen {
    built: &'static Built,
    /// Takes every place for one that deserves a look, so that tests can tell what is missed otherwise.
    #[cfg(test)]
    pub(super) wary: bool,
}

/// The built-in searches.
#[derive(Debug)]
struct Built {
    line: Vec<Set>,
    commands: Vec<Set>,
    /// [`OTHER_LETTERS`].
    letters: AhoCorasick,
    formats: Formats,
    /// An escaped newline.
    newline: Finder<'static>,
}

/// Built once for all outputs.
static BUILT: LazyLock<Result<Built, ScreenError>> = LazyLock::new(Built::new);

/// Why there is none.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ScreenError {
    #[error(transparent)]
    Patterns(#[from] BuildError),
    #[error(transparent)]
    Formats(#[from] FormatError),
}

/// Some of the patterns.
#[derive(Debug)]
struct Set {
    patterns: groups::Set,
    /// With vector instructions, where the processor has them.
    packed: Option<Searcher>,
    plain: AhoCorasick,
}

/// Bytes looked at in one go; small enough for the nearest cache.
const CHUNK: usize = 4096;
/// A pattern that begins in one chunk ends within this.
const OVERLAP: usize = 16;

impl Built {
    fn new() -> Result<Self, ScreenError> {
        let sets = |patterns| -> Result<Vec<Set>, BuildError> {
            groups::sets(patterns).into_iter().map(Set::new).collect()
        };
        Ok(Self {
            line: sets(LINE)?,
            commands: sets(COMMANDS)?,
            letters: AhoCorasick::new(OTHER_LETTERS)?,
            formats: Formats::new()?,
            newline: Finder::new(b"\\n"),
        })
    }
}

impl Screen {
    pub(super) fn new() -> Result<Self, ScreenError> {
        Ok(Self {
            built: BUILT.as_ref().map_err(Clone::clone)?,
            #[cfg(test)]
            wary: false,
        })
    }

    /// The built-in forms of tokens.
    pub(super) fn formats(&self) -> &Formats {
        &self.built.formats
    }

    /// The hits in a text that is no line of a log: it may be a script or a file.
    pub(super) fn hits(&self, text: &[u8]) -> Hits {
        let mut hits = Hits::default();
        let mut folded = Folded::default();
        #[cfg(test)]
        self.everywhere(text, &mut hits);
        self.search(text, 0..text.len(), &mut folded, &mut hits);
        flush(&self.built.line, text, &mut folded, &mut hits);
        self.commands(text, 0..text.len(), &mut folded, &mut hits);
        hits.order();
        hits
    }

    /// Adds the hits in a line, but for stretches of it, in order, that leave it anyway or were looked at before.
    pub(super) fn hits_beside(
        &self,
        line: &[u8],
        gone: &[Range<usize>],
        folded: &mut Folded,
        hits: &mut Hits,
    ) {
        #[cfg(test)]
        self.everywhere(line, hits);
        for stretch in between(gone, line.len()) {
            self.search(line, stretch, folded, hits);
        }
        flush(&self.built.line, line, folded, hits);
        for stretch in between(gone, line.len()) {
            self.scripts(line, stretch, folded, hits);
        }
        hits.order();
    }

    /// Adds the hits in a stretch of a line.
    pub(super) fn hits_within(
        &self,
        line: &[u8],
        at: Range<usize>,
        folded: &mut Folded,
        hits: &mut Hits,
    ) {
        self.search(line, at, folded, hits);
        flush(&self.built.line, line, folded, hits);
        folded.begins.clear();
        hits.order();
    }

    /// Every place, where a test wants to see what is missed otherwise.
    #[cfg(test)]
    fn everywhere(&self, text: &[u8], hits: &mut Hits) {
        if self.wary {
            hits.structural = true;
            (0..text.len()).for_each(|at| hits.push(at, What::Escape));
        }
    }

    /// Adds the hits in a stretch; those of patterns, once what was folded is flushed.
    fn search(&self, text: &[u8], at: Range<usize>, folded: &mut Folded, hits: &mut Hits) {
        for chunk in chunks(at.clone()) {
            if folded.bytes.len() + chunk.len() > CHUNK {
                flush(&self.built.line, text, folded, hits);
            }
            folded.push(text, chunk);
        }
        let stretch = &text[at.clone()];
        let ascii = look(stretch, |found| match found {
            Found::Word(word) => {
                if let Some(token) = self.formats().token(stretch, &word) {
                    hits.push(at.start + token.start, What::Marked);
                }
            }
            Found::Run(run) => {
                if runs::is_secret(&stretch[run.clone()]) {
                    hits.push(at.start + run.start, What::Run);
                }
            }
            Found::Sign(sign) => Self::sign(text, at.start + sign, hits),
        });
        if !ascii {
            self.other_letters(text, at, hits);
        }
    }

    /// Adds the hit of a sign that a password stands beside.
    fn sign(text: &[u8], at: usize, hits: &mut Hits) {
        if text[at] == b'$' {
            if shapes::is_hash(&text[at..]) {
                hits.push(at, What::Hash);
            }
        } else if shapes::account(text, at).is_some() {
            hits.push(at, What::Account);
        }
    }

    /// Searches around what is not ASCII.
    fn other_letters(&self, text: &[u8], at: Range<usize>, hits: &mut Hits) {
        let mut from = at.start;
        while let Some(first) = not_ascii(&text[..at.end], from) {
            // A word has other letters as well, a few bytes before and behind.
            let mut end = at.end.min(first + OVERLAP);
            while let Some(last) = text[first..end].iter().rposition(|byte| !byte.is_ascii())
                && end < at.end.min(first + last + OVERLAP)
            {
                end = at.end.min(first + last + OVERLAP);
            }
            let start = first.saturating_sub(OVERLAP).max(at.start);
            for found in self.built.letters.find_iter(&text[start..end]) {
                hits.push(start + found.start(), What::Word);
            }
            from = end;
        }
    }

    /// Searches the command lines and the strings with several lines in a stretch of a line.
    fn scripts(&self, line: &[u8], at: Range<usize>, folded: &mut Folded, hits: &mut Hits) {
        let mut begins = std::mem::take(&mut folded.begins);
        begins.sort_unstable();
        let mut done = at.start;
        for begin in begins.iter().copied().filter(|begin| at.contains(begin)) {
            // An array of words, or the rest of a URI.
            let rest = &line[begin..at.end];
            let close = if rest[1..].starts_with(b"ommand=") { b'"' } else { b']' };
            let end = memchr::memchr(close, rest).map_or(at.end, |end| begin + end);
            if begin >= done {
                self.commands(line, begin..end, folded, hits);
                done = end;
            }
        }
        begins.retain(|begin| *begin >= at.end);
        folded.begins = begins;
        let mut from = at.start;
        while let Some(found) = self.built.newline.find(&line[from..at.end]) {
            let found = from + found;
            let quotes = memchr::memrchr_iter(b'"', &line[from..found]);
            let open = |quote: &usize| *quote == 0 || line[from + quote - 1] != b'\\';
            let start = quotes.take(SEARCHED).find(open).map_or(from, |quote| from + quote);
            let end = crate::event::walk::string_end(line, found + 2).unwrap_or(at.end).min(at.end);
            self.commands(line, start..end, folded, hits);
            from = end.max(found + 2);
        }
    }

    /// Adds the hits of what command lines and files have beside other texts.
    fn commands(&self, text: &[u8], at: Range<usize>, folded: &mut Folded, hits: &mut Hits) {
        for chunk in chunks(at) {
            folded.push(text, chunk);
            flush(&self.built.commands, text, folded, hits);
        }
    }
}

/// The stretches of a line between others, which are in order.
fn between(others: &[Range<usize>], end: usize) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    others.iter().cloned().chain(std::iter::once(end..end)).filter_map(move |other| {
        let stretch = from..other.start;
        from = from.max(other.end);
        (!stretch.is_empty()).then_some(stretch)
    })
}

/// The chunks of a stretch. Each ends a little behind where the next one begins.
fn chunks(at: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let starts = at.start..at.end.saturating_sub(OVERLAP).max(at.start + 1);
    starts.step_by(CHUNK - OVERLAP).map(move |start| start..at.end.min(start + CHUNK))
}

/// Searches what was folded of a text for the patterns of some sets, and forgets it.
fn flush(sets: &[Set], text: &[u8], folded: &mut Folded, hits: &mut Hits) {
    let Folded { bytes, parts, begins } = folded;
    for set in sets {
        set.search(bytes, |at, what| {
            let at = place(parts, at);
            if what == What::Commands {
                begins.push(at);
            } else if confirm(text, at, what, &mut hits.structural) {
                hits.push(at, what);
            }
        });
    }
    bytes.clear();
    parts.clear();
}

/// Where the next byte stands that is not ASCII.
fn not_ascii(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while text.get(at..at + 64).is_some_and(<[u8]>::is_ascii) {
        at += 64;
    }
    text.get(at..)?.iter().position(|byte| !byte.is_ascii()).map(|next| at + next)
}

/// Quotes before an escaped newline among which the one that opens its string is searched.
const SEARCHED: usize = 1024;

/// Stretches of a text in lower case, one behind the other: searching many short ones at once costs less. Kept from line
/// to line, so that most cost no allocation.
#[derive(Debug, Default)]
pub(super) struct Folded {
    bytes: Vec<u8>,
    /// Where each begins here and in the text.
    parts: Vec<(usize, usize)>,
    /// Where command lines begin in the text.
    begins: Vec<usize>,
}

impl Folded {
    fn push(&mut self, text: &[u8], at: Range<usize>) {
        if !self.parts.is_empty() {
            // No folded byte is 0, and so no pattern has it.
            self.bytes.push(0);
        }
        self.parts.push((self.bytes.len(), at.start));
        // One bit folds the case of letters; what it does to other bytes, it does to the patterns too.
        self.bytes.extend(text[at].iter().map(|byte| byte | 0x20));
    }
}

/// Where a folded byte stands in the text.
fn place(parts: &[(usize, usize)], at: usize) -> usize {
    let part = parts.iter().rev().find(|(start, _)| *start <= at);
    part.map_or(at, |(start, place)| place + at - start)
}

impl Set {
    fn new(patterns: groups::Set) -> Result<Self, BuildError> {
        let mut builder = Config::new()
            .match_kind(MatchKind::LeftmostFirst)
            .heuristic_pattern_limits(false)
            .builder();
        let folded: Vec<Vec<u8>> = patterns
            .iter()
            .map(|(pattern, _)| pattern.iter().map(|byte| byte | 0x20).collect())
            .collect();
        builder.extend(&folded);
        let plain = AhoCorasick::builder()
            .match_kind(aho_corasick::MatchKind::LeftmostFirst)
            .build(&folded)?;
        Ok(Self { patterns, packed: builder.build(), plain })
    }

    fn found(&self, at: usize, pattern: PatternID, each: &mut impl FnMut(usize, What)) {
        let (_, what) = self.patterns[pattern.as_usize()];
        each(at, what);
    }

    fn search(&self, folded: &[u8], mut each: impl FnMut(usize, What)) {
        match &self.packed {
            // Shorter ones are searched slowly by it.
            Some(packed) if folded.len() >= packed.minimum_len() => {
                for found in packed.find_iter(folded) {
                    self.found(found.start(), found.pattern(), &mut each);
                }
            }
            _ => {
                for found in self.plain.find_iter(folded) {
                    self.found(found.start(), found.pattern(), &mut each);
                }
            }
        }
    }
}
