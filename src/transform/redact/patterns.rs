//! What the screen looks for, and a second look at each place that costs little: most are something harmless.

use super::markup::tag_of;
use super::runs::is_continue;
use super::words::{Name, in_name, judge, mentions};

/// Why a place deserves a look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    /// A word of a suspicious name.
    Word,
    /// `Invalid value: …`, by which the server quotes what was wrong.
    Quoted,
    /// `Bearer …`, `Basic …`.
    Scheme,
    /// `://`, with credentials behind it perhaps.
    Url,
    /// A JSON Web Token, or other base64 of JSON.
    Jwt,
    /// A private key in PEM.
    Pem,
    /// The identifier of an AWS key.
    Aws,
    /// A token that its issuer marks as one.
    Marked,
    /// A long run of base64.
    Run,
    /// The parameter of a URL that signs it.
    Signature,
    /// A program that takes passwords in short flags.
    Program,
    /// A key that other files know: an annotation, `extra`.
    Key,
    /// An escaped letter, or an escape inside an escape.
    Escape,
}

/// In the form that the screen folds bytes to: lower case, `_` is 0x7f, a backslash is `|`.
///
/// In two sets, since a search looks at as many bytes as its shortest pattern has, and the more the better. Both are
/// small enough for the search to take 32 bytes in a step. It puts every eighth pattern into the same group, and stops
/// in vain less often the more alike their letters are: this order, the best of some thousand tried on a recorded log,
/// halves what the search costs.
pub(super) const LONG: &[(&[u8], What)] = &[
    (b"mongo", What::Program),
    (b"ization", What::Word),
    (b"be\x7fconf", What::Word),
    (b"be-conf", What::Word),
    (b"cookie", What::Word),
    (b"asia", What::Aws),
    (b"binarydata", What::Key),
    (b"mariadb", What::Program),
    (b"toke", What::Word),
    (b" value: ", What::Quoted),
    (b"bearer", What::Scheme),
    (b"|u00", What::Escape),
    (b"beconf", What::Word),
    (b"mysql", What::Program),
    (b"sig=", What::Signature),
    (b"pass", What::Word),
    (b"docker", What::Word),
    (b"last-applied", What::Key),
    (b"\"extra\"", What::Key),
    (b"login", What::Program),
    (b"creden", What::Word),
    (b"basic ", What::Scheme),
    (b"secr", What::Word),
    (b"privat", What::Word),
    (b"-liter", What::Word),
    (b"akia", What::Aws),
    (b"auths", What::Word),
    (b"redis-cli", What::Program),
    (b"curl", What::Program),
    (b"signature=", What::Signature),
];

/// The other set. Each `key` with what can stand before it in the words of `words.rs`, of which there are few; it counts
/// from its own first letter ([`lead`]).
pub(super) const SHORT: &[(&[u8], What)] = &[
    (b":||", What::Url),
    (b"tkey", What::Word),
    (b"-key", What::Word),
    (b"akey", What::Word),
    (b":|/", What::Url),
    (b"h.webhook", What::Key),
    (b"hkey", What::Word),
    (b".key", What::Word),
    (b"jwt", What::Word),
    (b"ekey", What::Word),
    (b"pwd", What::Word),
    (b"rkey", What::Word),
    (b"onkey", What::Word),
    (b"k\x7flive\x7f", What::Marked),
    (b"gkey", What::Word),
    (b"\x7fkey", What::Word),
    (b"://", What::Url),
    (b"skey", What::Word),
    (b"-----b", What::Pem),
    (b"ikey", What::Word),
    (b"dkey", What::Word),
    (b"eyj", What::Jwt),
    (b"xox", What::Marked),
    (b" key", What::Word),
    (b"glpat-", What::Marked),
];

/// How far behind the beginning of a pattern the place begins that it is for.
pub(super) fn lead(pattern: &[u8]) -> usize {
    if pattern.ends_with(b"key") { pattern.len() - 3 } else { 0 }
}

/// Bytes looked at before and behind a place, so that hostile lines cost what their length costs.
const LONGEST: usize = 128;

/// Looks at a place once more. Says no only where no other file of this room would do anything about it.
pub(super) fn confirm(text: &[u8], at: usize, what: What, structural: &mut bool) -> bool {
    let rest = &text[at..];
    match what {
        What::Word => word(text, at, structural),
        What::Url => !rest.starts_with(b"://") || userinfo(&rest[3..]),
        What::Jwt => rest.starts_with(b"eyJ") && !is_continue(rest),
        What::Pem => {
            rest.starts_with(b"-----BEGIN")
                && memchr::memmem::find(&rest[..rest.len().min(64)], b"PRIVATE").is_some()
        }
        What::Aws => rest.get(..20).is_some_and(|key| {
            key.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        }),
        What::Escape => {
            // `<`, `>`, `&` and control characters are escaped by the server; no word needs them.
            let plain = matches!(
                rest.get(4..6),
                Some(b"3c" | b"3e" | b"26" | b"3C" | b"3E" | [b'0' | b'1', _])
            );
            let escape = rest.starts_with(b"\\u") && !plain;
            *structural |= escape;
            escape
        }
        What::Signature => signs(text[..at].last()),
        What::Scheme | What::Quoted | What::Marked | What::Key | What::Run => true,
        What::Program => {
            let name = rest.iter().take(LONGEST).take_while(|byte| in_name(**byte)).count();
            rest.get(name).is_some_and(|next| b" \t\"'\\+%&".contains(next))
        }
    }
}

/// Whether the name of a parameter can go on behind a byte: `&`, which may be written `\u0026` or `&amp;`, or a part of its name.
pub(super) fn signs(before: Option<&u8>) -> bool {
    before.is_some_and(|byte| b"?&-6;".contains(byte))
}

/// Names and values that stand in every other event, and words of prose.
fn word(text: &[u8], at: usize, structural: &mut bool) -> bool {
    if text[at] | 0x20 == b'k' && !behind_key(text, at) {
        return false;
    }
    // Longer names are none that are told apart here.
    let count = |byte: &&u8| in_name(**byte);
    let start = at - text[..at].iter().rev().take(LONGEST).take_while(count).count();
    let end = at + text[at..].iter().take(LONGEST).take_while(count).count();
    let (name, before, behind) = (&text[start..end], &text[..start], &text[end..]);
    if name == b"credential-id" && before.ends_with(b"authentication.kubernetes.io/") {
        // In `extra`, which is looked at anyway.
        return false;
    }
    let field = before.ends_with(b"\"f:");
    let begins = field || before.ends_with(b"\"") && !before.ends_with(b"\\\"");
    if !begins || behind.first() != Some(&b'"') {
        let long = end - start >= LONGEST || before.last() == Some(&b' ');
        return means(name, before, behind) && (long || mentions(name));
    }
    // The name is all there is in its string, but for the mark of a managed field.
    *structural |= name == b"Secret" || name == b"SecretList";
    if matches!(behind.get(1), Some(b',' | b']' | b'}')) {
        return !inert(name, &before[..start - 1]);
    }
    if field && behind.starts_with(b"\":{}") {
        return false;
    }
    str::from_utf8(name).is_ok_and(|name| judge(name) != Name::Plain)
}

/// Whether a name that has other text around it can name something: a value is assigned to it, it is part of a key or of
/// what other keys name by, a flag, a kind. JSON inside of strings counts too, with its backslashes.
fn means(name: &[u8], before: &[u8], behind: &[u8]) -> bool {
    let near = &behind[..behind.len().min(LONGEST)];
    let assigned = match near.iter().position(|byte| !b"\\\"'` \t".contains(byte)) {
        Some(at) => match near[at] {
            b'=' | b':' | b'%' | b'<' | b'>' => true,
            // In the attribute behind.
            b'v' => near[at..].starts_with(b"value="),
            // `\u003d`, or a tab before the sign.
            b'u' | b't' => at > 0 && near[at - 1] == b'\\',
            _ => false,
        },
        None => near.len() == LONGEST,
    };
    assigned
        || name.starts_with(b"-")
        || name.starts_with(b"Secret")
        || name == b"sshpass"
        || tag_of(before).is_some()
        || in_key(near)
        || names(before)
}

/// Whether the string that goes on here ends as a key; one that does not end soon may.
fn in_key(near: &[u8]) -> bool {
    memchr::memchr(b'"', near).map_or(near.len() == LONGEST, |quote| {
        near[quote + 1..].trim_ascii_start().first().is_none_or(|byte| *byte == b':')
    })
}

/// Whether the string that ends here so far is the value of a key that names what another value is.
fn names(before: &[u8]) -> bool {
    let near = &before[before.len().saturating_sub(LONGEST)..];
    let Some(quote) = memchr::memrchr(b'"', near) else { return near.len() == LONGEST };
    let outside = |text: &'_ [u8]| {
        let marks = text.iter().rev().take_while(|byte| b"\\\" \t".contains(byte)).count();
        text.len() - marks
    };
    let Some(key) = near[..outside(&near[..quote])].strip_suffix(b":") else { return quote < 8 };
    let key = &key[..outside(key)];
    [&b"name"[..], b"key", b"path"].iter().any(|name| key.ends_with(name))
}

/// Whether a value that is one suspicious word means nothing, by what stands before it.
fn inert(name: &[u8], before: &[u8]) -> bool {
    match before.last() {
        Some(b'[' | b',') => !name.starts_with(b"-") && name != b"sshpass",
        Some(b':') => {
            let keys: &[&[u8]] = &[b"\"name\":", b"\"key\":", b"\"resource\":"];
            let kind = name.starts_with(b"Secret") && before.ends_with(b"\"kind\":");
            !kind && !keys.iter().any(|key| before.ends_with(key)) || of_review(before)
        }
        _ => false,
    }
}

/// Whether it is what an access review asks about, and not what the event is about.
fn of_review(before: &[u8]) -> bool {
    let near = &before[before.len().saturating_sub(LONGEST)..];
    before.ends_with(b"\"resource\":")
        && memchr::memrchr(b'{', near)
            .is_some_and(|open| near[..open].ends_with(b"\"resourceAttributes\":"))
}

/// Whether a `key` has such letters around it that it may be one that opens something.
#[inline]
fn behind_key(text: &[u8], at: usize) -> bool {
    if text[..at].last() == Some(&b'"') && text.get(at + 3) == Some(&b'"') {
        // The name of a member, and most there are.
        return false;
    }
    let before = text[..at].iter().rev().take(4);
    let last = before.map(|byte| byte | 0x20).find(u8::is_ascii_lowercase).unwrap_or(b' ');
    match text.get(at + 3) {
        // `api`, `access`, `private`.
        Some(byte) if byte.is_ascii_alphanumeric() || b"_.-".contains(byte) => {
            b"ise".contains(&last)
        }
        // The last letters of what stands before `key` in `words.rs`.
        _ => b"isegnhdtra".contains(&last),
    }
}

/// Whether an `@` follows before a text or a word of it ends; if it has not ended after a while, one may.
fn userinfo(rest: &[u8]) -> bool {
    let near = &rest[..rest.len().min(4 * LONGEST)];
    near.iter().find(|byte| b" \t\"'<>@".contains(byte)).is_none_or(|byte| *byte == b'@')
}
