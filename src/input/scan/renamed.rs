//! Finds the renamed file that the server may still be writing to: logrotate with `create`, and a server that does
//! not reopen its log.
//!
//! As long as the new log is empty, the newest other file is the *writer's file*. The agent keeps it open and linked
//! even if all of it was read, since a cron job may compress and delete it at any time. If it grows while the log
//! stays empty, the server still writes to it, and the agent reports that.

use std::sync::Arc;
use std::time::Instant;

use super::tracked::Tracked;
use crate::event::Fingerprint;
use crate::input::file::generation::Generation;
use crate::input::now::Now;

/// The state of this detection. See the header of this file.
#[derive(Debug, Default)]
pub(crate) struct Renamed {
    /// The newest file beside an empty log, to which the server may still write.
    writer: Option<Writer>,
    /// When the log itself was last there.
    seen: Option<Instant>,
}

#[derive(Debug)]
struct Writer {
    fingerprint: Fingerprint,
    /// When the log was first seen empty.
    since: Instant,
    /// The length of its file after a server that reopens its log would have done so.
    length: Option<u64>,
    /// It has grown since then.
    grows: bool,
}

impl Renamed {
    /// Updates the state from a look. `empty`: the log exists and is empty.
    pub(crate) fn look(&mut self, all: &[Tracked], empty: bool, now: Now) {
        let newest = all.iter().rfind(|newest| empty && !newest.generation.live);
        let Some(newest) = newest.filter(|newest| !newest.generation.is_compressed()) else {
            self.writer = None;
            return;
        };
        let generation = &newest.generation;
        let writer = match self
            .writer
            .take()
            .filter(|before| before.fingerprint == generation.fingerprint)
        {
            Some(before) => before,
            None => Writer {
                fingerprint: generation.fingerprint,
                since: now.steady,
                length: None,
                grows: false,
            },
        };
        let patience = now.steady.duration_since(writer.since) >= now.waits.closed;
        let grows = writer.grows || writer.length.is_some_and(|before| before < generation.length);
        let length = writer.length.or(patience.then_some(generation.length));
        self.writer = Some(Writer { length, grows, ..writer });
    }

    /// Whether the log existed a moment ago: it is being renamed, and a new one is about to be created.
    pub(crate) fn is_between(&mut self, live_exists: bool, now: Now) -> bool {
        if live_exists {
            self.seen = Some(now.steady);
        }
        let recent = |seen| now.steady.duration_since(seen) < now.waits.closed;
        !live_exists && self.seen.is_some_and(recent)
    }

    /// Marks the file that certainly grows as not closed, whatever its name says; returns its name.
    pub(crate) fn keep_open(&self, all: &mut [Tracked]) -> Option<Arc<str>> {
        let writer = self.writer.as_ref().filter(|writer| writer.grows)?;
        let tracked =
            all.iter_mut().find(|one| one.generation.fingerprint == writer.fingerprint)?;
        let generation = &tracked.generation;
        if generation.closed {
            tracked.generation = Arc::new(Generation { closed: false, ..(**generation).clone() });
        }
        Some(Arc::clone(&tracked.generation.name))
    }

    /// Whether the log is empty, so that the newest file has to be watched.
    pub(crate) fn is_watching(&self) -> bool {
        self.writer.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Waits;

    #[test]
    fn a_log_that_is_renamed_is_not_missing_for_as_long_as_a_new_one_takes() {
        let mut renamed = Renamed::default();
        let first = Now::read(Waits::USUAL);
        let after = |waits: u32, more| Now {
            steady: first.steady + first.waits.closed * waits + more,
            ..first
        };
        assert!(!renamed.is_between(false, first), "it never was there");
        assert!(!renamed.is_between(true, first));
        assert!(renamed.is_between(false, after(0, Duration::from_millis(1))));
        assert!(!renamed.is_between(true, after(1, Duration::ZERO)));
        assert!(renamed.is_between(false, after(1, Duration::from_millis(1))));
        assert!(!renamed.is_between(false, after(2, Duration::ZERO)));
    }
}
