//! Prefilter: scans a line at memory speed for places that may hold a secret. Most events have none and are left
//! alone.
//!
//! Redaction never finds a secret that the prefilter misses. So the prefilter searches for a piece of every word and
//! shape that any other file of this module acts on. A false positive costs only time. Escapes can hide a word from
//! it, so an escape is itself a hit.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, BuildError};
use memchr::memmem::Finder;

use super::confirm::confirm;
use super::hits::Hits;
#[cfg(test)]
use super::hits::Reach;
use super::patterns::{OTHER_LETTERS, What};
use super::search::PatternSearch;
use super::stretches::BLOCK;
use super::token_formats::{FormatError, Formats};
use super::vector_search::{Found, SearchState, candidates};
use super::{base64_runs, secret_shapes};

/// The prefilter: searches for all patterns at once.
#[derive(Debug)]
pub(super) struct Screen {
    built: &'static Built,
    /// Treats every place as a hit, so that tests can find what the prefilter misses otherwise.
    #[cfg(test)]
    pub(super) wary: bool,
}

/// The built-in searches.
#[derive(Debug)]
struct Built {
    line: PatternSearch,
    commands: PatternSearch,
    /// Automaton for [`OTHER_LETTERS`].
    letters: AhoCorasick,
    formats: Formats,
    /// An escaped newline.
    newline: Finder<'static>,
}

/// Built once for all outputs.
static BUILT: LazyLock<Result<Built, ScreenError>> = LazyLock::new(Built::new);

/// Why the prefilter could not be built.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScreenError {
    #[error(transparent)]
    Patterns(#[from] BuildError),
    #[error(transparent)]
    Formats(#[from] FormatError),
}

/// Bytes searched in one go, small enough for the first-level cache.
const CHUNK: usize = 64 * BLOCK;
/// In a word with non-ASCII letters, the first and the last of them are within this many bytes of its ends, and each
/// is within this many bytes of the next.
const NEAR: usize = 16;

impl Built {
    fn new() -> Result<Self, ScreenError> {
        Ok(Self {
            line: PatternSearch::line(),
            commands: PatternSearch::commands(),
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

    /// The hits in a text that is not a line of the log; it may be a script or a file.
    pub(super) fn hits(&self, text: &[u8]) -> Hits {
        let mut hits = Hits::default();
        let mut finds = Finds::default();
        #[cfg(test)]
        self.everywhere(text, &mut hits);
        self.search(text, 0..text.len(), &mut finds, &mut hits);
        self.commands(text, 0..text.len(), &mut finds, &mut hits);
        hits.order();
        hits
    }

    /// Adds the hits in a line, except in the ranges `gone` (in order), which are removed anyway or were searched
    /// before.
    pub(super) fn hits_beside(
        &self,
        line: &[u8],
        gone: &[Range<usize>],
        finds: &mut Finds,
        hits: &mut Hits,
    ) {
        #[cfg(test)]
        self.everywhere(line, hits);
        for stretch in between(gone, line.len()) {
            if line[stretch.clone()].iter().all(|byte| b"{}[],:\" ".contains(byte)) {
                // Nearly always the last bracket of the line.
                continue;
            }
            let escapes = self.search(line, stretch.clone(), finds, hits);
            self.argument_lists(line, stretch.clone(), finds, hits);
            if escapes {
                self.scripts(line, stretch, finds, hits);
            }
        }
        hits.order();
    }

    /// Adds the hits in a range of a line.
    pub(super) fn hits_within(
        &self,
        line: &[u8],
        at: Range<usize>,
        finds: &mut Finds,
        hits: &mut Hits,
    ) {
        self.search(line, at, finds, hits);
        finds.begins.clear();
        hits.order();
    }

    /// Adds every place as a hit, where a test asks for it.
    #[cfg(test)]
    fn everywhere(&self, text: &[u8], hits: &mut Hits) {
        if self.wary {
            hits.reach = Reach::Everywhere;
            (0..text.len()).for_each(|at| hits.push(at, What::Escape));
        }
    }

    /// Adds the hits in a range, and notes where command lines begin. Returns whether there is a backslash.
    fn search(&self, text: &[u8], at: Range<usize>, finds: &mut Finds, hits: &mut Hits) -> bool {
        let Finds { found, begins } = finds;
        let line = &self.built.line;
        let mut state = SearchState::default();
        let mut from = at.start;
        while from < at.end {
            let to = at.end.min(from + CHUNK);
            state.sweep(text, from..to, &line.tables, found);
            if to == at.end {
                state.end(to, found);
            }
            for found in found.drain(..) {
                match found {
                    Found::Word(word) => {
                        if let Some(token) = self.formats().token(
                            &text[at.start..at.end],
                            &(word.start - at.start..word.end - at.start),
                        ) {
                            hits.push(at.start + token.start, What::Marked);
                        }
                    }
                    Found::Run(run) => {
                        if base64_runs::is_secret(&text[run.clone()]) {
                            hits.push(run.start, What::Run);
                        }
                    }
                    Found::Sign(sign) => Self::sign(text, sign, hits),
                    Found::Maybe(place) => {
                        line.at(text, &at, place, |place, what| {
                            if what == What::Commands {
                                begins.push(place);
                            } else if confirm(text, place, what, &mut hits.reach) {
                                hits.push(place, what);
                            }
                        });
                    }
                }
            }
            from = to;
        }
        if state.other_letters {
            self.other_letters(text, at, hits);
        }
        state.escapes
    }

    /// Adds the hit for an `@` or `$` with a password beside it.
    fn sign(text: &[u8], at: usize, hits: &mut Hits) {
        if text[at] == b'$' {
            if secret_shapes::is_hash(&text[at..]) {
                hits.push(at, What::Hash);
            }
        } else if secret_shapes::account(text, at).is_some() {
            hits.push(at, What::Account);
        }
    }

    /// Searches around bytes that are not ASCII.
    fn other_letters(&self, text: &[u8], at: Range<usize>, hits: &mut Hits) {
        let mut from = at.start;
        while let Some(first) = not_ascii(&text[..at.end], from) {
            // The word may have other letters as well, a few bytes before and after.
            let mut end = at.end.min(first + NEAR);
            while let Some(last) = text[first..end].iter().rposition(|byte| !byte.is_ascii())
                && end < at.end.min(first + last + NEAR)
            {
                end = at.end.min(first + last + NEAR);
            }
            let start = first.saturating_sub(NEAR).max(at.start);
            for found in self.built.letters.find_iter(&text[start..end]) {
                hits.push(start + found.start(), What::Word);
            }
            from = end;
        }
    }

    /// Searches the command lines whose beginnings were noted, in a range of a line.
    fn argument_lists(&self, line: &[u8], at: Range<usize>, finds: &mut Finds, hits: &mut Hits) {
        let mut begins = std::mem::take(&mut finds.begins);
        begins.sort_unstable();
        let mut done = at.start;
        for begin in begins.iter().copied() {
            // An array of words, or the rest of a URI.
            let rest = &line[begin..at.end];
            let close = if rest[1..].starts_with(b"ommand=") { b'"' } else { b']' };
            let end = memchr::memchr(close, rest).map_or(at.end, |end| begin + end);
            if begin >= done {
                self.commands(line, begin..end, finds, hits);
                done = end;
            }
        }
        begins.clear();
        finds.begins = begins;
    }

    /// Searches the strings with several lines in a range.
    fn scripts(&self, line: &[u8], at: Range<usize>, finds: &mut Finds, hits: &mut Hits) {
        let mut from = at.start;
        while let Some(found) = self.built.newline.find(&line[from..at.end]) {
            let found = from + found;
            let quotes = memchr::memrchr_iter(b'"', &line[from..found]);
            let open = |quote: &usize| *quote == 0 || line[from + quote - 1] != b'\\';
            let start = quotes.take(SEARCHED).find(open).map_or(from, |quote| from + quote);
            let end = crate::json::string_end(line, found + 2).unwrap_or(at.end).min(at.end);
            self.commands(line, start..end, finds, hits);
            from = end.max(found + 2);
        }
    }

    /// Adds the hits for patterns that only command lines and files need.
    fn commands(&self, text: &[u8], at: Range<usize>, finds: &mut Finds, hits: &mut Hits) {
        let commands = &self.built.commands;
        candidates(text, at.clone(), &commands.tables, &mut finds.found);
        for found in finds.found.drain(..) {
            if let Found::Maybe(place) = found {
                commands.at(text, &at, place, |place, what| {
                    if confirm(text, place, what, &mut hits.reach) {
                        hits.push(place, what);
                    }
                });
            }
        }
    }
}

/// The ranges of a line between other ranges, which are in order.
fn between(others: &[Range<usize>], end: usize) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    others.iter().cloned().chain(std::iter::once(end..end)).filter_map(move |other| {
        let stretch = from..other.start;
        from = from.max(other.end);
        (!stretch.is_empty()).then_some(stretch)
    })
}

/// The place of the next byte that is not ASCII.
fn not_ascii(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while text.get(at..at + 64).is_some_and(<[u8]>::is_ascii) {
        at += 64;
    }
    text.get(at..)?.iter().position(|byte| !byte.is_ascii()).map(|next| at + next)
}

/// How many quotes before an escaped newline are checked to find the one that opens its string.
const SEARCHED: usize = 1024;

/// Finds in a part of a text, and where command lines begin. Reused from line to line, so that most need no
/// allocation.
#[derive(Debug, Default)]
pub(super) struct Finds {
    found: Vec<Found>,
    /// Where command lines begin in the text.
    begins: Vec<usize>,
}
