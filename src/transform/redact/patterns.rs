//! What the screen looks for, and a second look at each place that costs little: most are something harmless.

use super::words::{Name, in_name, judge};

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
    /// A program that takes passwords in short flags.
    Program,
    /// A key that other files know: an annotation, `extra`.
    Key,
    /// An escaped letter, or an escape inside an escape.
    Escape,
}

/// In the form that the screen folds bytes to: lower case, `_` is 0x7f, a backslash is `|`.
pub(super) const PATTERNS: &[(&[u8], What)] = &[
    (b"pass", What::Word),
    (b"pwd", What::Word),
    (b"secr", What::Word),
    (b"toke", What::Word),
    (b"creden", What::Word),
    (b"privat", What::Word),
    (b"apik", What::Word),
    (b"api-k", What::Word),
    (b"api\x7fk", What::Word),
    (b"api.k", What::Word),
    (b"api k", What::Word),
    (b"cessk", What::Word),
    (b"cess-k", What::Word),
    (b"cess\x7fk", What::Word),
    (b"cess.k", What::Word),
    (b"cess k", What::Word),
    (b"dockerc", What::Word),
    (b"docker-c", What::Word),
    (b"docker\x7fc", What::Word),
    (b"docker.c", What::Word),
    (b"docker c", What::Word),
    (b"kubec", What::Word),
    (b"kube-conf", What::Word),
    (b"kube\x7fconf", What::Word),
    (b"kube.conf", What::Word),
    (b"kube conf", What::Word),
    (b"ctionstr", What::Word),
    (b"ction-str", What::Word),
    (b"ction\x7fstr", What::Word),
    (b"ction str", What::Word),
    (b"ction.str", What::Word),
    (b"key\"", What::Word),
    (b"key|", What::Word),
    (b"key'", What::Word),
    (b"key=", What::Word),
    (b"key:", What::Word),
    (b"key ", What::Word),
    (b"jwt", What::Word),
    (b"ization\"", What::Word),
    (b"ization|", What::Word),
    (b"ization'", What::Word),
    (b"ization=", What::Word),
    (b"ization:", What::Word),
    (b"ization ", What::Word),
    (b"cookie", What::Word),
    (b"bearer", What::Scheme),
    (b"basic ", What::Scheme),
    (b"value: ", What::Quoted),
    (b"://", What::Url),
    (b":|/", What::Url),
    (b":||", What::Url),
    (b"eyj", What::Jwt),
    (b"-----b", What::Pem),
    (b"akia", What::Aws),
    (b"asia", What::Aws),
    (b"aiza", What::Marked),
    (b"ghp\x7f", What::Marked),
    (b"gho\x7f", What::Marked),
    (b"ghu\x7f", What::Marked),
    (b"ghs\x7f", What::Marked),
    (b"ghr\x7f", What::Marked),
    (b"github\x7fpat", What::Marked),
    (b"glpat-", What::Marked),
    (b"xox", What::Marked),
    (b"k\x7flive\x7f", What::Marked),
    (b"hvs.", What::Marked),
    (b"sha256~", What::Marked),
    (b"curl", What::Program),
    (b"mysql", What::Program),
    (b"mariadb", What::Program),
    (b"redis-cli", What::Program),
    (b"login", What::Program),
    (b"last-applied", What::Key),
    (b"binarydata", What::Key),
    (b"\"extra\"", What::Key),
    (b"|u00", What::Escape),
];

/// Bytes looked at before and behind a place, so that hostile lines cost what their length costs.
const LONGEST: usize = 128;

/// Looks at a place once more. Says no only where no other file of this room would do anything about it.
pub(super) fn confirm(text: &[u8], at: usize, what: What, structural: &mut bool) -> bool {
    let rest = &text[at..];
    match what {
        What::Word => word(text, at, structural),
        What::Url => !rest.starts_with(b"://") || userinfo(&rest[3..]),
        What::Jwt => rest.starts_with(b"eyJ"),
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
        What::Scheme | What::Quoted | What::Marked | What::Program | What::Key | What::Run => true,
    }
}

/// Names and values that stand in every other event.
fn word(text: &[u8], at: usize, structural: &mut bool) -> bool {
    const MOUNT: &[u8] = b"/var/run/secrets/kubernetes.io/serviceaccount\"";
    // Longer names are none that are told apart here.
    let count = |byte: &&u8| in_name(**byte);
    let start = at - text[..at].iter().rev().take(LONGEST).take_while(count).count();
    let end = at + text[at..].iter().take(LONGEST).take_while(count).count();
    let name = &text[start..end];
    let before = |back: usize| start.checked_sub(back).map(|at| text[at]);
    let ends = text.get(end) == Some(&b'"');
    if before(1) == Some(b'/') && name == b"secrets" {
        // 9 bytes from the quote: `"/var/run/`.
        return start
            .checked_sub(10)
            .is_none_or(|from| text[from] != b'"' || !text[from + 1..].starts_with(MOUNT));
    }
    let begins = before(1) == Some(b'"') && before(2) != Some(b'\\')
        || before(1) == Some(b':') && before(2) == Some(b'f') && before(3) == Some(b'"');
    if !begins || !ends {
        return true;
    }
    if name == b"Secret" || name == b"SecretList" {
        *structural = true;
    }
    // An element of an array that is one word, and no key.
    let element = matches!(before(2), Some(b'[' | b','))
        && matches!(text.get(end + 1), Some(b',' | b']'))
        && !name.starts_with(b"-");
    !element && str::from_utf8(name).is_ok_and(|name| judge(name) != Name::Plain)
}

/// Whether an `@` follows before a text or a word of it ends; if it has not ended after a while, one may.
fn userinfo(rest: &[u8]) -> bool {
    let near = &rest[..rest.len().min(4 * LONGEST)];
    near.iter().find(|byte| b" \t\"'<>@".contains(byte)).is_none_or(|byte| *byte == b'@')
}
