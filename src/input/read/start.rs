//! Where an output without a checkpoint starts in an input: `start_at`.

use std::io;
use std::sync::Arc;

use crate::config::StartAt;
use crate::disk::ReadFile;
use crate::event::{Cursor, Key, Mark, Nanos, Progress};
use crate::input::file::generation::Generation;
use crate::input::file::names::server_stamp;

/// A day, and how far the last place on earth is behind UTC.
const LOCAL: Nanos = 36 * 3600 * 1_000_000_000;

/// The initial cursor, which has passed everything that `start_at` excludes.
pub(crate) fn cursor(
    start_at: StartAt,
    generations: &[Arc<Generation>],
    now: Nanos,
    key: &Key,
) -> Cursor {
    let mut cursor = Cursor::default();
    let since = match start_at {
        StartAt::Age(age) => {
            Some(now.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)))
        }
        _ => None,
    };
    for generation in generations {
        let passed = match start_at {
            StartAt::Beginning => false,
            StartAt::CurrentFile | StartAt::End => !generation.live,
            // All events in a backup are older than its rotation.
            StartAt::Age(_) => rotated(generation).zip(since).is_some_and(|(at, since)| at < since),
        };
        if passed {
            let progress =
                Progress { offset: generation.length, complete: true, ..Progress::default() };
            cursor.generations.insert(generation.fingerprint, progress);
        } else if start_at == StartAt::End
            && let Some(held) = &generation.held
        {
            let progress = end(&held.file, generation.length, key).unwrap_or_default();
            cursor.generations.insert(generation.fingerprint, progress);
        }
    }
    cursor.since = since;
    cursor
}

/// When a backup was rotated at the latest. The server puts the exact time into the name, in UTC. Others put only a
/// day or an hour there, in local time.
fn rotated(generation: &Generation) -> Option<Nanos> {
    let vague = server_stamp(&generation.name).is_none();
    Some(generation.rotated?.saturating_add(if vague { LOCAL } else { 0 }))
}

/// The progress at the end of the last whole line.
fn end(file: &ReadFile, length: u64, key: &Key) -> io::Result<Progress> {
    let mut window = vec![0; 64 << 10];
    let mut to = length;
    while to > 0 {
        let from = to.saturating_sub(window.len() as u64);
        let part = &mut window[..usize::try_from(to - from).unwrap_or_default()];
        file.read_exact_at(part, from)?;
        if let Some(newline) = memchr::memrchr(b'\n', part) {
            let mark = Mark::of(&part[..=newline], key);
            return Ok(Progress { offset: from + newline as u64 + 1, mark, ..Progress::default() });
        }
        to = from;
    }
    Ok(Progress::default())
}
