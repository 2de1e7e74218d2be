//! Hard links (pins) that keep generations on disk while an output needs them, whatever the server deletes or
//! compresses.
//!
//! Each generation gets one link, in a directory beside the log. The agent makes the link when it first sees the
//! file. It removes the link once two consecutive checkpoints say that every output has passed the generation: if one
//! is damaged, the agent falls back to the one before. If a complete `.gz` is beside the log, the link moves from the
//! plain file to it. A file counts against the hold budget if it has no other name than the link. When the budget is
//! exceeded, the agent removes the oldest link, and its unread rest becomes a gap.
//!
//! Promised: no link of this agent is left behind, and no file of anybody else is touched. Where no link can be made,
//! files that are being read still stay open (`open_files.rs`).

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{FollowedLog, Hold};
use crate::disk::OwnDirectory;
use crate::event::{Fingerprint, Key};
use crate::input::file::generation::{FileId, Generation, OpenFile};
use crate::input::file::place::FilePlace;
use crate::input::now::Now;
use crate::input::pulse::Pulse;
use crate::input::scan::tracked::Tracked;
use crate::input::shared::Shared;
use crate::telemetry::LogLimiter;

mod budget;
mod earlier;
mod link;
mod listing;
mod name;
mod stored_files;

pub(crate) use listing::{HeldLink, held_links, remove_link};
use name::Naming;
pub(crate) use name::{agent_name, rename_links, try_link};

/// Delay before the links are looked at again after a change.
pub(crate) const SOON: Duration = Duration::from_millis(5);
/// Delay before a file is looked for again whose name belonged to another file by the time it was linked, unless a
/// change notification comes first.
pub(crate) const LATER: Duration = Duration::from_secs(1);

/// The links of one input.
#[derive(Debug)]
pub(crate) struct Pins {
    path: PathBuf,
    /// Opened at the first look that finds it, or with the first link.
    directory: Option<Arc<OwnDirectory>>,
    /// The log line that somebody moved the directory was written.
    moved: bool,
    hold: Hold,
    naming: Naming,
    shared: Arc<Shared>,
    pulse: Pulse,
    links: BTreeMap<Fingerprint, Pin>,
    adoption: Adoption,
    /// Limits the log lines about failures.
    failed: LogLimiter<Option<io::ErrorKind>>,
    /// The last attempt to make a link failed.
    failing: bool,
    stored: StoredFiles,
}

/// This input's files in systemd's descriptor store.
#[derive(Debug, Default)]
struct StoredFiles {
    names: BTreeMap<Fingerprint, String>,
    /// Those that systemd kept for this process and that are not identified yet.
    taken: Vec<(Fingerprint, FilePlace, bool)>,
}

/// Whether this process has taken over the links that an earlier one left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Adoption {
    /// Not yet, or something other than a directory stands in its place.
    Pending,
    /// There may be links, but the disk is unreadable for now or no file descriptor is left.
    Hidden,
    /// It has, or there were none.
    Done,
}

/// One link.
#[derive(Clone, Debug)]
struct Pin {
    directory: Arc<OwnDirectory>,
    name: OsString,
    gzip: bool,
    id: FileId,
    /// Bytes that the file occupies on disk.
    bytes: u64,
    /// Since when the link has been the file's only name.
    alone: Option<Instant>,
    /// Time of its last write.
    written: (i64, i64),
    /// The head of the file confirmed that it holds the generation that its name says.
    verified: bool,
    /// A `.gz` beside the log that was found incomplete or damaged, and its size.
    broken: Option<(FileId, u64)>,
}

/// The totals of the links.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Kept {
    pub(crate) pins: u64,
    /// Bytes on disk of all linked files.
    pub(crate) bytes: u64,
    /// Of those, the bytes that only the links keep.
    pub(crate) alone: u64,
}

impl Pins {
    /// `inputs` are the names of all followed inputs: links of other inputs are left over from an earlier
    /// configuration.
    pub(crate) fn new(
        config: &FollowedLog,
        key: &Key,
        inputs: &[Arc<str>],
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            path: config.hold.dir.clone(),
            directory: None,
            moved: false,
            hold: config.hold.clone(),
            naming: Naming::new(key, &config.name, inputs),
            pulse: shared.pulse(),
            shared,
            links: BTreeMap::new(),
            adoption: Adoption::Pending,
            failed: LogLimiter::every(Duration::from_hours(1)),
            failing: false,
            stored: StoredFiles::default(),
        }
    }

    /// Reports to the agent's health that a look makes progress.
    pub(crate) fn shown_by(self, pulse: Pulse) -> Self {
        Self { pulse, ..self }
    }

    /// Takes over the links of an earlier process at the first look, updates the state of each link, and removes
    /// those no longer needed. It never removes the link of `writer`, to whose file the server may still write.
    pub(crate) fn look(&mut self, now: Now, writer: Option<Fingerprint>) {
        self.see_directory();
        if self.adoption != Adoption::Done {
            self.adopt();
        }
        let mut gone = Vec::new();
        for (fingerprint, pin) in &mut self.links {
            match pin.directory.stat(&pin.name) {
                Ok(stat) => {
                    (pin.id, pin.bytes, pin.written) = (stat.id, stat.bytes, stat.modified);
                    let since = || pin.alone.unwrap_or(now.steady);
                    pin.alone = stat.alone.then(since);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => gone.push(*fingerprint),
                // The disk may be unreadable for a while.
                Err(_) => {}
            }
        }
        for fingerprint in gone {
            self.links.remove(&fingerprint);
        }
        let useless = |fingerprint: Fingerprint, pin: &Pin| {
            let off = self.hold.max_bytes == 0 && pin.alone.is_none();
            let passed = Some(fingerprint) != writer && self.shared.is_passed(fingerprint);
            (off || passed).then_some(fingerprint)
        };
        let useless: Vec<_> =
            self.links.iter().filter_map(|(fingerprint, pin)| useless(*fingerprint, pin)).collect();
        for fingerprint in useless {
            self.remove(fingerprint);
        }
    }

    /// Whether there may be links that cannot be seen. The files that they keep are then not reported as lost.
    pub(crate) fn are_hidden(&self) -> bool {
        self.adoption == Adoption::Hidden
    }

    pub(crate) fn has(&self, fingerprint: Fingerprint) -> bool {
        self.links.contains_key(&fingerprint)
    }

    /// The file to read a generation from that has no other name: its link, if it has one.
    pub(crate) fn file_of(&self, generation: &Generation) -> Option<io::Result<OpenFile>> {
        let pin = self.links.get(&generation.fingerprint)?;
        if let Some(held) = generation.held.as_ref().filter(|held| held.id == pin.id) {
            return Some(Ok(held.clone()));
        }
        match pin.open() {
            // Somebody removed it since the look at the links.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened),
        }
    }

    /// Links that match no generation of the catalogue, or that only their name assigns to one: an earlier process
    /// made them. Oldest write first. Links of the log itself, `live`, are left out while it has no complete first
    /// event: half a line is no fingerprint.
    pub(crate) fn unknown(
        &self,
        known: &[Tracked],
        live: Option<FileId>,
    ) -> Vec<(Fingerprint, FilePlace, bool)> {
        if self.links.is_empty() {
            return Vec::new();
        }
        let files: HashMap<_, _> =
            known.iter().map(|tracked| (tracked.generation.fingerprint, tracked.id)).collect();
        let awaited = live.filter(|live| known.iter().all(|tracked| tracked.id != *live));
        let unknown = |fingerprint: &Fingerprint, pin: &Pin| match files.get(fingerprint) {
            _ if awaited == Some(pin.id) => false,
            None => true,
            Some(id) => !pin.verified && *id != pin.id,
        };
        let mut unknown: Vec<_> =
            self.links.iter().filter(|(fingerprint, pin)| unknown(fingerprint, pin)).collect();
        unknown.sort_by_key(|(_, pin)| pin.written);
        unknown
            .into_iter()
            .map(|(fingerprint, pin)| (*fingerprint, pin.place(), pin.gzip))
            .collect()
    }

    /// The file of a link turned out to be this generation: renames the link accordingly.
    pub(crate) fn is_of(&mut self, named: Fingerprint, fingerprint: Fingerprint) -> io::Result<()> {
        let Some(mut pin) = self.links.remove(&named) else { return Ok(()) };
        if named != fingerprint {
            let name = OsString::from(self.naming.name(fingerprint, pin.gzip));
            pin.directory.rename(&pin.name, &name)?;
            pin.name = name;
        }
        pin.verified = true;
        self.links.insert(fingerprint, pin);
        Ok(())
    }

    /// Removes a link. The file that it kept may be lost.
    pub(crate) fn remove(&mut self, fingerprint: Fingerprint) {
        let Some(pin) = self.links.get(&fingerprint) else { return };
        match pin.directory.remove(&pin.name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.tell(&error),
            _ => drop(self.links.remove(&fingerprint)),
        }
    }

    /// Links every needed generation that has no link yet, and points each generation at the file to read. Returns
    /// whether something is left to do.
    pub(crate) fn keep(
        &mut self,
        all: &mut [Tracked],
        now: Now,
        writer: Option<Fingerprint>,
    ) -> bool {
        let (mut unsettled, mut linked, mut verified) = (false, false, false);
        for tracked in all.iter_mut() {
            let fingerprint = tracked.generation.fingerprint;
            let may_grow = Some(fingerprint) == writer;
            if !may_grow && self.shared.is_passed(fingerprint) {
                continue;
            }
            let pin = self.links.get(&fingerprint).cloned();
            match pin {
                None if tracked.generation.unread => {}
                None if tracked.named && self.hold.max_bytes > 0 => match self.link(tracked) {
                    Ok(done) => {
                        linked |= done;
                        unsettled |= !done;
                    }
                    Err(error) => self.tell(&error),
                },
                None => {}
                Some(pin) if !tracked.named => point(tracked, &pin),
                Some(pin) if pin.id == tracked.id => {}
                Some(pin) => {
                    let as_it_is = may_grow || tracked.generation.unread;
                    let wait = as_it_is
                        || pin.alone.is_none_or(|since| {
                            now.steady.duration_since(since) < now.waits.two_copies || verified
                        });
                    match self.other_file(tracked, &pin, wait) {
                        Ok(done) => {
                            linked |= done;
                            verified |= !wait && tracked.generation.gzip;
                        }
                        Err(error) => self.tell(&error),
                    }
                }
            }
        }
        if linked {
            // fsync, so that a power cut does not lose a link after the server deleted the file.
            match self.directory.as_ref().map_or(Ok(()), |directory| directory.sync()) {
                Ok(()) => {
                    self.failing = false;
                    self.failed.now(None, now.steady);
                }
                Err(error) => self.tell(&error),
            }
        }
        unsettled
    }

    pub(crate) fn kept(&self) -> Kept {
        let mut kept = Kept::default();
        for pin in self.links.values() {
            kept.pins += 1;
            kept.bytes += pin.bytes;
            kept.alone += if pin.alone.is_some() { pin.bytes } else { 0 };
        }
        kept
    }
}

impl Pin {
    fn new(directory: &Arc<OwnDirectory>, name: OsString, gzip: bool) -> Self {
        let (written, alone, broken) = ((0, 0), None, None);
        let directory = Arc::clone(directory);
        Self {
            directory,
            name,
            gzip,
            id: (0, 0),
            bytes: 0,
            alone,
            written,
            verified: false,
            broken,
        }
    }

    fn place(&self) -> FilePlace {
        FilePlace::hold(&self.directory, self.name.clone())
    }

    fn open(&self) -> io::Result<OpenFile> {
        OpenFile::open(&self.place(), self.gzip)
    }
}

/// Makes a generation be read from its link.
fn point(tracked: &mut Tracked, pin: &Pin) {
    let old = &tracked.generation;
    let place = pin.place();
    if old.place.path() == place.path() && tracked.id == pin.id {
        return;
    }
    let same = old.held.as_ref().filter(|held| held.id == pin.id).cloned();
    let held = match same {
        // No reader needs it now, so it is not opened: there may be thousands.
        None if old.held.is_none() && old.closed && old.gzip == pin.gzip => None,
        None => pin.open().ok(),
        same => same,
    };
    let length = match &held {
        Some(held) if !held.gzip => held.file.metadata().map_or(old.length, |meta| meta.len()),
        _ => old.length,
    };
    let (gzip, unread) = (pin.gzip, old.unread && held.is_none());
    tracked.id = pin.id;
    let generation = Generation { place, gzip, held, length, unread, ..(**old).clone() };
    tracked.generation = Arc::new(generation);
}
