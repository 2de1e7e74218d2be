//! Names that stand before a secret (`password`, `api-key`, `.dockerconfigjson`), in any spelling, and names that only sound so.

/// What makes a name suspicious wherever it stands in it; letters and digits only, in lower case.
const WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "dockerconfig",
    "dockercfg",
    "kubeconfig",
    "bearer",
    "pwd",
    "fromliteral",
];

/// Whole names: `{"auths":{…}}` is how the credentials for registries are written.
const WHOLE: &[&str] = &["auths"];

/// What does so at the end of a name only.
const ENDS: &[&str] = &[
    "signingkey",
    "encryptionkey",
    "sshkey",
    "authkey",
    "sharedkey",
    "accountkey",
    "storagekey",
    "masterkey",
    "clientkey",
    "serverkey",
    "sessionkey",
    "hostkey",
    "tlskey",
    "rsakey",
    "jwt",
    "authorization",
    "cookie",
];

/// Names of things that belong to a secret and are none: `secretName`, `tokenExpirationSeconds`, `passwordFile`.
const HARMLESS_ENDS: &[&str] = &[
    "name",
    "names",
    "username",
    "ref",
    "refs",
    "reference",
    "namespace",
    "path",
    "paths",
    "file",
    "files",
    "dir",
    "type",
    "types",
    "kind",
    "class",
    "policy",
    "seconds",
    "ttl",
    "duration",
    "period",
    "interval",
    "expiry",
    "expiration",
    "timestamp",
    "version",
    "enabled",
    "disabled",
    "required",
    "count",
    "limit",
    "size",
    "length",
    "url",
    "uri",
    "endpoint",
    "host",
    "port",
    "algorithm",
    "format",
    "mode",
    "provider",
    "issuer",
    "audience",
    "audiences",
    "selector",
    "strategy",
    "template",
    "description",
];

/// Whole names of Kubernetes' own that would be suspicious.
const HARMLESS: &[&str] = &[
    "serviceaccounttoken",
    "automountserviceaccounttoken",
    "tokenrequests",
    "credentialsrequest",
    "tokenreview",
    "tokenrequest",
    "authenticationkubernetesio/credentialid",
];

/// What stands beside a secret inside of something suspicious: the parts of a reference, the shape of a key.
const BESIDE: &[&str] = &[
    "key",
    "group",
    "apiversion",
    "resource",
    "optional",
    "encoding",
    "rotationpolicy",
    "uid",
    "title",
    "user",
    "email",
    "operator",
    "$patch",
];

/// Bytes that names are written with.
pub(super) fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

/// A name without its separators, in lower case.
fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    let letters = name.chars().filter(|c| !matches!(c, '_' | '.' | '-' | ' '));
    normal.extend(letters.map(|c| c.to_ascii_lowercase()));
    normal
}

fn is_word(name: &str) -> bool {
    has_word(name) || is_pass(name) || WHOLE.contains(&name)
}

/// Whether any of the words stands in a name.
fn has_word(name: &str) -> bool {
    let name = name.as_bytes();
    // The first letters of them all: most places are dealt with by one look.
    let begins =
        |byte: u8| matches!(byte, b'p' | b's' | b't' | b'a' | b'c' | b'd' | b'k' | b'b' | b'f');
    (0..name.len()).any(|at| {
        begins(name[at])
            && WORDS.iter().any(|word| {
                let word = word.as_bytes();
                word[0] == name[at] && name[at..].starts_with(word)
            })
    })
}

/// `DB_PASS`, `--pass`, but not `bypass`.
fn is_pass(name: &str) -> bool {
    name.ends_with("pass") && !ends(name, &["bypass", "compass", "trespass", "overpass"])
}

/// Whether a name has any of the words in it, harmless or not.
pub(super) fn mentions(name: &[u8]) -> bool {
    let Ok(name) = str::from_utf8(name) else { return true };
    let name = normal(name);
    is_word(&name) || ends(&name, ENDS)
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
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Name {
    Plain,
    /// Sounds like one of a secret and is that of something beside it, if what it names is one short word.
    Beside,
    /// A string that it names is a secret.
    Header,
    /// All strings below it are.
    Suspicious,
}

/// Judges a name: a JSON key, a flag, a variable.
pub(super) fn judge(name: &str) -> Name {
    let name = normal(name);
    let word = is_word(&name);
    if !word && !ends(&name, ENDS) || HARMLESS.contains(&name.as_str()) {
        Name::Plain
    } else if ends(&name, HARMLESS_ENDS) {
        Name::Beside
    } else if word {
        Name::Suspicious
    } else {
        Name::Header
    }
}

/// Whether a name itself ends with the word: `db-password`, but not `token-cleaner`.
pub(super) fn ends_with_word(name: &str) -> bool {
    let name = normal(name);
    ends(&name, WORDS) || ends(&name, ENDS) || is_pass(&name)
}

/// Whether a key inside of something suspicious names a part that is none.
pub(super) fn beside(key: &str) -> bool {
    let name = normal(key);
    ends(&name, HARMLESS_ENDS) || BESIDE.contains(&name.as_str())
}

/// Whether a key ends like one of something harmless.
pub(super) fn harmless_end(key: &str) -> bool {
    ends(&normal(key), HARMLESS_ENDS)
}

/// Whether a value is none that anybody hides: a literal, a reference to a variable, a path.
pub(super) fn harmless_value(value: &str) -> bool {
    const LITERALS: &[&str] =
        &["true", "false", "null", "none", "nil", "yes", "no", "enabled", "disabled"];
    let reference = |inner: &str| {
        !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let variable = |rest: &str| {
        [("(", ")"), ("{", "}")].iter().any(|(open, close)| {
            let inner = rest.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
            inner.is_some_and(reference)
        })
    };
    let in_path =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/._-".contains(&byte);
    let path = value.starts_with('/')
        && value.matches('/').count() > 1
        && value.len() < 256
        && value.bytes().all(in_path);
    value.is_empty()
        || LITERALS.iter().any(|literal| value.eq_ignore_ascii_case(literal))
        || value.strip_prefix('$').is_some_and(variable)
        || path
}

/// Whether a value is short enough for the name or number that a [`Name::Beside`] should have.
pub(super) fn one_word(value: &str) -> bool {
    value.len() < 254 && !value.bytes().any(|byte| byte.is_ascii_whitespace())
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
            "api_key_v2",
            "X-Auth-Token",
            "tls.privateKey",
            ".dockerconfigjson",
            "aws_secret_access_key",
            "AccessKeyId",
            "credentials",
            "refreshToken",
            "DB_PASS",
        ] {
            assert_eq!(judge(name), Name::Suspicious, "{name}");
        }
        assert_eq!(judge("Proxy-Authorization"), Name::Header);
        assert_eq!(judge("cookie-encryption-key"), Name::Header);
    }

    #[test]
    fn every_word_is_found_by_its_first_letter() {
        assert!(WORDS.iter().all(|word| has_word(&format!("x{word}x"))));
    }

    #[test]
    fn names_of_what_stands_beside_a_secret_stay() {
        for name in
            ["secretName", "secretKeyRef", "tokenExpirationSeconds", "token_url", "passwordFile"]
        {
            assert_eq!(judge(name), Name::Beside, "{name}");
        }
        for name in
            ["automountServiceAccountToken", "name", "monkey", "priority", "passthrough", "bypass"]
        {
            assert_eq!(judge(name), Name::Plain, "{name}");
        }
        assert!(beside("key") && beside("secretName") && !beside("value"));
    }

    #[test]
    fn references_literals_and_paths_are_no_secrets() {
        for value in ["", "$(DB_PASSWORD)", "${X}", "true", "/etc/kubernetes/admin.conf"] {
            assert!(harmless_value(value), "{value}");
        }
        for value in ["hunter2", "$hunter2", "$()", "/hunter2", "$(a b)", "/Ab/cDe/F"] {
            assert!(!harmless_value(value), "{value}");
        }
    }
}
