//! Recognises references: values that say where a secret is kept and are not the secret. Examples: variables,
//! templates, paths in vaults, calls.

use super::lists::lists;

/// Longest reference, in bytes.
const LONGEST: usize = 512;

/// Whether a value is a reference.
pub(super) fn is_reference(value: &str) -> bool {
    (2..LONGEST).contains(&value.len())
        && (is_variable(value)
            || is_template(value)
            || is_composed(value)
            || is_placeholder(value)
            || is_call(value)
            || is_tagged(value)
            || is_digest(value)
            || value.ends_with("@azurekeyvault")
            || has_scheme(value))
}

/// The text between two marks, if it is not empty.
fn between<'v>(value: &'v str, open: &str, close: &str) -> Option<&'v str> {
    let inner = value.strip_prefix(open)?.strip_suffix(close)?;
    (!inner.is_empty()).then_some(inner)
}

/// `$NAME`, `$(NAME)`, `${NAME}`, `${env:NAME}`, `$(cat /run/x)`, the variables of nginx and Argo CD; but not a
/// variable with a default, because the default may be the secret.
fn is_variable(value: &str) -> bool {
    const NGINX: &[&str] = &["http_", "cookie_", "arg_", "upstream_", "ssl_", "remote_"];
    let Some(rest) = value.strip_prefix('$') else { return false };
    if let Some(inner) = between(rest, "(", ")") {
        return is_name(inner) || is_command(inner);
    }
    if let Some(inner) = between(rest, "{", "}") {
        return is_name(inner) || inner.starts_with('{') && inner.ends_with('}');
    }
    let all = |also: &[u8], is: fn(&u8) -> bool| {
        rest.bytes().all(|byte| is(&byte) || also.contains(&byte))
    };
    // A shell variable. In lower case it may be part of a password.
    rest.len() > 1 && all(b"_0123456789", u8::is_ascii_uppercase)
        // Grafana: `$__env{NAME}`.
        || rest.starts_with("__") && rest.ends_with('}')
        || NGINX.iter().any(|begin| rest.starts_with(begin))
        // Argo CD: `$dex.github.clientSecret`.
        || rest.contains(['.', '-', ':'])
            && rest.starts_with(|first: char| first.is_ascii_alphabetic())
            && all(b".-_:", u8::is_ascii_alphabetic)
}

/// The name of a variable, with or without its kind: `env:NAME`, `secrets:shop/db:password`.
fn is_name(inner: &str) -> bool {
    const KINDS: &[&str] =
        &["env", "file", "ENV", "sys", "vault", "secret", "secrets", "configmap"];
    let name = match inner.split_once(':') {
        Some((kind, name)) if KINDS.contains(&kind) => name,
        _ => inner,
    };
    let also: &[u8] = if name == inner { b"_.-/" } else { b"_.-/:" };
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
}

/// A shell command that prints something kept elsewhere, or generates it.
fn is_command(inner: &str) -> bool {
    const PRINTS: &[&str] =
        &["cat ", "<", "vault ", "kubectl ", "aws ", "openssl rand", "head ", "tr ", "pwgen"];
    PRINTS.iter().any(|program| inner.starts_with(program)) && !inner.contains('\'')
}

/// `{{ .Values.password }}`, `<%= ENV["X"] %>`, `#{x}`, `[[ x ]]`, `%(ENV_X)s`, `%env(X)%`.
fn is_template(value: &str) -> bool {
    const MARKS: &[(&str, &str)] =
        &[("{{", "}}"), ("<%", "%>"), ("#{", "}"), ("[[", "]]"), ("%(", ")s"), ("%env(", ")%")];
    MARKS
        .iter()
        .any(|(open, close)| between(value, open, close).is_some_and(|inner| inner.len() < 256))
}

/// References and the text that joins them: `$(NAME)-suffix`.
fn is_composed(value: &str) -> bool {
    let Some(open) = value.find("$(").or_else(|| value.find("${")).or_else(|| value.find("{{"))
    else {
        return false;
    };
    let Some(close) = value.rfind([')', '}']).filter(|close| open < *close) else { return false };
    let (inner, rest) = (&value[open..=close], value.len() - (close + 1 - open));
    let joins = |byte: u8| byte.is_ascii_lowercase() || b"-_./: ".contains(&byte);
    (1..24).contains(&rest)
        && value[..open].bytes().chain(value[close + 1..].bytes()).all(joins)
        && inner.matches(['(', '{']).count() < 3
        && is_reference(inner)
}

/// `<password>`, `%PASSWORD%`, `__PASSWORD__`, `@password@`, `<path:kv/data/x#y>`.
fn is_placeholder(value: &str) -> bool {
    const MARKS: &[(&str, &str)] =
        &[("<", ">"), ("%", "%"), ("%%", "%%"), ("__", "__"), ("@", "@")];
    let plain = |inner: &str| {
        inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-: ".contains(&byte))
    };
    MARKS.iter().any(|(open, close)| between(value, open, close).is_some_and(plain))
        || value.starts_with("<path:") && value.ends_with('>')
}

/// The beginning of a call whose argument is in quotes: `getenv(`, `ENV[`.
fn is_call(value: &str) -> bool {
    value.ends_with(['(', '['])
        && (4..64).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphabetic() || b"._([$:".contains(&byte))
}

/// A YAML tag: `!secret x`, `!env X`.
fn is_tagged(value: &str) -> bool {
    let tag = value.strip_prefix('!').and_then(|rest| rest.split_once(' '));
    tag.is_some_and(|(tag, _)| {
        !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphabetic())
    })
}

/// `sha256:` and a digest.
fn is_digest(value: &str) -> bool {
    let digest = value.split_once(':').filter(|(algorithm, _)| algorithm.starts_with("sha"));
    digest.is_some_and(|(_, digest)| {
        digest.len() >= 40 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// `vault:secret/data/x#y`, `op://vault/item/field`, `arn:aws:secretsmanager:…`.
fn has_scheme(value: &str) -> bool {
    !value.contains(char::is_whitespace)
        && lists().scheme.iter().any(|scheme| {
            let head = value.get(..scheme.len());
            value.len() > scheme.len() && head.is_some_and(|head| head.eq_ignore_ascii_case(scheme))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_secrets() {
        for value in [
            "$(DB_PASSWORD)",
            "${X}",
            "$DB_PASSWORD",
            "${env:X}",
            "${secrets:shop/db:password}",
            "$(cat /run/secrets/token)",
            "${{ secrets.TOKEN }}",
            "{{ .Values.password }}",
            "<%= ENV['X'] %>",
            "$(name)-pw",
            "<your-password>",
            "__PASSWORD__",
            "vault:secret/data/shop#password",
            ">>vault:database/creds/shop#password",
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop",
            "op://vault/item/field",
            "getenv(",
            "process.env.TOKEN",
            "!secret db_password",
            "$dex.github.clientSecret",
            "$http_authorization",
        ] {
            assert!(is_reference(value), "{value}");
        }
        for value in [
            "hunter2",
            "$hunter2",
            "$()",
            "$:",
            "$(a b)",
            "${X:-hunter2}",
            "<hunter2",
            "{hunter2}",
            "!hunter2",
            "a$(X)b9",
            "env",
            "vault:",
        ] {
            assert!(!is_reference(value), "{value}");
        }
    }
}
