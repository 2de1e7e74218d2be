//! Estimates the time to loss: how long until a backup that an output still needs is deleted.
//!
//! The estimate uses how fast the log grows, from its last rotations; how many backups the server keeps, once it was
//! seen to delete one; and how much of the hold budget is left. It is conservative: rather too short than too long.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Cursor, Fingerprint, Nanos};
use crate::input::file::generation::Generation;

/// The number of last rotations from which the growth rate is computed.
const ROTATIONS: usize = 5;

/// The server's retention and the room left in the hold budget.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outlook {
    /// The backups that still have their name beside the log.
    named: HashSet<Fingerprint>,
    /// How many backups the server left when it deleted one.
    keeps: Option<usize>,
    /// Bytes that links may keep in addition to those kept now; `None` if links are off or fail.
    room: Option<u64>,
    /// Bytes on disk for each byte of the log once it is a backup.
    density: f64,
}

impl Outlook {
    /// Updates the outlook from another look. `files`: the backups beside the log with their lengths and their bytes
    /// on disk.
    pub(crate) fn take_in(
        &mut self,
        files: impl Iterator<Item = (Fingerprint, u64, u64)>,
        room: Option<u64>,
    ) {
        let (mut named, mut length, mut bytes) = (HashSet::new(), 0, 0);
        for (fingerprint, decompressed, on_disk) in files {
            named.insert(fingerprint);
            length += decompressed;
            bytes += on_disk;
        }
        if self.named.iter().any(|fingerprint| !named.contains(fingerprint)) {
            self.keeps = Some(named.len());
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        if length > 0 {
            self.density = (bytes as f64 / length as f64).min(1.0);
        }
        (self.named, self.room) = (named, room);
    }

    /// Time until the oldest backup that a cursor has not passed is lost; `None` while there is none, or if it is
    /// unknown.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn time_to_loss(
        &self,
        generations: &[Arc<Generation>],
        cursor: &Cursor,
        now: Nanos,
    ) -> Option<Duration> {
        let waits = |generation: &&Arc<Generation>| {
            !generation.live && !cursor.is_complete(generation.fingerprint)
        };
        let oldest = generations.iter().find(waits)?;
        let (rate, size) = rate(generations, now)?;
        let live = generations.iter().find(|generation| generation.live);
        let begun = live.map_or(0.0, |live| live.length as f64).min(size);
        // First the time until the server deletes it.
        let newer = |other: &&Arc<Generation>| {
            self.named.contains(&other.fingerprint) && other.rotated > oldest.rotated
        };
        let newer = generations.iter().filter(newer).count();
        let turns = self.keeps.map(|keeps| keeps.saturating_sub(newer));
        let by_server = match turns {
            _ if !self.named.contains(&oldest.fingerprint) => Some(0.0),
            Some(0) => Some(0.0),
            Some(turns) => Some(turns as f64 * size - begun),
            None => None,
        };
        let bytes = match self.room {
            None => by_server?,
            Some(room) => by_server.unwrap_or(0.0) + room as f64 / self.density.max(0.01),
        };
        Duration::try_from_secs_f64((bytes / rate).clamp(0.0, 1e9)).ok()
    }
}

/// Bytes per second and bytes per generation. The rate is the higher of two: over the last rotations, and since the
/// last one.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn rate(generations: &[Arc<Generation>], now: Nanos) -> Option<(f64, f64)> {
    let mut rotated: Vec<_> = generations
        .iter()
        .filter_map(|generation| Some((generation.rotated?, generation.length)))
        .collect();
    rotated.sort_unstable();
    let last = &rotated[rotated.len().saturating_sub(ROTATIONS)..];
    let seconds = |from: Nanos, to: Nanos| to.saturating_sub(from).max(1) as f64 / 1e9;
    let ((first, _), (newest, _)) = (last.first()?, last.last()?);
    let later: u64 = last[1..].iter().map(|(_, length)| length).sum();
    let before = if last.len() > 1 { later as f64 / seconds(*first, *newest) } else { 0.0 };
    let live = generations.iter().find(|generation| generation.live);
    // The first seconds after a rotation say little about the rate.
    let since = seconds(*newest, now).max(10.0);
    let present = live.map_or(0.0, |live| live.length as f64 / since);
    let size = last.iter().map(|(_, length)| length).sum::<u64>() as f64 / last.len() as f64;
    let rate = before.max(present);
    (rate > 0.0 && size > 0.0).then_some((rate, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Progress;

    const SECOND: Nanos = 1_000_000_000;
    const MB: u64 = 1_000_000;

    /// Backups of 100 MB, rotated every 100 s, and a live file of `live` bytes.
    fn log(backups: u8, live: u64) -> Vec<Arc<Generation>> {
        let generation = |n: u8, live: bool, length: u64| {
            Arc::new(Generation {
                fingerprint: Fingerprint([n; 16]),
                name: "f".into(),
                place: crate::input::file::place::FilePlace::log("f".into()),
                gzip: !live,
                held: None,
                length,
                live,
                closed: !live,
                time: None,
                rotated: (!live).then(|| Nanos::from(n) * 100 * SECOND),
                unnamed: None,
                unread: false,
                written: None,
                own: None,
                probe: Arc::default(),
            })
        };
        let mut all: Vec<_> = (1..=backups).map(|n| generation(n, false, 100 * MB)).collect();
        all.push(generation(99, true, live));
        all
    }

    fn outlook(all: &[Arc<Generation>], deleted: bool, room: Option<u64>) -> Outlook {
        let mut outlook = Outlook::default();
        let files = |one: &Arc<Generation>| (one.fingerprint, one.length, one.length / 10);
        if deleted {
            outlook.take_in(std::iter::once((Fingerprint([77; 16]), 1, 1)), None);
        }
        outlook.take_in(all.iter().filter(|one| !one.live).map(files), room);
        outlook
    }

    fn passed(until: u8) -> Cursor {
        let done = Progress { complete: true, ..Progress::default() };
        let generations = (1..=until).map(|n| (Fingerprint([n; 16]), done.clone())).collect();
        Cursor { generations, since: None, watched: None }
    }

    #[test]
    fn without_links_a_backup_lasts_as_many_rotations_as_the_server_keeps() {
        let all = log(4, 50 * MB);
        let left = |until, deleted| {
            let outlook = outlook(&all, deleted, None);
            outlook.time_to_loss(&all, &passed(until), 450 * SECOND).map(|left| left.as_secs())
        };
        // The next rotation, in 50 s, deletes the oldest.
        assert_eq!(left(0, true), Some(50));
        assert_eq!(left(3, true), Some(350));
        assert_eq!(left(4, true), None, "only the live file waits");
        assert_eq!(left(0, false), None, "no deletion was seen: nobody knows");
    }

    #[test]
    fn with_links_the_budget_is_counted_in_what_the_backups_take_on_disk() {
        let all = log(4, 50 * MB);
        let outlook = outlook(&all, false, Some(200 * MB));
        let left = outlook.time_to_loss(&all, &passed(2), 450 * SECOND).unwrap();
        // 200 MB hold 2,000 MB of log, at 1 MB a second.
        assert_eq!(left.as_secs(), 2000);
        assert_eq!(outlook.time_to_loss(&all, &passed(4), 450 * SECOND), None);
    }

    #[test]
    fn a_burst_shows_before_the_next_rotation() {
        let all = log(4, 90 * MB);
        let outlook = outlook(&all, false, Some(200 * MB));
        let left = outlook.time_to_loss(&all, &passed(2), 410 * SECOND).unwrap();
        assert!(left.as_secs() < 300, "{left:?}");
    }
}
