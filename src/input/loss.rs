//! Notices generations that were begun, or at least seen, and can be read nowhere any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::generation::Generation;
use super::now::Now;
use super::shared::View;
use crate::event::{Cursor, Fingerprint, Nanos, Sightings};

/// What was read to its end and is gone is remembered for so long, in case somebody puts it back.
const FORGOTTEN: Duration = Duration::from_hours(1);
/// Stands for the name of a file that was gone before any process noted it.
const UNSEEN: &str = "?";

/// What is remembered of a generation in case it is lost.
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    /// At the last look.
    length: u64,
    /// How long it was before it became shorter.
    longest: u64,
    /// Nothing can have been added since.
    complete: bool,
    /// Time of its first event.
    time: Option<Nanos>,
    /// The last look that showed it; 0: none of this process.
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
    /// So many bytes of it were never read, or more.
    Lost { print: Fingerprint, name: Arc<str>, bytes: u64, at_least: bool },
    /// It was read as far as anybody knows.
    Read { print: Fingerprint, name: Arc<str> },
    /// So long ago that nothing need be known of it.
    Forgotten { print: Fingerprint },
}

impl Losses {
    /// Takes over what earlier processes have seen.
    pub(super) fn remember(&mut self, sightings: &Sightings) {
        for (print, sighting) in sightings {
            let known = Known {
                name: Arc::clone(&sighting.file),
                length: sighting.length,
                longest: sighting.length,
                complete: sighting.complete,
                time: sighting.time,
                looks: 0,
                missed: None,
            };
            self.known.insert(*print, known);
        }
    }

    /// The next generation to be given up, if there is one.
    pub(super) fn next(&mut self, view: &View, cursor: &Cursor, now: Now) -> Option<Gone> {
        // Where nothing is shown, or something cannot be read, the disk may be another one, or come later.
        if view.unsure || (self.looks == view.looks && !self.missed) {
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
            let bytes = known.longest.max(known.length).saturating_sub(offset);
            // Of a file that was live when it was last seen by an earlier process nobody knows whether it held more.
            let unknown = known.looks == 0 && !known.complete;
            let (print, name) = (*print, Arc::clone(&known.name));
            gone = Some(if complete {
                Gone::Forgotten { print }
            } else if bytes > 0 || unknown {
                Gone::Lost { print, name, bytes, at_least: !known.complete }
            } else {
                Gone::Read { print, name }
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

    /// Time of the first event of a generation.
    pub(super) fn first_event(&self, print: Fingerprint) -> Option<Nanos> {
        self.known.get(&print)?.time
    }

    /// Time of the first event of the next generation that is known after one.
    pub(super) fn after(&self, print: Fingerprint, last: Option<Nanos>) -> Option<Nanos> {
        let last = last.max(self.first_event(print))?;
        let others = self.known.iter().filter(|(other, _)| **other != print);
        others.filter_map(|(_, known)| known.time).filter(|time| *time > last).min()
    }

    /// A file is found cut or altered: answers how long it was, as far as known.
    pub(super) fn cut(&mut self, generation: &Generation) -> u64 {
        let Some(known) = self.known.get_mut(&generation.print) else { return 0 };
        known.shrink(generation.length_now());
        std::mem::take(&mut known.longest)
    }

    fn take_in(&mut self, view: &View, cursor: &Cursor) {
        self.looks = view.looks;
        for generation in view.generations.iter() {
            let name = Arc::clone(&generation.name);
            let complete = is_complete(generation);
            match self.known.get_mut(&generation.print) {
                Some(known) => {
                    // What a `.gz` says of its length is less certain than what was seen.
                    if !(known.complete && generation.is_compressed()) {
                        known.shrink(generation.length);
                        known.complete = complete;
                    }
                    (known.name, known.time) = (name, generation.time.or(known.time));
                    (known.looks, known.missed) = (view.looks, None);
                }
                None => {
                    let (length, time) = (generation.length, generation.time);
                    let (looks, missed) = (view.looks, None);
                    let known = Known { name, length, longest: 0, complete, time, looks, missed };
                    self.known.insert(generation.print, known);
                }
            }
        }
        for (print, progress) in &cursor.generations {
            let unseen = || Known {
                name: Arc::from(UNSEEN),
                length: progress.offset,
                longest: 0,
                complete: false,
                time: None,
                looks: 0,
                missed: None,
            };
            self.known.entry(*print).or_insert_with(unseen);
        }
    }
}

impl Known {
    /// Of a file that only grew nobody can tell that it was cut in between, so only what became shorter is sure.
    fn shrink(&mut self, length: u64) {
        if length < self.length {
            self.longest = self.longest.max(self.length);
        } else if length >= self.longest {
            self.longest = 0;
        }
        self.length = length;
    }
}

/// Whether its length is certain and final.
pub(super) fn is_complete(generation: &Generation) -> bool {
    generation.closed && !generation.is_compressed()
}
