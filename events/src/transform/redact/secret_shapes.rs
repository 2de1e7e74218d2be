//! Recognises secrets by their shape alone: JWTs, private keys, password hashes, credentials in URLs and headers.

use std::ops::Range;

use super::base64_runs::{decoded, is_continue};
use super::token::{HASH, is_token};
use super::values;

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
    // About one redaction hash in ten thousand contains these letters by chance; that is not a JWT.
    let before = at - at.min(HASH.len() + 22);
    let mark = memchr::memmem::rfind(&text[before..at], HASH.as_bytes());
    let hash = mark.is_some_and(|mark| is_token(&text[before + mark..end]));
    (end >= at + 13 && !is_continue(&text[at..end]) && !hash).then_some(at..end)
}

/// Words in the head of a PEM block, or of a similar format, that mark a private key, a static key of `OpenVPN` or a
/// seed of NATS.
pub(super) const PRIVATE: &[&[u8]] = &[b"PRIVATE KEY", b"Static key", b" SEED", b"SECRET KEY"];

/// The PEM private key whose first dash is at `at`.
pub(super) fn pem(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    let head = 10 + memchr::memmem::find(rest.get(10..rest.len().min(80))?, b"-----").unwrap_or(60);
    let head = &rest[..head.min(rest.len())];
    PRIVATE.iter().find(|kind| memchr::memmem::find(head, kind).is_some())?;
    let end = memchr::memmem::find(rest, b"-----END").and_then(|end| {
        let close = end + 8;
        Some(close + memchr::memmem::find(&rest[close..rest.len().min(close + 80)], b"-----")? + 5)
    });
    Some(at..at + end.unwrap_or(rest.len()))
}

/// Whether a text begins with the prefix of a password hash (crypt(5)).
pub(super) fn is_hash(text: &[u8]) -> bool {
    const MARKS: &[&[u8]] = &[
        b"$apr1$", b"$2a$", b"$2b$", b"$2y$", b"$argon2", b"$6$", b"$5$", b"$1$", b"$y$", b"$7$",
        b"$sha1$",
    ];
    MARKS.iter().any(|mark| text.starts_with(mark))
}

/// The password hash that begins at `at` with its prefix. A hash is secret because it can be cracked offline.
pub(super) fn hash(text: &[u8], at: usize) -> Option<Range<usize>> {
    let end = run(text, at, |byte| byte.is_ascii_alphanumeric() || b"$./+={}*,:-".contains(&byte));
    let end = end - text[at..end].iter().rev().take_while(|byte| b",.:".contains(byte)).count();
    (end >= at + 16).then_some(at..end)
}

/// Passwords of users in the options of a JAAS login module, such as `user_alice="x"`. The module's name is at `at`.
pub(super) fn users(text: &[u8], at: usize, mut each: impl FnMut(Range<usize>)) {
    let near = &text[at..text.len().min(at + 2048)];
    let near = &near[..memchr::memchr(b';', near).unwrap_or(near.len())];
    for found in memchr::memmem::find_iter(near, b"user_") {
        let name = run(near, found, |byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        let Some(rest) = near.get(name..).and_then(|rest| rest.strip_prefix(b"=")) else {
            continue;
        };
        let quotes = rest.iter().take_while(|byte| b"\\\"'".contains(byte)).count();
        let start = name + 1 + quotes;
        let end =
            run(near, start, |byte| !byte.is_ascii_whitespace() && !b"\"'\\;".contains(&byte));
        each(at + start..at + end);
    }
}

/// Passwords, and their hashes, in a rule of a Redis ACL: `user a on >x #hash +@all`. `at` is the place of a category
/// such as `+@all`.
pub(super) fn acl(text: &[u8], at: usize, mut each: impl FnMut(Range<usize>)) {
    let from = at.saturating_sub(512);
    let line = memchr::memrchr(b'\n', &text[from..at]).map_or(from, |at| from + at + 1);
    let near = &text[at..text.len().min(at + 512)];
    let end = at + memchr::memchr(b'\n', near).unwrap_or(near.len());
    let mut from = line;
    for word in text[line..end].split(|byte| byte.is_ascii_whitespace() || b"'\"".contains(byte)) {
        if let [b'>' | b'#' | b'<' | b'!', secret @ ..] = word
            && secret.len() > 2
        {
            each(from + 1..from + word.len());
        }
        from += word.len() + 1;
    }
}

/// Substrings of webhook URLs, by which clients post messages and events.
const HOOKS: &[&[u8]] = &[
    b"hook",
    b"/import/",
    b"/integration/",
    b"/triggers/",
    b"/workflows/",
    b"/bot",
    b"hc-ping.",
    b"/enqueue",
];

/// Whether a URL may be a webhook URL, which is itself a secret. `rest` begins at the host.
pub(super) fn is_hook(rest: &[u8]) -> bool {
    let near = &rest[..rest.len().min(96)];
    let near = &near[..near.iter().position(|byte| b" \"'<>".contains(byte)).unwrap_or(near.len())];
    HOOKS.iter().any(|mark| memchr::memmem::find(near, mark).is_some())
}

/// Bytes of a URL that are looked at; the limit keeps the cost linear in the length of a hostile text.
const URL: usize = 512;

/// The secret part of a webhook URL: everything from the first path segment that looks random. The URL's `://` is at
/// `at`.
pub(super) fn hook(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + 3;
    let near = &text[..text.len().min(start + URL)];
    let end =
        run(near, start, |byte| !byte.is_ascii_whitespace() && !b"\"'`<>\\,;)]}".contains(&byte));
    let url = &text[start..end];
    let path = memchr::memchr(b'/', url)?;
    let mark = HOOKS
        .iter()
        .filter_map(|mark| memchr::memmem::find(url, mark).map(|at| at + mark.len()))
        .min()?;
    let mut from = start + path.max(mark.min(url.len()).saturating_sub(1));
    while from < end {
        let length = run(text, from, |byte| !b"/?".contains(&byte)).min(end) - from;
        let segment = str::from_utf8(&text[from..from + length]).ok()?;
        let bot = segment
            .strip_prefix("bot")
            .filter(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
            .unwrap_or(segment);
        let any = |is: fn(&u8) -> bool| bot.as_bytes().iter().any(is);
        let plain = bot.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let identifier =
            any(u8::is_ascii_digit) && (any(u8::is_ascii_uppercase) || bot.len() >= 16);
        if bot.len() >= 9 && (values::is_random(bot) || plain && identifier) {
            let query = run(text, from, |byte| byte != b'?').min(end);
            return Some(from..query);
        }
        if text.get(from + length) == Some(&b'?') {
            return None;
        }
        from += length + 1;
    }
    None
}

/// The password of a data source name without a scheme: `user:pass@tcp(host)/db`. Its `@` is at `at`.
pub(super) fn account(text: &[u8], at: usize) -> Option<Range<usize>> {
    let near = &text[at.saturating_sub(256)..at];
    let outside = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>@(,;/\\".contains(byte);
    let start = near.iter().rposition(outside).map_or(0, |place| place + 1);
    let mut account = &near[start..];
    if start > 0 && near[start - 1] == b'/' {
        // `jdbc:oracle:thin:user/pass@host`
        let user = near[..start - 1]
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(byte))
            .count();
        if memchr::memmem::find(&near[start - 1 - user..start], b"thin:").is_some()
            || memchr::memmem::find(&near[start - 1 - user..start], b"oci:").is_some()
        {
            return (!account.is_empty()).then_some(at - account.len()..at);
        }
    }
    if account.starts_with(b"-D") {
        account = &account[2..];
    }
    let colon = memchr::memchr(b':', account)?;
    let user = &account[..colon];
    let user = &user[user.iter().rposition(|byte| *byte == b'=').map_or(0, |sign| sign + 1)..];
    if user.is_empty() || colon + 1 == account.len() || is_token(account) {
        return None;
    }
    let host = &text[at + 1..text.len().min(at + 128)];
    let length = host
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte))
        .count();
    let place = match host.get(length) {
        Some(b'(') => true,
        Some(b'/') => length == 0 || account[colon + 1..].iter().any(u8::is_ascii_digit),
        Some(b':') => {
            let port = host[length + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            port > 1 && port < 6
        }
        _ => false,
    };
    (place && !host.starts_with(b"sha256:")).then_some(at - account.len() + colon + 1..at)
}

/// The credential after `Bearer` or `Basic`; the word begins at `at`.
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

/// Whether the byte before a name can precede a parameter's name: `&` (which may be written `\u0026` or `&amp;`), or
/// a part of the name.
pub(super) fn signs(before: Option<&u8>) -> bool {
    before.is_some_and(|byte| b"?&-6;".contains(byte))
}

/// The signature of a signed URL: the value of `sig` or `X-Amz-Signature`. The last word of the parameter's name is
/// at `at`.
pub(super) fn signature(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + memchr::memchr(b'=', &text[at..])? + 1;
    let end = run(text, start, |byte| byte.is_ascii_alphanumeric() || b"-_.~%+/=".contains(&byte));
    (signs(text[..at].last()) && end >= start + 16).then_some(start..end)
}

/// The user and password of the URL whose `://` is at `at`. `Err` holds the place up to which there is none.
pub(super) fn userinfo(text: &[u8], at: usize) -> Result<Range<usize>, usize> {
    let start = at + 3;
    let near = &text[start..text.len().min(start + 4096)];
    let blank = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>".contains(byte);
    let authority = near.iter().position(|byte| blank(byte) || b"/?#\\".contains(byte));
    let authority = authority.unwrap_or(near.len());
    if let Some(sign) = memchr::memrchr(b'@', &near[..authority]) {
        return if sign > 0 && !is_open(&near[..sign], &text[..at]) {
            Ok(start..start + sign)
        } else {
            Err(start)
        };
    }
    // A slash may be an unescaped part of a password. After a colon and digits (a port) it begins a path.
    let colon = memchr::memchr(b':', &near[..authority]).ok_or(start)?;
    if authority > colon + 1 && near[colon + 1..authority].iter().all(u8::is_ascii_digit) {
        return Err(start);
    }
    let end = near.iter().position(blank).unwrap_or(near.len());
    let sign = memchr::memrchr(b'@', &near[..end]).ok_or(start + end)?;
    Ok(start..start + sign)
}

/// Whether the text before a host needs no redaction: a user alone, in a scheme where that is not a key, or a user
/// and a reference to a password.
fn is_open(userinfo: &[u8], scheme: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(userinfo) else { return false };
    let plain = |user: &str| {
        !user.is_empty()
            && user.len() < 33
            && user.bytes().all(|byte| byte.is_ascii_lowercase() || b"_.-".contains(&byte))
    };
    match text.split_once(':') {
        Some((user, pass)) => {
            (plain(user) || super::references::is_reference(user))
                && !pass.is_empty()
                && super::references::is_reference(pass)
        }
        None => {
            super::references::is_reference(text)
                || plain(text)
                    && [
                        &b"ssh"[..],
                        b"sftp",
                        b"rsync",
                        b"git",
                        b"svn",
                        b"postgres",
                        b"postgresql",
                        b"mysql",
                        b"mongodb",
                        b"mongodb+srv",
                        b"amqp",
                        b"ldap",
                        b"ldaps",
                    ]
                    .iter()
                    .any(|known| scheme.ends_with(known))
        }
    }
}

/// The ranges of a text that are certificates or public keys in PEM.
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
