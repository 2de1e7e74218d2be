//! Makes hard links, and reports why one cannot be made.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Instant;

use super::{Pin, Pins, name, point};
use crate::disk::OwnDirectory;
use crate::input::file::generation::{OpenFile, file_id};
use crate::input::file::source::{begins_with, is_whole};
use crate::input::scan::tracked::Tracked;

impl Pins {
    /// Handles a name beside the log that belongs to another file than the link: the server compressed the file, or
    /// somebody copied it. Returns whether the link was replaced.
    pub(super) fn other_file(
        &mut self,
        tracked: &mut Tracked,
        pin: &Pin,
        wait: bool,
    ) -> io::Result<bool> {
        let generation = &tracked.generation;
        let replace = match (pin.gzip, generation.gzip) {
            (false, true) => {
                // The linked file is the log itself, truncated since; its former content was copied and compressed.
                let other = !begins_with(&pin.open()?.file, &generation.probe)?;
                if !other && (wait || !self.is_whole(tracked, pin)?) {
                    point(tracked, pin);
                    return Ok(false);
                }
                true
            }
            // A copy; the linked file may have been truncated since.
            (false, false) => {
                let file = pin.open()?.file;
                file.metadata()?.len() < generation.length
                    || !begins_with(&file, &generation.probe)?
            }
            // Compressed again, or decompressed: the linked file is as good.
            (true, _) => false,
        };
        if replace { self.link(tracked) } else { Ok(false) }
    }

    /// Whether the `.gz` beside the log holds everything that the plain file does. Reads all of it once.
    fn is_whole(&mut self, tracked: &Tracked, pin: &Pin) -> io::Result<bool> {
        let file = tracked.generation.place.open()?;
        let meta = file.metadata()?;
        let seen = (file_id(&meta), meta.len());
        if seen.0 != tracked.id || pin.broken == Some(seen) {
            return Ok(false);
        }
        let length = pin.directory.stat(&pin.name)?.length;
        let whole = is_whole(Arc::new(file), length, &self.pulse)?;
        if !whole && let Some(pin) = self.links.get_mut(&tracked.generation.fingerprint) {
            pin.broken = Some(seen);
        }
        Ok(whole)
    }

    /// Links a named file and replaces an older link; `false` if the name belongs to another file by now.
    pub(super) fn link(&mut self, tracked: &Tracked) -> io::Result<bool> {
        let generation = &tracked.generation;
        let name = self.naming.name(generation.fingerprint, generation.gzip);
        let (name, beside) = (OsString::from(&name), OsString::from(name + ".new"));
        // Links the open file, not its name: the name may belong to another file by now, or be a symbolic link.
        let held = generation.held.as_ref().filter(|held| held.id == tracked.id);
        let held = held.map_or_else(
            || OpenFile::open(&generation.place, generation.gzip),
            |held| Ok(held.clone()),
        )?;
        if held.id != tracked.id {
            return Ok(false);
        }
        let directory = self.ready()?;
        match directory.stat(&beside) {
            // The rename failed last time, and this link may be all that keeps the file.
            Ok(stat) if stat.id == held.id => {}
            Ok(_) => {
                directory.remove(&beside)?;
                directory.link(&held.file, &beside)?;
            }
            Err(_) => directory.link(&held.file, &beside)?,
        }
        directory.rename(&beside, &name)?;
        let pin = Pin {
            id: tracked.id,
            bytes: held.file.metadata()?.blocks() * 512,
            verified: true,
            ..Pin::new(&directory, name, generation.gzip)
        };
        let before = self.links.insert(generation.fingerprint, pin.clone());
        if let Some(before) = before.filter(|before| before.name != pin.name) {
            // The new link is fsynced before the old one is removed.
            directory.sync()?;
            before.directory.remove(&before.name)?;
        }
        Ok(true)
    }

    /// The hold directory; creates it if it is missing.
    fn ready(&mut self) -> io::Result<Arc<OwnDirectory>> {
        if let Some(directory) = &self.directory {
            return Ok(Arc::clone(directory));
        }
        let directory = Arc::new(OwnDirectory::make(&self.path)?);
        self.directory = Some(Arc::clone(&directory));
        Ok(directory)
    }

    /// Logs that links fail, once for each kind of failure.
    pub(super) fn tell(&mut self, error: &io::Error) {
        // The file was renamed or removed since the listing.
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        self.failing = true;
        if self.failed.now(Some(error.kind()), Instant::now()).is_some() {
            let (input, path) = (self.naming.input(), self.path.display());
            let hint = name::way_out(error);
            tracing::warn!(input, %path, %error, hint, "backups cannot be kept by a hard link, only by open files: what is deleted while the agent is down is lost");
        }
    }
}
