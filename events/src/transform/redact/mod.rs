//! Redaction: replaces credentials wherever the API server is known to write them, and whatever looks like a
//! credential anywhere else, so that secrets do not leave the node.
//!
//! `prefilter.rs` scans each line first and finds the places that may hold a secret; most lines have none and are
//! left alone (`fast_path.rs`). `line.rs` redacts one line: `envelope.rs` handles the event's own members, `walk.rs`
//! the bodies (`ahead.rs` finds the way to the next hit), `text.rs` strings, and `uri.rs` request URIs. `quoting.rs`
//! finds where lines and quoted values end. `secret_names.rs` judges names by their words (`name_words.rs`) and the lists of `names.txt`. `verdict.rs` decides
//! whether a value is a secret because of its name; `values.rs` and `references.rs` judge a value by its own text.
//! Secrets that are recognised by their form alone are in `formats.txt` (tokens), `secret_shapes.rs` and
//! `base64_runs.rs` (`stretches.rs` finds long words and runs for both). `token.rs` makes the replacement for a
//! secret.
//!
//! Promised: everything else stays byte for byte, and the same line always becomes the same bytes. If a place that
//! may hold a secret cannot be parsed, all of it is redacted.
//! Not promised: finding a password that stands in prose, has no name before it, and looks like any other word.

use crate::event::Key;

mod ahead;
mod array_element;
mod assigned;
mod base64_runs;
mod blank;
mod command_line;
mod confirm;
mod context;
mod custom;
mod envelope;
mod extra;
mod extract;
mod fast_path;
mod field_error;
mod flags;
mod frame;
mod hits;
mod kubernetes_members;
mod legacy;
mod line;
mod lists;
mod markup;
mod member;
mod message;
mod name_words;
mod paired;
mod parted;
mod patch;
mod path;
mod patterns;
mod percent;
mod pipe;
mod prefilter;
mod prefilter_cache;
mod programs;
mod quoting;
mod references;
mod rules;
mod search;
mod secret_names;
mod secret_shapes;
mod sql;
mod stretches;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod token_formats;
mod uri;
mod values;
mod vector_search;
mod verdict;
mod waiting;
mod walk;
mod written;

pub(super) use prefilter_cache::Scratch;
use rules::RuleError;
pub use rules::{ConfigMaps, Rule, Rules};
#[cfg(test)]
use token::MASK;
pub use token::Mode;

/// The compiled redaction settings.
#[derive(Debug)]
pub struct Redaction {
    screen: prefilter::Screen,
    mode: Mode,
    config_maps: ConfigMaps,
    user_extra: Vec<String>,
    pseudonymise_users: bool,
    proxy_paths: bool,
    rules: Vec<rules::Compiled>,
    /// Key for the hash of pieces that cannot be parsed.
    key: Option<Key>,
}

impl Redaction {
    /// Compiles the rules. The error names the rule that cannot be used.
    pub fn new(rules: Rules, mode: Mode) -> Result<Self, RuleError> {
        let key = match &mode {
            Mode::Hash(key) => Some(key.clone()),
            Mode::Mask => rules.key,
        };
        Ok(Self {
            screen: prefilter::Screen::new()?,
            mode,
            config_maps: rules.config_maps,
            user_extra: rules.user_extra,
            pseudonymise_users: rules.pseudonymise_users,
            proxy_paths: rules.proxy_paths,
            rules: rules.own.iter().map(rules::Compiled::new).collect::<Result<_, _>>()?,
            key,
        })
    }
}
