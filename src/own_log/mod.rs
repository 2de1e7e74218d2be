//! A log that the agent writes itself and then follows like any other.
//!
//! The webhook receiver appends each body that it takes to such a log, and answers once the body is durable. The room
//! `input` follows the log as it follows the API server's: generations, cursors and gaps are the same.
//!
//! ```text
//! spool.log                 the live file
//! spool.0000000007.log      an earlier generation, rotated by rename
//! spool.0000000006.log.gz   one that waited for an output, compressed
//! ```
//!
//! - Each file begins with a header line, which holds a random id: the fingerprint of the generation. So no two
//!   generations are alike, whatever clients send, and also after the directory was emptied or restored.
//! - Each body is followed by a *commit line*: how many events, from whom, when, a keyed digest of the body, and a
//!   checksum of the lines. Readers skip both kinds of lines (`markers.rs`).
//! - One thread writes (`writer.rs`). Bodies that arrive while it syncs are written together and share the next fsync
//!   (group commit). Readers see only bytes that are durable (`committed.rs`).
//! - After a kill or a power cut, the log is cut back to the last commit line that holds (`recovery.rs`).
//! - A body whose digest is in the log of the last ten minutes is not written again (`seen_bodies.rs`).
//! - A generation is removed when every saved cursor has passed it, and not before. Within `max_bytes`; when that is
//!   full, bodies are refused (`space.rs`).
//!
//! Start with `writer.rs`.

use std::io;
use std::path::Path;
use std::sync::Arc;

mod appender;
mod clock;
mod committed;
mod compress;
mod incoming;
mod markers;
mod names;
mod recovery;
mod rotated;
mod scan;
mod seen_bodies;
mod space;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use appender::{AppendBody, AppendOutcome, Appender, BodyFacts, NotAppended};
pub(crate) use committed::Committed;
pub(crate) use incoming::IncomingFile;
pub(crate) use markers::{LogHeader, is_marker};
pub(crate) use names::LogFile;
pub(crate) use space::Space;

use crate::config::Spool;
use crate::disk::size;
use crate::event::Fingerprint;
use recovery::Recovered;
use writer::OwnLogWriter;

/// A file is rotated at this length.
const ROTATE: u64 = 64 << 20;

/// An own log that is cut back to what is committed and not written to yet.
pub(crate) struct OwnLog {
    recovered: Recovered,
    space: Arc<Space>,
    committed: Arc<Committed>,
    compress: bool,
    /// The length in bytes at which the live file is rotated.
    rotate_at: u64,
}

impl OwnLog {
    /// Opens the log in `directory`, and creates both if they are missing. Cuts off what was not committed.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open(directory: &Path, spool: &Spool) -> io::Result<Self> {
        let committed = Arc::new(Committed::default());
        let recovered = recovery::recover(directory, clock::now(), &committed)?;
        let space = Arc::new(Space::new(directory, spool, recovered.bytes()));
        let (compress, rotate_at) = (spool.compress, size("AUDITRAIL_SPOOL_ROTATE", ROTATE));
        Ok(Self { recovered, space, committed, compress, rotate_at })
    }

    /// How far the live file may be read.
    pub(crate) fn committed(&self) -> Arc<Committed> {
        Arc::clone(&self.committed)
    }

    /// Starts the thread that writes. It ends when the last appender is dropped. `is_passed` says whether every output
    /// has passed a generation, according to the checkpoints written.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(
        self,
        name: &str,
        is_passed: impl Fn(Fingerprint) -> bool + Send + 'static,
    ) -> io::Result<Appender> {
        let Self { recovered, space, committed, compress, rotate_at } = self;
        let settings = (compress, rotate_at);
        OwnLogWriter::new(recovered, Arc::clone(&space), committed, settings, Box::new(is_passed))
            .start(name, space)
    }
}
