//! Tells a reader of generations that the hold budget had no room for.

use std::sync::Arc;

use super::reader::{Gap, Reader};
use crate::event::Progress;
use crate::telemetry::GapReason;

impl Reader {
    /// What was let go before it was read to its end: as much as that was. A reader that waited for its output all the
    /// while hears of it too, though no look of its own ever showed the file.
    pub(super) fn spent(&mut self) -> Option<Gap> {
        loop {
            let done = |fingerprint| {
                let known: Option<&Progress> = self.cursor.generations.get(&fingerprint);
                known.is_some_and(|progress| progress.complete)
            };
            let generation = self.shared.spent(done)?;
            let fingerprint = generation.fingerprint;
            let before = self.cursor.generations.get(&fingerprint).cloned().unwrap_or_default();
            let progress = Progress { complete: true, ..before.clone() };
            self.advance(fingerprint, progress.clone());
            let bytes = generation.length.saturating_sub(before.offset);
            if bytes == 0 && !generation.gzip {
                continue;
            }
            return Some(Gap {
                reason: GapReason::BudgetSpent,
                generation: fingerprint,
                file: Arc::clone(&generation.name),
                offset: before.offset,
                bytes,
                // Of a compressed file the trailer tells the length, modulo 2^32.
                at_least: generation.gzip,
                from: before.time.or(generation.time),
                to: None,
                progress,
            });
        }
    }
}
