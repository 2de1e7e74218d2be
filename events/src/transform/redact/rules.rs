//! The operator's redaction rules: what to redact or keep besides the built-in rules. The configuration fills these
//! types.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use super::path::Path;
use super::token::is_token;

/// How to treat `ConfigMap`s.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ConfigMaps {
    /// Redact `binaryData`, and values that a key or their own text marks as secret.
    #[default]
    Pattern,
    /// Redact all values.
    All,
    /// Redact nothing in the bodies of requests for `ConfigMap`s.
    Off,
}

/// The operator's additions to the built-in rules. `Rules::default()` is redaction without additions.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What is redacted of a `ConfigMap`.
    pub config_maps: ConfigMaps,
    /// Keys of `user.extra` to keep, besides the identifiers of `extra.rs`.
    pub user_extra: Vec<String>,
    /// Replace names of users and groups too, except those that begin with `system:`.
    pub pseudonymise_users: bool,
    /// Redact everything after `/proxy/` in a URI, and all parameters of such a URI.
    pub proxy_paths: bool,
    /// The operator's own rules.
    pub own: Vec<Rule>,
    /// Key for the hash of a line that could not be parsed, used if [`super::Mode`] has no key. Without either, the
    /// extract has no hash.
    pub key: Option<crate::event::Key>,
}

/// One rule. It has at least one of `path`, `key` and `pattern`; a value must match all that are given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// The name of the rule in error messages.
    pub name: String,
    /// Matches `objectRef.resource`. Without it the rule applies to all events, also to those without an object.
    pub resource: Option<String>,
    /// Matches `objectRef.apiGroup`; `""` is the core group. Without it the rule applies to all groups.
    pub group: Option<String>,
    /// A path such as `spec.users[].password`, from the root of the body or of each item; `*` is any key, `[]` each
    /// element.
    pub path: Option<String>,
    /// The name of a key or an environment variable, in any case and with any separators.
    pub key: Option<String>,
    /// Regular expression for the value. If it has a capture group, only that part is redacted, otherwise the whole
    /// match.
    pub pattern: Option<String>,
    /// An exception: keep the values that match. Values of Secrets are never kept.
    pub keep: bool,
}

/// A rule is invalid.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
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

/// A compiled rule.
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
            // The pattern matches bytes, so it needs no Unicode tables.
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

    /// Whether the rule applies to events about a resource.
    pub(super) fn concerns(&self, resource: &str, group: &str) -> bool {
        self.resource.as_ref().is_none_or(|wanted| wanted == resource)
            && self.group.as_ref().is_none_or(|wanted| wanted == group)
    }

    /// Whether the rule applies to texts anywhere in the event.
    pub(super) fn anywhere(&self) -> bool {
        self.path.is_none() && self.key.is_none()
    }

    /// Adds the matches of its pattern: the first capture group, if there is one.
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
