//! One file of a finite list.

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::event::{Fingerprint, Nanos};
use crate::input::file::generation::Generation;
use crate::input::file::names;
use crate::input::file::packing::Packing;
use crate::input::scan::identify::format_of;

/// A file to read, which holds one generation.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(in crate::input) generation: Arc<Generation>,
    /// The path as it was given or found.
    pub(crate) path: PathBuf,
    /// It has no readable event, so its fingerprint depends on this node's key.
    pub(crate) keyed: bool,
    /// Names of the files that hold the same bytes as this one, or the beginning of it.
    pub(crate) copies: Vec<Arc<str>>,
}

impl Listed {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.generation.fingerprint
    }

    /// The file's name without directories.
    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.generation.name)
    }

    /// Decompressed bytes. For a `.gz` the length in its trailer, which is right for one member below 4 GiB.
    pub(crate) fn length(&self) -> u64 {
        self.generation.length
    }

    /// Time of its first event.
    pub(crate) fn first(&self) -> Option<Nanos> {
        self.generation.time
    }

    /// When it was rotated, if its name says so: its events are older, except for a moment.
    pub(crate) fn rotated(&self) -> Option<Nanos> {
        names::server_stamp(&self.generation.name)
    }

    /// The same file, whose offsets are not those of the server's log. It gets `name`, and a fingerprint that no
    /// generation of the server has, so that its events do not take the ids of other events.
    pub(crate) fn without_positions(mut self, name: &str) -> Self {
        let generation = Arc::make_mut(&mut self.generation);
        generation.name = name.into();
        let hash = Sha256::new()
            .chain_update("no position in the log")
            .chain_update(generation.fingerprint.0)
            .finalize();
        generation.fingerprint = Fingerprint::cut(&hash);
        self
    }

    /// Whether the bytes that were read of it to its end are not as many as its gzip trailer says: it consists of several
    /// joined members.
    pub(crate) fn is_joined(&self, read: u64) -> bool {
        let packing = self.generation.open().ok().map(|held| format_of(&held.file));
        matches!(packing, Some(Ok(Ok(Some(Packing::Gzip))))) && read % (1 << 32) != self.length()
    }

    /// The server may still be writing to it: an unfinished line at its end is not waited for.
    pub(crate) fn is_live(&self) -> bool {
        self.generation.live
    }
}
