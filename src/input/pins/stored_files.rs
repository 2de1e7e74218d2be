//! Files without a link, kept over a restart by systemd's descriptor store.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;

use super::super::catalogue::Tracked;
use super::super::file_place::FilePlace;
use super::Pins;
use super::name::Whose;
use crate::event::Fingerprint;
use crate::telemetry::systemd_fdstore;

/// As many as the unit asks systemd to keep.
const FILES: usize = 256;

impl Pins {
    /// Takes what an earlier process gave to systemd for this input, and leaves the rest.
    pub(in crate::input) fn taking(mut self, stored: &mut Vec<(String, File)>) -> Self {
        for (name, file) in std::mem::take(stored) {
            match self.naming.whose(&name) {
                Whose::Own { fingerprint, gzip } => {
                    self.stored.insert(fingerprint, name);
                    self.taken.push((fingerprint, FilePlace::Kept(Arc::new(file)), gzip));
                }
                _ => stored.push((name, file)),
            }
        }
        self
    }

    /// The files that an earlier process gave to systemd: what each should be, and where it can be opened once more.
    pub(in crate::input) fn taken(&mut self) -> Vec<(Fingerprint, FilePlace, bool)> {
        std::mem::take(&mut self.taken)
    }

    /// What such a file is cannot be told yet: it is among those of the next look, too.
    pub(in crate::input) fn take_later(&mut self, file: (Fingerprint, FilePlace, bool)) {
        self.taken.push(file);
    }

    /// Whether a generation has to be kept and no link does that.
    pub(in crate::input) fn is_bare(&self, fingerprint: Fingerprint) -> bool {
        self.hold.max_bytes > 0 && !self.has(fingerprint) && !self.shared.is_passed(fingerprint)
    }

    /// Gives systemd what no link keeps, and takes back what is of no more use.
    pub(in crate::input) fn store(&mut self, all: &[Tracked]) {
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
            if self.stored.get(&fingerprint) != Some(&name)
                && systemd_fdstore::put(&name, &*held.file).is_ok()
            {
                new.push((fingerprint, name));
            }
        }
        self.stored.retain(|_, name| {
            let keep = wanted.contains(name);
            if !keep {
                systemd_fdstore::remove(name);
            }
            keep
        });
        for (fingerprint, name) in new {
            if let Some(before) =
                self.stored.insert(fingerprint, name.clone()).filter(|old| *old != name)
            {
                systemd_fdstore::remove(&before);
            }
        }
    }
}
