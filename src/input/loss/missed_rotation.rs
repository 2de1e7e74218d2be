//! Notices missed rotations: generations that were created and deleted while no agent was running. Nobody saw them,
//! but there is a hole in time between their neighbours. The reader reports the hole as a gap of an unknown number of
//! bytes.
//!
//! This file compares two kinds of generations with the next known generation: every generation that this reader has
//! finished, and the log that was live at the last look of the previous process. Either the next generation continues
//! where the first ended, or a file is missing.
//!
//! Proof by the stamp in a name: the server stamps a backup's name at the very write that begins the next file, and
//! it creates an event before it writes it. So if the first event of the next file is younger than the stamp, a file
//! is missing, however short the agent's absence was. The server deletes the oldest backup first. So while the backup
//! itself is still there, only somebody else can have removed its successor. A person who moves files under the
//! server's names may be seconds late with the next one: then the hole must last ten seconds.
//! Proof by the time of deletion: applies if files with the server's own names are beside a file that only the agent
//! keeps. The inode's change time tells when the last name of that file was removed. The server compresses or deletes
//! a file only after it began the next one. So a file that begins after that time is not the next file. When the
//! server deletes to make room, all backups that it keeps were finished by then. So without compression, a file that
//! was finished after that time is not the next file either.
//!
//! Without a proof, this file reports nothing. There is no proof after a file that only the agent keeps and whose
//! time of deletion is unknown, nor between files that other programs rotate, since they rotate at any time. An idle
//! or stopped server leaves no hole: it begins its next file with the write that renames the last one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::gap::{Gap, LostBytes};
use super::gone::KnownGenerations;
use crate::event::{Cursor, Fingerprint, GapReason, Marks, Nanos, Progress, Sightings};
use crate::input::file::generation::Generation;
use crate::input::file::names::{is_numbered, server_stamp};
use crate::input::now::Now;
use crate::input::shared::View;

/// The stamp in a name is truncated to the millisecond, and the clock may be adjusted slightly between event and
/// write.
const SLACK: Nanos = 10_000_000;
/// A hole must last longer than this if the backup before it still exists.
const BY_HAND: Nanos = 10_000_000_000;

/// The finished generations that have not been compared with their successor yet.
#[derive(Debug, Default)]
pub(crate) struct MissedRotations {
    before: Vec<Fingerprint>,
    /// Since when a hole has been seen after each.
    holes: HashMap<Fingerprint, Instant>,
}

impl MissedRotations {
    /// For an output that resumes. Takes the logs that were live at the last look of the previous process and are not
    /// live now, and the generation that the process finished last.
    pub(crate) fn new(remembered: &Sightings, view: &View, cursor: &Cursor) -> Self {
        let live = |fingerprint| {
            view.generations.iter().any(|one| one.live && one.fingerprint == fingerprint)
        };
        let before = remembered
            .iter()
            .filter(|(fingerprint, sighting)| sighting.live && !live(**fingerprint));
        let finished = cursor.generations.iter().filter(|(_, progress)| progress.complete);
        let last = finished.max_by_key(|(_, progress)| progress.time);
        let mut missed = Self::default();
        for (fingerprint, _) in before {
            missed.finished(*fingerprint);
        }
        if let Some((fingerprint, _)) = last {
            missed.finished(*fingerprint);
        }
        missed
    }

    /// The next hole after a log that was read to its end. If that log itself is lost, `gone.rs` reports one gap for
    /// the log and the hole.
    pub(crate) fn next(
        &mut self,
        view: &View,
        known: &KnownGenerations,
        cursor: &Cursor,
        now: Now,
    ) -> Option<Gap> {
        // A file that cannot be read yet may be the one that seems to be missing.
        if view.unsure || view.awaited {
            return None;
        }
        let mut candidates = std::mem::take(&mut self.before).into_iter();
        while let Some(fingerprint) = candidates.next() {
            let Some(finished) = Finished::of(fingerprint, known, cursor) else { continue };
            let Some(next) = known.after(fingerprint, Some(finished.last)) else {
                self.before.push(fingerprint);
                continue;
            };
            if !is_missing(view, cursor, &finished, next) {
                self.holes.remove(&fingerprint);
                continue;
            }
            // A listing may miss a file that is being renamed, so the hole must persist for a while.
            let since = *self.holes.entry(fingerprint).or_insert(now.steady);
            if now.steady.duration_since(since) < now.waits.lost {
                self.before.push(fingerprint);
                continue;
            }
            self.before.extend(candidates);
            self.holes.remove(&fingerprint);
            return Some(finished.gap(fingerprint, next));
        }
        None
    }

    /// Records that a reader has finished a generation.
    pub(crate) fn finished(&mut self, fingerprint: Fingerprint) {
        if !self.before.contains(&fingerprint) {
            self.before.push(fingerprint);
        }
    }
}

/// The facts that one reader has about a finished generation.
struct Finished {
    name: Arc<str>,
    last: Nanos,
    /// When its last name was removed, apart from the agent's own link.
    unnamed: Option<Nanos>,
    progress: Progress,
}

/// What the directory shows besides the finished generation.
#[derive(Clone, Copy, Default)]
struct Surroundings {
    /// The server rotates its logs itself, according to the names of other files.
    by_server: bool,
    /// Some of them are compressed.
    compressed: bool,
    /// The file itself still has its name.
    is_there: bool,
}

/// The next known generation.
#[derive(Clone, Copy)]
struct Following {
    first: Nanos,
    /// When it was rotated, according to its name.
    rotated: Option<Nanos>,
}

impl Finished {
    /// `None` if nothing has to be compared with what follows this generation.
    fn of(fingerprint: Fingerprint, known: &KnownGenerations, cursor: &Cursor) -> Option<Self> {
        let progress = cursor.generations.get(&fingerprint)?;
        let first = known.first_event(fingerprint)?;
        let last = progress.time.unwrap_or(first);
        let watched = cursor.watched.is_none_or(|since| first >= since);
        let name = known.name(fingerprint)?;
        (watched && progress.complete && !progress.successor_checked).then(|| Self {
            name,
            last,
            unnamed: known.unnamed(fingerprint),
            progress: progress.clone(),
        })
    }

    /// The gap between this generation and the next first event.
    fn gap(self, fingerprint: Fingerprint, next: Nanos) -> Gap {
        let Self { name, last, progress, .. } = self;
        let before = Progress { successor_checked: true, marks: Marks::default(), ..progress };
        let lost = LostBytes::AtLeast(0);
        let gap = Gap::rest(GapReason::BackupGone, (fingerprint, name), before, lost);
        Gap { from: Some(last), to: Some(next), ..gap }
    }
}

/// Whether a file is missing between a generation and the next known first event.
fn is_missing(view: &View, cursor: &Cursor, finished: &Finished, next: Nanos) -> bool {
    let between =
        |progress: &Progress| progress.time.is_some_and(|time| finished.last < time && time < next);
    let by_server = |one: &&Arc<Generation>| server_stamp(&one.name).is_some();
    let mut named = view.generations.iter().filter(by_server);
    let beside = Surroundings {
        by_server: named.clone().next().is_some(),
        compressed: named.clone().any(|one| one.gzip),
        is_there: named.any(|one| one.name == finished.name),
    };
    let following = view.generations.iter().find(|one| one.time == Some(next));
    let rotated = following.and_then(|one| server_stamp(&one.name));
    // A generation read in between may be forgotten except for its progress.
    !cursor.generations.values().any(between)
        && is_hole(finished, beside, Following { first: next, rotated })
}

/// Whether a file is missing between a finished file and the next one.
fn is_hole(finished: &Finished, beside: Surroundings, next: Following) -> bool {
    let Finished { name, last, unnamed, .. } = finished;
    if let Some(stamp) = server_stamp(name) {
        let slack = if beside.is_there { BY_HAND } else { SLACK };
        return next.first > stamp.max(*last).saturating_add(slack);
    }
    // Other programs rotate at any time.
    let Some(unnamed) = unnamed.filter(|_| beside.by_server && !is_numbered(name)) else {
        return false;
    };
    let known = unnamed.saturating_add(SLACK);
    let later = next.rotated.is_some_and(|rotated| rotated > known);
    next.first > known || (later && !beside.compressed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    /// 2026-11-21T06:28:00.
    const STAMP: Nanos = 1_795_242_480 * SECOND;

    /// Whether a hole follows a file whose last event is `last` milliseconds before the stamp; the next file begins
    /// `next` milliseconds after it.
    fn hole_beside(name: &str, last: i64, next: i64, by_server: bool) -> bool {
        hole_behind(name, last, next, Surroundings { by_server, ..Surroundings::default() })
    }

    fn time(before: i64) -> Nanos {
        STAMP - before * SECOND / 1000
    }

    fn finished(name: &str, last: i64) -> Finished {
        let progress = Progress { complete: true, time: Some(time(last)), ..Progress::default() };
        Finished { name: name.into(), last: time(last), unnamed: None, progress }
    }

    fn begins(next: i64) -> Following {
        Following { first: time(-next), rotated: None }
    }

    fn hole_behind(name: &str, last: i64, next: i64, beside: Surroundings) -> bool {
        is_hole(&finished(name, last), beside, begins(next))
    }

    /// Whether a hole follows a file that lost its name `unnamed` milliseconds after its last event. The next file
    /// begins and ends `begin` and `end` milliseconds after that event.
    fn hole_after_unnamed(unnamed: i64, begin: i64, end: Option<i64>, compressed: bool) -> bool {
        let unnamed = Some(time(-unnamed));
        let finished = Finished { unnamed, ..finished("audit.log", 0) };
        let next = Following { rotated: end.map(|end| time(-end)), ..begins(begin) };
        is_hole(&finished, Surroundings { by_server: true, compressed, is_there: false }, next)
    }

    #[test]
    fn what_begins_after_the_name_was_gone_is_not_the_next_file() {
        for compressed in [false, true] {
            assert!(!hole_after_unnamed(500, 400, None, compressed));
            assert!(
                !hole_after_unnamed(500, 505, None, compressed),
                "the kernel's clock is coarse"
            );
            assert!(hole_after_unnamed(500, 520, None, compressed));
        }
    }

    #[test]
    fn what_was_finished_after_the_server_deleted_the_file_is_not_the_next_one() {
        assert!(!hole_after_unnamed(5000, 400, Some(4999), false));
        assert!(hole_after_unnamed(5000, 400, Some(5100), false));
        assert!(!hole_after_unnamed(500, 400, Some(5100), true), "it was compressed, not deleted");
    }

    fn hole(name: &str, last: i64, next: i64) -> bool {
        hole_beside(name, last * 1000, next * 1000, true)
    }

    #[test]
    fn a_server_that_was_idle_or_stopped_leaves_no_hole() {
        let name = "audit-2026-11-21T06-28-00.000.log";
        assert!(!hole(name, 3600, 0));
        assert!(!hole(name, 3600, -30));
        assert!(!hole_beside(name, 0, 1, false), "the name is cut to the millisecond");
        assert!(hole(name, 3600, 1));
    }

    #[test]
    fn an_event_younger_than_the_name_of_the_file_before_it_stands_behind_a_lost_file() {
        assert!(hole_beside("audit-2026-11-21T06-28-00.000.log.gz", 0, 100, false));
    }

    #[test]
    fn a_hand_that_rotates_under_the_server_s_names_may_be_seconds_late_with_the_next_file() {
        let name = "audit-2026-11-21T06-28-00.000.log";
        let beside = Surroundings { by_server: true, is_there: true, ..Surroundings::default() };
        assert!(!hole_behind(name, 0, 9_000, beside));
        assert!(hole_behind(name, 0, 11_000, beside));
    }

    #[test]
    fn other_programs_rotate_when_they_like() {
        for name in ["audit.log.1", "audit.log.12.gz"] {
            assert!(!hole(name, 3600, 7200), "{name}");
        }
        // Moved into another directory (logrotate's `olddir`): nothing here shows that the server rotates.
        assert!(!hole_beside("audit.log", 10_000, 3_600_000, false));
    }

    #[test]
    fn without_a_proof_no_pause_is_taken_for_a_lost_file() {
        assert!(!hole("audit.log", 0, 86_400));
        assert!(!hole_after_unnamed(90_000_000, 86_400_000, None, true));
    }
}
