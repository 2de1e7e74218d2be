//! Keeps open files without a link across a restart, in systemd's file descriptor store.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;

use super::Pins;
use super::name::Whose;
use crate::event::Fingerprint;
use crate::input::file::place::FilePlace;
use crate::input::scan::tracked::Tracked;
use crate::telemetry::systemd_fdstore;

/// The most files stored: `FileDescriptorStoreMax=` of the unit.
const FILES: usize = 256;

impl Pins {
    /// Takes the files that an earlier process stored for this input, and leaves the others.
    pub(crate) fn taking(mut self, stored: &mut Vec<(String, File)>) -> Self {
        for (name, file) in std::mem::take(stored) {
            match self.naming.whose(&name) {
                Whose::Own { fingerprint, gzip } => {
                    self.stored.names.insert(fingerprint, name);
                    self.stored.taken.push((fingerprint, FilePlace::Kept(Arc::new(file)), gzip));
                }
                _ => stored.push((name, file)),
            }
        }
        self
    }

    /// The files that an earlier process stored: the expected fingerprint, the place to open it, and whether it is
    /// compressed.
    pub(crate) fn taken(&mut self) -> Vec<(Fingerprint, FilePlace, bool)> {
        std::mem::take(&mut self.stored.taken)
    }

    /// Returns a stored file that cannot be identified yet, for the next look.
    pub(crate) fn take_later(&mut self, file: (Fingerprint, FilePlace, bool)) {
        self.stored.taken.push(file);
    }

    /// Whether a generation must be kept and has no link.
    pub(crate) fn is_bare(&self, fingerprint: Fingerprint) -> bool {
        self.hold.max_bytes > 0 && !self.has(fingerprint) && !self.shared.is_passed(fingerprint)
    }

    /// Stores the open files that have no link, and removes those no longer needed.
    pub(crate) fn store(&mut self, all: &[Tracked]) {
        if !systemd_fdstore::is_there() {
            return;
        }
        let bare = all.iter().filter(|tracked| self.is_bare(tracked.generation.fingerprint));
        let open = bare.filter_map(|one| one.generation.held.as_ref().map(|held| (one, held)));
        let mut wanted = HashSet::new();
        let mut new = Vec::new();
        for (tracked, held) in open.take(FILES) {
            let fingerprint = tracked.generation.fingerprint;
            let name = self.naming.name(fingerprint, held.gzip);
            wanted.insert(name.clone());
            if self.stored.names.get(&fingerprint) != Some(&name)
                && systemd_fdstore::put(&name, &*held.file).is_ok()
            {
                new.push((fingerprint, name));
            }
        }
        self.stored.names.retain(|_, name| {
            let keep = wanted.contains(name);
            if !keep {
                systemd_fdstore::remove(name);
            }
            keep
        });
        for (fingerprint, name) in new {
            if let Some(before) =
                self.stored.names.insert(fingerprint, name.clone()).filter(|old| *old != name)
            {
                systemd_fdstore::remove(&before);
            }
        }
    }
}
