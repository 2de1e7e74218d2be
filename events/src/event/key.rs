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
        // HMAC accepts a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return Fingerprint([0; 16]);
        };
        mac.update(bytes);
        Fingerprint::cut(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}
