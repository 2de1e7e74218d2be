//! Decides what the reader does with a file that it cannot read any further: retry it, give it up, or report its rest
//! as a gap.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::disk::descriptors;
use crate::event::{Fingerprint, GapReason, Progress};
use crate::input::file::generation::Generation;
use crate::input::file::source::Trouble;
use crate::input::loss::gap::{Gap, LostBytes};
use crate::input::now::Now;
use crate::input::scan::identify::is_settled;
use crate::telemetry::LogLimiter;

/// The files of one reader that could not be read on.
pub(super) struct ReadFailures {
    /// Generations that are not read for now, and until when.
    postponed: HashMap<Fingerprint, Postponed>,
    /// Files of a finite list that cannot be read any further; the caller that listed them sees that.
    given_up: HashSet<Fingerprint>,
    /// Limits the log lines about disk errors.
    logged: LogLimiter<io::ErrorKind>,
}

/// Why reading a generation is postponed.
#[derive(Clone, Copy, Debug)]
enum Postponed {
    /// Its `.gz` may still be being written.
    Until(Instant),
    /// It ends in a large unfinished line: nothing can be read while the file has this length.
    Length(u64),
}

impl ReadFailures {
    pub(super) fn new() -> Self {
        let logged = LogLimiter::every(Duration::from_mins(5));
        Self { postponed: HashMap::new(), given_up: HashSet::new(), logged }
    }

    pub(super) fn has_given_up(&self, fingerprint: Fingerprint) -> bool {
        self.given_up.contains(&fingerprint)
    }

    /// Reads a generation again from now on.
    pub(super) fn forget(&mut self, fingerprint: Fingerprint) {
        self.postponed.remove(&fingerprint);
    }

    pub(super) fn retain(&mut self, shown: impl Fn(&Fingerprint) -> bool) {
        self.postponed.retain(|fingerprint, _| shown(fingerprint));
    }

    /// Postpones a generation that ends in a large unfinished line until it has another length.
    pub(super) fn wait_for_growth(&mut self, fingerprint: Fingerprint, length: u64) {
        self.postponed.insert(fingerprint, Postponed::Length(length));
    }

    /// Whether a generation is not to be read for now.
    pub(super) fn rests(&mut self, generation: &Generation, length: u64, now: Now) -> bool {
        let rests = match self.postponed.get(&generation.fingerprint) {
            None => return false,
            Some(Postponed::Until(until)) => now.steady < *until,
            Some(Postponed::Length(before)) => *before == length && !generation.closed,
        };
        if !rests {
            self.forget(generation.fingerprint);
        }
        rests
    }

    /// Takes in why a generation cannot be read on; the gap over its rest, if it never can. `finite`: the file is one
    /// of a finite list.
    pub(super) fn failed(
        &mut self,
        generation: &Generation,
        progress: &Progress,
        trouble: Trouble,
        now: Now,
        finite: bool,
    ) -> Option<Gap> {
        let offset = progress.offset;
        let file = generation.place.path().display();
        let (reason, lost) = match trouble {
            Trouble::Damaged { error, rest } if is_settled_file(generation, now) => {
                tracing::warn!(%file, offset, %error, "backup is damaged, the rest of it is lost");
                // These are compressed bytes, so at least this many decompressed ones.
                (GapReason::DamagedGzip, LostBytes::AtLeast(rest))
            }
            Trouble::Damaged { .. } => {
                let until = Postponed::Until(now.steady + now.waits.again);
                self.postponed.insert(generation.fingerprint, until);
                return None;
            }
            Trouble::Barren { rest } => {
                let hint = "see who writes such files into the log's directory; if events stand in the rest of it, ship it with `auditrail replay`";
                tracing::error!(%file, offset, hint, "the file goes on and on without an event, the agent skips its rest");
                let lost = if generation.is_compressed() {
                    LostBytes::AtLeast(rest)
                } else {
                    LostBytes::Exactly(generation.length_now().saturating_sub(offset))
                };
                (GapReason::NoEvents, lost)
            }
            Trouble::Stopped => return None,
            // The next look finds out what became of it.
            Trouble::Replaced | Trouble::Short if !finite => return None,
            Trouble::Replaced | Trouble::Short => {
                self.give_up(generation, "it was replaced");
                return None;
            }
            Trouble::Io(error) if finite && !descriptors::is_spent(&error) => {
                self.give_up(generation, &error.to_string());
                return None;
            }
            Trouble::Io(error) => {
                self.log(generation, &error, now);
                return None;
            }
        };
        let whose = (generation.fingerprint, Arc::clone(&generation.name));
        Some(Gap::rest(reason, whose, progress.clone(), lost))
    }

    fn give_up(&mut self, generation: &Generation, error: &str) {
        if self.given_up.insert(generation.fingerprint) {
            let file = generation.place.path().display();
            tracing::error!(%file, error, "file cannot be read to its end");
        }
    }

    /// Logs, with a rate limit, that a file cannot be read. It is retried for ever.
    fn log(&mut self, generation: &Generation, error: &io::Error, now: Now) {
        // It was renamed or compressed between the look and the opening.
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        if let Some(unsaid) = self.logged.now(error.kind(), now.steady) {
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
}

/// Whether a damaged file will not change any more.
pub(super) fn is_settled_file(generation: &Generation, now: Now) -> bool {
    let meta = match &generation.held {
        Some(held) => held.file.metadata(),
        None => generation.place.metadata(),
    };
    // If the file is gone, the next look finds out more.
    meta.is_ok_and(|meta| is_settled(&meta, now))
}
