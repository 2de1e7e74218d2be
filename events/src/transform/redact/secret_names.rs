//! Judges names: recognises those that stand before a secret (`password`, `api-key`, `.dockerconfigjson`), in any
//! spelling, and those that only sound so.

use std::cell::RefCell;

use super::lists::lists;
use super::name_words::{ends, ends_with, has_word, is_pass, is_password, is_word, normal, words};

/// The judgement on a name; it decides when the value is a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd, Ord)]
pub(super) enum Name {
    Plain,
    /// The value is a secret only if it looks random: `key`.
    Random,
    /// Like [`Name::Random`], but the name stands beside a secret, so a sentence is one too: `key` in `secret`.
    Part,
    /// Like [`Name::Random`], but the value may also be a user and a password: `auth`.
    Weak,
    /// A variable of a program with a key in it. The value is a secret unless it is a word: `STRIPE_KEY`.
    Key,
    /// The value says where to connect, maybe with credentials: `connectionString`.
    Connection,
    /// The value is a URL that is a secret from its path on: `webhookUrl`.
    Hook,
    /// Sounds like a secret, but names something beside it if the value is one short word.
    Beside,
    /// A string value is a secret.
    Header,
    /// Measures or switches something, if the value is a number or a literal: `MAX_TOKENS`.
    Measure,
    /// Contains a suspicious word but ends with another word. Short numbers and sentences are kept:
    /// `token-bucket-burst`, `password.forgot`.
    Mention,
    /// Says which Secret is used, if the value is the name of an object: `existingSecret`.
    Object,
    /// The name `secret`: the value is a secret, or the name of a Secret if it looks like one.
    Secret,
    /// Says which key of a Secret is used, if the value is the name of a key: `tokenKey`.
    Entry,
    /// Names a file. A value of one word is a secret; a text with several lines is searched.
    File,
    /// All strings and numbers below it are secrets.
    Suspicious,
    /// Like [`Name::Suspicious`], and a boolean may be a secret too.
    Password,
}

/// A cache of judgements. Few names are different, and judging one costs more than looking it up.
#[derive(Debug, Default)]
struct JudgedNames {
    /// The names, each in the set that its hash selects, and the judgements on them.
    sets: Vec<[(Vec<u8>, Name); Self::WAYS]>,
    /// The place of a set that the next new name takes.
    next: usize,
}

impl JudgedNames {
    const SETS: usize = 256;
    /// Names kept in a set, so that common names with the same hash do not replace each other.
    const WAYS: usize = 4;
    /// The longest name that is kept, in bytes.
    const LONGEST: usize = 128;

    fn judge(&mut self, name: &[u8]) -> Name {
        if name.len() > Self::LONGEST {
            return first(name);
        }
        if self.sets.is_empty() {
            let empty = || [const { (Vec::new(), Name::Plain) }; Self::WAYS];
            self.sets.resize_with(Self::SETS, empty);
        }
        let mix = |mixed: usize, byte: &u8| mixed.wrapping_mul(31).wrapping_add(usize::from(*byte));
        let hash = name.iter().fold(name.len(), mix);
        let set = &mut self.sets[(hash ^ hash >> 8) % Self::SETS];
        if let Some((_, judged)) = set.iter().find(|(kept, _)| kept == name) {
            return *judged;
        }
        let place = &mut set[self.next % Self::WAYS];
        self.next = self.next.wrapping_add(1);
        name.clone_into(&mut place.0);
        place.1 = first(name);
        place.1
    }
}

/// Judges a name that is not in the cache. A name that is not UTF-8 counts as suspicious.
fn first(name: &[u8]) -> Name {
    str::from_utf8(name).map_or(Name::Suspicious, new)
}

thread_local! {
    static KNOWN: RefCell<JudgedNames> = RefCell::default();
}

/// Judges a name: a JSON key, a flag, a variable.
pub(super) fn judge(name: &str) -> Name {
    judge_bytes(name.as_bytes())
}

/// Judges a name that may not be UTF-8.
pub(super) fn judge_bytes(name: &[u8]) -> Name {
    KNOWN.with_borrow_mut(|known| known.judge(name))
}

/// Judges a name that is not in the cache.
fn new(name: &str) -> Name {
    if name.starts_with("checksum") {
        return Name::Plain;
    }
    // The prefix of a key says who defined it, its name what it is: `secret.example.com/reload`.
    let name = name.rsplit('/').next().unwrap_or(name);
    let plain = normal(name);
    let trimmed = plain.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if plain.ends_with("roottokenid") {
        return Name::Header;
    }
    if plain.contains("k8ssecret") {
        return Name::Beside;
    }
    if plain.ends_with("pullsecret") || plain.ends_with("pullsecrets") {
        return Name::Object;
    }
    if plain == "secret" {
        return Name::Secret;
    }
    if lists().harmless.contains(&plain.as_str())
        || plain.contains("checksum")
        || plain.starts_with("agentinject")
        || plain.starts_with("agentcache")
    {
        return Name::Plain;
    }
    let word = is_word(&plain) || is_pass(trimmed) || trimmed.ends_with("pw") && trimmed.len() < 24;
    if !word && !ends(trimmed, &lists().end) {
        return ending(name, trimmed);
    }
    let words = words(name);
    let any = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let extension = name.rsplit_once('.').map(|(_, end)| end);
    if extension.is_some_and(|end| lists().file.contains(&end)) {
        return Name::File;
    }
    if prose(name) {
        return Name::Plain;
    }
    if harmless_end(name) {
        return Name::Beside;
    }
    if any(&lists().measure) {
        return Name::Measure;
    }
    if any(&["existing"]) && !plain.ends_with("key") {
        return Name::Object;
    }
    let last = words.last().map_or("", String::as_str);
    if let Some(name) = of_secret(name, trimmed, last) {
        return name;
    }
    if !word {
        return Name::Header;
    }
    let end = ends(trimmed, &lists().end);
    if !end && !ends_with(trimmed) && !lists().last.contains(&last) && words.len() > 1 {
        return Name::Mention;
    }
    if !end && is_password(trimmed) { Name::Password } else { Name::Suspicious }
}

/// Judges a name that refers to a Secret or to a key of a Secret. `plain` is the name without its separators, `last`
/// its last word.
fn of_secret(name: &str, plain: &str, last: &str) -> Option<Name> {
    let stem = plain.strip_suffix(last)?;
    match last {
        "secret" | "secrets" => {
            let capitals = name.bytes().any(|byte| byte.is_ascii_uppercase());
            let kebab = name.contains('-') && !capitals;
            let variable = !name.bytes().any(|byte| byte.is_ascii_lowercase());
            let object = kebab && (stem.ends_with("auth") || stem.ends_with("authtls"))
                || !variable && ends(stem, &lists().object);
            object.then_some(Name::Object)
        }
        "key" | "keys" => {
            let whole = ends(plain, &lists().end) || ends(plain, &lists().word);
            (!whole && has_word(stem)).then_some(Name::Entry)
        }
        _ => None,
    }
}

/// Judges a name without any of the words by its ending.
fn ending(name: &str, plain: &str) -> Name {
    if ends(plain, &lists().connection) {
        return Name::Connection;
    }
    if ends(plain, &lists().hook) {
        return Name::Hook;
    }
    let words = words(name);
    let last = words.last().map_or("", String::as_str);
    if lists().last.contains(&last) {
        return Name::Header;
    }
    if words.iter().any(|word| lists().any.contains(&word.as_str())) {
        return Name::Header;
    }
    if !lists().weak.contains(&last) {
        return Name::Plain;
    }
    let before = words.len().checked_sub(2).map_or("", |at| words[at].as_str());
    let variable = name.contains('_') && !name.bytes().any(|byte| byte.is_ascii_lowercase());
    match last {
        "key" | "auth" if variable && !lists().no_key.contains(&before) => Name::Key,
        "key" | "keys" | "session" => Name::Random,
        _ => Name::Weak,
    }
}

/// Whether a key inside a suspicious object names a part that is not secret.
pub(super) fn beside(key: &str) -> bool {
    lists().beside.contains(&normal(key).as_str()) || harmless_end(key)
}

/// Whether a key ends like that of a sentence or an expression.
pub(super) fn prose(key: &str) -> bool {
    words(key).last().is_some_and(|last| lists().prose.contains(&last.as_str()))
}

/// Whether a key ends like that of something harmless.
pub(super) fn harmless_end(key: &str) -> bool {
    ends(&normal(key), &lists().harmless_end)
        || words(key).last().is_some_and(|last| lists().harmless_last.contains(&last.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling_of_a_secrets_name_is_recognised() {
        for name in [
            "password",
            "DB_PASSWORD",
            "db-pass-word",
            "adminPasswd",
            "pass_phrase",
            "apiKey",
            "API-KEY",
            "X-Auth-Token",
            "tls.privateKey",
            ".dockerconfigjson",
            "aws_secret_access_key",
            "AccessKeyId",
            "credentials",
            "refreshToken",
            "DB_PASS",
            "Kennwort",
            "contraseña",
            "SENHA_DB",
            "hasło",
            "пароль",
            "密码",
            "DB_PW",
            "POSTGRES_PWD",
            "bindpw",
            "WIFI_PSK",
            "DOOR_PIN",
            "MOT_DE_PASSE",
            "salasana",
        ] {
            assert!(judge(name).hides("hunter2-Qx7"), "{name}: {:?}", judge(name));
        }
        assert_eq!(judge("Proxy-Authorization"), Name::Header);
        assert_eq!(judge("cookie-encryption-key"), Name::Header);
    }

    #[test]
    fn names_of_what_stands_beside_a_secret_stay() {
        for name in [
            "secretName",
            "secretKeyRef",
            "tokenExpirationSeconds",
            "token_url",
            "passwordFile",
            "API_KEY_HEADER",
        ] {
            assert_eq!(judge(name), Name::Beside, "{name}");
        }
        for name in [
            "automountServiceAccountToken",
            "name",
            "monkey",
            "priority",
            "passthrough",
            "bypass",
            "TOKENIZER",
            "checksum/secret",
            "secretary",
        ] {
            assert_eq!(judge(name), Name::Plain, "{name}");
        }
        assert!(beside("key") && beside("secretName") && !beside("value"));
    }
}
