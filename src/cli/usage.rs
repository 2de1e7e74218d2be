//! Prints errors of the command line without possible secrets: the user may have typed a password.

use clap::error::{ContextKind, ContextValue};

/// Longest argument that an error repeats, in bytes.
const SHOWN: usize = 24;

/// Prints the error, or the help or version that was asked for.
pub(super) fn print(mut error: clap::Error) {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue]
    {
        if let Some(ContextValue::String(typed)) = error.get(kind)
            && !is_plain(typed)
        {
            error.insert(kind, ContextValue::String("…".to_owned()));
            // The suggestions repeat it, too.
            for kind in [
                ContextKind::Suggested,
                ContextKind::SuggestedArg,
                ContextKind::SuggestedSubcommand,
            ] {
                error.remove(kind);
            }
        }
    }
    // clap prints help and version to standard output.
    let _ = error.print();
}

/// Whether the text is a word, a flag, or a flag with the name of its value.
fn is_plain(typed: &str) -> bool {
    let name = typed.split(' ').next().unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c == '-';
    name.len() <= SHOWN
        && name.chars().all(fits)
        && typed[name.len()..].chars().all(|c| c.is_ascii_uppercase() || " <>_.[]".contains(c))
}
