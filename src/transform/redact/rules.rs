//! What is blanked beside what the room knows by itself, and what is kept: the form that the configuration fills.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use super::path::Path;
use super::token::is_token;

/// What to do with `ConfigMap`s.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ConfigMaps {
    /// Blank what a key or a value gives away, and `binaryData`.
    #[default]
    Pattern,
    /// Blank all values.
    All,
    /// Blank nothing in the bodies of requests for `ConfigMap`s.
    Off,
}

/// What an operator adds to the built-in rules. `Rules::default()` is redaction as it comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) config_maps: ConfigMaps,
    /// Keys of `user.extra` that stay, beside the identifiers of `extra.rs`.
    pub(crate) user_extra: Vec<String>,
    /// Blank names of users and groups too, but those that begin with `system:`.
    pub(crate) pseudonymise_users: bool,
    /// Blank all that follows `/proxy/` in a URI, and all of its parameters.
    pub(crate) proxy_paths: bool,
    /// The operator's own.
    pub(crate) own: Vec<Rule>,
    /// For the hash of what could not be read, where [`super::Mode`] has no key. Without one it is not given.
    pub(crate) key: Option<crate::event::Key>,
}

/// One rule. Of `path`, `key` and `pattern` one at least is there; a value must fit all that are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    /// What errors call it.
    pub(crate) name: String,
    /// `objectRef.resource`; without it all events, those without an object too.
    pub(crate) resource: Option<String>,
    /// `objectRef.apiGroup`; `""` is the core group, without it all groups.
    pub(crate) group: Option<String>,
    /// `spec.users[].password`, from the body's root or that of each item; `*` is any key, `[]` each element.
    pub(crate) path: Option<String>,
    /// The name of a key or an environment variable, in any case and with any separators.
    pub(crate) key: Option<String>,
    /// What a value looks like; where there is a group, that part of it is blanked, else what fits.
    pub(crate) pattern: Option<String>,
    /// An exception: what fits stays. Values of Secrets are never kept.
    pub(crate) keep: bool,
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("redaction rule `{name}`: pattern `{pattern}` is no regular expression: {reason}")]
    Pattern { name: String, pattern: String, reason: String },
    #[error("redaction rule `{name}`: path `{path}` is none: {reason}")]
    Path { name: String, path: String, reason: &'static str },
    #[error(
        "redaction rule `{name}` says not what to blank: give it a `path`, a `key` or a `pattern`"
    )]
    Empty { name: String },
    #[error("the built-in patterns do not fit this machine: {0}")]
    Screen(#[from] super::prefilter::ScreenError),
}

/// A rule, ready for use.
#[derive(Debug)]
pub(super) struct Compiled {
    resource: Option<String>,
    group: Option<String>,
    pub(super) path: Option<Path>,
    pub(super) key: Option<String>,
    pub(super) pattern: Option<Regex>,
    pub(super) keep: bool,
}

impl Compiled {
    pub(super) fn new(rule: &Rule) -> Result<Self, RuleError> {
        let Rule { name, resource, group, path, key, pattern, keep } = rule;
        if path.is_none() && key.is_none() && pattern.is_none() {
            return Err(RuleError::Empty { name: name.clone() });
        }
        let regex = |pattern: &String| {
            // A pattern sees the bytes of a text, so that it needs no tables of characters.
            RegexBuilder::new(pattern).unicode(false).build().map_err(|error| RuleError::Pattern {
                name: name.clone(),
                pattern: pattern.clone(),
                reason: error.to_string(),
            })
        };
        let parse = |path: &String| {
            Path::parse(path).map_err(|reason| RuleError::Path {
                name: name.clone(),
                path: path.clone(),
                reason,
            })
        };
        Ok(Self {
            resource: resource.clone(),
            group: group.clone(),
            path: path.as_ref().map(parse).transpose()?,
            key: key.clone(),
            pattern: pattern.as_ref().map(regex).transpose()?,
            keep: *keep,
        })
    }

    /// Whether it concerns events of a resource.
    pub(super) fn concerns(&self, resource: &str, group: &str) -> bool {
        self.resource.as_ref().is_none_or(|wanted| wanted == resource)
            && self.group.as_ref().is_none_or(|wanted| wanted == group)
    }

    /// Whether it looks at texts wherever they stand.
    pub(super) fn anywhere(&self) -> bool {
        self.path.is_none() && self.key.is_none()
    }

    /// Adds what its pattern finds: the first group of it, if there is one.
    pub(super) fn find(&self, text: &str, parts: &mut Vec<Range<usize>>) {
        let Some(pattern) = &self.pattern else { return };
        for found in pattern.captures_iter(text.as_bytes()) {
            let Some(part) = found.get(1).or_else(|| found.get(0)) else { continue };
            let at = text.floor_char_boundary(part.start())..text.ceil_char_boundary(part.end());
            if !at.is_empty() && !is_token(text[at.clone()].as_bytes()) {
                parts.push(at);
            }
        }
    }
}
