//! Generations that came and went while no agent looked: nobody knows them, but they leave a hole between their
//! neighbours.
//!
//! The log that was live when the last process looked is read to its end first. What comes next in the directory then
//! either goes on where it ended, or does not.
//!
//! Told for certain: the server names a backup after the very write that begins the next file, so the first event of
//! that is hardly younger than the name. Told by what is likely: a file that only we keep has no such name; if it took
//! less than four times as long to fill as the time that is missing after it, a file is missing. A server that stood
//! still for so long exactly between two files is mistaken for a loss; one that wrote faster than that is not noticed.
//! Not told: files that others rotate, for they do so when they like; and an idle or stopped server, which begins its
//! next file with the write that renames the last one.

use std::sync::Arc;

use super::generation::Generation;
use super::names::{is_numbered, server_stamp};
use super::reader::{Gap, Reader};
use super::shared::View;
use crate::event::{Fingerprint, Marks, Nanos, Progress, Sightings};
use crate::telemetry::GapReason;

/// Between the stamp in a name and the first event of the next file: events are written some time after they were made,
/// but not before.
const SLACK: Nanos = 10_000_000_000;
/// How much faster than the last one a missing file was filled, at most.
const FASTER: Nanos = 4;

/// The logs that were live when the last process looked, and are not any more.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    before: Vec<Fingerprint>,
}

impl Unseen {
    pub(super) fn new(remembered: &Sightings, view: &View) -> Self {
        let live = |print| view.generations.iter().any(|one| one.live && one.print == print);
        let before = remembered.iter().filter(|(print, sighting)| sighting.live && !live(**print));
        Self { before: before.map(|(print, _)| *print).collect() }
    }
}

impl Reader {
    /// A hole after a log that was read to its end. What is gone itself is told by `loss.rs`, hole and all.
    pub(super) fn unseen(&mut self, view: &View) -> Option<Gap> {
        let done = |print: &Fingerprint| {
            self.cursor.generations.get(print).filter(|progress| progress.complete)
        };
        let at = self.unseen.before.iter().position(|print| done(print).is_some())?;
        let print = self.unseen.before.remove(at);
        let progress = done(&print)?.clone();
        let generation = view.generations.iter().find(|generation| generation.print == print)?;
        let next = next(generation, view).filter(|_| !progress.followed)?;
        let last = progress.time.or(generation.time)?;
        if !is_hole(generation, last, next) {
            return None;
        }
        let offset = progress.offset;
        let progress = Progress { followed: true, marks: Marks::default(), ..progress };
        self.advance(print, progress.clone());
        Some(Gap {
            reason: GapReason::BackupGone,
            generation: print,
            file: Arc::clone(&generation.name),
            offset,
            bytes: 0,
            at_least: true,
            from: Some(last),
            to: Some(next),
            progress,
        })
    }
}

/// Time of the first event in the oldest generation that is newer than one.
fn next(generation: &Generation, view: &View) -> Option<Nanos> {
    let after = generation.time?;
    let others = view.generations.iter().filter(|other| other.print != generation.print);
    others.filter_map(|other| other.time).filter(|time| *time > after).min()
}

/// Whether something is missing between the last event of a generation and the next event there is.
fn is_hole(generation: &Generation, last: Nanos, next: Nanos) -> bool {
    match (server_stamp(&generation.name), generation.rotated) {
        (Some(stamp), _) => next > stamp.max(last).saturating_add(SLACK),
        // Others rotate when they like.
        (None, Some(_)) => false,
        (None, None) if is_numbered(&generation.name) => false,
        (None, None) => {
            let filled = generation.time.map_or(0, |first| last.saturating_sub(first));
            next.saturating_sub(last) > SLACK.max(filled / FASTER)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    /// 2026-11-21T06:28:00.
    const STAMP: Nanos = 1_795_242_480 * SECOND;

    /// Of a file that was filled from `first` to `last`, in seconds before the stamp; the next one begins so many after.
    fn hole(name: &str, rotated: bool, first: i64, last: i64, next: i64) -> bool {
        let time = |before: i64| STAMP - before * SECOND;
        let generation = Generation {
            print: Fingerprint([1; 16]),
            name: name.into(),
            path: PathBuf::new(),
            gzip: false,
            held: None,
            length: 1,
            live: false,
            closed: true,
            time: Some(time(first)),
            rotated: rotated.then_some(STAMP),
            by_content: false,
            probe: Arc::default(),
        };
        is_hole(&generation, time(last), time(-next))
    }

    #[test]
    fn a_server_that_was_idle_or_stopped_leaves_no_hole() {
        let name = "audit-2026-11-21T06-28-00.000.log";
        assert!(!hole(name, true, 7200, 3600, 0));
        assert!(!hole(name, true, 7200, 3600, -30));
        assert!(!hole(name, true, 7200, 0, 9));
        assert!(hole(name, true, 7200, 0, 11));
    }

    #[test]
    fn other_programs_rotate_when_they_like() {
        assert!(!hole("audit.log-20261121", true, 7200, 3600, 7200));
        assert!(!hole("audit.log.1", false, 7200, 3600, 7200));
    }

    #[test]
    fn after_a_file_without_a_name_a_hole_is_as_long_as_it_takes_to_fill_one() {
        assert!(!hole("audit.log", false, 7200, 0, 1799));
        assert!(hole("audit.log", false, 7200, 0, 1801));
        assert!(!hole("audit.log", false, 4, 0, 9));
        assert!(hole("audit.log", false, 4, 0, 11));
    }
}
