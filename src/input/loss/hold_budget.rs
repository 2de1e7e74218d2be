//! Reports to a reader, as gaps, the generations that were removed because the hold budget was exceeded.

use std::sync::Arc;

use crate::event::Progress;
use crate::input::read::reader::{Gap, Reader};
use crate::telemetry::GapReason;

impl Reader {
    /// The next gap of a generation that was removed before this reader had read it to its end. A reader that was
    /// waiting for its output all the time gets it too, even if no look of its own ever showed the file.
    pub(crate) fn spent(&mut self) -> Option<Gap> {
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
                // The trailer of a compressed file holds the length modulo 2^32.
                at_least: generation.gzip,
                from: before.time.or(generation.time),
                to: None,
                progress,
            });
        }
    }
}
