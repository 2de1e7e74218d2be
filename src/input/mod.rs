//! Follows one audit log through rename and gzip and hands out whole events in the order written.
//!
//! The bytes written between two renames are a *generation*. Offsets count decompressed bytes, so a position means the
//! same before the rename, after it, and inside the `.gz`. One thread looks at the directory (`follower.rs`; `catalogue.rs`: which
//! generations there are; `names.rs` and `head.rs`: how they are recognised); each output has a [`Reader`] on a thread
//! of its own, so that none waits for another, and the files are the only buffer.
//!
//! Promised: lines are whole; an older generation is finished before a newer one is begun, unless it comes to light
//! later; what cannot be read is told as a [`Gap`], never skipped in silence.
//! Not promised: lines of a backup deleted before it was opened. They are counted, never guessed.
//!
//! Read [`Reader`] first. Files are opened in `files.rs`, `hold.rs` and `generation.rs`, read in `head.rs` and `source.rs`.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

mod altered;
mod assembly;
mod barren;
mod batches;
mod catalogue;
mod decoder;
mod file_place;
mod files;
mod findings;
mod finite;
mod follower;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz_tests;
mod generation;
mod head;
mod hold;
mod hold_budget;
mod inspect;
mod known_paths;
mod large;
mod lines;
mod listing;
mod loss;
mod missed_rotation;
mod mounts;
mod names;
mod now;
mod open;
mod packing;
mod parts;
mod pins;
mod pulse;
mod reader;
mod renamed;
mod rotation;
mod shared;
mod shorten;
mod skim;
mod source;
mod start;
mod time_to_loss;
mod times;
mod unread;
mod unreadable;
mod watch;

pub(crate) use assembly::{Damage, Limits};
pub(crate) use batches::Batches;
pub(crate) use decoder::{Decoder, WINDOW};
pub(crate) use findings::not_a_file;
pub(crate) use finite::{Listed, list, spooled};
pub(crate) use large::{LARGE, Large};
pub(crate) use open::STRIDE;
pub(crate) use packing::Packing;
pub(crate) use pins::{HeldLink, agent_name, held_links, remove_link, rename_links, try_link};
pub(crate) use reader::{Chunk, Gap, Reader, ReaderItem};

use crate::config::FileInput;
use crate::disk::above;
use crate::event::{Cursor, Key, Nanos, SeenGenerations, Sightings};
use crate::telemetry::{Heartbeat, InputStats, Time};
use catalogue::Catalogue;
use findings::Looker;
use follower::Follower;
use now::Now;
use pins::Pins;
use shared::Shared;
use watch::{Hint, Watch};

/// How long the end waits for the thread that looks at the directory: it may be inside of the file system.
const LEAVE: Duration = Duration::from_secs(2);

/// One followed log.
pub(crate) struct Input {
    config: FileInput,
    key: Key,
    shared: Arc<Shared>,
    roll: Arc<SeenGenerations>,
    started: Nanos,
    thread: Option<(JoinHandle<()>, SyncSender<Hint>)>,
}

impl Input {
    pub(crate) fn new(config: FileInput, key: Key) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let started = Nanos::try_from(now.as_nanos()).unwrap_or(Nanos::MAX);
        let shared = Arc::new(Shared::new(config.waits));
        let roll =
            Arc::new(SeenGenerations::new(Arc::clone(&config.name), Sightings::new(), || {}));
        Self { config, key, shared, roll, started, thread: None }
    }

    /// Takes over what earlier processes have seen, and notes there what is seen. Before any reader is made.
    pub(crate) fn remember(&mut self, roll: Arc<SeenGenerations>) {
        self.roll = roll;
    }

    /// A list of files that is read to its end, as if a log had been followed that far.
    pub(crate) fn finite(mut config: FileInput, key: Key, files: &[Listed]) -> Self {
        // What breaks off is not waited for: nobody is writing it.
        config.waits.settled = Duration::ZERO;
        let input = Self::new(config, key);
        input.shared.end_when_read();
        let generations = files.iter().map(|file| Arc::clone(&file.generation)).collect();
        input.shared.publish(generations, false, false);
        input
    }

    /// What has been seen, to be written down.
    pub(crate) fn roll(&self) -> Arc<SeenGenerations> {
        Arc::clone(&self.roll)
    }

    /// A reader that goes on from a cursor, or where `start_at` says if there is none. Readers are made before
    /// [`Input::start`], so that no file is let go which one of them still needs.
    pub(crate) fn reader(
        &self,
        cursor: Option<Cursor>,
        limits: Limits,
        max_age: Duration,
        large: Large,
    ) -> Reader {
        let start_at = if cursor.is_none() { Some(self.config.start_at) } else { None };
        let reader = Reader::new(
            Arc::clone(&self.shared),
            Arc::clone(&self.roll),
            self.key.clone(),
            limits,
            max_age,
            large,
            cursor,
            start_at,
            self.started,
        );
        self.shared.register(reader.reading());
        reader
    }

    /// A checkpoint holds these cursors of all outputs that take this input, each where one is known: what they have
    /// passed need not be kept. To be called before [`Input::start`] too, with what was loaded. Answers whether another
    /// checkpoint would let links go, though nothing has moved.
    pub(crate) fn saved(&self, cursors: &[Option<&Cursor>]) -> bool {
        let released = self.shared.saved(cursors);
        if released.now
            && let Some((_, waker)) = &self.thread
        {
            let _ = waker.try_send(Hint);
        }
        released.next
    }

    /// Begins to follow the log. `inputs` are the names of all that are followed, `stored` what systemd kept open: the
    /// files of this one are taken out.
    ///
    /// # Errors
    /// If the thread cannot be started.
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
        let pins =
            Pins::new(&self.config, &self.key, inputs, Arc::clone(&self.shared)).taking(stored);
        let pulse = self.shared.pulse().shown_by(heart);
        let mut follower = Follower {
            directory: above(&self.config.path).to_owned(),
            catalogue: Catalogue::new(&self.config.path, self.key.clone())
                .with(&self.config)
                .with_pins(pins)
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
    ///
    /// # Errors
    /// If it cannot be listed.
    pub(crate) fn look_once(&self, stats: &InputStats) -> io::Result<()> {
        let found = Catalogue::new(&self.config.path, self.key.clone())
            .with(&self.config)
            .remembering(Arc::clone(&self.roll))
            .look(Now::now(self.config.waits), |_| false);
        findings::after_look(stats, &self.config, &found, Looker::Once);
        let found = found?;
        stats.generations.set(found.generations.len() as u64);
        stats.backups.set(found.backups as u64);
        stats.last_event.set(inspect::last_event(&found.generations).map(Time::from_nanos));
        self.shared.publish(found.generations, found.awaited, found.unsure);
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

    /// Decompressed bytes on disk that a cursor has not passed; of compressed files an estimate.
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

    /// Whether the directory was looked at.
    pub(crate) fn is_listed(&self) -> bool {
        self.shared.view().0.looks > 0
    }

    /// Whether a listing shows a generation, or it is remembered because some output misses it; `None` before the first
    /// listing.
    pub(crate) fn shows(&self, fingerprint: crate::event::Fingerprint) -> Option<bool> {
        let (view, _) = self.shared.view();
        let shown =
            || view.generations.iter().any(|generation| generation.fingerprint == fingerprint);
        (view.looks > 0).then(|| shown() || self.roll.holds(fingerprint))
    }

    /// Whether these bytes of a generation are read for the first time, by whichever reader.
    pub(crate) fn is_news(&self, fingerprint: crate::event::Fingerprint, end: u64) -> bool {
        self.shared.is_news(fingerprint, end)
    }

    /// Whether it is a list of files, whose readers end when all is read.
    pub(crate) fn is_finite(&self) -> bool {
        self.shared.is_finite()
    }

    /// Stops following and ends every reader's wait.
    pub(crate) fn stop(&self) {
        self.shared.stop();
        if let Some((_, waker)) = &self.thread {
            // Full means that it is awake already.
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
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        } else {
            let input = &*self.config.name;
            tracing::warn!(input, "a thread still waits for the file system and is left behind");
        }
    }
}

#[cfg(test)]
mod tests;
