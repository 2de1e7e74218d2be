//! Notices generations that were begun, or at least seen, and can be read nowhere any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::now::Now;
use super::shared::View;
use crate::event::{Cursor, Fingerprint};

/// What was read to its end and is gone is remembered for so long, in case somebody puts it back.
const FORGOTTEN: Duration = Duration::from_hours(1);
/// Stands for the name of a file that was gone before this process saw it.
const UNSEEN: &str = "?";

/// What is remembered of a generation in case it is lost.
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    length: u64,
    /// The last look that showed it.
    looks: u64,
    missed: Option<Instant>,
}

/// The generations that one reader has to account for.
#[derive(Debug, Default)]
pub(super) struct Losses {
    known: HashMap<Fingerprint, Known>,
    /// Looks taken in. All is gone through again only after another, or while something is missed.
    looks: u64,
    missed: bool,
}

/// What became of a generation that is gone.
#[derive(Debug, PartialEq)]
pub(super) enum Gone {
    /// At least so many bytes of it were never read.
    Lost { print: Fingerprint, name: Arc<str>, bytes: u64 },
    /// It was read as far as anybody knows.
    Read { print: Fingerprint },
    /// So long ago that nothing need be known of it.
    Forgotten { print: Fingerprint },
}

impl Losses {
    /// The next generation to be given up, if there is one.
    pub(super) fn next(&mut self, view: &View, cursor: &Cursor, now: Now) -> Option<Gone> {
        if self.looks == view.looks && !self.missed {
            return None;
        }
        if self.looks != view.looks {
            self.take_in(view, cursor);
        }
        self.missed = false;
        let mut gone = None;
        for (print, known) in &mut self.known {
            if known.looks == view.looks {
                known.missed = None;
                continue;
            }
            let progress = cursor.generations.get(print);
            let complete = progress.is_some_and(|progress| progress.complete);
            self.missed |= !complete;
            let missed = now.steady.duration_since(*known.missed.get_or_insert(now.steady));
            if missed < if complete { FORGOTTEN } else { now.waits.lost } {
                continue;
            }
            let offset = progress.map_or(0, |progress| progress.offset);
            let bytes = known.length.saturating_sub(offset);
            gone = Some(match &*known.name {
                _ if complete => Gone::Forgotten { print: *print },
                // Of a file that was never seen nobody knows whether it held more.
                name if bytes > 0 || name == UNSEEN => {
                    Gone::Lost { print: *print, name: Arc::clone(&known.name), bytes }
                }
                _ => Gone::Read { print: *print },
            });
            break;
        }
        if let Some(Gone::Forgotten { print }) = &gone {
            self.known.remove(print);
        }
        // There may be more of them.
        self.missed |= gone.is_some();
        gone
    }

    fn take_in(&mut self, view: &View, cursor: &Cursor) {
        self.looks = view.looks;
        for generation in view.generations.iter() {
            let (name, length) = (Arc::clone(&generation.name), generation.length);
            let known = Known { name, length, looks: view.looks, missed: None };
            self.known.insert(generation.print, known);
        }
        for (print, progress) in &cursor.generations {
            let unseen = || Known {
                name: Arc::from(UNSEEN),
                length: progress.offset,
                looks: 0,
                missed: None,
            };
            self.known.entry(*print).or_insert_with(unseen);
        }
    }
}
