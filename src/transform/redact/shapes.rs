//! What is a secret by its looks alone: tokens, private keys, credentials in URLs and headers.

use std::ops::Range;

use super::patterns::signs;
use super::runs::{decoded, is_continue};
use super::token::{HASH, is_token};

/// Beginnings by which issuers mark tokens that are too short, or too plain, for a long run of base64.
const MARKS: &[&[u8]] = &[
    b"glpat-",
    b"xoxa-",
    b"xoxb-",
    b"xoxe-",
    b"xoxo-",
    b"xoxp-",
    b"xoxr-",
    b"xoxs-",
    b"sk_live_",
    b"rk_live_",
];

/// Words that follow `bearer` and `basic` in sentences.
const PROSE: &[&str] = &[
    "auth",
    "authentication",
    "authenticator",
    "authorization",
    "constraint",
    "credential",
    "credentials",
    "scheme",
    "token",
    "tokens",
    "realm",
    "or",
    "and",
    "is",
    "was",
    "header",
    "format",
    "challenge",
];

fn run(text: &[u8], from: usize, inside: impl Fn(u8) -> bool) -> usize {
    from + text[from..].iter().take_while(|byte| inside(**byte)).count()
}

/// A JSON Web Token, or other base64 of JSON, that begins at `at`.
pub(super) fn jwt(text: &[u8], at: usize) -> Option<Range<usize>> {
    let end = run(text, at, |byte| byte.is_ascii_alphanumeric() || b"_-=.+/\\".contains(&byte));
    let end = end - text[at..end].iter().rev().take_while(|byte| b".\\".contains(byte)).count();
    // One hash in some ten thousand has these letters somewhere.
    let before = at - at.min(HASH.len() + 22);
    let mark = memchr::memmem::rfind(&text[before..at], HASH.as_bytes());
    let hash = mark.is_some_and(|mark| is_token(&text[before + mark..end]));
    (end >= at + 13 && !is_continue(&text[at..end]) && !hash).then_some(at..end)
}

/// A private key in PEM whose first dash stands at `at`.
pub(super) fn pem(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    let head = 10 + memchr::memmem::find(rest.get(10..rest.len().min(80))?, b"-----").unwrap_or(60);
    memchr::memmem::find(&rest[..head.min(rest.len())], b"PRIVATE KEY")?;
    let end = memchr::memmem::find(rest, b"-----END").and_then(|end| {
        let close = end + 8;
        Some(close + memchr::memmem::find(&rest[close..rest.len().min(close + 80)], b"-----")? + 5)
    });
    Some(at..at + end.unwrap_or(rest.len()))
}

/// The identifier of an AWS key.
pub(super) fn aws(text: &[u8], at: usize) -> Option<Range<usize>> {
    let end = run(text, at, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (end >= at + 20).then_some(at..end)
}

/// A token with its issuer's mark, which begins at `at` or just before.
pub(super) fn marked(text: &[u8], at: usize) -> Option<Range<usize>> {
    let at = if text[at..].starts_with(b"k_live_") { at.checked_sub(1)? } else { at };
    MARKS.iter().find(|mark| text[at..].starts_with(mark))?;
    let end = run(text, at, |byte| byte.is_ascii_alphanumeric() || b"_-~.".contains(&byte));
    let end = end - usize::from(text[..end].ends_with(b"."));
    (end >= at + 16).then_some(at..end)
}

/// The credential behind `Bearer` or `Basic`, a word of six letters that begins at `at`.
pub(super) fn scheme(text: &[u8], at: usize) -> Option<Range<usize>> {
    let word = at + text[at..].get(..5)?.len() + usize::from(!text[at + 5..].starts_with(b" "));
    let start = run(text, word, |byte| b" \t+".contains(&byte));
    if start == word {
        return None;
    }
    let end =
        run(text, start, |byte| !byte.is_ascii_whitespace() && !b"\"'`,;<>&\\".contains(&byte));
    let value = &text[start..end];
    let plain = str::from_utf8(value).ok()?.trim_end_matches(['.', ':', ')']);
    let prose = PROSE.iter().any(|word| plain.eq_ignore_ascii_case(word));
    let basic = text[at..word].eq_ignore_ascii_case(b"basic");
    let credential = if basic {
        decoded(value).is_some_and(|pair| pair.contains(&b':'))
            || value.len() > 7 && value.iter().any(u8::is_ascii_digit)
    } else {
        value.len() > 2 && value[0].is_ascii_alphanumeric()
    };
    (credential && !prose && !is_token(plain.as_bytes())).then_some(start..end)
}

/// What signs a URL: the value of its `sig` or `X-Amz-Signature`, of which the last word stands at `at`.
pub(super) fn signature(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + memchr::memchr(b'=', &text[at..])? + 1;
    let end = run(text, start, |byte| byte.is_ascii_alphanumeric() || b"-_.~%+/=".contains(&byte));
    (signs(text[..at].last()) && end >= start + 16).then_some(start..end)
}

/// The user and password of the URL whose `://` stands at `at`; or else how far there is none.
pub(super) fn userinfo(text: &[u8], at: usize) -> Result<Range<usize>, usize> {
    let start = at + 3;
    let near = &text[start..text.len().min(start + 4096)];
    let blank = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>".contains(byte);
    let authority = near.iter().position(|byte| blank(byte) || b"/?#\\".contains(byte));
    let authority = authority.unwrap_or(near.len());
    if let Some(sign) = memchr::memrchr(b'@', &near[..authority]) {
        return if sign > 0 { Ok(start..start + sign) } else { Err(start) };
    }
    // A slash in a password, which nobody escaped; behind a colon and digits it begins a path.
    let colon = memchr::memchr(b':', &near[..authority]).ok_or(start)?;
    if authority > colon + 1 && near[colon + 1..authority].iter().all(u8::is_ascii_digit) {
        return Err(start);
    }
    let end = near.iter().position(blank).unwrap_or(near.len());
    let sign = memchr::memrchr(b'@', &near[..end]).ok_or(start + end)?;
    Ok(start..start + sign)
}

/// The stretches of a text that are certificates or public keys in PEM.
pub(super) fn public_pem(text: &[u8]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while let Some(begin) = memchr::memmem::find(&text[at..], b"-----BEGIN ") {
        let start = at + begin;
        let Some(end) = memchr::memmem::find(&text[start..], b"-----END ") else { break };
        at = start + end;
        let head = &text[start..at.min(start + 64)];
        let kinds: &[&[u8]] = &[b"CERTIFICATE", b"PUBLIC KEY", b"X509 CRL"];
        if kinds.iter().any(|kind| memchr::memmem::find(head, kind).is_some()) {
            blocks.push(start..at);
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(
        text: &str,
        find: impl Fn(&[u8], usize) -> Option<Range<usize>>,
        at: &str,
    ) -> Option<String> {
        find(text.as_bytes(), text.find(at).unwrap()).map(|range| text[range].to_owned())
    }

    #[test]
    fn credentials_in_urls_are_found() {
        let check = |url: &str| cut(url, |text, at| userinfo(text, at).ok(), "://");
        assert_eq!(check("postgres://u:p@host/db?x=a@b").as_deref(), Some("u:p"));
        assert_eq!(check("amqp://u:p/a@ss@host").as_deref(), Some("u:p/a@ss"));
        assert_eq!(check("https://ghp@github.com/x").as_deref(), Some("ghp"));
        assert_eq!(check("https://host:8080/path/a@b"), None);
        assert_eq!(check("https://host/path"), None);
    }

    #[test]
    fn credentials_behind_a_scheme_are_told_from_prose() {
        assert_eq!(cut("x Bearer abc.def-1", scheme, "Bearer").as_deref(), Some("abc.def-1"));
        assert_eq!(cut("Basic dXNlcjpwYXNz", scheme, "Basic").as_deref(), Some("dXNlcjpwYXNz"));
        for prose in
            ["bearer token is invalid", "basic authentication", "Bearer ***", "basic things"]
        {
            assert_eq!(cut(prose, scheme, &prose[..1]), None, "{prose}");
        }
    }

    #[test]
    fn a_hash_that_looks_like_a_token_is_none() {
        let token = "eyJHv9FVfIWTi10GIeO7KQ";
        assert_eq!(cut(&format!("x {token}"), jwt, "eyJ").as_deref(), Some(token));
        assert_eq!(cut(&format!("x hmac-sha256:{token} y"), jwt, "eyJ"), None);
        assert_eq!(cut("x hmac-sha256:QseyJFuffohnFCUd4fDxGQ", jwt, "eyJ"), None);
    }

    #[test]
    fn a_private_key_is_found_whole_or_cut() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----";
        assert_eq!(cut(&format!("a {key} b"), pem, "---").as_deref(), Some(key));
        assert_eq!(cut(&key[..40], pem, "---").as_deref(), Some(&key[..40]));
        assert_eq!(cut(&key.replace("RSA PRIVATE KEY", "CERTIFICATE"), pem, "---"), None);
    }
}
