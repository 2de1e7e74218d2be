//! A body that is too long for memory: its lines go into a file of their own, which becomes a generation by rename.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::markers::Commit;
use super::names::{part_name, rotated_name};
use super::recovery::new_header;
use super::rotated::RotatedFile;
use super::space::Space;
use crate::disk::{self, File};
use crate::event::{Fingerprint, Nanos};

/// The file of a body on its way. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct IncomingFile {
    path: PathBuf,
    file: File,
    id: Fingerprint,
    /// Checksum of the lines.
    lines: crc32fast::Hasher,
    /// Bytes in the file, all taken from the space.
    length: u64,
    space: Arc<Space>,
    adopted: bool,
}

impl IncomingFile {
    /// Creates the file, with its header.
    ///
    /// # Errors
    /// A bound is reached, or those of the file system.
    pub(super) fn create(directory: &Path, space: Arc<Space>, now: Nanos) -> io::Result<Self> {
        // No number yet: the file gets one, in its name, once it is complete.
        let header = new_header((0, 0), now)?;
        let path = directory.join(part_name(&header.id.to_string()));
        let file = File::create(&path)?;
        let (id, lines) = (header.id, crc32fast::Hasher::new());
        let mut incoming = Self { path, file, id, lines, length: 0, space, adopted: false };
        incoming.append(&header.line())?;
        Ok(incoming)
    }

    /// Appends lines, or a part of a line.
    ///
    /// # Errors
    /// A bound is reached, or those of the file system. The file is of no use then.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.append(lines)?;
        self.lines.update(lines);
        Ok(())
    }

    /// Makes the lines durable, so that the writing thread has little left to sync.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Makes the file a generation of the log. Its name is durable once the directory is synced.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn adopt(&mut self, sequence: u64, commit: &Commit) -> io::Result<RotatedFile> {
        let line = commit.line(&self.lines);
        self.append(&line)?;
        self.file.sync()?;
        let directory = disk::above(&self.path).to_owned();
        disk::rename(&self.path, &directory.join(rotated_name(sequence)))?;
        self.adopted = true;
        let (id, rotated) = (Some(self.id), Instant::now());
        Ok(RotatedFile { sequence, id, bytes: self.length, gzip: false, rotated })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        let full = |why: String| io::Error::new(io::ErrorKind::StorageFull, why);
        self.space.take(length).map_err(full)?;
        self.length += length;
        self.file.write_all(bytes)
    }
}

impl Drop for IncomingFile {
    fn drop(&mut self) {
        if !self.adopted {
            // The next start removes it if this fails.
            let _ = disk::remove_file(&self.path);
            self.space.give_back(self.length);
        }
    }
}
