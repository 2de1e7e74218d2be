//! Opens an own log after any end of the process before: cuts off what was not committed, and removes what was on its
//! way.
//!
//! Each process writes a generation of its own. If a machine was rolled back, the process before may have written
//! other bytes at the same offsets, and an output may have them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use flate2::read::MultiGzDecoder;
use rand::TryRng as _;

use super::committed::Committed;
use super::markers::LogHeader;
use super::names::{LogFile, live_name, next_name, rotated_name};
use super::rotated::RotatedFile;
use super::scan::{Scanned, scan};
use super::seen_bodies::SeenBodies;
use crate::disk::{self, File, Links, ReadFile};
use crate::event::{Fingerprint, Nanos};

/// Files that were not written to for this long hold no body that a sender may send again.
const OLD: Duration = Duration::from_mins(11);

/// The state of a log that is ready to be written to.
pub(super) struct Recovered {
    pub(super) directory: PathBuf,
    pub(super) live: LiveFile,
    /// Oldest first.
    pub(super) rotated_files: Vec<RotatedFile>,
    pub(super) seen: SeenBodies,
    /// The next group of commits.
    pub(super) group: u64,
}

/// The file that is written to.
pub(super) struct LiveFile {
    pub(super) file: File,
    pub(super) header: LogHeader,
    /// Bytes of the header.
    pub(super) header_bytes: u64,
    /// Bytes that are durable.
    pub(super) length: u64,
    pub(super) begun: Instant,
}

impl Recovered {
    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.live.length + self.rotated_files.iter().map(|rotated| rotated.bytes).sum::<u64>()
    }
}

/// Opens the log in `directory`.
///
/// # Errors
/// Those of the file system. Nothing is removed that may be committed.
pub(super) fn recover(
    directory: &Path,
    now: Nanos,
    committed: &Committed,
) -> io::Result<Recovered> {
    disk::create_dir_all(directory)?;
    let (live, mut rotated_files) = listed(directory)?;
    let (mut seen, mut group) = (SeenBodies::default(), 0);
    for rotated in &mut rotated_files {
        let scanned = scan_rotated(directory, rotated)?;
        rotated.id = scanned.header.as_ref().map(|header| header.id);
        group = group.max(scanned.group);
        remember(&mut seen, &scanned, rotated.sequence, now);
    }
    let mut next = rotated_files.last().map_or(1, |rotated| rotated.sequence + 1);
    if live {
        let scanned = cut_back(directory)?;
        group = group.max(scanned.group);
        let sequence = scanned.header.as_ref().map_or(next, |header| header.sequence.max(next));
        remember(&mut seen, &scanned, sequence, now);
        disk::rename(&directory.join(live_name()), &directory.join(rotated_name(sequence)))?;
        // The new name is durable before another file takes the old one.
        disk::sync_directory(directory)?;
        rotated_files.push(RotatedFile {
            sequence,
            id: scanned.header.map(|header| header.id),
            bytes: scanned.committed,
            gzip: false,
            rotated: Instant::now(),
        });
        next = sequence + 1;
    }
    let live = begin(directory, (next, group + 1), now, committed)?;
    let directory = directory.to_owned();
    Ok(Recovered { directory, live, rotated_files, seen, group: group + 1 })
}

/// Begins a new live file, with its number and its first group. It has its name once the header is durable.
///
/// # Errors
/// Those of the file system.
pub(super) fn begin(
    directory: &Path,
    (sequence, group): (u64, u64),
    now: Nanos,
    committed: &Committed,
) -> io::Result<LiveFile> {
    let beside = directory.join(next_name());
    let (mut file, header) = (File::create(&beside)?, new_header((sequence, group), now)?);
    let line = header.line();
    file.write_all(&line)?;
    file.sync()?;
    let length = line.len() as u64;
    // Before it has its name, so that no reader takes it for an earlier generation, which may be read as a whole.
    committed.begin(file.id()?, length);
    disk::rename(&beside, &directory.join(live_name()))?;
    disk::sync_directory(directory)?;
    Ok(LiveFile { file, header, header_bytes: length, length, begun: Instant::now() })
}

/// The header of a new file.
///
/// # Errors
/// The kernel has no random numbers.
pub(super) fn new_header((sequence, group): (u64, u64), now: Nanos) -> io::Result<LogHeader> {
    let mut id = [0; 16];
    rand::rngs::SysRng.try_fill_bytes(&mut id).map_err(io::Error::other)?;
    Ok(LogHeader { id: Fingerprint(id), sequence, group, created: rfc3339_of(now) })
}

/// A time as text.
pub(super) fn rfc3339_of(time: Nanos) -> String {
    jiff::Timestamp::from_nanosecond(time.into()).unwrap_or_default().to_string()
}

/// Removes what was on its way. Returns whether there is a live file, and the rotated ones, oldest first.
fn listed(directory: &Path) -> io::Result<(bool, Vec<RotatedFile>)> {
    let mut live = false;
    let mut rotated: BTreeMap<u64, (bool, bool)> = BTreeMap::new();
    for entry in disk::list(directory)? {
        let entry = entry?;
        match entry.file_name().to_str().and_then(LogFile::parse) {
            Some(LogFile::Live) => live = true,
            Some(LogFile::Unfinished) => disk::remove_file(&entry.path())?,
            Some(LogFile::Rotated { sequence, gzip }) => {
                let both = rotated.entry(sequence).or_default();
                *(if gzip { &mut both.1 } else { &mut both.0 }) = true;
            }
            None => {}
        }
    }
    let mut rotated_files = Vec::new();
    for (sequence, (plain, gzip)) in rotated {
        if plain && gzip {
            // A compressed file has its name only when it is complete.
            disk::remove_file(&directory.join(rotated_name(sequence)))?;
        }
        let rotated = Instant::now();
        rotated_files.push(RotatedFile { sequence, id: None, bytes: 0, gzip, rotated });
    }
    Ok((live, rotated_files))
}

/// Reads a rotated file: all of it if a sender may send one of its bodies again, else the header.
fn scan_rotated(directory: &Path, rotated: &mut RotatedFile) -> io::Result<Scanned> {
    let file = ReadFile::open(&directory.join(rotated.file()), Links::Refused)?;
    let meta = file.metadata()?;
    rotated.bytes = meta.len();
    let age = meta.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    let most = if age.is_some_and(|age| age > OLD) { 4096 } else { u64::MAX };
    let scanned = if rotated.gzip {
        scan(MultiGzDecoder::new(file).take(most))
    } else {
        scan(file.take(most))
    };
    match scanned {
        // The reader of the log reports the damage.
        Err(error) if rotated.gzip && error.kind() != io::ErrorKind::NotFound => {
            Ok(Scanned::default())
        }
        other => other,
    }
}

/// Cuts the live file back to what is committed, and makes that durable: a process may have been killed between
/// writing and fsync.
fn cut_back(directory: &Path) -> io::Result<Scanned> {
    let path = directory.join(live_name());
    let scanned = scan(ReadFile::open(&path, Links::Refused)?)?;
    let file = File::existing(&path)?;
    let length = file.length()?;
    if length > scanned.committed && scanned.header.is_some() {
        tracing::info!(
            path = %path.display(),
            bytes = length - scanned.committed,
            "cut off the end of the spool: nobody was told that it was stored"
        );
        file.set_len(scanned.committed)?;
    }
    file.sync()?;
    Ok(scanned)
}

fn remember(seen: &mut SeenBodies, scanned: &Scanned, file: u64, now: Nanos) {
    for digest in &scanned.digests {
        seen.insert(*digest, file, now / 1_000_000_000);
    }
}
