//! Fuzz target: any bytes as a checkpoint file, and as the body in a valid frame. They are read or refused, and a
//! state that was read survives writing and reading.

use super::State;
use super::format::{Author, checksum};
use crate::event::Key;

const KEY: Key = Key([7; 32]);

fn read(bytes: &[u8]) -> Option<(State, Author)> {
    super::format::read(bytes, &KEY).ok()
}

/// Fuzz entry point: see the module's header.
pub(crate) fn checkpoint(data: &[u8]) {
    if let Some((state, _)) = &read(data) {
        round(state);
        changed(data, state);
    }
    // The checksum would reject random bytes, so here they get a valid one.
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

/// A written state reads back unchanged.
fn round(state: &State) {
    let written = super::format::write(state, &KEY);
    assert!(written.is_ok());
    let again = written.ok().and_then(|bytes| read(&bytes));
    assert_eq!(again, Some((state.clone(), Author::Known)));
}

/// No truncation and no flipped bit passes for a checkpoint, unless it holds the same state.
fn changed(data: &[u8], state: &State) {
    for at in (0..data.len()).step_by(1 + data.len() / 64) {
        assert!(read(&data[..at]).is_none());
        let mut flipped = data.to_vec();
        flipped[at] ^= 1 << (at % 8);
        assert!(read(&flipped).is_none_or(|(other, _)| other == *state));
    }
}
