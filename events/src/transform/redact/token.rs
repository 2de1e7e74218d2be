//! The replacement (token) for a secret: a fixed mask, or a keyed hash (HMAC) by which equal secrets can be
//! recognised.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::base64_runs::decoded;
use crate::event::Key;

/// The mask; `kubectl diff` shows Secrets in the same way.
pub(super) const MASK: &str = "***";

/// Prefix of a hash.
pub(super) const HASH: &str = "hmac-sha256:";
/// Length in bytes of 128 bits in base64url without padding.
const HASH_LENGTH: usize = 22;

/// How secrets are replaced.
#[derive(Clone, Debug)]
pub enum Mode {
    /// By `***`.
    Mask,
    /// By `hmac-sha256:` and 128 bits of the hash. With the same key, the same secret gives the same token.
    Hash(Key),
}

impl Mode {
    /// The replacement for a value, given with its escapes decoded.
    pub(super) fn token(&self, value: &[u8]) -> Cow<'static, str> {
        match self {
            Self::Mask => Cow::Borrowed(MASK),
            Self::Hash(key) => Cow::Owned(hash(key, value)),
        }
    }

    /// The replacement for a value under `data` of a Secret. It is decoded first, so that it gets the same token as
    /// under `stringData`.
    pub(super) fn token_of_data(&self, text: &[u8]) -> Cow<'static, str> {
        match self {
            Self::Mask => Cow::Borrowed(MASK),
            Self::Hash(key) => Cow::Owned(hash(key, &decoded(text).unwrap_or(text.to_vec()))),
        }
    }
}

/// The hash token of some bytes.
pub(super) fn hash(key: &Key, bytes: &[u8]) -> String {
    format!("{HASH}{}", URL_SAFE_NO_PAD.encode(key.hash(bytes).0))
}

/// Whether a text is a replacement token, which is not replaced again.
pub(super) fn is_token(text: &[u8]) -> bool {
    let is_hash = |hash: &[u8]| {
        hash.len() == HASH_LENGTH
            && hash.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
    };
    text == MASK.as_bytes() || text.strip_prefix(HASH.as_bytes()).is_some_and(is_hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_secrets_have_equal_tokens_within_one_key() {
        let (mode, other) = (Mode::Hash(Key([1; 32])), Mode::Hash(Key([2; 32])));
        let token = mode.token(b"hunter2");
        assert_eq!(mode.token(b"hunter2"), token);
        assert_eq!(mode.token_of_data(b"aHVudGVyMg=="), token);
        assert_ne!(mode.token(b"hunter3"), token);
        assert_ne!(other.token(b"hunter2"), token);
        assert!(is_token(token.as_bytes()) && is_token(Mode::Mask.token(b"x").as_bytes()));
        assert!(!is_token(b"hmac-sha256:short") && !is_token(b"hunter2"));
    }
}
