//! The error of the configuration room: why a configuration cannot be used.

use std::io;
use std::path::PathBuf;

/// Names the file, the line, the value and the accepted form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    // `main` prints the source after a colon, so the message does not repeat it.
    #[error("cannot read the configuration {path}: name a readable file with `-c FILE`")]
    Read { path: PathBuf, source: io::Error },
    /// Never contains a secret: it shows values as typed, and hides a value where a secret may be.
    #[error("{file}:{line}: {what}")]
    At { file: PathBuf, line: usize, what: String },
}
