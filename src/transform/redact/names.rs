//! Names that stand before a secret (`password`, `api-key`, `.dockerconfigjson`), in any spelling, and names that only sound so.

use super::lists::lists;

/// Bytes that names are written with.
pub(super) fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte) || byte >= 0x80
}

/// A name without its separators, in small letters.
fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    let letters = name.chars().filter(|c| !matches!(c, '_' | '.' | '-' | ' '));
    for letter in letters {
        if letter.is_ascii() {
            normal.push(letter.to_ascii_lowercase());
        } else {
            normal.extend(letter.to_lowercase());
        }
    }
    normal
}

/// The words of a name, in small letters: `adminPw`, `DB_PW` and `db.pw` have two.
fn words(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut before = ' ';
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let capital = letter.is_ascii_uppercase();
        let begins = capital
            && (before.is_ascii_lowercase()
                || before.is_ascii_digit()
                || before.is_ascii_uppercase()
                    && letters.peek().is_some_and(char::is_ascii_lowercase));
        if !letter.is_alphanumeric() || begins {
            all.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(last) = all.last_mut()
        {
            last.extend(letter.to_lowercase());
        }
        before = letter;
    }
    all.retain(|word| !word.is_empty());
    // `PASSWORD_2`, `password2`
    while all.last().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
        all.pop();
    }
    all
}

fn is_word(name: &str) -> bool {
    has_word(name) || is_pass(name) || lists().whole.contains(&name)
}

/// Whether any of the words stands in a name.
fn has_word(name: &str) -> bool {
    let other = lists().other.iter().any(|word| name.contains(word));
    if other {
        return lists().word.iter().any(|word| {
            lists()
                .other
                .iter()
                .fold(name.to_owned(), |name, other| name.replace(other, ""))
                .contains(word)
        });
    }
    let name = name.as_bytes();
    // The first letters of them all: most places are dealt with by one look.
    let begins = |byte: u8| {
        byte >= 0x80
            || matches!(
                byte,
                b'p' | b's'
                    | b't'
                    | b'a'
                    | b'c'
                    | b'd'
                    | b'k'
                    | b'b'
                    | b'f'
                    | b'm'
                    | b'h'
                    | b'w'
                    | b'l'
                    | b'j'
                    | b'r'
            )
    };
    (0..name.len()).any(|at| {
        begins(name[at])
            && lists().word.iter().any(|word| {
                let word = word.as_bytes();
                word[0] == name[at] && name[at..].starts_with(word)
            })
    })
}

/// `DB_PASS`, `--pass`, but not `bypass`.
fn is_pass(name: &str) -> bool {
    name.ends_with("pass")
        && !ends(
            name,
            &[
                "bypass",
                "compass",
                "trespass",
                "overpass",
                "underpass",
                "proxypass",
                "fastcgipass",
                "uwsgipass",
                "grpcpass",
                "scgipass",
                "memcachedpass",
                "surpass",
                "encompass",
            ],
        )
}

fn ends(name: &str, with: &[&str]) -> bool {
    let name = name.as_bytes();
    // Of nearly all the last letter is another one.
    with.iter().any(|end| end.as_bytes().last() == name.last() && name.ends_with(end.as_bytes()))
}

/// Two names that differ in case and separators only are the same.
pub(super) fn same(name: &str, other: &str) -> bool {
    normal(name) == normal(other)
}

/// What is to be thought of a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd, Ord)]
pub(super) enum Name {
    Plain,
    /// Its value is a secret only if it looks like one: `key`.
    Random,
    /// The same, and it may be a user and a password: `auth`.
    Weak,
    /// A variable of a program with a key in it; its value is a secret unless it is a word: `STRIPE_KEY`.
    Key,
    /// Its value is where to connect, with credentials perhaps: `connectionString`.
    Connection,
    /// Its value is a URL that is a secret from its path on: `webhookUrl`.
    Hook,
    /// Sounds like one of a secret and is that of something beside it, if what it names is one short word.
    Beside,
    /// A string that it names is a secret.
    Header,
    /// Measures or switches something, if its value is a number or a literal: `MAX_TOKENS`.
    Measure,
    /// Has such a word in it and ends with another one; short numbers and sentences stay: `token-bucket-burst`, `password.forgot`.
    Mention,
    /// Says which Secret is used, if its value is the name of one: `existingSecret`.
    Object,
    /// Is `secret`: a secret, or the name of a Secret if its value is one by its looks.
    Secret,
    /// Says which key of a Secret is used, if its value is the name of one: `tokenKey`.
    Entry,
    /// Names a file; its value is a secret if it is one word, and a text that is looked through if it has lines.
    File,
    /// All strings and numbers below it are.
    Suspicious,
    /// The same, and a boolean may be one.
    Password,
}

/// Judges a name: a JSON key, a flag, a variable.
pub(super) fn judge(name: &str) -> Name {
    if name.starts_with("checksum") {
        return Name::Plain;
    }
    // A key's prefix says who made it, its name what it is: `secret.example.com/reload`.
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
    let extension = name.rsplit_once('.').map(|(_, end)| end);
    if extension.is_some_and(|end| lists().file.contains(&end)) {
        return Name::File;
    }
    if words.last().is_some_and(|last| lists().prose.contains(&last.as_str())) {
        return Name::Plain;
    }
    if ends(&plain, &lists().harmless_end)
        || words.last().is_some_and(|last| lists().harmless_last.contains(&last.as_str()))
    {
        return Name::Beside;
    }
    if words.iter().any(|word| lists().measure.contains(&word.as_str())) {
        return Name::Measure;
    }
    if words.iter().any(|word| word == "existing") && !plain.ends_with("key") {
        return Name::Object;
    }
    let last = words.last().map_or("", String::as_str);
    let stem = |end: &str| trimmed.strip_suffix(end).unwrap_or("");
    if last == "secret" || last == "secrets" {
        let of = stem(last);
        let kebab = name.contains('-') && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        if kebab && (of.ends_with("auth") || of.ends_with("authtls")) {
            return Name::Object;
        }
        let variable = !name.bytes().any(|byte| byte.is_ascii_lowercase());
        if !variable && lists().object.iter().any(|object| of.ends_with(object)) {
            return Name::Object;
        }
    }
    if (last == "key" || last == "keys")
        && !ends(trimmed, &lists().end)
        && !ends(trimmed, &lists().word)
        && has_word(stem(last))
    {
        return Name::Entry;
    }
    if word
        && !ends(trimmed, &lists().end)
        && !ends(trimmed, &lists().word)
        && !is_pass(trimmed)
        && !trimmed.ends_with("pw")
        && !lists().last.contains(&last)
        && words.len() > 1
    {
        return Name::Mention;
    }
    if word && !ends(trimmed, &lists().end) {
        if lists().password.iter().any(|end| trimmed.ends_with(end)) {
            Name::Password
        } else {
            Name::Suspicious
        }
    } else if word {
        Name::Suspicious
    } else {
        Name::Header
    }
}

/// Judges a name without any of the words by how it ends.
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
        "key" | "keys" => Name::Random,
        _ => Name::Weak,
    }
}

/// Whether a name itself ends with the word: `db-password`, but not `token-cleaner`.
pub(super) fn ends_with_word(name: &str) -> bool {
    let name = normal(name);
    ends(&name, &lists().word)
        || ends(&name, &lists().end)
        || is_pass(&name)
        || name.ends_with("pw")
}

/// Whether a name is one of a password: what stands in quotes behind it is one.
pub(super) fn is_password(name: &str) -> bool {
    let name = normal(name);
    lists().password.iter().any(|word| name.ends_with(word))
}

/// Whether a key inside of something suspicious names a part that is none.
pub(super) fn beside(key: &str) -> bool {
    lists().beside.contains(&normal(key).as_str()) || harmless_end(key)
}

/// Whether a key ends like one of a sentence or an expression.
pub(super) fn prose(key: &str) -> bool {
    words(key).last().is_some_and(|last| lists().prose.contains(&last.as_str()))
}

/// Whether a key ends like one of something harmless.
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
    fn every_word_is_found_by_its_first_letter() {
        assert!(lists().word.iter().all(|word| has_word(&format!("x{word}x"))));
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
