//! What appends to an own log from outside: bodies, the facts about them, and what became of them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use super::clock::now;
use super::incoming::IncomingFile;
use super::space::Space;
use crate::event::{Fingerprint, Nanos};

/// The facts about a body that its commit line keeps.
#[derive(Clone, Debug)]
pub(crate) struct BodyFacts {
    /// Keyed hash of the body as it was sent, and of what decides to which log it belongs.
    pub(crate) digest: Fingerprint,
    /// Lines made of it.
    pub(crate) events: u64,
    /// Its length as it was sent.
    pub(crate) bytes: u64,
    /// Name of the client's certificate, or its address.
    pub(crate) sender: Arc<str>,
    pub(crate) received: Nanos,
}

/// A body to be stored.
#[derive(Debug)]
pub(crate) enum AppendBody {
    /// Whole lines, and their checksum.
    Memory(Vec<u8>, crc32fast::Hasher),
    /// Lines that are in a file of their own, which becomes a generation.
    File(IncomingFile),
}

/// What became of a body that is stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AppendOutcome {
    Written,
    /// The same body was stored within the last ten minutes.
    Repeated,
}

/// Why a body is not stored. The sender may send it again.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotAppended {
    /// A bound is reached.
    #[error("{0}")]
    Full(String),
    /// The disk refuses.
    #[error("{0}")]
    Failed(String),
    #[error("the agent is stopping")]
    Stopping,
}

impl NotAppended {
    /// Why a file of a body cannot be written.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull => Self::Full(error.to_string()),
            _ => Self::Failed(format!("cannot write to the spool: {error}")),
        }
    }
}

/// What the writing thread answers.
pub(super) type AppendResult = Result<AppendOutcome, NotAppended>;

/// A body that waits for the writing thread.
pub(super) struct AppendRequest {
    pub(super) body: AppendBody,
    pub(super) facts: BodyFacts,
    pub(super) answer: oneshot::Sender<AppendResult>,
}

/// Appends bodies. The writing thread ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Appender {
    requests: Sender<AppendRequest>,
    space: Arc<Space>,
    directory: Arc<PathBuf>,
}

impl Appender {
    pub(super) fn new(
        requests: Sender<AppendRequest>,
        space: Arc<Space>,
        directory: &Path,
    ) -> Self {
        Self { requests, space, directory: Arc::new(directory.to_owned()) }
    }

    /// Stores a body; returns once it is durable.
    ///
    /// # Errors
    /// See [`NotAppended`]; nothing of the body will be read then.
    pub(crate) async fn append(
        &self,
        body: AppendBody,
        facts: BodyFacts,
    ) -> Result<AppendOutcome, NotAppended> {
        let (answer, answered) = oneshot::channel();
        let stopping = |_| NotAppended::Stopping;
        self.requests
            .send(AppendRequest { body, facts, answer })
            .map_err(|_| NotAppended::Stopping)?;
        answered.await.map_err(stopping)?
    }

    /// A file for a body that is too long for memory.
    ///
    /// # Errors
    /// See [`NotAppended`].
    pub(crate) fn incoming(&self) -> Result<IncomingFile, NotAppended> {
        let created = IncomingFile::create(&self.directory, Arc::clone(&self.space), now());
        created.map_err(|error| NotAppended::of(&error))
    }

    /// The space of the log, to refuse a body before it is read.
    pub(crate) fn space(&self) -> &Space {
        &self.space
    }
}
