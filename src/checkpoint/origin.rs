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
    /// Whether a restart cannot fix this: the operator has to change something in the state directory.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Close { .. } | Self::Key { .. } | Self::Newer { .. }
        )
    }
}

/// Where a loaded state came from, which decides how many events are in doubt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// There has never been a checkpoint.
    First,
    /// The last checkpoint written.
    Current,
    /// A copy of a checkpoint, so it may not be the last one written. The text says why it is known to be a copy.
    Restored(String),
    /// An older checkpoint; the text says what is wrong with the last.
    Previous(String),
    /// There was a checkpoint, and none can be read; the text says why.
    Lost(String),
}

/// A state and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) origin: Origin,
    /// Somebody other than this agent wrote a checkpoint, so it was not used. The text names the file and the
    /// evidence.
    pub(crate) forged: Option<String>,
    /// `false`: an earlier version wrote the checkpoint and did not authenticate it. That is accepted once.
    pub(crate) is_signed: bool,
}
