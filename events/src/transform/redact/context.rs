//! The circumstances of an event that decide how its bodies are redacted.

use std::borrow::Cow;
use std::ops::Range;

use super::flags::Flags;
use super::rules::{Compiled, ConfigMaps};
use super::{Redaction, name_words};

/// Resources whose objects have tokens as names.
pub(super) const OAUTH: &[&str] =
    &["oauthaccesstokens", "oauthauthorizetokens", "useroauthaccesstokens"];

/// Resources whose bodies hold a user with `extra`.
const REVIEWS: &[&str] = &[
    "tokenreviews",
    "subjectaccessreviews",
    "localsubjectaccessreviews",
    "selfsubjectreviews",
    "certificatesigningrequests",
];

/// Status codes of responses that quote nothing but names.
pub(super) const PLAIN_CODES: &[&str] = &["401", "403", "404", "409", "410", "429"];

/// The circumstances of one event.
#[derive(Default)]
pub(super) struct Context<'a> {
    /// Flags for the bodies and the status.
    pub(super) flags: Flags,
    /// Names that a message about a Secret may quote.
    pub(super) names: Vec<Cow<'a, str>>,
    /// Rules of the operator that apply to this event.
    pub(super) rules: Vec<&'a Compiled>,
}

impl<'a> Context<'a> {
    /// `resources` holds every `objectRef.resource` of the line; a hostile line may have several.
    pub(super) fn new(
        redaction: &'a Redaction,
        resources: &[Cow<'a, str>],
        group: &str,
        code: &str,
        names: Vec<Cow<'a, str>>,
    ) -> Self {
        let any = |of: &[&str]| resources.iter().any(|name| of.contains(&name.as_ref()));
        let (secret, oauth) = (any(&["secrets"]), any(OAUTH));
        let config_map = any(&["configmaps"]);
        let resource = resources.first().map_or("", AsRef::as_ref);
        let rules: Vec<_> =
            redaction.rules.iter().filter(|rule| rule.concerns(resource, group)).collect();
        let quotes = oauth || secret && !PLAIN_CODES.contains(&code);
        let flags = Flags::NONE
            .with(Flags::SECRET.when(secret))
            .with(Flags::NAMED.when(oauth))
            .with(Flags::USER.when(any(REVIEWS)))
            .with(Flags::MESSAGE.when(quotes))
            .with(Flags::DATA.when(config_map && redaction.config_maps == ConfigMaps::All))
            .with(Flags::OPEN.when(config_map && redaction.config_maps == ConfigMaps::Off))
            .with(Flags::EVERY.when(!rules.is_empty()));
        Self { flags, names, rules }
    }

    /// Whether a member of the event is checked even without a hit in it.
    pub(super) fn looks(&self, key: &[u8]) -> bool {
        let other = Flags::NAMED.with(Flags::MESSAGE).with(Flags::EVERY);
        match key {
            b"requestURI" | b"userAgent" | b"auditID" | b"user" | b"impersonatedUser" => true,
            b"requestObject" | b"responseObject" => self.flags.everything(),
            _ => self.flags.has(other),
        }
    }

    /// Whether a rule keeps a text.
    pub(super) fn keeps(&self, text: &str) -> bool {
        self.rules.iter().any(|rule| {
            let whole = |found: regex::bytes::Match<'_>| found.len() == text.len();
            rule.keep
                && rule.anywhere()
                && rule
                    .pattern
                    .as_ref()
                    .is_some_and(|pattern| pattern.find(text.as_bytes()).is_some_and(whole))
        })
    }

    /// Whether a rule keeps every value of a key.
    pub(super) fn keeps_key(&self, key: &str) -> bool {
        self.rules.iter().any(|rule| {
            rule.keep
                && rule.path.is_none()
                && rule.pattern.is_none()
                && rule.key.as_ref().is_some_and(|name| name_words::same(name, key))
        })
    }

    /// Whether a rule redacts every value of a key.
    pub(super) fn blanks_key(&self, key: &str) -> bool {
        self.rules.iter().any(|rule| {
            !rule.keep
                && rule.path.is_none()
                && rule.pattern.is_none()
                && rule.key.as_ref().is_some_and(|name| name_words::same(name, key))
        })
    }

    /// Adds the matches of the rules' patterns in a text to `parts`.
    pub(super) fn patterns(&self, text: &str, parts: &mut Vec<Range<usize>>) {
        let before = parts.len();
        for rule in self.rules.iter().filter(|rule| !rule.keep && rule.anywhere()) {
            rule.find(text, parts);
        }
        if parts.len() > before {
            join(parts);
        }
    }
}

/// Sorts ranges and joins those that overlap.
pub(super) fn join(parts: &mut Vec<Range<usize>>) {
    parts.sort_by_key(|part| part.start);
    parts.dedup_by(|next, last| {
        let overlap = next.start < last.end;
        if overlap {
            last.end = last.end.max(next.end);
        }
        overlap
    });
}
