//! Any bytes as a checkpoint, whole and as what a right frame holds: read or refused, and what is read is written back.

use super::State;
use super::format::{checksum, read, write};

/// See the module.
pub(crate) fn checkpoint(data: &[u8]) {
    let state = read(data).ok();
    if let Some(state) = &state {
        round(state);
        changed(data, state);
    }
    // The checksum keeps random bytes out: here they have a right one.
    let (length, crc32) = (data.len(), checksum(1, data));
    let frame = format!("{{\"version\":1,\"length\":{length},\"crc32\":\"{crc32}\"}}\n");
    let framed = [frame.as_bytes(), data, b"\n"].concat();
    let inner = serde_json::from_slice::<State>(data).ok();
    assert_eq!(read(&framed).ok(), inner, "what is framed is what is read");
    if let Some(state) = inner {
        round(&state);
    }
}

/// What is written reads back as itself.
fn round(state: &State) {
    let written = write(state);
    assert!(written.is_ok());
    assert!(written.is_ok_and(|bytes| read(&bytes).is_ok_and(|again| again == *state)));
}

/// No prefix and no change of a bit passes for a checkpoint, unless it says the same.
fn changed(data: &[u8], state: &State) {
    for at in (0..data.len()).step_by(1 + data.len() / 64) {
        assert!(read(&data[..at]).is_err());
        let mut flipped = data.to_vec();
        flipped[at] ^= 1 << (at % 8);
        assert!(read(&flipped).map_or(true, |other| other == *state));
    }
}
