//! The position of an event in the log, which is its identity. Input, pipeline and checkpoint share these types.
//!
//! A *generation* is the bytes written between two renames (rotations) of the log. Its [`Fingerprint`] depends on its
//! content only, and an offset counts decompressed bytes. A [`Position`] therefore means the same in the live file, in
//! the backup, in the `.gz` and in a copy on another disk, and events can be deduplicated by it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Identity of a generation: 128 bits of SHA-256 over what the API server wrote about its first readable event.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// The first 128 bits of a longer hash.
    pub fn cut(hash: &[u8]) -> Self {
        let mut cut = [0; 16];
        cut.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
        Self(cut)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a fingerprint of 32 hexadecimal digits");
        let number = u128::from_str_radix(text, 16).map_err(|_| wrong())?;
        if text.len() == 32 { Ok(Self(number.to_be_bytes())) } else { Err(wrong()) }
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What kind of record is at a position. A torn line has an id of its own, so an event that later takes its place
/// counts as new.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// A complete line, or the readable rest of a torn one. Dead letters on disk keep its first name, `yes`.
    #[default]
    #[serde(rename = "yes")]
    Event,
    /// The remains of an event whose end was never written (a torn line).
    Torn,
    /// No event of the log but a report of lost events.
    Gap,
    /// No event of the log: the agent says that it works. Never in the checkpoint or among dead letters.
    Heartbeat,
}

/// The identity of one event: the same from the live file, the backup, the `.gz` and a replay.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Position {
    /// The generation that the event is in.
    pub generation: Fingerprint,
    /// Offset of the event's first byte, in decompressed bytes; below 2^56.
    pub offset: u64,
    /// Whether it is a whole event, a torn one, a gap or a heartbeat.
    pub whole: RecordKind,
}

impl Position {
    /// The byte of an id that stands for [`RecordKind`].
    pub const WHOLE: u8 = 0;
    const TORN: u8 = 1;
    /// The byte of a gap.
    pub const GAP: u8 = 2;
    /// The byte of a heartbeat.
    pub const HEARTBEAT: u8 = 3;

    /// Length of a position in bytes.
    pub(super) const BYTES: usize = 24;

    /// The position as bytes: fingerprint, kind, offset.
    pub fn raw(&self) -> [u8; Self::BYTES] {
        let mut raw = [0; Self::BYTES];
        raw[..16].copy_from_slice(&self.generation.0);
        raw[16..].copy_from_slice(&self.offset.to_be_bytes());
        raw[16] = match self.whole {
            RecordKind::Event => Self::WHOLE,
            RecordKind::Torn => Self::TORN,
            RecordKind::Gap => Self::GAP,
            RecordKind::Heartbeat => Self::HEARTBEAT,
        };
        raw
    }

    /// The position as text: 32 characters of base64url. The agent names events by it; documents have longer ids
    /// (`identity.rs`).
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.raw())
    }

    /// The generation and the [`RecordKind`] byte in a document id of this version or the one before; `None` if the
    /// text is no such id.
    pub fn of_id(id: &str) -> Option<(Fingerprint, u8)> {
        let raw = Self::raw_of_id(id)?;
        Some((Fingerprint::cut(&raw), raw[16]))
    }

    /// The position in a document id, whichever log it belongs to.
    pub fn raw_of_id(id: &str) -> Option<[u8; Self::BYTES]> {
        let raw = URL_SAFE_NO_PAD.decode(id).ok().filter(|raw| matches!(raw.len(), 24 | 36))?;
        raw[raw.len() - Self::BYTES..].try_into().ok()
    }

    /// The id as a person types it on a command line. A leading hyphen would be taken for an option, so a dot replaces
    /// it; no id contains a dot.
    pub fn name(&self) -> String {
        let id = self.id();
        id.strip_prefix('-').map_or(id.clone(), |rest| format!(".{rest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_characters_and_differs_for_damage_at_the_same_place() {
        let whole =
            Position { generation: Fingerprint([7; 16]), offset: 1, whole: RecordKind::Event };
        let torn = Position { whole: RecordKind::Torn, ..whole };
        assert_eq!(whole.id().len(), 32);
        assert_ne!(whole.id(), torn.id());
        assert_ne!(whole.id(), Position { offset: 2, ..whole }.id());
        assert_eq!(Position::of_id(&torn.id()), Some((torn.generation, Position::TORN)));
        assert_eq!(Position::of_id("auditrail"), None);
    }

    #[test]
    fn no_name_is_taken_for_an_option_on_a_command_line() {
        let at = |first| Position {
            generation: Fingerprint([first; 16]),
            offset: 1,
            whole: RecordKind::Event,
        };
        let hyphen = at(0xfb);
        assert!(hyphen.id().starts_with('-'));
        assert_eq!(hyphen.name()[1..], hyphen.id()[1..]);
        assert!(hyphen.name().starts_with('.'));
        assert_eq!(at(7).name(), at(7).id());
    }

    #[test]
    fn a_fingerprint_reads_what_it_prints() {
        let fingerprint = Fingerprint([0x0a; 16]);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert!("0a".parse::<Fingerprint>().is_err());
    }
}
