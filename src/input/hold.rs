//! Which files are held open: those that somebody still reads, for the server deletes and compresses without asking.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use super::catalogue::Tracked;
use super::generation::{Generation, OpenFile};
use super::pins::Pins;
use super::source::begins_with;
use crate::event::Fingerprint;

/// Bytes of deleted files kept from being freed at most; the oldest go first.
const BYTES: u64 = 2 << 30;

/// Opens what is wanted and lets go of the rest, within the bounds: so many files, oldest first.
pub(super) fn hold(
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
    // What the newest backup's last writer may still append is seen in its open file.
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

/// Lets go of the oldest files that only we keep on disk, but for those that have a budget of their own.
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
                "deleted before it was read, and let go: too many are held open"
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
    // By another file of that name nobody is helped.
    (held.id == tracked.id).then_some(held)
}

/// Where a plain file was open and only its `.gz` is left, that will do if it is as long and nobody may still write to the
/// open file; else the open file is read.
pub(super) fn prefer_open(new: &mut Tracked, old: &Tracked, writer: Option<Fingerprint>) {
    let Some(held) = old.generation.held.as_ref().filter(|held| !held.gzip) else { return };
    let Ok(length) = held.file.metadata().map(|meta| meta.len()) else { return };
    // The trailer counts modulo 2^32.
    let as_long = new.generation.length == length & u64::from(u32::MAX);
    if !new.generation.gzip || (as_long && writer != Some(old.generation.fingerprint)) {
        return;
    }
    // A disk that cannot be read for a while is no reason to let go of the file.
    if length >= old.generation.length
        && begins_with(&held.file, &old.generation.probe).unwrap_or(true)
    {
        let held = Some(held.clone());
        new.generation = Arc::new(Generation { held, length, ..(*new.generation).clone() });
    }
}
