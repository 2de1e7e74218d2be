//! The result of loading a checkpoint, and the errors of the state directory.

use std::io;
use std::path::PathBuf;

use super::State;

/// An error of the state directory or of a file in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error(
        "cannot create the state directory {path}: create it, or set `state_dir` to a place that the agent's user may write to"
    )]
    Create { path: PathBuf, source: io::Error },
    #[error("another auditrail uses {path}: stop it, or give this one a `state_dir` of its own")]
    Locked { path: PathBuf },
    #[error("cannot open {path}: make it readable and writable by the agent's user")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot use {path}: {why}")]
    Refused { path: PathBuf, why: String },
    #[error(
        "other users may enter {path}, and that cannot be changed: close it with `chmod go-rwx`"
    )]
    Close { path: PathBuf, source: io::Error },
    #[error(
        "cannot use {path}: {why}; restore it, or move the whole state directory away to begin anew"
    )]
    Key { path: PathBuf, why: String },
    #[error(
        "{path} was written by a newer auditrail (version {version}): run that one, or move the file away to read all logs again"
    )]
    Newer { path: PathBuf, version: u32 },
    #[error(
        "cannot write {path}: make `state_dir` writable by the agent's user, and see that its disk has room"
    )]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "the file of the output {output} for {input} cannot be synced: see to its disk, then restart the agent"
    )]
    Sync { input: String, output: String, source: io::Error },
}

impl CheckpointError {
    /// Whether no restart mends it: somebody has to do something about what is there.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Close { .. } | Self::Key { .. } | Self::Newer { .. }
        )
    }
}

/// Where a loaded state came from, which decides how much is in doubt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// There has never been one.
    First,
    /// The last one written.
    Current,
    /// A copy of one that was written, so perhaps not the last.
    Restored(String),
    /// An older one; the reason says what is wrong with the last.
    Previous(String),
    /// There was one, and nothing can be read of it.
    Lost(String),
}

/// A state and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) origin: Origin,
    /// Somebody else than this agent wrote a checkpoint, which is not used: which, and how that shows.
    pub(crate) forged: Option<String>,
    /// `false`: the checkpoint is of an earlier version, which did not authenticate it. That is accepted once.
    pub(crate) is_signed: bool,
}
