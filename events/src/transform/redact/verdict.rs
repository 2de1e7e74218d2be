//! Decides whether a value is a secret because of its name.

use std::ops::Range;

use super::secret_names::Name;
use super::token::is_token;
use super::values;

impl Name {
    /// The part of a value that is secret because of the name.
    pub(super) fn secret_in(self, value: &str) -> Option<Range<usize>> {
        if !self.hides(value) {
            return None;
        }
        let mut part = 0..value.len();
        if self == Self::Hook
            && let Some(scheme) = value.find("://")
        {
            part.start = scheme + 3 + value[scheme + 3..].find('/')? + 1;
        }
        // Already redacted.
        (!part.is_empty() && !is_token(value[part.clone()].as_bytes())).then_some(part)
    }

    /// Whether all values below it, in objects and arrays, are suspicious too.
    pub(super) fn is_hot(self) -> bool {
        matches!(
            self,
            Self::Suspicious
                | Self::Password
                | Self::Measure
                | Self::Mention
                | Self::Object
                | Self::Secret
                | Self::Entry
        )
    }

    /// Whether a value of that name can be a secret.
    pub(super) fn is_any(self) -> bool {
        !matches!(self, Self::Plain | Self::Beside)
    }

    /// Whether a string value of that name is a secret.
    pub(super) fn hides(self, value: &str) -> bool {
        // A file ends with a newline, which is ignored. Other blanks belong to the value and may be what keeps it
        // from being harmless.
        let value = value.strip_suffix('\n').unwrap_or(value);
        // A header's scheme, followed by a reference.
        let bare = ["Bearer ", "Basic ", "Token ", "bearer ", "basic ", "token "]
            .iter()
            .find_map(|scheme| value.strip_prefix(scheme))
            .unwrap_or(value);
        if self == Self::Password && matches!(bare, "true" | "false" | "yes" | "no" | "on" | "off")
        {
            return true;
        }
        if values::is_harmless(bare) {
            return false;
        }
        let value = bare.trim();
        match self {
            Self::Plain => false,
            Self::Beside => !values::is_one_word(value),
            Self::Measure => !values::is_measure(value),
            Self::Object => !values::is_object_name(value),
            Self::Secret => !values::is_secret_name(value),
            Self::Entry => {
                let digits = value.bytes().any(|byte| byte.is_ascii_digit());
                !values::is_key_name(value) && (digits || !values::is_object_name(value))
            }
            Self::File => !value.contains('\n') && !value.starts_with(['{', '[']),
            Self::Random => values::is_random(value),
            Self::Part => values::is_random(value) || !values::is_one_word(value),
            Self::Weak => values::is_random(value) || values::credentials(value),
            Self::Key => {
                values::is_random(value)
                    || values::credentials(value)
                    || value.len() > 5
                        && values::is_one_word(value)
                        && !value.contains(['/', ':'])
                        && value.bytes().any(|byte| byte.is_ascii_digit())
                        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
            }
            Self::Mention => !values::is_short_measure(value) && !values::is_prose(value),
            Self::Connection => {
                !value.contains("://") && (values::credentials(value) || values::is_random(value))
            }
            Self::Hook => value.contains("://") || values::is_random(value),
            Self::Header | Self::Suspicious | Self::Password => true,
        }
    }

    /// Whether a number or a boolean of that name is a secret. It is given as it is written.
    pub(super) fn hides_scalar(self, written: &[u8]) -> bool {
        match self {
            Self::Password => written != b"null",
            Self::Suspicious | Self::Secret | Self::Header => {
                written.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-')
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret_names::judge;

    #[test]
    fn what_a_value_looks_like_decides_where_a_name_may_mean_either() {
        for (name, stays, goes) in [
            ("MAX_TOKENS", "4096", "hunter2-Qx7"),
            ("existingSecret", "shop-db", "hunter2 Qx7"),
            ("tokenKey", "admin-token", "hunter2-Qx7"),
            ("STRIPE_KEY", "publishable", "hunter2-Qx7"),
            ("PARTITION_KEY", "tenant-2", "aB3dE5fG7hJ9kL1m"),
            ("basicAuth", "enabled", "alice:hunter2-Qx7"),
            ("dsn", "host=db port=5432", "app:hunter2-Qx7"),
            ("token-bucket-burst", "200", "hunter2-Qx7"),
            ("password.forgot", "Forgot your password?", "hunter2-Qx7"),
            ("token.yaml", "a: b\nc: d", "hunter2-Qx7"),
            ("password", "", " "),
        ] {
            assert!(!judge(name).hides(stays), "{name}: {stays}");
            assert!(judge(name).hides(goes), "{name}: {goes}");
        }
    }
}
