//! Why a configuration cannot be used.

use std::io;
use std::path::PathBuf;

/// The file, the place in it, what was read there, what is accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    // `main` prints the source after a colon, so the message does not repeat it.
    #[error("cannot read the configuration {path}: name a readable file with `-c FILE`")]
    Read { path: PathBuf, source: io::Error },
    /// Never holds the text of a secret: values are shown as typed, and not at all where a secret belongs.
    #[error("{file}:{line}: {what}")]
    At { file: PathBuf, line: usize, what: String },
}
