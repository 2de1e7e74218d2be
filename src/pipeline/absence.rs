//! Sends again what a back end acknowledged just before it was away, if the output has a `resend_window`. Such a back
//! end acknowledges what it has queued in memory, and that is lost if it dies.
//!
//! The cursor goes back to where the window begins, and the reader goes back to the cursor. Files that are gone are
//! not read again: what is lost of them is no gap, since it was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::DeliveryContext;
use crate::checkpoint::Ledger;
use crate::event::{Cursor, Fingerprint, Progress};
use crate::input::{Chunk, Input};

/// Whether the back end was away, and how far it has been sent to again.
pub(super) struct Absence {
    context: Arc<DeliveryContext>,
    ledger: Arc<Ledger>,
    was_away: bool,
    /// The reader has not gone back yet: what it returns until then is not wanted.
    is_going_back: bool,
    /// How far each generation had been read. Damage below that is known.
    known_below: BTreeMap<Fingerprint, u64>,
}

impl Absence {
    /// After a restart of the agent nobody knows what the back end did meanwhile, so it counts as having been away.
    pub(super) fn new(context: &Arc<DeliveryContext>, ledger: &Arc<Ledger>) -> Self {
        let (context, ledger) = (Arc::clone(context), Arc::clone(ledger));
        let was_away = ledger.resend_from().is_some();
        Self { context, ledger, was_away, is_going_back: false, known_below: BTreeMap::new() }
    }

    /// Whether the window has to be sent again before anything else.
    pub(super) fn is_noticed(&mut self) -> bool {
        if self.context.output.was_away() {
            self.was_away = self.ledger.resend_from().is_some();
        }
        self.was_away
    }

    pub(super) fn is_going_back(&self) -> bool {
        self.is_going_back
    }

    /// The reader has gone back.
    pub(super) fn is_back(&mut self) {
        self.is_going_back = false;
    }

    /// Moves the cursor back; returns where the reader has to go. Nothing is in flight.
    pub(super) fn go_back(&mut self, input: &Input) -> Option<Cursor> {
        self.was_away = false;
        let start = self.ledger.resend_from()?;
        let now = self.ledger.cursor();
        let past = |fingerprint: &Fingerprint, progress: &Progress| {
            // A file that was altered meanwhile does not hold what was sent.
            let then = start.generations.get(fingerprint).cloned().unwrap_or_else(|| Progress {
                alterations: progress.alterations,
                ..Progress::default()
            });
            let differs = (then.offset, then.complete) != (progress.offset, progress.complete);
            let there =
                then.alterations == progress.alterations && input.file_of(*fingerprint).is_some();
            (differs && there).then_some(then)
        };
        let back: BTreeMap<_, _> = now
            .generations
            .iter()
            .filter_map(|(fingerprint, progress)| {
                Some((*fingerprint, past(fingerprint, progress)?))
            })
            .collect();
        if back.is_empty() {
            return None;
        }
        let mut bytes = 0;
        for (fingerprint, then) in &back {
            let offset = now.generations.get(fingerprint).map_or(0, |progress| progress.offset);
            bytes += offset.saturating_sub(then.offset);
            let known = self.known_below.entry(*fingerprint).or_default();
            *known = offset.max(*known);
        }
        self.ledger.go_back(back);
        self.context.reporter.sends_again(bytes);
        self.is_going_back = true;
        Some(self.ledger.cursor())
    }

    /// Removes the damage of a chunk that was reported when it was read for the first time.
    pub(super) fn forget_known_damage(&self, chunk: &mut Chunk) {
        if let Some(known) = self.known_below.get(&chunk.generation) {
            chunk.told.damage.retain(|damage| damage.offset >= *known);
        }
    }
}
