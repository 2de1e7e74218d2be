//! The secret key of a node, and the keyed hashes that it makes.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Fingerprint;

/// A secret of this node. It keys the hashes on disk, so that nobody can guess the content of a line from them.
#[derive(Clone)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// 128 bits of HMAC-SHA-256.
    pub fn hash(&self, bytes: &[u8]) -> Fingerprint {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The same, for bytes that come piece by piece.
    pub fn hasher(&self) -> KeyedHasher {
        // HMAC accepts a key of any length.
        KeyedHasher(Hmac::<Sha256>::new_from_slice(&self.0).ok())
    }
}

/// A keyed hash that is being made.
pub struct KeyedHasher(Option<Hmac<Sha256>>);

impl KeyedHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(mac) = &mut self.0 {
            mac.update(bytes);
        }
    }

    /// 128 bits of HMAC-SHA-256 over all bytes.
    pub fn finish(self) -> Fingerprint {
        match self.0 {
            Some(mac) => Fingerprint::cut(&mac.finalize().into_bytes()),
            None => Fingerprint([0; 16]),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}
