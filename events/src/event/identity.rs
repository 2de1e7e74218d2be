//! Document ids, for idempotent writes: an id identifies the log among all logs in the same store, and the event within
//! the log.
//!
//! An id is base64url of 36 bytes: 12 of a hash over cluster, node and input, then the [`Position`], which can be
//! read back. Nothing in an id is a secret, and a client of the API server can choose none of it. A replay on another
//! machine therefore makes the same ids, and the store recognises duplicates. But a user who may write to the store
//! can compute them too. So if an id is taken, the agent compares the document under it before it believes that it is
//! the event.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Position;

/// Length of the hash in an id, in bytes.
const HASH: usize = 12;

/// Identifies one log among all logs that go to the same store.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct LogName {
    /// The cluster's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The node's name.
    pub node: String,
    /// The input's name.
    pub input: String,
}

/// What document ids are made of. The checkpoint lists all schemes under which a pipeline has ever sent.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdScheme {
    /// The position alone: version 0.1.0 and earlier.
    Position,
    /// The log and the position.
    Log(LogName),
}

impl LogName {
    /// An unambiguous encoding: each field is preceded by a byte that says whether it is present, and by its length.
    fn encoded(&self) -> Vec<u8> {
        let Self { cluster, node, input } = self;
        let mut encoded = Vec::new();
        for field in [cluster.as_deref(), Some(node), Some(input)] {
            encoded.push(u8::from(field.is_some()));
            put(field.unwrap_or_default().as_bytes(), &mut encoded);
        }
        encoded
    }
}

fn put(field: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(field.len() as u64).to_be_bytes());
    out.extend_from_slice(field);
}

/// Makes document ids by one scheme.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ids {
    /// The id is the position alone.
    Position,
    /// The id is the position and the log that it belongs to.
    Log {
        /// A hash of what names the log.
        hash: [u8; HASH],
        /// What names the log, encoded.
        encoded: Vec<u8>,
    },
}

impl Ids {
    /// Prepares the ids of a scheme.
    pub fn new(scheme: &IdScheme) -> Self {
        match scheme {
            IdScheme::Position => Self::Position,
            IdScheme::Log(log) => {
                let encoded = log.encoded();
                Self::Log { hash: hash(b"auditrail id 2\0", &[&encoded]), encoded }
            }
        }
    }

    /// The id of the event at a position: 48 characters, or 32 if the scheme is the position alone.
    pub fn id(&self, position: &Position) -> String {
        match self {
            Self::Position => position.id(),
            Self::Log { hash, .. } => id(hash, position),
        }
    }

    /// The `nth` alternative id of an event, for when other documents have taken the ones before. It also hashes the
    /// event's content, so that every retry computes the same id.
    pub fn other_id(&self, position: &Position, nth: u8, content: &[&[u8]]) -> String {
        let log: &[u8] = match self {
            Self::Position => &[],
            Self::Log { encoded, .. } => encoded,
        };
        let nth = [nth];
        let fields: Vec<_> = [log, &nth].into_iter().chain(content.iter().copied()).collect();
        id(&hash(b"auditrail other id 2\0", &fields), position)
    }
}

fn hash(kind: &[u8], fields: &[&[u8]]) -> [u8; HASH] {
    let mut all = kind.to_vec();
    for field in fields {
        put(field, &mut all);
    }
    let mut cut = [0; HASH];
    cut.copy_from_slice(&Sha256::digest(&all)[..HASH]);
    cut
}

fn id(hash: &[u8; HASH], position: &Position) -> String {
    let mut raw = [0; HASH + Position::BYTES];
    raw[..HASH].copy_from_slice(hash);
    raw[HASH..].copy_from_slice(&position.raw());
    URL_SAFE_NO_PAD.encode(raw)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::super::{Fingerprint, RecordKind};
    use super::*;

    /// Short fields of few letters, so that the fields of two names often concatenate to the same text.
    fn names() -> impl Strategy<Value = LogName> {
        let field = || "[a-b\0.]{0,3}";
        let long = || prop_oneof![4 => field().boxed(), 1 => ".{0,300}".boxed()];
        (prop::option::of(long()), long(), long()).prop_map(|(cluster, node, input)| LogName {
            cluster,
            node,
            input,
        })
    }

    fn positions() -> impl Strategy<Value = Position> {
        let whole = prop::sample::select(vec![
            RecordKind::Event,
            RecordKind::Torn,
            RecordKind::Gap,
            RecordKind::Heartbeat,
        ]);
        let generation = prop_oneof![Just([7; 16]), any::<[u8; 16]>()];
        let offset = prop_oneof![0..4_u64, 0..1_u64 << 56];
        (generation, offset, whole).prop_map(|(generation, offset, whole)| Position {
            generation: Fingerprint(generation),
            offset,
            whole,
        })
    }

    proptest! {
        #[test]
        fn two_events_share_an_id_only_if_cluster_node_input_and_position_are_the_same(
            all in prop::collection::vec((names(), positions()), 2..40),
        ) {
            let mut known = HashMap::new();
            let (mut ids, mut events) = (HashSet::new(), HashSet::new());
            for (name, position) in all {
                let encoded = name.encoded();
                let other = known.entry(encoded).or_insert_with(|| name.clone());
                prop_assert_eq!(&*other, &name);
                let made = Ids::new(&IdScheme::Log(name.clone()));
                let id = made.id(&position);
                prop_assert_eq!(id.len(), 48);
                let kind = position.raw()[16];
                prop_assert_eq!(Position::of_id(&id), Some((position.generation, kind)));
                ids.insert(id);
                events.insert((name, position));
            }
            prop_assert_eq!(ids.len(), events.len());
        }

        #[test]
        fn no_id_is_one_of_another_scheme_or_one_for_what_is_taken(
            name in names(), position in positions(), nth in 1..9_u8, content in any::<Vec<u8>>(),
        ) {
            let made = Ids::new(&IdScheme::Log(name));
            let other = made.other_id(&position, nth, &[&content]);
            prop_assert_eq!(&other, &made.other_id(&position, nth, &[&content]));
            let ids = [
                made.id(&position),
                Ids::Position.id(&position),
                made.other_id(&position, nth + 1, &[&content]),
                made.other_id(&position, nth, &[&content, b""]),
                other,
            ];
            prop_assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
            let read: HashSet<_> = ids.iter().map(|id| Position::of_id(id)).collect();
            prop_assert_eq!(read.len(), 1);
        }
    }

    #[test]
    fn the_ids_of_this_version_do_not_change() {
        let name = LogName { cluster: Some("c".into()), node: "n".into(), input: "i".into() };
        let position =
            Position { generation: Fingerprint([7; 16]), offset: 258, whole: RecordKind::Torn };
        let made = Ids::new(&IdScheme::Log(name));
        assert_eq!(made.id(&position), "Amx6_seg6fUJSdL0BwcHBwcHBwcHBwcHBwcHBwEAAAAAAAEC");
        assert_eq!(
            made.other_id(&position, 1, &[b"a"]),
            "KzUxc901Dwq6XQajBwcHBwcHBwcHBwcHBwcHBwEAAAAAAAEC"
        );
        assert_eq!(Ids::Position.id(&position), "BwcHBwcHBwcHBwcHBwcHBwEAAAAAAAEC");
    }
}
