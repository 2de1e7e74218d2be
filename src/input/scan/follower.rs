//! The follower thread. It looks at the directory whenever something may have changed there, and publishes the result
//! to the readers.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::catalogue::{Catalogue, Found};
use super::findings::{self, Looker};
use super::watch::{Hint, Watch};
use crate::config::FollowedLog;
use crate::event::SeenGenerations;
use crate::input::file::generation::{FileId, file_id};
use crate::input::now::Now;
use crate::input::pulse::Pulse;
use crate::input::shared::Shared;
use crate::telemetry::{InputStats, Watch as WatchKind};

/// Shortest time between two listings, so that a burst of changes costs little.
const PAUSE: Duration = Duration::from_millis(10);
/// Time between two listings where the kernel reports no changes.
const POLL: Duration = Duration::from_secs(1);
/// A listing is made after this time in any case.
const SURE: Duration = Duration::from_mins(1);

/// The thread that keeps the catalogue up to date.
pub(crate) struct Follower {
    pub(crate) config: FollowedLog,
    pub(crate) directory: PathBuf,
    pub(crate) catalogue: Catalogue,
    pub(crate) shared: Arc<Shared>,
    pub(crate) roll: Arc<SeenGenerations>,
    pub(crate) watch: Watch,
    /// The directory that the kernel watches, and its creation time, since inodes are reused.
    pub(crate) watched: Option<(FileId, Option<SystemTime>)>,
    pub(crate) looked: Option<Looked>,
    /// The last listing found something that changes with time alone, so another is needed, whatever `rescan` is.
    pub(crate) again: bool,
    pub(crate) stats: Arc<InputStats>,
    pub(crate) pulse: Pulse,
}

/// The state at the last listing, to decide whether another is needed.
pub(crate) struct Looked {
    at: Instant,
    /// The modification time of each directory, if it was long enough ago that a later change gets another time.
    settled: Option<Vec<Option<SystemTime>>>,
    live_length: Option<u64>,
}

impl Follower {
    /// Looks until the input is stopped.
    pub(crate) fn run(&mut self) {
        let mut timeout = Duration::ZERO;
        let mut hint = Some(Hint);
        while self.pulse.turn().is_ok() {
            self.follow_directory();
            if hint.is_some() || self.again || !self.is_unchanged() {
                timeout = self.look();
                self.shared.pause(Instant::now() + PAUSE);
            }
            self.pulse.rest();
            hint = self.watch.wait(timeout);
        }
    }

    /// Watches the directory that exists now, which may be another one than before.
    fn follow_directory(&mut self) {
        let Ok(meta) = fs::metadata(&self.directory) else {
            self.watched = None;
            return;
        };
        let id = (file_id(&meta), meta.created().ok());
        if self.watched == Some(id) {
            return;
        }
        match self.watch.set(&self.directory) {
            Ok(()) => self.watched = Some(id),
            Err(error) if self.stats.watch() == WatchKind::Inotify || self.looked.is_none() => {
                let hint = "raise fs.inotify.max_user_instances or max_user_watches";
                tracing::warn!(path = %self.directory.display(), %error, hint, "changes are not reported by the kernel, polling instead");
            }
            Err(_) => {}
        }
        self.stats.set_watch(if self.watch.is_notified() {
            WatchKind::Inotify
        } else {
            WatchKind::Polling
        });
    }

    /// Whether names and the live file's length are unchanged, so that a listing would find nothing new.
    fn is_unchanged(&self) -> bool {
        let Some(looked) = &self.looked else { return false };
        let length = fs::metadata(&self.config.path).map(|meta| meta.len()).ok();
        looked.at.elapsed() < SURE
            && !self.catalogue.has_grown()
            && looked.settled.as_ref().is_some_and(|settled| *settled == self.modified())
            && length == looked.live_length
    }

    /// When names last changed in the directory of the log, and in those of `backups`.
    fn modified(&self) -> Vec<Option<SystemTime>> {
        let elsewhere = self.config.backups.iter().map(|one| &one.directory);
        let modified = |path: &PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
        std::iter::once(&self.directory).chain(elsewhere).map(modified).collect()
    }

    /// Lists the directory; returns the longest time until the next listing.
    fn look(&mut self) -> Duration {
        let now = SystemTime::now();
        let modified = self.modified();
        let live_length = fs::metadata(&self.config.path).map(|meta| meta.len()).ok();
        let long_ago = |time: &SystemTime| {
            now.duration_since(*time).is_ok_and(|age| age > Duration::from_secs(2))
        };
        let settled = modified.iter().flatten().all(long_ago) && modified[0].is_some();
        let settled = settled.then_some(modified);
        self.looked = Some(Looked { at: Instant::now(), settled, live_length });
        let found = self
            .catalogue
            .look(Now::read(self.config.waits), |fingerprint| self.shared.is_wanted(fingerprint));
        let usual = if self.watch.is_notified() {
            self.config.rescan
        } else {
            self.config.rescan.min(POLL)
        };
        if self.shared.is_stopped() {
            return usual;
        }
        findings::after_look(&self.stats, &self.config, &found, Looker::Follower);
        let Ok(found) = found else {
            // No notification comes when file descriptors are free again or the directory can be read.
            self.again = true;
            return usual.min(POLL);
        };
        self.count(&found);
        self.again = found.again.is_some();
        let again = found.again.map_or(usual, |again| again.min(usual));
        self.shared.expect(self.catalogue.outlook());
        self.roll.note(found.generations.iter().map(|generation| generation.sighting()));
        self.shared.publish(found.generations, found.unknown.awaited, found.unknown.unsure);
        again
    }

    fn count(&self, found: &Found) {
        self.stats.pins.set(found.kept.pins);
        self.stats.pinned_bytes.set(found.kept.bytes);
        self.stats.hold_bytes.set(found.kept.alone);
        self.stats.generations.set(found.generations.len() as u64);
        self.stats.backups.set(found.backups as u64);
    }
}
