//! Patterns for the usual places of credentials, whoever owns them: headers, after an auth scheme, in and after URLs,
//! after names such as `password`.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use super::views::View;

/// Group 1 of a match is redacted. `\x22` is a double quote.
const SHAPES: [&str; 8] = [
    // A header as it is sent, in JSON, in a debug dump of a program, or in the cells of a table.
    concat!(
        r"(?:(?:proxy[-_])?authorization|(?:set[-_])?cookie2?|(?:[a-z0-9]+[-_])*x[-_][a-z0-9_-]*(?:token|key|secret|auth|password|credential)[a-z0-9_-]*)",
        r"[\s\x22']{0,3}(?:=>|[:=]|[\x22'],|(?:</?[a-z][^<>]{0,60}>\s*){1,4})[\s\[]{0,4}",
        r"(\x22[^\x22]+|'[^']+|[^\s\x22'<>]+(?:;\s*[^\s;\x22'<>]+|\s*,?\s[a-z]+=[^\s<>]+)*(?:\s+[^\s\x22'<>]*[^\s\x22'<>:])?(?:;\s*[^\s;\x22'<>]+|\s*,?\s[a-z]+=[^\s<>]+)*)",
    ),
    r"\b(?:bearer|basic|apikey|negotiate|ntlm|digest|aws4-hmac-sha256)(?:[\s:=+\x22']|%20)+([a-z0-9._~+/=:%-]{3,})",
    r"[:]//([^\s\x22'<>]*)@",
    r"(?:^|[\s\x22'(<,=/])([a-z0-9._~%!$&*+-]*:[^\s\x22'<>@/]+)@[a-z0-9.\[]",
    r"[:]//[^\s\x22'<>?#]*[?#]([^\s\x22'<>]+)",
    r"\?([^\s\x22'<>?=]+=[^\s\x22'<>]*)",
    r"\b(?:[a-z0-9]+[-_.])*(?:api[-_]?key|access[-_]?key|token|passw(?:or)?d|passphrase|secret|signature|credentials?)[\x22']{0,2}\s*[:=]\s*[\x22']?([^\s\x22'<>,;&}\])]{3,})",
    r"\b(eyJ[a-z0-9_-]{8,}(?:\.[a-z0-9_-]*){0,2})",
];

/// The index of the pattern for auth schemes.
const SCHEME: usize = 1;

/// Ordinary words that follow the name of an auth scheme in prose, such as "basic authentication".
const WORDS: [&str; 16] = [
    "auth",
    "authentication",
    "authorization",
    "credential",
    "credentials",
    "error",
    "header",
    "headers",
    "http",
    "key",
    "license",
    "realm",
    "scheme",
    "token",
    "tokens",
    "user",
];

/// The compiled patterns.
pub(super) struct Shapes(Vec<Regex>);

impl Shapes {
    pub(super) fn new() -> Self {
        let built = |pattern: &str| {
            RegexBuilder::new(pattern).unicode(false).case_insensitive(true).build()
        };
        // Every pattern compiles: a test counts them.
        Self(SHAPES.iter().filter_map(|pattern| built(pattern).ok()).collect())
    }

    /// Adds the ranges where a pattern finds a credential.
    pub(super) fn find(&self, view: &View, found: &mut Vec<Range<usize>>) {
        for (index, shape) in self.0.iter().enumerate() {
            let values = shape.captures_iter(view.bytes()).filter_map(|captures| captures.get(1));
            let secret = values.filter(|value| index != SCHEME || !is_word(value.as_bytes()));
            found.extend(secret.map(|value| view.origin(value.range())));
        }
    }
}

fn is_word(value: &[u8]) -> bool {
    let bare = value.split(|byte| b"=:.,".contains(byte)).next().unwrap_or_default();
    WORDS.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_can_be_built() {
        assert_eq!(Shapes::new().0.len(), SHAPES.len());
    }
}
