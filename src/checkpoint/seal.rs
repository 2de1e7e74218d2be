//! Authenticates checkpoints: a keyed hash (HMAC-SHA-256) that only a holder of `node.key` can make.
//!
//! Without it, a user who may write `checkpoint.json` could move a cursor forward, and the skipped events would be
//! missing without a trace. The key of the hash is derived from the node's secret. Marks and redacted tokens are made
//! with the secret itself, so a forger cannot use them.
//!
//! Checkpoints of version 0.1.0 have no such hash, and the agent accepts one once. After that it *seals* `node.key`:
//! it appends 32 bytes to the 32 bytes of the secret, and derives them from the secret. They say that every
//! checkpoint here has a hash. The seal is in that file because nobody can remove it and keep the secret without
//! knowing the secret. If `node.key` is gone, the directory gets a new, sealed one. So a forger cannot strip the hash
//! and pretend that an earlier version wrote the checkpoint.
//!
//! Not promised: protection from a user who can replace both files and own them as the agent's user; that user is the
//! agent. The hash also does not show that a checkpoint is older than the last one (a rollback). `copied.rs` does, if
//! the file was copied. A state directory without any checkpoint is a first start: the agent sends everything again,
//! which is visible.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::event::Key;

/// Bytes of the secret, and of the seal after it.
const HALF: usize = 32;
/// The purpose of each derived key. No two may be equal.
const OF_CHECKPOINTS: &[u8] = b"auditrail: the key that authenticates checkpoints";
const OF_SEAL: &[u8] = b"auditrail: every checkpoint here is authenticated";

/// The node's secret as `node.key` holds it.
#[derive(Clone, Debug)]
pub(super) struct KeyFile {
    pub(super) key: Key,
    /// `true`: a checkpoint without a hash is refused.
    pub(super) is_sealed: bool,
}

/// Longest `node.key`, in bytes.
pub(super) const KEY_FILE: u64 = 2 * HALF as u64;

impl KeyFile {
    /// A new secret, sealed.
    pub(super) fn new() -> Self {
        Self { key: Key(rand::random()), is_sealed: true }
    }

    /// Parses the file; the error says what is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let Some((secret, seal)) = bytes.split_first_chunk::<HALF>() else {
            return Err(format!("it holds {} bytes instead of {HALF} or {KEY_FILE}", bytes.len()));
        };
        let key = Key(*secret);
        if seal.is_empty() {
            return Ok(Self { key, is_sealed: false });
        }
        if seal.len() != HALF {
            return Err(format!("it holds {} bytes instead of {HALF} or {KEY_FILE}", bytes.len()));
        }
        if of(&key, OF_SEAL).is_none_or(|mac| mac.verify_slice(seal).is_err()) {
            return Err("its second half does not belong to its first".to_owned());
        }
        Ok(Self { key, is_sealed: true })
    }

    /// The bytes of a sealed file.
    pub(super) fn sealed(&self) -> Vec<u8> {
        [self.key.0, tag(of(&self.key, OF_SEAL))].concat()
    }
}

/// The hash of a checkpoint's body as the first line of the file holds it: in hexadecimal, followed by a checksum of
/// its own, so that a bad disk does not look like a forgery.
pub(super) fn written(key: &Key, version: u32, body: &[u8]) -> String {
    let tag = tag(of_body(key, version, body));
    let [high, low] = [0, HALF / 2].map(|at| {
        let half = tag[at..at + HALF / 2].try_into().unwrap_or_default();
        u128::from_be_bytes(half)
    });
    format!("{high:032x}{low:032x}-{:08x}", crc32fast::hash(&tag))
}

/// Whether `written` is the hash of this body. `None`: it is damaged, so it is no hash that was ever written.
pub(super) fn is_right(key: &Key, version: u32, body: &[u8], written: &str) -> Option<bool> {
    let (hex, crc32) = written.split_once('-')?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hex.len() != 2 * HALF || !hex.bytes().all(is_digit) {
        return None;
    }
    let digits = (0..HALF).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok());
    let tag: Vec<u8> = digits.collect::<Option<_>>()?;
    if format!("{:08x}", crc32fast::hash(&tag)) != crc32 {
        return None;
    }
    Some(of_body(key, version, body).is_some_and(|mac| mac.verify_slice(&tag).is_ok()))
}

fn of_body(key: &Key, version: u32, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = keyed(&tag(of(key, OF_CHECKPOINTS)))?;
    mac.update(&version.to_le_bytes());
    mac.update(&(body.len() as u64).to_le_bytes());
    mac.update(body);
    Some(mac)
}

fn of(key: &Key, what: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = keyed(&key.0)?;
    mac.update(what);
    Some(mac)
}

/// Never `None`: HMAC takes a key of any length.
fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(key).ok()
}

fn tag(mac: Option<Hmac<Sha256>>) -> [u8; HALF] {
    mac.map_or([0; HALF], |mac| mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_key_its_version_and_its_body_alone() {
        let (key, other) = (Key([1; 32]), Key([2; 32]));
        let tag = written(&key, 1, b"body");
        assert_eq!(is_right(&key, 1, b"body", &tag), Some(true));
        for (key, version, body) in
            [(&other, 1, &b"body"[..]), (&key, 2, b"body"), (&key, 1, b"bodx"), (&key, 1, b"")]
        {
            assert_eq!(is_right(key, version, body, &tag), Some(false));
        }
    }

    #[test]
    fn a_hash_with_any_byte_changed_is_damaged_and_not_forged() {
        let key = Key([1; 32]);
        let tag = written(&key, 1, b"body");
        for at in 0..tag.len() {
            for byte in [b'0', b'x', b'-', 0xc3] {
                let mut changed = tag.clone().into_bytes();
                if std::mem::replace(&mut changed[at], byte) == byte {
                    continue;
                }
                let changed = String::from_utf8_lossy(&changed);
                assert_eq!(is_right(&key, 1, b"body", &changed), None, "{changed}");
            }
        }
        for cut in ["", "-", "00-00", "é-0"] {
            assert_eq!(is_right(&key, 1, b"body", cut), None);
        }
    }

    #[test]
    fn a_seal_belongs_to_its_secret_and_a_file_of_version_0_1_0_has_none() {
        let new = KeyFile::new();
        let bytes = new.sealed();
        let read = KeyFile::read(&bytes).unwrap();
        assert!(read.is_sealed && read.key.0 == new.key.0);
        assert!(!KeyFile::read(&bytes[..32]).unwrap().is_sealed);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            assert!(KeyFile::read(&changed).is_err(), "byte {at}");
            if at != 32 {
                let why = KeyFile::read(&bytes[..at]).unwrap_err();
                assert!(why.contains(&format!("{at} bytes instead of 32 or 64")), "{why}");
            }
        }
        assert!(KeyFile::read(&[&bytes[..], b"x"].concat()).is_err());
    }
}
