//! Takes over the links that an earlier process left in the hold directory, and checks that this directory is still
//! in its place.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use super::name::Whose;
use super::{Adoption, Pin, Pins};
use crate::disk::{OwnDirectory, Standing};
use crate::event::Fingerprint;

impl Pins {
    /// Checks whether the open directory is still the one at the configured path.
    pub(super) fn see_directory(&mut self) {
        let Some(directory) = &self.directory else { return };
        match directory.standing() {
            Standing::InPlace => self.moved = false,
            Standing::Moved => {
                if !std::mem::replace(&mut self.moved, true) {
                    let (input, path) = (self.naming.input(), self.path.display());
                    let hint = "rename it back before you restart the agent, which looks for it at this path; only the agent's user should be able to write to the directory above it";
                    tracing::warn!(input, %path, hint, "the hold directory was renamed; the agent still uses it under its new name");
                }
            }
            Standing::Gone => {
                (self.directory, self.adoption, self.moved) = (None, Adoption::Pending, false);
                self.links.clear();
            }
        }
    }

    /// Takes over the directory that an earlier process left. A file is checked against its link's name before it is
    /// read.
    pub(super) fn adopt(&mut self) {
        match self.take_over() {
            Ok(()) => self.adoption = Adoption::Done,
            Err(error) => {
                self.adoption = match error.kind() {
                    // Without a directory there is nothing to take over.
                    io::ErrorKind::NotFound => Adoption::Done,
                    _ if passes(&error) => Adoption::Hidden,
                    _ => Adoption::Pending,
                };
                self.tell(&error);
            }
        }
    }

    fn take_over(&mut self) -> io::Result<()> {
        let directory = Arc::new(OwnDirectory::open(&self.path)?);
        let names = directory.names()?;
        self.directory = Some(Arc::clone(&directory));
        self.links.clear();
        let (mut unfinished, mut foreign, mut left) = (Vec::new(), Vec::new(), 0);
        for name in names {
            match self.naming.whose(&name.to_string_lossy()) {
                Whose::Own { fingerprint, gzip } => {
                    self.found(fingerprint, Pin::new(&directory, name, gzip));
                }
                Whose::Unfinished { fingerprint, gzip } => {
                    unfinished.push((fingerprint, gzip, name));
                }
                Whose::Left => left += u64::from(directory.remove(&name).is_ok()),
                Whose::Sibling => {}
                Whose::Foreign => foreign.push(name.to_string_lossy().into_owned()),
            }
        }
        // An unfinished link may be all that keeps its file. If the link that it was to replace exists, that one is
        // as good.
        for (fingerprint, gzip, name) in unfinished {
            if self.has(fingerprint) {
                left += u64::from(directory.remove(&name).is_ok());
                continue;
            }
            let finished = OsString::from(self.naming.name(fingerprint, gzip));
            directory.rename(&name, &finished)?;
            self.found(fingerprint, Pin::new(&directory, finished, gzip));
        }
        let input = self.naming.input();
        if left > 0 {
            tracing::info!(input, left, "removed links that no output needs any more");
        }
        if let Some(first) = foreign.first() {
            let (path, files) = (self.path.display(), foreign.len());
            let hint = "if no other auditrail follows this log, remove them";
            tracing::warn!(input, %path, files, first, hint, "the hold directory has files that are not of this agent; the agent leaves them alone");
        }
        Ok(())
    }

    /// Of a plain file and its `.gz` the plain one is certainly complete, so the link of the `.gz` is removed.
    fn found(&mut self, fingerprint: Fingerprint, pin: Pin) {
        if let Some(other) = self.links.insert(fingerprint, pin.clone()) {
            let (keep, drop) = if pin.gzip { (other, pin) } else { (pin, other) };
            let _ = drop.directory.remove(&drop.name);
            self.links.insert(fingerprint, keep);
        }
    }
}

/// Whether the error may pass without anybody changing the hold directory, such as a disk error or a lack of file
/// descriptors.
fn passes(error: &io::Error) -> bool {
    let lasting = [io::ErrorKind::NotADirectory, io::ErrorKind::PermissionDenied];
    // The agent's own errors (`NotOurs`, `NoFile`) carry no errno.
    error.raw_os_error().is_some() && !lasting.contains(&error.kind())
}
