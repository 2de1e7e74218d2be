//! A heartbeat is a record of the agent's own, which says at regular times that the agent works and what its trail is
//! like. If a node stops, its heartbeats stop, and the store shows that.
//!
//! The API server never writes such a line: its `kind` is `Heartbeat`, its `apiVersion` is `auditrail/v1`, and the
//! details stand under `heartbeat`. Time is divided into slots of one interval, and a slot has one heartbeat at most:
//! its identity, which is also its `auditID`, is a hash of the log, the output and the slot. [`RecordKind::Heartbeat`]
//! in the position keeps it apart from all events of a log.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::own_record::{RecordNames, own_batch, own_line, to_microsecond};
use super::time::time_text;
use super::{Batch, Fingerprint, Nanos, RecordKind};

/// A heartbeat that is ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatRecord {
    id: Fingerprint,
    line: String,
}

/// Names whose heartbeats they are, and how long a slot is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HeartbeatNames<'a> {
    /// Whose heartbeats they are.
    #[serde(flatten)]
    pub names: RecordNames<'a>,
    /// Length of a slot, in seconds.
    pub interval_seconds: u64,
}

/// A time that is written as the API server writes times, to the microsecond.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeartbeatTime(pub Nanos);

impl Serialize for HeartbeatTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time_text(self.0))
    }
}

/// The content of a heartbeat.
///
/// Many fields: one for each member of the record.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct HeartbeatFacts<'a> {
    /// The agent's version.
    pub version: &'a str,
    /// When the process started.
    pub started: HeartbeatTime,
    /// The verdict on the whole agent: `whole`, `behind`, `holes` or `stopped`.
    pub state: &'a str,
    /// Since when; what that means depends on the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<HeartbeatTime>,
    /// The reason for the state, for people.
    pub why: &'a str,
    /// Decompressed bytes on disk that this output has not acknowledged.
    pub lag_bytes: u64,
    /// Age of the oldest event that this output has not acknowledged, in seconds.
    pub lag_seconds: u64,
    /// Generation of the last acknowledged position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<Fingerprint>,
    /// Offset of that position, in decompressed bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Time of the last acknowledged event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event: Option<HeartbeatTime>,
    /// When the API server last wrote to the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_write: Option<HeartbeatTime>,
    /// Gaps of this output.
    pub gaps: u64,
    /// Dead letters of this output.
    pub dead_letters: u64,
}

#[derive(Serialize)]
struct HeartbeatMember<'a> {
    heartbeat: HeartbeatMembers<'a>,
}

#[derive(Serialize)]
struct HeartbeatMembers<'a> {
    #[serde(flatten)]
    names: HeartbeatNames<'a>,
    #[serde(flatten)]
    facts: HeartbeatFacts<'a>,
}

impl HeartbeatNames<'_> {
    /// When the slot began that contains `now`. Slots begin at another moment for each log and output, so that the
    /// agents of a fleet do not all send at once.
    pub fn slot(&self, now: Nanos) -> Nanos {
        let interval = i64::try_from(self.interval_seconds).unwrap_or(i64::MAX);
        let interval = interval.saturating_mul(1_000_000_000).max(1);
        let hash = self.hash().finalize();
        let phase = hash.iter().take(7).fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
        now - (now - phase % interval).rem_euclid(interval)
    }

    /// A hash of what names the log and the output; each name is preceded by its length.
    fn hash(&self) -> Sha256 {
        let mut hash = Sha256::new().chain_update(b"auditrail heartbeat\0");
        let RecordNames { node, cluster, input, output } = self.names;
        for name in [cluster, Some(node), Some(input), Some(output)] {
            hash.update([u8::from(name.is_some())]);
            hash.update((name.unwrap_or_default().len() as u64).to_be_bytes());
            hash.update(name.unwrap_or_default());
        }
        hash
    }
}

impl HeartbeatRecord {
    /// The heartbeat of the slot that began at `slot`, made at `now`.
    ///
    /// # Errors
    /// No known case: JSON can represent all of these values.
    pub fn new(
        names: HeartbeatNames<'_>,
        facts: HeartbeatFacts<'_>,
        slot: Nanos,
        now: Nanos,
    ) -> serde_json::Result<Self> {
        let now = to_microsecond(now);
        let id = Fingerprint::cut(&names.hash().chain_update(slot.to_be_bytes()).finalize());
        let node = names.names.node;
        let message = format!("auditrail works on {node}; trail {}: {}", facts.state, facts.why);
        let heartbeat = HeartbeatMembers { names, facts };
        let line = own_line("Heartbeat", id, now, &message, HeartbeatMember { heartbeat })?;
        Ok(Self { id, line })
    }

    /// A batch with this record only.
    pub fn batch(&self) -> Batch {
        own_batch(self.id, RecordKind::Heartbeat, [(&*self.line, 0)])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    const NAMES: HeartbeatNames<'static> = HeartbeatNames {
        names: RecordNames { node: "cp-1", cluster: Some("prod"), input: "api", output: "loki" },
        interval_seconds: 300,
    };

    fn facts(why: &str) -> HeartbeatFacts<'_> {
        HeartbeatFacts { version: "1", state: "whole", why, ..HeartbeatFacts::default() }
    }

    fn record(slot: Nanos, now: Nanos) -> HeartbeatRecord {
        HeartbeatRecord::new(NAMES, facts("all is well"), slot, now).unwrap()
    }

    #[test]
    fn a_heartbeat_reads_as_a_record_of_a_kind_of_its_own() {
        let facts = HeartbeatFacts {
            since: Some(HeartbeatTime(1_000)),
            generation: Some(Fingerprint([7; 16])),
            offset: Some(5),
            lag_bytes: 3,
            ..facts("all is well")
        };
        let beat = HeartbeatRecord::new(NAMES, facts, 0, 1_795_242_322_533_537_999).unwrap();
        let json: serde_json::Value = serde_json::from_str(&beat.line).unwrap();
        let stamp = "2026-11-21T06:25:22.533537Z";
        assert_eq!(
            json,
            serde_json::json!({
                "kind": "Heartbeat", "apiVersion": "auditrail/v1", "auditID": beat.id.to_string(),
                "stage": "Heartbeat", "requestReceivedTimestamp": stamp, "stageTimestamp": stamp,
                "message": "auditrail works on cp-1; trail whole: all is well",
                "heartbeat": {
                    "node": "cp-1", "cluster": "prod", "input": "api", "output": "loki", "interval_seconds": 300,
                    "version": "1", "started": "1970-01-01T00:00:00.000000Z", "state": "whole",
                    "since": "1970-01-01T00:00:00.000001Z", "why": "all is well", "lag_bytes": 3, "lag_seconds": 0,
                    "generation": "07".repeat(16), "offset": 5, "gaps": 0, "dead_letters": 0,
                }
            })
        );
        let batch = beat.batch();
        assert_eq!(batch.events.len(), 1);
        let record = batch.record(0);
        assert_eq!(record.line, beat.line.as_bytes());
        assert_eq!(record.event.time, 1_795_242_322_533_537_000);
    }

    #[test]
    fn the_id_is_that_of_the_slot_whatever_the_record_says_and_no_event_or_gap_has_it() {
        let (one, again) = (record(0, 5), HeartbeatRecord::new(NAMES, facts("not so"), 0, 99));
        let (one, again) = (one.batch().position(0), again.unwrap().batch().position(0));
        assert_eq!(one.id(), again.id());
        assert_ne!(one.id(), record(300 * SECOND, 5).batch().position(0).id());
        for whole in [RecordKind::Event, RecordKind::Torn, RecordKind::Gap] {
            assert_ne!(one.id(), super::super::Position { whole, ..one }.id());
        }
    }

    proptest! {
        #[test]
        fn every_moment_is_in_one_slot_and_slots_follow_each_other(
            now in 0_i64..4_000_000_000 * SECOND, seconds in 1_u64..100_000, node in "[a-z]{0,9}"
        ) {
            let of = RecordNames { node: &node, ..NAMES.names };
            let names = HeartbeatNames { names: of, interval_seconds: seconds };
            let (slot, length) = (names.slot(now), seconds.cast_signed() * SECOND);
            prop_assert!((slot..slot + length).contains(&now));
            prop_assert_eq!((names.slot(slot), names.slot(slot + length - 1)), (slot, slot));
            prop_assert_eq!(names.slot(slot + length), slot + length);
        }

        #[test]
        fn whatever_the_reason_says_the_line_is_one_whole_record(why in any::<String>()) {
            let beat = HeartbeatRecord::new(NAMES, facts(&why), 0, 0).unwrap();
            prop_assert!(!beat.line.contains('\n'));
            prop_assert_eq!(beat.batch().events.len(), 1);
        }
    }
}
