//! Confirms the hits of the prefilter: a second, cheap check of each place. Most hits are harmless.

use super::base64_runs::is_continue;
use super::hits::Reach;
use super::markup::tag_of;
use super::name_words::in_name;
use super::patterns::What;
use super::secret_names::{Name, judge_bytes};

/// Bytes looked at before and after a place; the limit keeps the cost linear in the length of a hostile line.
const LONGEST: usize = 128;

/// Checks one place again. Returns false only where no other file of this module would redact anything because of it.
pub(super) fn confirm(text: &[u8], at: usize, what: What, reach: &mut Reach) -> bool {
    let rest = &text[at..];
    match what {
        What::Word => word(text, at, reach),
        What::Url => {
            !rest.starts_with(b"://")
                || userinfo(&rest[3..])
                || super::secret_shapes::is_hook(&rest[3..])
        }
        What::Jwt => rest.starts_with(b"eyJ") && !is_continue(rest),
        What::Pem => {
            rest.starts_with(b"-----BEGIN")
                && super::secret_shapes::PRIVATE
                    .iter()
                    .any(|kind| memchr::memmem::find(&rest[..rest.len().min(64)], kind).is_some())
        }
        What::Escape => {
            // The API server escapes `<`, `>`, `&` and control characters; no word needs other escapes.
            let plain = matches!(
                rest.get(4..6),
                Some(b"3c" | b"3e" | b"26" | b"3C" | b"3E" | [b'0' | b'1', _])
            );
            let escape = rest.starts_with(b"\\u") && !plain;
            if escape {
                reach.at_least(Reach::Everywhere);
            }
            escape
        }
        // Only marks the beginning of a command line.
        What::Commands => false,
        What::Signature => super::secret_shapes::signs(text[..at].last()),
        What::Scheme
        | What::Quoted
        | What::Marked
        | What::Key
        | What::Run
        | What::Account
        | What::Hash
        | What::Jaas
        | What::Acl => true,
        What::Sql => matches!(rest.get(10), Some(b' ' | b'\t' | b'\n' | b'\\')),
        What::Program => {
            let name = rest.iter().take(LONGEST).take_while(|byte| in_name(**byte)).count();
            rest.get(name).is_some_and(|next| b" \t\"'\\+%&".contains(next))
        }
    }
}

/// Rejects names and values that occur in every other event, and words of prose.
fn word(text: &[u8], at: usize, reach: &mut Reach) -> bool {
    let key = text[at..].get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"key"));
    if key && !behind_key(text, at) {
        return false;
    }
    if text[at..].starts_with(b"ization.") {
        // An API group.
        return false;
    }
    // Longer names are not distinguished here.
    let count = |byte: &&u8| in_name(**byte);
    let start = at - text[..at].iter().rev().take(LONGEST).take_while(count).count();
    let end = at + text[at..].iter().take(LONGEST).take_while(count).count();
    // The letter of an escape does not belong to the name after it.
    let escape =
        start > 0 && text[start - 1] == b'\\' && b"nrt".contains(&text[start]) && start < at;
    let start = start + usize::from(escape);
    let (name, before, behind) = (&text[start..end], &text[..start], &text[end..]);
    if name == b"credential-id" && before.ends_with(b"authentication.kubernetes.io/") {
        // In `extra`, which is redacted by its own rule.
        return false;
    }
    let field = before.ends_with(b"\"f:");
    let begins = field || before.ends_with(b"\"") && !before.ends_with(b"\\\"");
    if !begins || behind.first() != Some(&b'"') {
        let long = end - start >= LONGEST || before.last() == Some(&b' ');
        let matters = || long || judge_bytes(name) != Name::Plain || is_program(name);
        return means(name, before, behind) && matters();
    }
    // The name is the whole string, apart from the `f:` of a managed field.
    if name == b"Secret" || name == b"SecretList" {
        reach.at_least(Reach::Object);
    }
    if matches!(behind.get(1), Some(b',' | b']' | b'}')) {
        let any = name.starts_with(b"Secret") || judge_bytes(name) != Name::Plain;
        return !inert(name, &before[..start - 1]) && (any || is_program(name));
    }
    if field && behind.starts_with(b"\":{}") {
        return false;
    }
    judge_bytes(name) != Name::Plain
}

/// Whether a name with other text around it can name something: a value is assigned to it, it is part of a key or of
/// the value of a `name` key, it is a flag, or it is a kind. JSON inside strings counts too, with its backslashes.
fn means(name: &[u8], before: &[u8], behind: &[u8]) -> bool {
    let near = &behind[..behind.len().min(LONGEST)];
    let marks = near.iter().take_while(|byte| b"\\\"'` \t".contains(byte)).count();
    let assigned = match near.get(marks) {
        Some(byte) => match byte {
            b'=' | b':' | b'%' | b'<' | b'>' | b'(' => true,
            // `["password"] = `, `('PASSWORD', `, `password ?= `.
            b']' | b')' if marks > 0 || before.ends_with(b"[") => {
                near[marks + 1..].trim_ascii_start().starts_with(b"=")
            }
            b',' if near[marks + 1..].trim_ascii_start().starts_with(b"<<")
                || near[marks + 1..].trim_ascii_start().starts_with(b"\\u003c\\u003c") =>
            {
                true
            }
            b',' if marks > 0 => is_argument(before),
            b'?' | b'+' | b'!' => near.get(marks + 1) == Some(&b'='),
            // XML: the value is in the next attribute.
            b'v' if near[marks..].starts_with(b"value=") => true,
            // `\u003d`, or a tab before the sign.
            b'u' | b't' if marks > 0 && near[marks - 1] == b'\\' => true,
            _ => parted(name, before, near, marks),
        },
        None => near.len() == LONGEST || parted(name, before, near, marks),
    };
    assigned
        || name.starts_with(b"-")
        || name.starts_with(b"Secret")
        || is_program(name)
        || tag_of(before).is_some()
        || in_key(near)
        || names(before)
        || says(before)
}

/// Whether a word is the name of a program that takes secrets as arguments or reads them from a pipe.
fn is_program(name: &[u8]) -> bool {
    let known = |name: &str| super::command_line::is_program(name) || super::pipe::reads(name);
    name.len() < 24 && str::from_utf8(name).is_ok_and(known)
}

/// Whether a quoted name is the first argument of a call.
fn is_argument(before: &[u8]) -> bool {
    let marks = before.iter().rev().take_while(|byte| b"\\\"'` ".contains(byte)).count();
    marks > 0 && before[..before.len() - marks].ends_with(b"(")
}

/// Whether only blanks separate a name from its value: a quote closes the name, the name is the first word of its
/// line, or a user stands before it.
fn parted(name: &[u8], before: &[u8], near: &[u8], marks: usize) -> bool {
    let blank = |text: &[u8]| matches!(text, [b' ' | b'\t', ..] | [b'\\', b't', ..]);
    if !blank(near) {
        return false;
    }
    if near[..marks].iter().any(|byte| b"\"'".contains(byte)) && !near.starts_with(b"\\\"") {
        return true;
    }
    let blanks = before.iter().rev().take_while(|byte| b" \t".contains(byte)).count();
    let line = &before[..before.len() - blanks];
    // A string without several lines may be a sentence.
    let begins = line.is_empty() || line.ends_with(b"\"");
    let lines = || near.contains(&b'\n') || memchr::memmem::find(near, b"\\n").is_some();
    if line.ends_with(b"\n")
        || line.ends_with(b"\\")
        || line.ends_with(b"eader")
        // HAProxy's `stats auth`.
        || line.ends_with(b"stats")
        || line.ends_with(b"\\n")
        || line.ends_with(b"\\t")
        || line.ends_with(b"-")
        || begins && lines()
    {
        return true;
    }
    super::parted::named_before(before, before.len())
        || str::from_utf8(name).is_ok_and(|name| {
            super::name_words::is_password(name) || super::parted::is_directive(name)
        })
        || before.last().is_some_and(|byte| b"\"'".contains(byte))
}

/// Whether the text before a name is `name:` or `key =`.
fn says(before: &[u8]) -> bool {
    let marks = |text: &[u8]| {
        text.iter().rev().take(8).take_while(|byte| b" \t\"'\\".contains(byte)).count()
    };
    let before = &before[..before.len() - marks(before)];
    let Some(key) = before.strip_suffix(b":").or_else(|| before.strip_suffix(b"=")) else {
        return false;
    };
    let key = &key[..key.len() - marks(key)];
    [&b"ame"[..], b"key", b"Key", b"KEY", b"eader", b"ield", b"roperty", b"ariable", b"var"]
        .iter()
        .any(|end| key.ends_with(end))
}

/// Whether the string that continues here ends as a JSON key. `true` if its end is too far away to know.
fn in_key(near: &[u8]) -> bool {
    memchr::memchr(b'"', near).map_or(near.len() == LONGEST, |quote| {
        near[quote + 1..].trim_ascii_start().first().is_none_or(|byte| *byte == b':')
    })
}

/// Whether the string that ends here names another value: it is the value of a key such as `name`.
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

/// Whether a value that is one suspicious word is harmless, judged by the text before it.
fn inert(name: &[u8], before: &[u8]) -> bool {
    match before.last() {
        Some(b'[' | b',') => !name.starts_with(b"-") && !is_program(name),
        Some(b':') => {
            let keys: &[&[u8]] = &[b"\"name\":", b"\"key\":", b"\"resource\":"];
            let kind = name.starts_with(b"Secret") && before.ends_with(b"\"kind\":");
            !kind && !keys.iter().any(|key| before.ends_with(key)) || of_review(before)
        }
        _ => false,
    }
}

/// Whether the value is the resource that an access review asks about, and not the object of the event.
fn of_review(before: &[u8]) -> bool {
    let near = &before[before.len().saturating_sub(LONGEST)..];
    before.ends_with(b"\"resource\":")
        && memchr::memrchr(b'{', near)
            .is_some_and(|open| near[..open].ends_with(b"\"resourceAttributes\":"))
}

/// Whether a `key` can be the end of a secret's name.
#[inline]
fn behind_key(text: &[u8], at: usize) -> bool {
    let rest = &text[at + 3..];
    let escape = matches!(text[..at], [.., b'\\', b'n' | b'r' | b't']);
    if escape || !text[..at].last().is_some_and(|byte| in_name(*byte)) {
        // Nearly all of these name no secret, so the value decides. A counted key (`key1`) names none.
        if rest.first().is_some_and(u8::is_ascii_digit) {
            return false;
        }
        let signs = rest.iter().take(8).take_while(|byte| b"\\\"' :=\t".contains(byte)).count();
        let value = &rest[signs..];
        let ends = |byte: &u8| b"\"'\\,;} \t\n".contains(byte);
        let length = value.iter().take(200).take_while(|byte| !ends(byte)).count();
        let blank = text[..at].last() == Some(&b' ')
            && text[..at - 1].last().is_some_and(u8::is_ascii_alphabetic);
        return length >= 10
            && str::from_utf8(&value[..length]).is_ok_and(super::values::is_random)
            // `api key: x`
            || blank && signs > 0;
    }
    let first = text[..at].iter().rev().take(8).find(|byte| !b"_.- ".contains(byte));
    match rest.first() {
        // `api`, `access`, `private`, `account`.
        Some(byte) if byte.is_ascii_alphanumeric() || b"_.-".contains(byte) => {
            first.is_some_and(|byte| b"isetISET".contains(byte))
                || rest.starts_with(b"data")
                || rest.starts_with(b"-data")
                || rest.starts_with(b"Data")
                || rest[0].is_ascii_digit()
        }
        _ => true,
    }
}

/// Whether an `@` comes before the end of the text or the word. If the end is not near, one may.
fn userinfo(rest: &[u8]) -> bool {
    let near = &rest[..rest.len().min(4 * LONGEST)];
    near.iter().find(|byte| b" \t\"'<>@".contains(byte)).is_none_or(|byte| *byte == b'@')
}
