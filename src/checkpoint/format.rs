//! The framing of the checkpoint file: a first line with version, length, CRC-32 and keyed hash (HMAC), then the
//! state as JSON. Pure. Version 0.1.0 wrote no keyed hash, and ignores one when it reads.

use serde::{Deserialize, Serialize};

use super::State;
use super::seal;
use crate::event::Key;

/// The format version that this build writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

#[derive(Debug, Deserialize, Serialize)]
struct CheckpointFrame {
    version: u32,
    /// Bytes after this line.
    length: usize,
    /// CRC-32 over the version, as four little-endian bytes, and the body; in hexadecimal. Every future version must
    /// keep this, so that a file of a newer version can be told from a damaged one of ours.
    crc32: String,
    /// HMAC of the body, which says who wrote it: see `seal.rs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hmac: Option<String>,
}

/// Who wrote an undamaged checkpoint, according to its keyed hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Author {
    /// A holder of the node's key wrote it.
    Known,
    /// Somebody without the key wrote it, or changed it since.
    Other,
    /// It has no hash, like those of version 0.1.0.
    NotSaid,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    /// Damage of any kind; the text is for people.
    #[error("{0}")]
    Damaged(String),
    #[error("it is of version {0}, and this build reads up to {VERSION}")]
    Newer(u32),
}

/// The checksum of a body, in hexadecimal.
pub(super) fn checksum(version: u32, body: &[u8]) -> String {
    let mut crc32 = crc32fast::Hasher::new();
    crc32.update(&version.to_le_bytes());
    crc32.update(body);
    format!("{:08x}", crc32.finalize())
}

/// The bytes of a checkpoint file.
pub(super) fn write(state: &State, key: &Key) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec(state)?;
    let (length, crc32) = (body.len(), checksum(VERSION, &body));
    let hmac = Some(seal::written(key, VERSION, &body));
    let mut file = serde_json::to_vec(&CheckpointFrame { version: VERSION, length, crc32, hmac })?;
    file.push(b'\n');
    file.extend_from_slice(&body);
    file.push(b'\n');
    Ok(file)
}

/// Reads a checkpoint file, and says whether a holder of this key wrote it.
///
/// # Errors
/// If the file is truncated, changed in any byte by accident, or of a newer version.
pub(super) fn read(file: &[u8], key: &Key) -> Result<(State, Author), FormatError> {
    let damaged = |what: String| FormatError::Damaged(what);
    let newline =
        memchr::memchr(b'\n', file).ok_or_else(|| damaged("it has no first line".into()))?;
    let frame: CheckpointFrame = serde_json::from_slice(&file[..newline])
        .map_err(|error| damaged(format!("its first line does not read: {error}")))?;
    if frame.version == 0 {
        return Err(damaged("its version is 0".into()));
    }
    let rest = &file[newline + 1..];
    if Some(rest.len()) != frame.length.checked_add(1) || rest.last() != Some(&b'\n') {
        return Err(damaged(format!(
            "it holds {} bytes of {}",
            rest.len().saturating_sub(1),
            frame.length
        )));
    }
    let body = &rest[..frame.length];
    let found = checksum(frame.version, body);
    if found != frame.crc32 {
        return Err(damaged(format!("its crc32 is {found}, and {:.8} was written", frame.crc32)));
    }
    if frame.version > VERSION {
        return Err(FormatError::Newer(frame.version));
    }
    let author = match &frame.hmac {
        None => Author::NotSaid,
        Some(written) => match seal::is_right(key, frame.version, body, written) {
            Some(true) => Author::Known,
            Some(false) => Author::Other,
            None => return Err(damaged("its keyed hash does not read".into())),
        },
    };
    let state = serde_json::from_slice(body)
        .map_err(|error| damaged(format!("it does not read: {error}")))?;
    Ok((state, author))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::{Losses, Pair, Seen};
    use crate::event::{
        Cursor, Earlier, Fingerprint, IdScheme, LastSeen, LogName, Mark, Marks, Progress,
    };

    const KEY: Key = Key([7; 32]);

    fn state() -> State {
        let mark = Mark::of(b"line", &Key([1; 32]));
        let marks = Marks::default().moved(
            mark.map(|mark| Earlier { at: 5000, time: Some(-4), mark }),
            9000,
            b"",
            &Key([1; 32]),
        );
        let progress = Progress {
            offset: 9000,
            complete: true,
            time: Some(-3),
            mark,
            marks,
            alterations: 1,
            maybe_delivered_below: 10_000,
            successor_checked: true,
        };
        let cursor = Cursor {
            generations: [(Fingerprint([9; 16]), progress)].into(),
            since: Some(5),
            watched: Some(4),
        };
        let pair = Pair {
            input: "a".into(),
            output: "b".into(),
            to: Some("loki http://c".into()),
            cursor,
            reserved: super::super::ALL,
            resend: Some(Cursor::default()),
            scopes: vec!["s".into()],
            ids: vec![IdScheme::Position, IdScheme::Log(LogName::default())],
            file: None,
            gaps: Vec::new(),
            losses: Losses { since: Some(7), ..Losses::default() },
        };
        let sighting = LastSeen {
            file: "audit.log".into(),
            length: 9,
            complete: true,
            cut: 12,
            time: Some(1),
            live: true,
            unread: false,
            written: None,
            own: None,
        };
        let generations = [(Fingerprint([9; 16]), sighting)].into();
        let inputs = vec![Seen { input: "a".into(), path: Some("/a".into()), generations }];
        let (node, cluster) = ("cp-1".into(), Some("c".into()));
        State { node, cluster, pairs: vec![pair], inputs, born: Some(7) }
    }

    #[test]
    fn what_was_written_is_read() {
        let file = write(&state(), &KEY).unwrap();
        assert_eq!(read(&file, &KEY).unwrap(), (state(), Author::Known));
        assert_eq!(read(&file, &Key([8; 32])).unwrap(), (state(), Author::Other));
    }

    #[test]
    fn what_version_0_1_0_wrote_is_read_and_does_not_pass_for_authenticated() {
        let file = include_bytes!("../../tests/data/state-0.1.0/checkpoint.json");
        let (state, author) = read(file, &KEY).unwrap();
        assert_eq!((&*state.node, author), ("cp-1", Author::NotSaid));
    }

    #[test]
    fn a_change_of_any_bit_and_a_cut_anywhere_is_noticed() {
        let whole = write(&state(), &KEY).unwrap();
        for at in 0..whole.len() {
            assert!(read(&whole[..at], &KEY).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                // Damage must not look like a newer version: that would keep the agent from starting.
                let read = read(&flipped, &KEY);
                let damaged = matches!(read, Err(FormatError::Damaged(_)));
                // If the name of the hash's field is changed, the file has no hash, so its author is not known.
                let unsigned = matches!(read, Ok((_, Author::NotSaid)));
                assert!(damaged || unsigned, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_checkpoint_of_a_newer_version_is_not_taken_for_a_damaged_one() {
        let body = "{\"a field of later\":1}";
        let (length, crc32) = (body.len(), checksum(2, body.as_bytes()));
        let head =
            serde_json::to_string(&CheckpointFrame { version: 2, length, crc32, hmac: None })
                .unwrap();
        let file = format!("{head}\n{body}\n");
        assert!(matches!(read(file.as_bytes(), &KEY), Err(FormatError::Newer(2))));
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes, &KEY);
        }
    }
}
