//! A finite list of files instead of a followed log: what `replay` ships and `verify` compares.
//!
//! Files are recognised in the same way as those of a followed log. A plain file takes precedence over its `.gz`.
//! Duplicates of one generation count once (`same.rs`). Events have the positions that the agent gives them.
//! `examine.rs` recognises files that hold no events.
//!
//! Not promised: that a compressed file of several joined members or streams (`cat a.gz b.gz`) has the positions of the
//! server's log. It has those of the first member's generation, continued.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod examine;
mod listed;
mod same;
#[cfg(test)]
mod tests;

pub(crate) use listed::Listed;

use super::now::Now;
use crate::config::Waits;
use crate::disk::descriptors;
use crate::event::{Key, Nanos};
use crate::input::file::generation::{FileId, Generation, file_id};
use crate::input::file::names::{self, Name, Stamp};
use crate::input::file::packing::Foreign;
use crate::input::file::place::FilePlace;
use crate::input::scan::identify::{Files, Identified, IdentifiedFile, format_of};
use crate::input::scan::listing::InputFiles;

/// Why a path was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{directory} holds no file named {live} or like one of its backups: name the files one by one, or set `path` of the input to the name that the log had"
    )]
    Nothing { directory: PathBuf, live: String },
    #[error("{path} is {format}")]
    Format { path: PathBuf, format: Foreign },
    #[error(
        "{path} is neither a file nor a directory: name an audit log, or `-` for standard input"
    )]
    Kind { path: PathBuf },
}

/// Lists files and directories, oldest first. `live` is the followed log: the backups in a directory are recognised
/// by its name, and the log itself is read up to its last whole line.
///
/// # Errors
/// If one of the paths cannot be read, or a directory holds no log.
pub(crate) fn list(paths: &[PathBuf], live: &Path, key: &Key) -> Result<Vec<Listed>, ListError> {
    let mut found = FileSearch::new(live, key);
    for path in paths {
        let read = |source| ListError::Read { path: path.clone(), source };
        let kind = fs::metadata(path).map_err(read)?;
        if kind.is_dir() {
            found.directory(path)?;
        } else if kind.is_file() {
            found.file(path)?;
        } else {
            return Err(ListError::Kind { path: path.clone() });
        }
    }
    Ok(found.listed())
}

/// The files found so far.
struct FileSearch<'a> {
    live: &'a Path,
    live_id: Option<FileId>,
    files: Files,
    /// The most files held open from the beginning, so that rotation and compression cannot remove them before they
    /// are read.
    most: usize,
    found: Vec<Listed>,
}

impl<'a> FileSearch<'a> {
    fn new(live: &'a Path, key: &Key) -> Self {
        let live_id = fs::metadata(live).ok().map(|meta| file_id(&meta));
        let (files, most) = (Files::new(key.clone()).searching_all(), descriptors::share(1));
        Self { live, live_id, files, most, found: Vec::new() }
    }

    fn live_name(&self) -> String {
        let name = self.live.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Adds the log and its backups in a directory.
    fn directory(&mut self, directory: &Path) -> Result<(), ListError> {
        let read = |source| ListError::Read { path: directory.to_owned(), source };
        let live = self.live_name();
        let names = InputFiles::default().list(directory, &live).map_err(read)?.names;
        if names.is_empty() {
            return Err(ListError::Nothing { directory: directory.to_owned(), live });
        }
        names.into_iter().try_for_each(|name| {
            let path = directory.join(&name.file);
            let is_log = name.stamp.is_none();
            self.add(&name, if is_log { FilePlace::log(path) } else { FilePlace::backup(path) })
        })
    }

    /// Adds a file that was named explicitly, whatever its name is.
    fn file(&mut self, path: &Path) -> Result<(), ListError> {
        let place = FilePlace::asked_for(path.to_owned());
        let read = |source| ListError::Read { path: path.to_owned(), source };
        let gzip = format_of(&Arc::new(place.open().map_err(read)?))
            .map_err(read)?
            .map_err(|format| ListError::Format { path: path.to_owned(), format })?
            .is_some();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let known = names::parse(&self.live_name(), &name);
        let stamp = known.and_then(|known| known.stamp);
        self.add(&Name { stamp, ..Name::backup(&name, gzip, Stamp::Number(0)) }, place)
    }

    fn add(&mut self, name: &Name, place: FilePlace) -> Result<(), ListError> {
        let wrong = |source| ListError::Read { path: place.path().to_owned(), source };
        let id = file_id(&place.metadata().map_err(wrong)?);
        let live = !name.gzip && Some(id) == self.live_id;
        // Nothing is waited for: a truncated file is taken as it is.
        let closed = Name { stamp: name.stamp.or(Some(Stamp::Number(0))), ..name.clone() };
        let now = Now::read(Waits { settled: std::time::Duration::ZERO, ..Waits::USUAL });
        let name = if live { name } else { &closed };
        // An empty file holds nothing to list.
        let found = self.files.identify(name, &place, now, |_| None).map_err(wrong)?;
        let Identified::As(known) = found else {
            return Ok(());
        };
        if name.doubled && known.head.time.is_none() {
            return Ok(());
        }
        // The content decides, whatever the name says.
        let live = live && !known.gzip;
        let listed = listed(name, place, known, live, self.found.len() < self.most);
        // The same file may be named twice.
        if self.found.iter().all(|other| other.path != listed.path) {
            self.found.push(listed);
        }
        Ok(())
    }

    /// Sorted by the time of the first event; a file without one by its name.
    fn listed(self) -> Vec<Listed> {
        let mut listed = same::told_apart(self.found);
        let time = |one: &Listed| one.first().or(one.generation.rotated).unwrap_or(Nanos::MAX);
        listed
            .sort_by(|a, b| (a.is_live(), time(a), &a.path).cmp(&(b.is_live(), time(b), &b.path)));
        listed
    }
}

fn listed(name: &Name, place: FilePlace, known: IdentifiedFile, live: bool, hold: bool) -> Listed {
    let IdentifiedFile { head, gzip, length, held, .. } = known;
    let keyed = head.time.is_none();
    let path = place.path().to_owned();
    let generation = Generation {
        fingerprint: head.fingerprint,
        name: path
            .file_name()
            .map_or(name.file.as_str().into(), |name| name.to_string_lossy().into()),
        place,
        gzip,
        held: held.filter(|_| hold),
        length,
        live,
        closed: !live,
        time: head.time,
        rotated: match name.stamp {
            Some(Stamp::Time(time)) => Some(time),
            _ => None,
        },
        unnamed: None,
        unread: false,
        written: None,
        own: None,
        probe: head.probe,
    };
    Listed { generation: Arc::new(generation), path, keyed, copies: Vec::new() }
}
