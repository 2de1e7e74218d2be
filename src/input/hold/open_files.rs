//! Decides which files are held open. Files that a reader still needs stay open, because the server deletes and
//! compresses files at any time.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use super::pins::Pins;
use crate::event::Fingerprint;
use crate::input::file::generation::{Generation, OpenFile};
use crate::input::file::source::begins_with;
use crate::input::scan::tracked::Tracked;

/// The most bytes of deleted files that open descriptors keep on disk; the oldest files are closed first.
const BYTES: u64 = 2 << 30;

/// Opens the needed files and closes the rest. At most `most` needed files are open, oldest first.
pub(crate) fn hold(
    next: &mut Vec<Tracked>,
    most: usize,
    wanted: &impl Fn(Fingerprint) -> bool,
    writer: Option<Fingerprint>,
    pins: Option<&Pins>,
) {
    let pinned =
        |tracked: &Tracked| pins.is_some_and(|pins| pins.has(tracked.generation.fingerprint));
    let bare =
        |tracked: &Tracked| pins.is_some_and(|pins| pins.is_bare(tracked.generation.fingerprint));
    within_bytes(next, pins);
    // The newest backup stays open, to see what its last writer may still append.
    let newest = next.iter().rposition(|tracked| !tracked.generation.live);
    let mut open = 0;
    for (at, tracked) in next.iter_mut().enumerate() {
        let generation = &tracked.generation;
        let plain = tracked.named && !generation.gzip;
        let keep = generation.live
            || (Some(at) == newest && plain)
            || Some(generation.fingerprint) == writer
            || (open < most && (wanted(generation.fingerprint) || bare(tracked)));
        let held = match &generation.held {
            _ if !keep || generation.unread => None,
            None => reopen(tracked),
            some => some.clone(),
        };
        open += usize::from(held.is_some());
        if held.is_some() != generation.held.is_some() {
            tracked.generation = Arc::new(Generation { held, ..(**generation).clone() });
        }
    }
    next.retain(|tracked| tracked.named || tracked.generation.held.is_some() || pinned(tracked));
}

/// Closes the oldest files that only the agent keeps on disk, except those with a link, which have their own budget.
fn within_bytes(next: &mut [Tracked], pins: Option<&Pins>) {
    let mut bytes = 0_u64;
    for tracked in next.iter_mut().rev() {
        let Some(held) = &tracked.generation.held else { continue };
        let pinned = pins.is_some_and(|pins| pins.has(tracked.generation.fingerprint));
        if pinned || (tracked.named && held.id == tracked.id) {
            continue;
        }
        bytes += held.file.metadata().map_or(0, |meta| meta.blocks() * 512);
        if bytes > BYTES {
            let name = &*tracked.generation.name;
            tracing::warn!(
                file = name,
                "closed a deleted backup before it was read: open files hold too much disk space"
            );
            tracked.generation =
                Arc::new(Generation { held: None, ..(*tracked.generation).clone() });
            if let Some(pins) = pins.filter(|_| !tracked.named) {
                pins.tell_let_go(&tracked.generation);
            }
        }
    }
}

fn reopen(tracked: &Tracked) -> Option<OpenFile> {
    let held = OpenFile::open(&tracked.generation.place, tracked.generation.gzip).ok()?;
    // Another file of that name is of no use.
    (held.id == tracked.id).then_some(held)
}

/// Decides what to read when a plain file was open and only its `.gz` is left. The `.gz` is read if it has the same
/// length and nobody may still write to the open file; else the open file is read.
pub(crate) fn prefer_open(new: &mut Tracked, old: &Tracked, writer: Option<Fingerprint>) {
    let Some(held) = old.generation.held.as_ref().filter(|held| !held.gzip) else { return };
    let Ok(length) = held.file.metadata().map(|meta| meta.len()) else { return };
    // The trailer holds the length modulo 2^32.
    let as_long = new.generation.length == length & u64::from(u32::MAX);
    if !new.generation.gzip || (as_long && writer != Some(old.generation.fingerprint)) {
        return;
    }
    // A disk that is unreadable for a while is no reason to close the file.
    if length >= old.generation.length
        && begins_with(&held.file, &old.generation.probe).unwrap_or(true)
    {
        let held = Some(held.clone());
        new.generation = Arc::new(Generation { held, length, ..(*new.generation).clone() });
    }
}
