//! Text that must not be printed, and where it comes from.

use std::fmt;
use std::path::PathBuf;

/// A secret given in the configuration (through `${NAME}`) or in a file that is read again when it changes.
#[derive(Clone)]
pub(crate) enum SecretSource {
    Inline(String),
    /// The file's content without surrounding white space.
    File(PathBuf),
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("***"),
            Self::File(path) => write!(f, "*** from {}", path.display()),
        }
    }
}
