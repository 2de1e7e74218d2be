//! Facts about a log that `check` and `status` show: when somebody last wrote to it, and the lag of an output in
//! bytes.

use std::io;
use std::sync::Arc;

use crate::event::{Cursor, Nanos, RecordKind, pieces};
use crate::input::file::generation::{Generation, written};

/// Bytes at the end of a file that are searched: one line of a server that logs bodies fits.
const WINDOW: u64 = 4 << 20;

/// Time of the last event of the newest file that has one; of a compressed file, its modification time.
pub(crate) fn last_event(generations: &[Arc<Generation>]) -> Option<Nanos> {
    generations.iter().rev().take(3).find_map(|generation| {
        let read = if generation.is_compressed() { None } else { of_tail(generation).ok()? };
        let written = || written(&generation.place.metadata().ok()?);
        read.or_else(written).or(generation.time)
    })
}

fn of_tail(generation: &Generation) -> io::Result<Option<Nanos>> {
    let file = generation.open()?.file;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(WINDOW);
    let mut tail = vec![0; usize::try_from(length - from).unwrap_or_default()];
    file.read_exact_at(&mut tail, from)?;
    // The first line of the window may be incomplete.
    let lines = tail.split(|byte| *byte == b'\n').skip(usize::from(from > 0)).collect::<Vec<_>>();
    Ok(lines.into_iter().rev().find_map(|line| {
        let mut time = None;
        pieces(line, true, |piece| {
            time = piece.time.filter(|_| piece.whole == RecordKind::Event).or(time);
        });
        time
    }))
}

/// Bytes on disk of the files that a cursor has not passed: those that `hold` must keep if the server deletes them
/// now.
pub(crate) fn backlog_on_disk(generations: &[Arc<Generation>], cursor: &Cursor) -> u64 {
    let waits = |generation: &&Arc<Generation>| {
        let progress = cursor.generations.get(&generation.fingerprint);
        progress.is_none_or(|progress| {
            !progress.complete && (generation.gzip || progress.offset < generation.length)
        })
    };
    let size = |generation: &Arc<Generation>| {
        generation.place.metadata().map_or(generation.length, |meta| meta.len())
    };
    generations.iter().filter(waits).map(size).sum()
}
