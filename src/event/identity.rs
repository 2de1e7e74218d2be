//! Document ids: what tells one log from all others that go to the same store, and where in it an event stands.
//!
//! An id is base64url of 36 bytes: 12 of a hash over cluster, node and input, then the [`Position`], which can be read
//! back. Nothing in it is a secret and nothing a client of the API server can choose, so a replay on another machine
//! makes the same ids, and whoever may write to the store can compute them too: an id that is taken proves nothing until
//! the document under it is compared.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Position;

/// Bytes of the hash in an id.
const HASH: usize = 12;

/// What tells one log from all others that go to the same store.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(crate) struct LogName {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    pub(crate) node: String,
    pub(crate) input: String,
}

/// What the ids of some documents were made of. The checkpoint names all that a pipeline has ever sent under.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IdScheme {
    /// The position alone: up to version 0.1.0.
    Position,
    /// The log and the position.
    Log(LogName),
}

impl LogName {
    /// Unlike that of any other name: each field is preceded by whether it is there, and by its length.
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

/// Makes the ids of one scheme.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Ids {
    Position,
    Log { hash: [u8; HASH], encoded: Vec<u8> },
}

impl Ids {
    pub(crate) fn new(scheme: &IdScheme) -> Self {
        match scheme {
            IdScheme::Position => Self::Position,
            IdScheme::Log(log) => {
                let encoded = log.encoded();
                Self::Log { hash: hash(b"auditrail id 2\0", &[&encoded]), encoded }
            }
        }
    }

    /// The id of the event at a position: 48 characters, or 32 of the position alone.
    pub(crate) fn id(&self, position: &Position) -> String {
        match self {
            Self::Position => position.id(),
            Self::Log { hash, .. } => id(hash, position),
        }
    }

    /// The `nth` id that an event goes by where those before are taken by other documents. It is made of what tells
    /// the event from others as well, so that each attempt comes to the same.
    pub(crate) fn other_id(&self, position: &Position, nth: u8, content: &[&[u8]]) -> String {
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

    /// Few letters and short, so that fields of two names often make the same text side by side.
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
        let whole =
            prop::sample::select(vec![RecordKind::Event, RecordKind::Torn, RecordKind::Gap]);
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
