//! Handles a generation that cannot be read any further: it is retried, given up, or its rest is reported as a gap.

use std::io;
use std::sync::Arc;

use crate::disk::descriptors;
use crate::event::Progress;
use crate::input::file::generation::Generation;
use crate::input::file::source::Trouble;
use crate::input::now::Now;
use crate::input::read::open::Filled;
use crate::input::read::reader::{Gap, Postponed, Reader};
use crate::input::scan::identify::is_settled;
use crate::telemetry::GapReason;

impl Reader {
    /// Logs, with a rate limit, that a file cannot be read. It is retried for ever.
    fn tell_unreadable(&mut self, generation: &Generation, error: &io::Error, now: Now) {
        // It was renamed or compressed between the look and the opening.
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        if let Some(unsaid) = self.unreadable.now(error.kind(), now.steady) {
            let file = generation.place.path().display();
            let repeated = (unsaid > 0).then_some(unsaid);
            if descriptors::is_spent(error) {
                let hint = descriptors::WAY_OUT;
                tracing::warn!(%file, hint, repeated, "no file descriptor is left to read the log, trying again");
                return;
            }
            tracing::error!(%file, %error, repeated, "log cannot be read, trying again");
        }
    }

    /// Gives up a file of a finite list. Its rest stays unread, and the caller that listed it sees that.
    fn give_up(&mut self, generation: &Generation, error: &str) {
        if self.shared.is_finite() && self.given_up.insert(generation.fingerprint) {
            let file = generation.place.path().display();
            tracing::error!(%file, error, "file cannot be read to its end");
        }
    }

    pub(crate) fn failed(
        &mut self,
        generation: &Generation,
        progress: &Progress,
        trouble: Trouble,
        now: Now,
    ) -> Filled {
        self.open = None;
        let (error, rest) = match trouble {
            Trouble::Damaged { error, rest } => (error, rest),
            Trouble::Barren { rest } => {
                return Filled::Gap(self.give_up_barren(generation, progress, rest));
            }
            Trouble::Stopped => return Filled::Drained,
            // The next look finds out what became of it.
            Trouble::Replaced | Trouble::Short => {
                self.give_up(generation, "it was replaced");
                return Filled::Drained;
            }
            Trouble::Io(error) if self.shared.is_finite() && !descriptors::is_spent(&error) => {
                self.give_up(generation, &error.to_string());
                return Filled::Drained;
            }
            Trouble::Io(error) => {
                self.tell_unreadable(generation, &error, now);
                return Filled::Drained;
            }
        };
        if !settled(generation, now) {
            self.resting
                .insert(generation.fingerprint, Postponed::Until(now.steady + now.waits.again));
            return Filled::Drained;
        }
        let offset = progress.offset;
        tracing::warn!(file = %generation.place.path().display(), offset, %error, "backup is damaged, the rest of it is lost");
        // These are compressed bytes, so at least this many decompressed ones.
        Filled::Gap(self.rest_of(generation, progress, GapReason::DamagedGzip, (rest, true)))
    }

    /// Gives up a file that holds no event for too long; `rest`: bytes in the file after the last byte read.
    fn give_up_barren(&mut self, generation: &Generation, progress: &Progress, rest: u64) -> Gap {
        let (file, offset) = (generation.place.path().display(), progress.offset);
        let hint = "see who writes such files into the log's directory; if events stand in the rest of it, ship it with `auditrail replay`";
        tracing::error!(%file, offset, hint, "the file goes on and on without an event, the rest of it is not read");
        let lost = if generation.is_compressed() {
            (rest, true)
        } else {
            (generation.length_now().saturating_sub(offset), false)
        };
        self.rest_of(generation, progress, GapReason::NoEvents, lost)
    }

    /// A gap over the rest of a generation, of exactly or at least `bytes`.
    fn rest_of(
        &mut self,
        generation: &Generation,
        progress: &Progress,
        reason: GapReason,
        (bytes, at_least): (u64, bool),
    ) -> Gap {
        let progress = Progress { complete: true, ..progress.clone() };
        self.advance(generation.fingerprint, progress.clone());
        Gap {
            reason,
            generation: generation.fingerprint,
            file: Arc::clone(&generation.name),
            offset: progress.offset,
            bytes,
            at_least,
            from: progress.time,
            to: self.losses.after(generation.fingerprint, progress.time),
            progress,
        }
    }
}

/// Whether a damaged file will not change any more.
pub(crate) fn settled(generation: &Generation, now: Now) -> bool {
    let meta = match &generation.held {
        Some(held) => held.file.metadata(),
        None => generation.place.metadata(),
    };
    // If the file is gone, the next look finds out more.
    meta.is_ok_and(|meta| is_settled(&meta, now))
}
