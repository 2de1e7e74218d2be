//! Tails one audit log through rotation (rename, gzip, delete) and returns whole events in the order written.
//!
//! The bytes written between two rotations are a *generation*. Offsets count decompressed bytes, so an offset means
//! the same before the rename, after it, and inside the `.gz`. One thread looks at the directory (`scan/`) and says
//! which generations there are; `file/` recognises them. Each output has a [`Reader`] on its own thread (`read/`), so
//! that a slow output blocks no other. `hold/` keeps files that a reader still needs, and `loss/` notices losses. The
//! files are the only buffer.
//!
//! Promised: lines are whole. An older generation is finished before a newer one is begun, unless it is found later.
//! Bytes that cannot be read are reported as a [`Gap`], never skipped silently.
//! Not promised: lines of a backup that was deleted before the agent opened it. They are reported as a gap.
//!
//! Read [`Reader`] first.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

mod file;
mod finite;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz_tests;
mod hold;
mod loss;
mod now;
mod pulse;
mod read;
mod scan;
mod shared;

pub(crate) use file::decoder::{Decoder, WINDOW};
pub(crate) use file::packing::Packing;
pub(crate) use finite::{Listed, list};
pub(crate) use hold::pins::{
    HeldLink, agent_name, held_links, remove_link, rename_links, try_link,
};
pub(crate) use loss::gap::Gap;
pub(crate) use read::assembly::{Damage, Limits};
pub(crate) use read::batches::Batches;
pub(crate) use read::chunk::{Chunk, ReaderItem};
pub(crate) use read::large::{LARGE, Large};
pub(crate) use read::open::STRIDE;
pub(crate) use read::reader::Reader;
pub(crate) use read::rewinds::Rewinds;
pub(crate) use scan::findings::not_a_file;

use crate::config::FollowedLog;
use crate::disk::above;
use crate::event::{Cursor, Key, Nanos, SeenGenerations, Sightings, nanos};
use crate::own_log::Committed;
use crate::telemetry::{Heartbeat, InputStats, Time};
use hold::pins::Pins;
use now::Now;
use read::open::FileReader;
use read::position::ReadPosition;
use scan::catalogue::Catalogue;
use scan::findings::Looker;
use scan::follower::Follower;
use scan::watch::{FileChange, Hint, Watch};
use scan::{findings, inspect};
use shared::Shared;

/// How long shutdown waits for the follower thread, which may be blocked in a file system call.
const LEAVE: Duration = Duration::from_secs(2);

/// One followed log.
pub(crate) struct Input {
    config: FollowedLog,
    key: Key,
    shared: Arc<Shared>,
    roll: Arc<SeenGenerations>,
    started: Nanos,
    /// How far the log may be read, if this process writes it.
    own: Option<Arc<Committed>>,
    thread: Option<(JoinHandle<()>, SyncSender<Hint>)>,
}

impl Input {
    pub(crate) fn new(config: FollowedLog, key: Key) -> Self {
        let started = nanos(SystemTime::now()).unwrap_or_default();
        let shared = Arc::new(Shared::new(config.waits));
        let roll =
            Arc::new(SeenGenerations::new(Arc::clone(&config.name), Sightings::new(), || {}));
        Self { config, key, shared, roll, started, own: None, thread: None }
    }

    /// This process writes the log: it is read as far as it is durable.
    pub(crate) fn written_by_us(mut self, committed: Arc<Committed>) -> Self {
        let shared = Arc::clone(&self.shared);
        committed.wakes(move || {
            shared.nudge(FileChange::Data);
        });
        self.own = Some(committed);
        self
    }

    /// Whether every output has passed a generation, according to the last two checkpoints written.
    pub(crate) fn is_passed(&self, fingerprint: crate::event::Fingerprint) -> bool {
        self.shared.is_passed(fingerprint)
    }

    /// Takes over the generations that earlier processes saw, and records new ones there. Call it before any reader
    /// is made.
    pub(crate) fn remember(&mut self, roll: Arc<SeenGenerations>) {
        self.roll = roll;
    }

    /// An input over a finite list of files. They are read to their end as if a log had been followed that far.
    pub(crate) fn finite(mut config: FollowedLog, key: Key, files: &[Listed]) -> Self {
        // A truncated file is not waited for: nobody is writing to it.
        config.waits.settled = Duration::ZERO;
        let input = Self::new(config, key);
        input.shared.end_when_read();
        let generations = files.iter().map(|file| Arc::clone(&file.generation)).collect();
        input.shared.publish(generations, false, false);
        input
    }

    /// The generations seen so far, for the checkpoint.
    pub(crate) fn roll(&self) -> Arc<SeenGenerations> {
        Arc::clone(&self.roll)
    }

    /// A reader that resumes at a cursor, or starts where `start_at` says if there is none. Make all readers before
    /// [`Input::start`]: a file that a reader still needs is then never released.
    pub(crate) fn reader(
        &self,
        cursor: Option<Cursor>,
        limits: Limits,
        max_age: Duration,
        large: Large,
    ) -> Reader {
        let position = ReadPosition::new(cursor, self.config.start_at, self.started);
        let files =
            FileReader::new(Arc::clone(&self.shared), self.key.clone(), limits, max_age, large);
        let reader = Reader::new(Arc::clone(&self.shared), Arc::clone(&self.roll), position, files);
        self.shared.register(reader.reading());
        reader
    }

    /// Takes the cursors of all outputs of this input, as the checkpoint just written holds them; `None` where an
    /// output has none yet. Generations that all of them have passed need not be kept. Call it before
    /// [`Input::start`] too, with the loaded cursors. Returns whether another checkpoint would release links although
    /// no cursor has moved.
    pub(crate) fn saved(&self, cursors: &[Option<&Cursor>]) -> bool {
        let released = self.shared.saved(cursors);
        if released.now
            && let Some((_, waker)) = &self.thread
        {
            let _ = waker.try_send(Hint);
        }
        released.next
    }

    /// Starts to follow the log. `inputs` are the names of all followed inputs. `stored` are the files that systemd
    /// kept open; this removes those of this input.
    pub(crate) fn start(
        &mut self,
        inputs: &[Arc<str>],
        stored: &mut Vec<(String, fs::File)>,
        stats: Arc<InputStats>,
        heart: Heartbeat,
    ) -> io::Result<()> {
        stats.tell_findings();
        let shared = Arc::clone(&self.shared);
        let watch = Watch::new(Arc::new(move |change| shared.nudge(change)));
        let waker = watch.waker();
        let pins = self.config.spool.is_none().then(|| {
            Pins::new(&self.config, &self.key, inputs, Arc::clone(&self.shared)).taking(stored)
        });
        let pulse = self.shared.pulse().shown_by(heart);
        let mut follower = Follower {
            directory: above(&self.config.path).to_owned(),
            catalogue: Catalogue::new(&self.config.path, self.key.clone())
                .with(&self.config)
                .with_pins(pins)
                .written_by_us(self.own.clone())
                .remembering(Arc::clone(&self.roll))
                .one_of(inputs.len())
                .shown_by(&pulse),
            config: self.config.clone(),
            shared: Arc::clone(&self.shared),
            roll: Arc::clone(&self.roll),
            watch,
            watched: None,
            looked: None,
            again: true,
            stats,
            pulse,
        };
        let thread = std::thread::Builder::new()
            .name(format!("input-{}", self.config.name))
            .spawn(move || follower.run())?;
        self.thread = Some((thread, waker));
        Ok(())
    }

    /// Lists the directory once, without following it.
    pub(crate) fn look_once(&self, stats: &InputStats) -> io::Result<()> {
        let found = Catalogue::new(&self.config.path, self.key.clone())
            .with(&self.config)
            .remembering(Arc::clone(&self.roll))
            .look(Now::read(self.config.waits), |_| false);
        findings::after_look(stats, &self.config, &found, Looker::Once);
        let found = found?;
        stats.generations.set(found.generations.len() as u64);
        stats.backups.set(found.backups as u64);
        stats.last_event.set(inspect::last_event(&found.generations).map(Time::from_nanos));
        self.shared.publish(found.generations, found.unknown.awaited, found.unknown.unsure);
        Ok(())
    }

    /// Name of the file that holds a generation, as of the last listing.
    pub(crate) fn file_of(&self, fingerprint: crate::event::Fingerprint) -> Option<Arc<str>> {
        let (view, _) = self.shared.view();
        view.generations
            .iter()
            .find(|generation| generation.fingerprint == fingerprint)
            .map(|generation| Arc::clone(&generation.name))
    }

    /// Whether [`Input::stop`] was called: its readers end then.
    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }

    /// The lag of a cursor: decompressed bytes on disk that it has not passed. Estimated for compressed files.
    pub(crate) fn backlog(&self, cursor: &Cursor) -> u64 {
        let (view, _) = self.shared.view();
        let behind = view.generations.iter().map(|generation| {
            match cursor.generations.get(&generation.fingerprint) {
                Some(progress) if progress.complete => 0,
                Some(progress) => generation.length.saturating_sub(progress.offset),
                None => generation.length,
            }
        });
        behind.sum()
    }

    /// Bytes on disk of the files that a cursor has not passed, as of the last listing.
    pub(crate) fn backlog_on_disk(&self, cursor: &Cursor) -> u64 {
        inspect::backlog_on_disk(&self.shared.view().0.generations, cursor)
    }

    /// Time until a backup that a cursor has not passed is deleted, at the present write rate; `None` while there is
    /// none, or if it is unknown.
    pub(crate) fn time_to_loss(&self, cursor: &Cursor) -> Option<Duration> {
        let (view, _) = self.shared.view();
        let now = nanos(SystemTime::now()).unwrap_or_default();
        view.outlook.time_to_loss(&view.generations, cursor, now)
    }

    /// Whether the directory has been listed at least once.
    pub(crate) fn is_listed(&self) -> bool {
        self.shared.view().0.looks > 0
    }

    /// Whether a listing shows a generation, or it is remembered because some output may still need it. `None` before
    /// the first listing.
    pub(crate) fn shows(&self, fingerprint: crate::event::Fingerprint) -> Option<bool> {
        let (view, _) = self.shared.view();
        let shown =
            || view.generations.iter().any(|generation| generation.fingerprint == fingerprint);
        (view.looks > 0).then(|| shown() || self.roll.holds(fingerprint))
    }

    /// Whether no reader has read these bytes of a generation before.
    pub(crate) fn is_news(&self, fingerprint: crate::event::Fingerprint, end: u64) -> bool {
        self.shared.is_news(fingerprint, end)
    }

    /// Whether this is a finite list of files, whose readers end when all of it is read.
    pub(crate) fn is_finite(&self) -> bool {
        self.shared.is_finite()
    }

    /// Stops following the log and wakes every waiting reader, for shutdown.
    pub(crate) fn stop(&self) {
        self.shared.stop();
        if let Some((_, waker)) = &self.thread {
            // A full channel means that the follower is being woken already.
            let _ = waker.try_send(Hint);
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.stop();
        let Some((thread, _)) = self.thread.take() else { return };
        let until = Instant::now() + LEAVE;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            // A panic of the thread was printed already.
            let _ = thread.join();
        } else {
            let input = &*self.config.name;
            tracing::warn!(input, "a thread is blocked in a file system call, exiting without it");
        }
    }
}

#[cfg(test)]
mod tests;
