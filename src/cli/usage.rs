//! Errors of the command line, without what may be a secret: somebody may have typed a password there.

use clap::error::{ContextKind, ContextValue};

/// Longest argument that is repeated, in bytes.
const SHOWN: usize = 24;

/// Prints the error, or the help that was asked for.
pub(super) fn print(mut error: clap::Error) {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue]
    {
        if let Some(ContextValue::String(typed)) = error.get(kind)
            && !is_plain(typed)
        {
            error.insert(kind, ContextValue::String("…".to_owned()));
            // They repeat it, too.
            for kind in [
                ContextKind::Suggested,
                ContextKind::SuggestedArg,
                ContextKind::SuggestedSubcommand,
            ] {
                error.remove(kind);
            }
        }
    }
    // Help and version go to standard output; clap knows.
    let _ = error.print();
}

/// A word, a flag, or a flag with the name of its value.
fn is_plain(typed: &str) -> bool {
    let name = typed.split(' ').next().unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c == '-';
    name.len() <= SHOWN
        && name.chars().all(fits)
        && typed[name.len()..].chars().all(|c| c.is_ascii_uppercase() || " <>_.[]".contains(c))
}
