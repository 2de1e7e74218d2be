//! Dead letters: events that an output refused for good, stored in the state directory with the output's answer.
//!
//! ```text
//! STATE/dead-letters/INPUT.OUTPUT/000001.seg    letters, one per line (`frame.rs`), the oldest first
//!                                 resending     exists while letters are sent again
//! ```
//!
//! Promised: a letter is fsynced before the cursor passes its event. An event is stored once, however often it is
//! refused (deduplicated by position). The agent throws no letter away: when the store is full, recording fails and
//! the pipeline waits. A kill may leave a torn last letter, which is cut off. A damaged letter is skipped, counted
//! and kept, and costs no other letter.
//! Not promised: that a removed letter never comes back. It may come back after a kill; the agent then looks it up in
//! the output before it sends it.
//!
//! `dead_letter.rs` is the stored form of one event, `segments.rs` the files.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::checkpoint::Budget;
use crate::disk;
use crate::event::{Batch, Position};
use crate::telemetry::Time;

mod dead_letter;
mod frame;
mod segments;
#[cfg(test)]
mod tests;

pub(crate) use dead_letter::{DeadLetter, StoredDeadLetter, batch};
pub(crate) use segments::Count;
use segments::{RewriteAction, Segments};

/// Most letters of one pair: their ids are held in memory.
pub(crate) const MOST: usize = 100_000;

const DIRECTORY: &str = "dead-letters";

/// The dead letters of one pair of input and output. Clones share them.
#[derive(Clone)]
pub(crate) struct DeadLetters {
    books: Arc<Mutex<LetterIndex>>,
    /// Held by whoever resends or drops letters.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct LetterIndex {
    shelf: Segments,
    budget: Budget,
    /// [`MOST`], except in tests.
    most: usize,
    known: HashMap<Position, LetterSpot>,
}

/// The segment that holds a letter, and the time of its event's first refusal.
#[derive(Clone, Copy)]
struct LetterSpot {
    segment: u32,
    since: Time,
}

/// Why nothing could be recorded.
#[derive(Debug)]
pub(crate) enum LettersError {
    /// There is no room; the text says what to do.
    Full(String),
    Io(io::Error),
}

/// The letters of a pair as they are on disk, counted. [`each`] reads them.
#[derive(Debug)]
pub(crate) struct StoredPair {
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) count: Count,
}

/// Moves the letters of a renamed pair of input and output to its new names. Does nothing if there are letters under
/// the new names already; an earlier start may have renamed them.
pub(crate) fn rename(state_dir: &Path, from: (&str, &str), to: (&str, &str)) -> io::Result<()> {
    let of = |(input, output)| state_dir.join(DIRECTORY).join(format!("{input}.{output}"));
    let (from, to) = (of(from), of(to));
    if !from.is_dir() || to.try_exists()? {
        return Ok(());
    }
    disk::rename(&from, &to)?;
    disk::sync_directory(&state_dir.join(DIRECTORY))
}

impl DeadLetters {
    /// Opens the letters of a pair. Creates nothing before there is a letter.
    pub(crate) fn open(
        state_dir: &Path,
        input: &str,
        output: &str,
        budget: Budget,
    ) -> io::Result<Self> {
        let directory = state_dir.join(DIRECTORY).join(format!("{input}.{output}"));
        let mut known = HashMap::new();
        let shelf = Segments::open(directory, true, |number, letter, _| {
            known.insert(letter.position(), LetterSpot { segment: number, since: letter.since() });
        })?;
        let damaged: u64 = shelf.segments.values().map(|segment| segment.damaged).sum();
        if damaged > 0 {
            let at = shelf.directory.display().to_string();
            tracing::error!(
                input,
                output,
                damaged,
                at,
                "some dead letters are damaged, the agent keeps them and skips them"
            );
        }
        let books = LetterIndex { shelf, budget, most: MOST, known };
        Ok(Self { books: Arc::new(Mutex::new(books)), turn: Arc::default() })
    }

    fn books(&self) -> MutexGuard<'_, LetterIndex> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> Count {
        let books = self.books();
        let oldest = books.known.values().map(|spot| spot.since).min();
        Count { oldest, ..books.shelf.count(books.known.len()) }
    }

    /// Records refused events of a batch with their answers, and returns when they are fsynced. Blocks.
    pub(crate) fn record(
        &self,
        batch: &Batch,
        refused: &[(u32, &str)],
        scope: &str,
    ) -> Result<(), LettersError> {
        let mut books = self.books();
        let (mut letters, mut positions) = (Vec::new(), Vec::new());
        let mut new = HashSet::new();
        for (event, answer) in refused {
            let index = *event as usize;
            let position = batch.position(index);
            if books.known.contains_key(&position) || !new.insert(position) {
                continue;
            }
            let letter = DeadLetter::of(batch, index, answer, scope);
            let meta =
                serde_json::to_vec(&letter).map_err(|error| LettersError::Io(error.into()))?;
            letters.push((meta, batch.record(index).line));
            positions.push((position, letter.since()));
        }
        if letters.is_empty() {
            return Ok(());
        }
        if books.known.len() + letters.len() > books.most {
            return Err(LettersError::Full(format!(
                "{} holds {} of {} dead letters: see `auditrail dead-letters list`, then resend or drop some",
                books.shelf.directory.display(),
                books.known.len(),
                books.most
            )));
        }
        let more = letters.iter().map(|(meta, line)| frame::size(meta, line)).sum();
        books.budget.room(more).map_err(LettersError::Io)?.map_err(LettersError::Full)?;
        let numbers = books.shelf.append(&letters).map_err(LettersError::Io)?;
        let spots = positions.into_iter().zip(numbers);
        books.known.extend(spots.map(|((at, since), segment)| (at, LetterSpot { segment, since })));
        Ok(())
    }

    /// Waits until nobody else resends or drops letters.
    pub(crate) async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// The letters with these ids, or all for `None`; and the ids that do not exist.
    pub(crate) fn select(&self, ids: Option<&[String]>) -> (HashSet<Position>, Vec<String>) {
        let books = self.books();
        let Some(ids) = ids else { return (books.known.keys().copied().collect(), Vec::new()) };
        let mut missing: HashSet<_> = ids.iter().cloned().collect();
        let is_asked = |position: &&Position| missing.remove(&position.name());
        let found = books.known.keys().filter(is_asked).copied().collect();
        (found, missing.into_iter().collect())
    }

    /// The segments, by number.
    pub(crate) fn segments(&self) -> Vec<u32> {
        self.books().shelf.segments.keys().copied().collect()
    }

    /// Some of the wanted letters of a segment, all of one generation and scope, within `limits` of bytes and events.
    pub(crate) fn page(
        &self,
        segment: u32,
        limits: (usize, usize),
        wanted: impl Fn(&Position) -> bool,
    ) -> io::Result<Vec<StoredDeadLetter>> {
        let books = self.books();
        if !books.shelf.segments.contains_key(&segment) {
            return Ok(Vec::new());
        }
        books.shelf.page(segment, limits, wanted)
    }

    /// Removes the letters in `gone`, and gives others their new answer. The change is durable when this returns.
    ///
    /// # Errors
    /// If a segment cannot be rewritten: then it is unchanged. Or if the rewrite cannot be made durable: then removed
    /// letters may come back after a power cut.
    pub(crate) fn settle(
        &self,
        gone: &HashSet<Position>,
        answers: &HashMap<Position, String>,
    ) -> io::Result<()> {
        let mut books = self.books();
        let touched: HashSet<u32> = gone
            .iter()
            .chain(answers.keys())
            .filter_map(|at| books.known.get(at).map(|spot| spot.segment))
            .collect();
        let fate = |letter: &DeadLetter| {
            let position = letter.position();
            if gone.contains(&position) {
                return RewriteAction::Remove;
            }
            answers
                .get(&position)
                .map_or(RewriteAction::Keep, |answer| RewriteAction::Answer(answer.clone()))
        };
        let written = touched.into_iter().try_for_each(|number| {
            books.shelf.rewrite(number, false, fate)?;
            books.known.retain(|position, spot| spot.segment != number || !gone.contains(position));
            Ok(())
        });
        // Segments before the one that failed are rewritten too.
        written.and(books.shelf.sync())
    }

    /// Removes damaged letters.
    pub(crate) fn drop_damaged(&self) -> io::Result<u64> {
        let mut books = self.books();
        let damaged: Vec<_> =
            books.shelf.segments.iter().filter(|(_, segment)| segment.damaged > 0).collect();
        let numbers: Vec<_> = damaged.iter().map(|(number, _)| **number).collect();
        let sum = damaged.iter().map(|(_, segment)| segment.damaged).sum();
        for number in numbers {
            books.shelf.rewrite(number, true, |_| RewriteAction::Keep)?;
        }
        books.shelf.sync()?;
        Ok(sum)
    }

    /// Marks that letters are about to be sent again. Returns whether an earlier attempt did not end, so that its
    /// requests may have been stored.
    pub(crate) fn begin_resend(&self) -> io::Result<bool> {
        let path = self.resending();
        let under_way = path.try_exists()?;
        if !under_way {
            disk::write_synced(&path, b"")?;
            path.parent().map_or(Ok(()), disk::sync_directory)?;
        }
        Ok(under_way)
    }

    /// Removes the mark: everything that was sent is answered.
    ///
    /// # Errors
    /// If the mark cannot be removed. The next resend is then only slower.
    pub(crate) fn end_resend(&self) -> io::Result<()> {
        disk::remove_file(&self.resending())
    }

    fn resending(&self) -> PathBuf {
        self.books().shelf.directory.join("resending")
    }
}

/// Reads the letters of all pairs that have any, for commands that change nothing, whether or not an agent runs.
pub(crate) fn look(state_dir: &Path) -> io::Result<Vec<StoredPair>> {
    let mut all = Vec::new();
    for name in segments::names(&state_dir.join(DIRECTORY))? {
        // No name of an input or output contains a dot.
        let Some((input, output)) = name.split_once('.') else { continue };
        let (mut letters, mut oldest) = (0, None);
        let directory = state_dir.join(DIRECTORY).join(&name);
        let shelf = Segments::open(directory, false, |_, letter, _| {
            letters += 1;
            oldest = Some(oldest.unwrap_or(letter.since()).min(letter.since()));
        })?;
        let count = Count { oldest, ..shelf.count(letters) };
        if count != Count::default() {
            all.push(StoredPair { input: input.to_owned(), output: output.to_owned(), count });
        }
    }
    Ok(all)
}

/// Calls `take` with each wanted letter of a pair and its line until it returns `false`. `wanted` also gets the bytes of
/// the letter on disk. For commands that change nothing. Holds the letters of one segment that are wanted, without
/// their lines.
pub(crate) fn each(
    state_dir: &Path,
    found: &StoredPair,
    wanted: impl FnMut(&DeadLetter, u64) -> bool,
    take: impl FnMut(StoredDeadLetter) -> bool,
) -> io::Result<()> {
    let name = format!("{}.{}", found.input, found.output);
    segments::each(&state_dir.join(DIRECTORY).join(name), wanted, take)
}
