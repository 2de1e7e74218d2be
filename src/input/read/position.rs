//! How far one output has read its input, and where it starts if it has no checkpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::start;
use crate::config::StartAt;
use crate::event::{Cursor, Fingerprint, Key, Nanos, Progress, Sightings};
use crate::input::file::generation::Generation;
use crate::input::now::Now;
use crate::input::shared::{Reading, View};

/// The position of a reader.
pub(crate) struct ReadPosition {
    cursor: Cursor,
    /// The same in short, for the follower, which asks what readers still need.
    reading: Reading,
    /// Where to start, decided at the first look; `None` after it.
    start_at: Option<StartAt>,
    /// Since when the first look has been postponed.
    unsure: Option<Instant>,
    /// When this process started.
    started: Nanos,
    /// Bytes of each generation at the first look.
    existed: Option<HashMap<Fingerprint, u64>>,
}

impl ReadPosition {
    /// At a cursor, or where `start_at` says if there is none.
    pub(crate) fn new(cursor: Option<Cursor>, start_at: StartAt, started: Nanos) -> Self {
        let start_at = cursor.is_none().then_some(start_at);
        let cursor = cursor.unwrap_or_default();
        let reading = cursor
            .generations
            .iter()
            .map(|(fingerprint, progress)| (*fingerprint, (progress.offset, progress.complete)));
        let reading = Arc::new(Mutex::new(reading.collect()));
        Self { cursor, reading, start_at, unsure: None, started, existed: None }
    }

    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    pub(super) fn progress(&self, fingerprint: Fingerprint) -> Progress {
        self.cursor.generations.get(&fingerprint).cloned().unwrap_or_default()
    }

    pub(super) fn is_complete(&self, fingerprint: Fingerprint) -> bool {
        self.cursor.is_complete(fingerprint)
    }

    pub(super) fn advance(&mut self, fingerprint: Fingerprint, progress: Progress) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.insert(fingerprint, (progress.offset, progress.complete));
        drop(reading);
        self.cursor.generations.insert(fingerprint, progress);
    }

    pub(super) fn forget(&mut self, fingerprint: Fingerprint) {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).remove(&fingerprint);
        self.cursor.generations.remove(&fingerprint);
    }

    /// Whether an output with `start_at = "beginning"` should postpone its first look: a file that is unreadable for
    /// a moment would count as gone before the output existed.
    pub(super) fn is_too_early(&mut self, view: &View, now: Now) -> bool {
        self.start_at == Some(StartAt::Beginning)
            && view.unsure
            && !view.generations.is_empty()
            && now.steady.duration_since(*self.unsure.get_or_insert(now.steady)) < now.waits.lost
    }

    /// Takes in the lengths of all files at the first look; `false` at any other.
    pub(super) fn take_in(&mut self, view: &View) -> bool {
        if self.existed.is_some() {
            return false;
        }
        // The length of a compressed file is unknown until it is read to its end.
        let length = |generation: &Generation| {
            if generation.is_compressed() { u64::MAX } else { generation.length }
        };
        let existed = view.generations.iter().map(|one| (one.fingerprint, length(one)));
        self.existed = Some(existed.collect());
        true
    }

    /// The cursor at which an output without a checkpoint starts; `None` for one that resumes.
    pub(super) fn start(
        &mut self,
        view: &View,
        remembered: &Sightings,
        key: &Key,
    ) -> Option<Cursor> {
        let start_at = self.start_at.take()?;
        let mut cursor = start::cursor(start_at, &view.generations, self.started, key);
        // Generations that were gone before this output existed are no loss to it.
        for (fingerprint, sighting) in remembered {
            if !view.generations.iter().any(|generation| generation.fingerprint == *fingerprint) {
                let offset = sighting.length;
                let passed = Progress { offset, complete: true, ..Progress::default() };
                cursor.generations.insert(*fingerprint, passed);
            }
        }
        let newest = view.generations.iter().filter_map(|generation| generation.time).max();
        cursor.watched = Some(newest.unwrap_or(Nanos::MIN));
        self.cursor.clone_from(&cursor);
        Some(cursor)
    }

    /// Bytes of a generation that an earlier process may have seen. A generation found after the first look is new
    /// only if its first event is younger than this process.
    pub(super) fn existed(&self, generation: &Generation) -> u64 {
        let first = self.existed.as_ref().and_then(|existed| existed.get(&generation.fingerprint));
        let old = generation.time.is_none_or(|time| time < self.started);
        first.copied().unwrap_or(if old { u64::MAX } else { 0 })
    }
}
