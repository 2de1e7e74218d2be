//! Judges a value by its own text, without its name: whether it cannot be a secret (a literal, a reference, a path),
//! measures something, names an object or a key, or looks like a credential.

use base64::Engine as _;

use super::base64_runs::decoded;
use super::lists::lists;
use super::references::is_reference;
use super::token::{HASH, MASK, is_token};

/// Whether a value needs no redaction whatever its name is.
pub(super) fn is_harmless(value: &str) -> bool {
    value.is_empty() || is_literal(value) || is_reference(value) || is_path(value)
}

/// A literal such as `true`, `none`, `disabled`.
pub(super) fn is_literal(value: &str) -> bool {
    lists().literal.iter().any(|literal| value.eq_ignore_ascii_case(literal))
        || [
            "files",
            "files sss",
            "sss files",
            "files systemd",
            "compat",
            "files sss systemd",
            "compat systemd",
            "db files",
        ]
        .contains(&value)
        || value.len() > 2 && value.bytes().all(|byte| byte == b'*' || byte == b'x' || byte == b'X')
}

/// A path of a file, such as `/etc/kubernetes/admin.conf`.
pub(super) fn is_path(value: &str) -> bool {
    let lower =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/._-".contains(&byte);
    let any = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-\\:~@+".contains(&byte);
    value.len() < 256
        && !value
            .split('/')
            .any(|part| part.len() > 23 && part.bytes().filter(u8::is_ascii_digit).count() > 5)
        && (value.starts_with('/') && value.matches('/').count() > 1 && value.bytes().all(lower)
            || lists().root.iter().any(|root| value.starts_with(root))
                && value.len() > 4
                && value.bytes().all(any)
                && !is_random(value.rsplit('/').next().unwrap_or(value)))
}

/// A number, a duration, a quantity or a share, as used for counts and limits.
pub(super) fn is_measure(value: &str) -> bool {
    let number = value.trim_start_matches(['-', '+']);
    let digits =
        number.bytes().take_while(|byte| byte.is_ascii_digit() || b"._,".contains(byte)).count();
    if digits == 0 {
        return is_literal(value);
    }
    let unit = &number[digits..];
    lists().unit.contains(&unit.trim_start())
        // `1h30m`, `PT1H`
        || number.len() < 16 && unit.bytes().all(|byte| byte.is_ascii_digit() || b"hmsd".contains(&byte))
}

/// A measure of at most five digits.
pub(super) fn is_short_measure(value: &str) -> bool {
    value.bytes().filter(u8::is_ascii_digit).count() < 6 && is_measure(value)
}

/// A sentence: words of letters, and redaction tokens.
pub(super) fn is_prose(value: &str) -> bool {
    let word = |word: &str| {
        word.chars().all(|letter| letter.is_alphabetic() || ",.?!:;'’-()%{}".contains(letter))
            || word.len() < 3
            || is_token(word.as_bytes())
    };
    value.split_whitespace().count() > 1 && value.split_whitespace().all(word)
}

/// One word, like the names of objects, kinds and hosts.
pub(super) fn is_one_word(value: &str) -> bool {
    value.len() < 254 && !value.bytes().any(|byte| byte.is_ascii_whitespace())
}

/// The name of an object (RFC 1123), with or without a namespace, that does not look random.
pub(super) fn is_object_name(value: &str) -> bool {
    // `pullsecret:namespace/name`
    let value = value
        .strip_prefix("pullsecret:")
        .or_else(|| value.strip_prefix("secret:"))
        .unwrap_or(value);
    let name = |part: &str| {
        (1..=253).contains(&part.len())
            && part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)
            })
            && part.starts_with(|first: char| first.is_ascii_lowercase())
            && !part.ends_with(['-', '.'])
            && !part.split(['-', '.']).any(|word| word.len() > 11 && is_jumbled(word))
    };
    value.split('/').count() < 3
        && value.split('/').all(name)
        && value.bytes().filter(u8::is_ascii_digit).count() * 3 <= value.len()
}

/// Whether a value looks like the name of a Secret and not like a password. It has several lower-case words. One of
/// them says what the Secret is for, and one is a word that does not occur in passwords.
pub(super) fn is_secret_name(value: &str) -> bool {
    let words = || value.split('-');
    words().count() > 1
        && words()
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        && words().any(|word| !lists().no_name.contains(&word))
        && words().any(|word| lists().noun.contains(&word))
}

/// The name of a key in a Secret: `password`, `tls.key`, `ADMIN_TOKEN`.
pub(super) fn is_key_name(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    (1..=253).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && lists().key_name.iter().any(|part| lower.contains(part))
        && !is_random(value)
}

/// Whether a value looks randomly generated.
pub(super) fn is_random(value: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=.~!@#$%^&*:".contains(&byte);
    value.len() >= 10
        && value.len() <= 4096
        && value.bytes().all(word)
        && is_jumbled(value)
        && !is_version_or_image(value)
}

/// Whether digits and letters, or capital and small letters, alternate in several places.
fn is_jumbled(value: &str) -> bool {
    let (mut upper, mut lower, mut digits, mut changes) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut last = 0;
    for byte in value.bytes() {
        let class = match byte {
            b'A'..=b'Z' => {
                upper += 1;
                1
            }
            b'a'..=b'z' => {
                lower += 1;
                2
            }
            b'0'..=b'9' => {
                digits += 1;
                3
            }
            _ => continue,
        };
        changes += usize::from(class != last && last != 0);
        last = class;
    }
    let kinds = usize::from(upper > 0) + usize::from(lower > 0) + usize::from(digits > 0);
    let all = upper + lower + digits;
    all > 0
        && (kinds == 3 && changes >= 3 && changes * 8 >= all
            || kinds == 2 && digits > 1 && changes >= 4 && changes * 6 >= all)
}

fn is_version_or_image(value: &str) -> bool {
    value.contains("://")
        || value.contains("sha256:")
        || value.starts_with("system:")
        || value.starts_with('v')
            && value[1..].starts_with(|digit: char| digit.is_ascii_digit())
            && value.contains('.')
}

/// Whether a value is a user and a password: `user:pass`, or base64 of that.
pub(super) fn credentials(value: &str) -> bool {
    if value.contains(MASK) || value.contains(HASH) {
        // Already redacted.
        return false;
    }
    let pair = |text: &str, signs: &[char]| {
        text.split_once(signs).is_some_and(|(user, pass)| {
            !user.is_empty()
                && pass.len() > 2
                && !pass.starts_with('/')
                && !text.contains(char::is_whitespace)
                && !is_harmless(pass)
                && !pass.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    pair(value, &[':'])
        || value.matches('/').count() == 1
            && value.split('/').next().is_some_and(|user| {
                user.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
            && value
                .rsplit('/')
                .next()
                .is_some_and(|pass| pass.bytes().any(|byte| byte.is_ascii_digit()))
            && pair(value, &['/'])
        || value.len() > 7
            && base64::engine::general_purpose::STANDARD.decode(value).is_ok()
            && decoded(value.as_bytes()).is_some_and(|pair| {
                pair.contains(&b':') && pair.iter().all(|byte| (32..127).contains(byte))
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_literals_and_paths_are_no_secrets() {
        for value in [
            "",
            "$(DB_PASSWORD)",
            "${X}",
            "true",
            "/etc/kubernetes/admin.conf",
            "/etc/ssl/Admin.pem",
        ] {
            assert!(is_harmless(value), "{value}");
        }
        for value in ["hunter2", "$hunter2", "$()", "/hunter2", "$(a b)", "/Ab/cDe/F"] {
            assert!(!is_harmless(value), "{value}");
        }
    }

    #[test]
    fn measures_are_told_from_secrets() {
        for value in ["4096", "1h", "1h30m", "10MiB", "0.5", "80%", "true", "30 days"] {
            assert!(is_measure(value), "{value}");
        }
        for value in ["hunter2", "12ab34", "m"] {
            assert!(!is_measure(value), "{value}");
        }
    }

    #[test]
    fn what_is_made_by_chance_looks_so() {
        for value in ["aB3dE5fG7hJ9", "4f8a2c6e0b1d3f5a", "Zx7-kQ29-mLp4"] {
            assert!(is_random(value), "{value}");
        }
        for value in [
            "topology.kubernetes.io",
            "my-app-config-2",
            "v1.34.4-rc1",
            "system:node:a1b2c3",
            "us-east-1a",
        ] {
            assert!(!is_random(value), "{value}");
        }
    }
}
