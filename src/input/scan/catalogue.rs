//! Keeps the list of generations: which there are, where each can be read, and in which order.
//!
//! The directory listing is authoritative; an inotify event is only a reason to list. A generation is identified by
//! its fingerprint, whatever its file is called. Files that a reader still needs are held open, so they can be read
//! to their end after the server deletes or compresses them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod found;
mod next;

use super::identify::{Files, Identified, IdentifiedFile};
use super::listing::{InputFiles, Listing, NotFollowed};
use super::renamed::Renamed;
use super::tracked::{Tracked, insert, nameless, track};
use super::unread::Unread;
use crate::config::FollowedLog;
use crate::disk::{above, descriptors};
use crate::event::{Fingerprint, Key, SeenGenerations};
use crate::input::file::generation::{FileId, file_id};
use crate::input::file::names::{Name, Stamp};
use crate::input::file::place::FilePlace;
use crate::input::hold::open_files;
use crate::input::hold::pins::{self, Pins};
use crate::input::loss::time_to_loss::Outlook;
use crate::input::now::Now;
use crate::input::pulse::{Pulse, Stopped};
use crate::own_log::Committed;
pub(crate) use found::Found;
use next::NextCatalogue;

/// The generations of one input.
pub(crate) struct Catalogue {
    directory: PathBuf,
    live: String,
    asked: InputFiles,
    files: Files,
    unread: Unread,
    tracked: Vec<Tracked>,
    pins: Option<Pins>,
    /// The most files held open.
    most: usize,
    renamed: Renamed,
    /// No look has been done yet.
    first: bool,
    outlook: Arc<Outlook>,
    pulse: Pulse,
}

impl Catalogue {
    pub(crate) fn new(path: &Path, key: Key) -> Self {
        let live =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            directory: above(path).to_owned(),
            live,
            asked: InputFiles::default(),
            files: Files::new(key.clone()),
            unread: Unread::new(key),
            tracked: Vec::new(),
            pins: None,
            most: descriptors::share(1),
            renamed: Renamed::default(),
            first: true,
            outlook: Arc::default(),
            pulse: Pulse::default(),
        }
    }

    /// Follows the files that the configuration names.
    pub(crate) fn with(self, config: &FollowedLog) -> Self {
        Self { asked: InputFiles::of(config), ..self }
    }

    /// Reads a log that this process writes as far as it is durable.
    pub(crate) fn written_by_us(mut self, own: Option<Arc<Committed>>) -> Self {
        if let Some(committed) = own {
            self.asked = self.asked.written_by_us(committed);
        }
        self
    }

    /// Recognises unreadable files by what earlier looks remembered of them.
    pub(crate) fn remembering(mut self, roll: Arc<SeenGenerations>) -> Self {
        self.unread.remembering(roll);
        self
    }

    /// Keeps needed generations on disk with hard links.
    pub(crate) fn with_pins(self, pins: Option<Pins>) -> Self {
        Self { pins, ..self }
    }

    /// Reports to the agent's health that a look makes progress.
    pub(crate) fn shown_by(mut self, pulse: &Pulse) -> Self {
        self.files.shown_by(pulse);
        self.pins = self.pins.map(|pins| pins.shown_by(pulse.clone()));
        self.pulse = pulse.clone();
        self
    }

    /// Shares the process's file descriptors among this many inputs, this one included.
    pub(crate) fn one_of(self, inputs: usize) -> Self {
        Self { most: descriptors::share(inputs), ..self }
    }

    /// Lists the directory and updates the catalogue. `wanted` says whether a reader still needs a generation, so
    /// that its file is held open.
    pub(crate) fn look(
        &mut self,
        now: Now,
        wanted: impl Fn(Fingerprint) -> bool,
    ) -> io::Result<Found> {
        let Listing { names, unfollowed } = self.asked.list(&self.directory, &self.live)?;
        let live_exists = names.iter().any(|name| name.stamp.is_none());
        let empty = live_exists
            && fs::metadata(self.directory.join(&self.live)).is_ok_and(|meta| meta.len() == 0);
        let newest = |all: &[Tracked]| {
            // The empty log itself is listed if it could not be read for a moment.
            let newest =
                all.iter().rfind(|one| !one.generation.unread || one.generation.length > 0);
            newest.filter(|_| empty).map(|one| one.generation.fingerprint)
        };
        let writer = newest(&self.tracked);
        if let Some(pins) = &mut self.pins {
            pins.look(now, writer);
        }
        let backups = names.len() - usize::from(live_exists);
        let mut found = Found { live_exists, backups, unfollowed, ..Found::default() };
        let before = std::mem::take(&mut self.tracked);
        let mut next = self.identify(names, &before, now, &mut found)?;
        next.sort();
        let needed = |fingerprint| Some(fingerprint) == writer || wanted(fingerprint);
        let mut next =
            next.with_nameless(before, now, live_exists, (&needed, writer), self.pins.as_ref());
        let writer = newest(&next);
        self.keep(&mut next, now, writer, &mut found);
        self.files.sweep();
        open_files::hold(&mut next, self.most, &wanted, writer, self.pins.as_ref());
        self.renamed.look(&next, empty, now);
        found.not_reopened = self.renamed.keep_open(&mut next);
        if let Some(pins) = &mut self.pins {
            pins.store(&next);
        }
        let unsettled = |one: &Tracked| !one.generation.closed && !one.generation.live;
        found.renaming = self.renamed.is_between(live_exists, now);
        if found.renaming || self.renamed.is_watching() || next.iter().any(unsettled) {
            found.again = found.again.into_iter().chain([now.waits.closed]).min();
        }
        found.moved = !live_exists && next.iter().any(|old| !old.named && !old.generation.closed);
        found.generations = next.iter().map(|tracked| Arc::clone(&tracked.generation)).collect();
        self.tracked = next;
        Ok(found)
    }

    /// Identifies the listed files; `before` are the generations of the last look.
    fn identify(
        &mut self,
        names: Vec<Name>,
        before: &[Tracked],
        now: Now,
        found: &mut Found,
    ) -> io::Result<NextCatalogue> {
        let (mut next, mut open) = (NextCatalogue::default(), 0);
        let by_id: HashMap<FileId, &Tracked> = before.iter().map(|old| (old.id, old)).collect();
        for name in names {
            self.pulse.turn()?;
            let place = self.asked.place_of(&self.directory, &name);
            let held = |id| by_id.get(&id).and_then(|old| old.generation.held.clone());
            match self.files.identify(&name, &place, now, held) {
                // The plain file takes precedence over its `.gz`, unless the `.gz` holds something else.
                Ok(Identified::As(mut known)) if !name.doubled || known.head.time.is_some() => {
                    self.unread.resolve(&name, &place, &known);
                    let before = by_id.get(&known.id).copied();
                    let newly = before.is_none_or(|before| before.generation.held.is_none());
                    if newly && name.stamp.is_some() {
                        self.within(&mut open, &mut known);
                    }
                    let own = self.unread.own_of(&name, &place, known.id, before);
                    next.add(track(&name, place, known, before, own, now));
                }
                Ok(Identified::NoEvent) => {}
                Ok(_) if name.doubled => {}
                Ok(_) => {
                    found.unknown.awaited = true;
                    found.again = found.again.or(name.gzip.then_some(now.waits.settled));
                    if let Some(tracked) = self.unread.still(&name, &place, now) {
                        next.add(tracked);
                    }
                }
                Err(error) if Stopped::is(&error) => return Err(error),
                // The file was renamed or compressed since the listing: the next listing finds it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    found.again = Some(Duration::from_millis(5));
                }
                Err(error) => {
                    if !name.doubled && NotFollowed::of(&error).is_none() {
                        found.again = Some(found.again.unwrap_or(now.waits.again));
                        match self.unread.track(&name, place.clone(), now) {
                            Some(tracked) => next.add(tracked),
                            None => found.unknown.unsure = true,
                        }
                    }
                    found.failed(place.path(), name.stamp.is_none(), error);
                }
            }
        }
        Ok(next)
    }

    /// Closes a file that was opened to be identified, if the maximum is already open.
    fn within(&self, open: &mut usize, known: &mut IdentifiedFile) {
        if *open >= self.most {
            known.held = None;
        }
        *open += usize::from(known.held.is_some());
    }

    /// Links the generations to keep, adds those that only a link keeps, and releases those over the hold budget.
    fn keep(
        &mut self,
        next: &mut Vec<Tracked>,
        now: Now,
        writer: Option<Fingerprint>,
        found: &mut Found,
    ) {
        let Some(pins) = &mut self.pins else { return };
        // A log that was truncated and written again is still the file of its link.
        let live = fs::metadata(self.directory.join(&self.live)).ok().map(|meta| file_id(&meta));
        let mut open = 0;
        let mut identify = |kept: &_, found: &mut Found| {
            identify_kept(&mut self.files, &self.unread, kept, now, found)
        };
        for link in pins.unknown(next, live) {
            let Some((name, identified)) = identify(&link, found) else { continue };
            let (named, place, _) = link;
            let Identified::As(mut known) = identified else {
                pins.remove(named);
                continue;
            };
            let fingerprint = known.head.fingerprint;
            let elsewhere = next.iter().any(|other| other.generation.fingerprint == fingerprint);
            if elsewhere && fingerprint != named {
                pins.remove(named);
            } else if pins.is_of(named, fingerprint).is_err() {
                found.again = Some(pins::SOON);
            } else if !elsewhere {
                open += usize::from(known.held.is_some());
                if open > self.most {
                    known.held = None;
                }
                insert(next, nameless(&name, place, known, now));
            }
        }
        found.unknown.unsure |= pins.are_hidden();
        for file in pins.taken() {
            match identify(&file, found) {
                None => pins.take_later(file),
                Some((name, Identified::As(known))) => {
                    let fingerprint = known.head.fingerprint;
                    let elsewhere =
                        next.iter().any(|other| other.generation.fingerprint == fingerprint);
                    if !elsewhere && pins.is_bare(fingerprint) {
                        insert(next, nameless(&name, file.1, known, now));
                    }
                }
                Some(_) => {}
            }
        }
        // A generation is shown once before it is released, so that its loss can be reported.
        let first = self.first;
        self.first = false;
        if pins.keep(next, now, writer) {
            found.again = found.again.or(Some(pins::LATER));
        }
        if first || pins.within_budget(next) {
            found.again = Some(pins::SOON);
        }
        found.kept = pins.kept();
    }

    /// The outlook for the backups (time to loss), as of the last look.
    pub(crate) fn outlook(&mut self) -> Arc<Outlook> {
        let pins = self.pins.as_ref();
        let backups = self.tracked.iter().filter(|one| one.named && !one.generation.live);
        let files = backups.map(|one| {
            let meta = one.generation.place.metadata();
            let generation = &one.generation;
            (generation.fingerprint, generation.length, meta.map_or(0, |meta| meta.len()))
        });
        let mut outlook = (*self.outlook).clone();
        outlook.take_in(files, pins.and_then(Pins::room));
        self.outlook = Arc::new(outlook);
        Arc::clone(&self.outlook)
    }

    /// Whether a file that is held open has another length than at the last look.
    pub(crate) fn has_grown(&self) -> bool {
        let grown =
            |tracked: &Tracked| tracked.generation.length_now() != tracked.generation.length;
        self.tracked.iter().any(grown)
    }
}

/// Identifies a file that only a link or systemd keeps: the expected fingerprint, the place to open it, and whether it
/// is compressed. `None` if nothing is known of it yet.
fn identify_kept(
    files: &mut Files,
    unread: &Unread,
    (named, place, gzip): &(Fingerprint, FilePlace, bool),
    now: Now,
    found: &mut Found,
) -> Option<(Name, Identified)> {
    let name = Name::backup(&linked(*named, *gzip), *gzip, Stamp::Number(0));
    match files.identify(&name, place, now, |_| None) {
        Ok(Identified::As(mut known)) => {
            if known.head.probe.is_empty() {
                // Nothing of it can be read: only the name of its link identifies it.
                known.head.fingerprint = *named;
            }
            unread.resolve(&name, place, &known);
            Some((name, Identified::As(known)))
        }
        // A truncated `.gz` is read once it is surely damaged; an empty plain file was truncated.
        Ok(Identified::NotYet) if *gzip => {
            found.again = found.again.or(Some(now.waits.settled));
            None
        }
        Ok(other) => Some((name, other)),
        Err(error) => {
            found.unknown.unsure = true;
            found.failed(place.path(), false, error);
            None
        }
    }
}

/// The file name shown for a generation if only a link to it is left.
fn linked(fingerprint: Fingerprint, gzip: bool) -> String {
    format!("{fingerprint}.log{}", if gzip { ".gz" } else { "" })
}
