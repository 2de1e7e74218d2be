//! Makes links, and says where that is impossible.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::super::catalogue::Tracked;
use super::super::generation::file_id;
use super::super::source::{begins_with, is_whole};
use super::{Pin, Pins, name, point};
use crate::disk;

impl Pins {
    /// The name beside the log is of another file than the link: the server compressed it, or somebody copied it.
    pub(super) fn other_file(
        &mut self,
        tracked: &mut Tracked,
        pin: &Pin,
        wait: bool,
    ) -> io::Result<bool> {
        let generation = &tracked.generation;
        let replace = match (pin.gzip, generation.gzip) {
            (false, true) => {
                // The log itself, truncated since, while what it held was copied and compressed.
                let other = !begins_with(&pin.open()?.file, &generation.probe)?;
                if !other && (wait || !self.is_whole(tracked, pin)?) {
                    point(tracked, pin);
                    return Ok(false);
                }
                true
            }
            // A copy; the link's own file may have been cut short since.
            (false, false) => {
                let file = pin.open()?.file;
                file.metadata()?.len() < generation.length
                    || !begins_with(&file, &generation.probe)?
            }
            // Compressed again, or decompressed: what is kept is as good.
            (true, _) => false,
        };
        if replace { self.link(tracked) } else { Ok(false) }
    }

    /// Whether the `.gz` beside the log holds all that the plain file does. It is read through once.
    fn is_whole(&mut self, tracked: &Tracked, pin: &Pin) -> io::Result<bool> {
        let file = fs::File::open(&tracked.generation.path)?;
        let meta = file.metadata()?;
        let seen = (file_id(&meta), meta.len());
        if seen.0 != tracked.id || pin.broken == Some(seen) {
            return Ok(false);
        }
        let whole = is_whole(Arc::new(file), fs::metadata(&pin.path)?.len());
        if !whole && let Some(pin) = self.links.get_mut(&tracked.generation.print) {
            pin.broken = Some(seen);
        }
        Ok(whole)
    }

    /// Makes the link of a named file, in place of an older one; `false` if the name is another file's by now.
    pub(super) fn link(&mut self, tracked: &Tracked) -> io::Result<bool> {
        let generation = &tracked.generation;
        let name = self.naming.name(generation.print, generation.gzip);
        let (path, beside) = (self.directory.join(&name), self.directory.join(name + ".new"));
        make_directory(&self.directory)?;
        let _ = fs::symlink_metadata(&beside).and_then(|_| disk::remove_file(&beside));
        // The name may be a symbolic link, which is not what is to be kept.
        disk::hard_link(&fs::canonicalize(&generation.path)?, &beside)?;
        let meta = fs::symlink_metadata(&beside)?;
        if file_id(&meta) != tracked.id {
            disk::remove_file(&beside)?;
            return Ok(false);
        }
        disk::rename(&beside, &path)?;
        let pin = Pin {
            id: tracked.id,
            bytes: meta.blocks() * 512,
            verified: true,
            ..Pin::new(path.clone(), generation.gzip)
        };
        let before = self.links.insert(generation.print, pin);
        if let Some(before) = before.filter(|before| before.path != path) {
            // The new one first, durably.
            disk::sync_directory(&self.directory)?;
            disk::remove_file(&before.path)?;
        }
        Ok(true)
    }

    /// Says that links fail, once for each kind of failure.
    pub(super) fn tell(&mut self, error: &io::Error) {
        // The file was renamed or removed since the listing.
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        self.failing = true;
        if self.failed.now(Some(error.kind()), Instant::now()).is_some() {
            let (input, path) = (self.naming.input(), self.directory.display());
            let hint = name::way_out(error);
            tracing::warn!(input, %path, %error, hint, "backups cannot be kept by a hard link, only by open files: what is deleted while the agent is down is lost");
        }
    }
}

/// Makes the directory, and takes no link to elsewhere for it.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk::create_dir_all(path)?;
            path.parent().map_or(Ok(()), disk::sync_directory)
        }
        Err(error) => Err(error),
    }
}
