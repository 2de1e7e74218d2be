//! Takes over what an earlier process left in the hold directory, and sees whether that directory is still in its place.

use std::io;
use std::sync::Arc;

use super::name::Whose;
use super::{Pin, Pins};
use crate::disk::{OwnDirectory, Standing};
use crate::event::Fingerprint;

impl Pins {
    /// Looks whether the open directory is still the one beside the log.
    pub(super) fn see_directory(&mut self) {
        let Some(directory) = &self.directory else { return };
        match directory.standing() {
            Standing::InPlace => self.moved = false,
            Standing::Moved => {
                if !std::mem::replace(&mut self.moved, true) {
                    let (input, path) = (self.naming.input(), self.path.display());
                    let hint = "give it its name back before the agent is restarted, for that is where it looks; only the agent's user should be able to write to the directory above";
                    tracing::warn!(input, %path, hint, "somebody renamed the hold directory; the agent goes on with it wherever it is now");
                }
            }
            Standing::Gone => {
                (self.directory, self.adopted, self.moved) = (None, false, false);
                self.links.clear();
            }
        }
    }

    /// Reads the directory that an earlier process left. What its names say is verified before it is read.
    pub(super) fn adopt(&mut self) {
        let opened = OwnDirectory::open(&self.path).and_then(|directory| {
            let names = directory.names()?;
            Ok((Arc::new(directory), names))
        });
        let (directory, names) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // Without a directory there is nothing to take over.
                self.adopted = error.kind() == io::ErrorKind::NotFound;
                self.tell(&error);
                return;
            }
        };
        self.adopted = true;
        self.directory = Some(Arc::clone(&directory));
        let (mut foreign, mut left) = (Vec::new(), 0);
        for name in names {
            match self.naming.whose(&name.to_string_lossy()) {
                Whose::Own { print, gzip } => self.found(print, Pin::new(&directory, name, gzip)),
                Whose::Left => {
                    left += u64::from(directory.remove(&name).is_ok());
                }
                Whose::Sibling => {}
                Whose::Foreign => foreign.push(name.to_string_lossy().into_owned()),
            }
        }
        let input = self.naming.input();
        if left > 0 {
            tracing::info!(input, left, "links of no more use are removed");
        }
        if let Some(first) = foreign.first() {
            let (path, files) = (self.path.display(), foreign.len());
            let hint = "if no other auditrail follows this log, remove them";
            tracing::warn!(input, %path, files, first, hint, "the hold directory has files that are not of this agent, they are left alone");
        }
    }

    /// Of a plain file and its `.gz` the plain one is whole: it is removed last.
    fn found(&mut self, print: Fingerprint, pin: Pin) {
        if let Some(other) = self.links.insert(print, pin.clone()) {
            let (keep, drop) = if pin.gzip { (other, pin) } else { (pin, other) };
            let _ = drop.directory.remove(&drop.name);
            self.links.insert(print, keep);
        }
    }
}
