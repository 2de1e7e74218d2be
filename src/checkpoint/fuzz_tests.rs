//! Any bytes as a checkpoint, whole and as what a right frame holds: read or refused, and what is read is written back.

use super::State;
use super::format::{Author, checksum};
use crate::event::Key;

const KEY: Key = Key([7; 32]);

fn read(bytes: &[u8]) -> Option<(State, Author)> {
    super::format::read(bytes, &KEY).ok()
}

/// See the module.
pub(crate) fn checkpoint(data: &[u8]) {
    if let Some((state, _)) = &read(data) {
        round(state);
        changed(data, state);
    }
    // The checksum keeps random bytes out: here they have a right one.
    let (length, crc32) = (data.len(), checksum(1, data));
    let frame = format!("{{\"version\":1,\"length\":{length},\"crc32\":\"{crc32}\"}}\n");
    let framed = [frame.as_bytes(), data, b"\n"].concat();
    let inner = serde_json::from_slice::<State>(data).ok();
    assert_eq!(
        read(&framed),
        inner.clone().map(|state| (state, Author::NotSaid)),
        "what is framed is what is read"
    );
    if let Some(state) = inner {
        round(&state);
    }
}

/// What is written reads back as itself.
fn round(state: &State) {
    let written = super::format::write(state, &KEY);
    assert!(written.is_ok());
    let again = written.ok().and_then(|bytes| read(&bytes));
    assert_eq!(again, Some((state.clone(), Author::Known)));
}

/// No prefix and no change of a bit passes for a checkpoint, unless it says the same.
fn changed(data: &[u8], state: &State) {
    for at in (0..data.len()).step_by(1 + data.len() / 64) {
        assert!(read(&data[..at]).is_none());
        let mut flipped = data.to_vec();
        flipped[at] ^= 1 << (at % 8);
        assert!(read(&flipped).is_none_or(|(other, _)| other == *state));
    }
}
