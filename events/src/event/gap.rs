//! A gap is a part of the log that nobody can read any more (lost events). The agent reports it as an event of its
//! own, and ships that like any other.
//!
//! The API server never writes such a line: its `kind` is `Gap`, its `apiVersion` is `auditrail/v1`, and the details
//! stand under `gap`. Its time is the time of detection, since a store may refuse an event as old as the gap; `from`
//! and `to` say when the lost events happened. Its identity is a fingerprint of its own, which is also its `auditID`;
//! [`RecordKind::Gap`] in the position keeps it apart from all events of a log.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::own_record::{RecordNames, own_batch, own_line, to_microsecond};
use super::time::time_text;
use super::{Batch, Fingerprint, Nanos, Progress, RecordKind};

/// A gap as the checkpoint stores it, from before it is sent until the cursor has passed it. After a crash the agent
/// sends the same bytes again, so that the duplicate can be recognised.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct GapRecord {
    /// Identifies the gap, as a fingerprint identifies a generation.
    pub id: Fingerprint,
    /// Where it is.
    pub place: GapPlace,
    /// The line of the event that reports it.
    pub line: String,
    /// It is delivered; it is kept only until the cursor has passed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delivered: bool,
}

/// Which part of the log is lost, and why.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct GapPlace {
    /// The generation that has lost a part.
    pub generation: Fingerprint,
    /// [`Progress::alterations`] at the time it was detected.
    #[serde(default)]
    pub altered: u32,
    /// Where the lost part begins, in decompressed bytes.
    pub offset: u64,
    /// Where it ends.
    pub extent: Extent,
    /// The reason, as in the label of the metrics.
    pub reason: String,
}

/// Where a gap ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// At this offset.
    To(u64),
    /// At the end of the generation.
    Rest,
    /// The file no longer holds the bytes that were read, and is read again.
    Replaced,
}

/// What is reported about a gap beside its place.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GapFacts<'a> {
    /// Whose gap it is.
    #[serde(flatten)]
    pub names: RecordNames<'a>,
    /// The name of the file that is lost or damaged.
    pub file: &'a str,
    /// How many bytes are lost: compressed ones for a damaged gzip member. With `at_least`, 0 means that nobody knows.
    #[serde(skip)]
    pub bytes: u64,
    /// More bytes than `bytes` may be lost.
    #[serde(skip)]
    pub at_least: bool,
    /// Number of consecutive gaps that are reported as this one.
    pub times: u64,
    /// Time of the last event before the gap, if known.
    #[serde(skip)]
    pub from: Option<Nanos>,
    /// Time of the first event after the gap, if known.
    #[serde(skip)]
    pub to: Option<Nanos>,
}

#[derive(Serialize)]
struct GapMember<'a> {
    gap: Inside<'a>,
}

#[derive(Serialize)]
struct Inside<'a> {
    reason: &'a str,
    #[serde(flatten)]
    facts: GapFacts<'a>,
    generation: Fingerprint,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_at_least: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

impl GapRecord {
    /// A gap that was detected at `now`; `message` is for people.
    ///
    /// # Errors
    /// No known case: JSON can represent all of these values.
    pub fn new(
        place: GapPlace,
        facts: GapFacts<'_>,
        message: &str,
        now: Nanos,
    ) -> serde_json::Result<Self> {
        let now = to_microsecond(now);
        let RecordNames { input, output, .. } = facts.names;
        let hash = Sha256::new()
            .chain_update(b"auditrail gap\0")
            .chain_update(place.generation.0)
            .chain_update(place.altered.to_be_bytes())
            .chain_update(place.offset.to_be_bytes())
            .chain_update(now.to_be_bytes())
            .chain_update([place.reason.as_bytes(), input.as_bytes(), output.as_bytes()].join(&0));
        let id = Fingerprint::cut(&hash.finalize());
        let gap = Inside {
            reason: &place.reason,
            facts,
            generation: place.generation,
            offset: place.offset,
            bytes: (!facts.at_least).then_some(facts.bytes),
            bytes_at_least: facts.at_least.then_some(facts.bytes),
            from: facts.from.map(time_text),
            to: facts.to.map(time_text),
        };
        let line = own_line("Gap", id, now, message, GapMember { gap })?;
        Ok(Self { id, line, place, delivered: false })
    }

    /// A batch with one event for each gap.
    pub fn batch<'a>(gaps: impl IntoIterator<Item = &'a Self>) -> Batch {
        let records = gaps.into_iter().map(|gap| (&*gap.line, gap.place.offset));
        // The generation is not used: each gap has a fingerprint of its own.
        own_batch(Fingerprint([0; 16]), RecordKind::Gap, records)
    }
}

impl GapPlace {
    /// Whether a cursor with this progress in the gap's generation has passed the gap.
    pub fn is_passed(&self, progress: &Progress) -> bool {
        progress.alterations > self.altered
            || match self.extent {
                Extent::To(end) => progress.complete || progress.offset >= end,
                Extent::Rest => progress.complete,
                Extent::Replaced => false,
            }
    }

    /// Whether this gap already reports the other one, which is then a duplicate. After a crash the reader meets the
    /// same gap again; by then a damaged file may be gone, and chunks may begin and end elsewhere.
    pub fn covers(&self, other: &Self) -> bool {
        if (self.generation, self.altered) != (other.generation, other.altered) {
            return false;
        }
        match (self.extent, other.extent) {
            (Extent::To(end), Extent::To(_)) => {
                self.reason == other.reason && (self.offset..end).contains(&other.offset)
            }
            (Extent::Rest, Extent::Rest) => self.offset == other.offset,
            (Extent::Replaced, Extent::Replaced) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FACTS: GapFacts<'static> = GapFacts {
        names: RecordNames { node: "cp-1", cluster: Some("prod"), input: "api", output: "loki" },
        file: "audit.log",
        bytes: 7,
        at_least: false,
        times: 1,
        from: Some(1_000),
        to: None,
    };

    fn place(offset: u64, extent: Extent) -> GapPlace {
        let generation = Fingerprint([7; 16]);
        GapPlace { generation, altered: 0, offset, extent, reason: "torn_line".into() }
    }

    fn record(now: Nanos) -> GapRecord {
        GapRecord::new(place(5, Extent::To(12)), FACTS, "a message", now).unwrap()
    }

    #[test]
    fn a_gap_reads_as_an_event_of_a_kind_of_its_own() {
        let gap = record(1_795_242_322_533_537_999);
        let json: serde_json::Value = serde_json::from_str(&gap.line).unwrap();
        let stamp = "2026-11-21T06:25:22.533537Z";
        assert_eq!(
            json,
            serde_json::json!({
                "kind": "Gap", "apiVersion": "auditrail/v1", "auditID": gap.id.to_string(), "stage": "Gap",
                "requestReceivedTimestamp": stamp, "stageTimestamp": stamp, "message": "a message",
                "gap": {
                    "reason": "torn_line", "node": "cp-1", "cluster": "prod", "input": "api", "output": "loki",
                    "file": "audit.log", "times": 1, "generation": "07".repeat(16), "offset": 5, "bytes": 7,
                    "from": "1970-01-01T00:00:00.000001Z",
                }
            })
        );
        let batch = GapRecord::batch([&gap]);
        let record = batch.record(0);
        assert_eq!(record.line, gap.line.as_bytes());
        assert_eq!(record.event.time, 1_795_242_322_533_537_000);
        assert_eq!(record.text(record.event.fields.stage).as_deref(), Some("Gap"));
        let open =
            GapRecord::new(place(5, Extent::Rest), GapFacts { at_least: true, ..FACTS }, "", 0);
        let open: serde_json::Value = serde_json::from_str(&open.unwrap().line).unwrap();
        assert_eq!(
            (&open["gap"]["bytes_at_least"], &open["gap"]["bytes"]),
            (&7.into(), &serde_json::Value::Null)
        );
    }

    #[test]
    fn gaps_of_one_batch_have_ids_of_their_own_and_none_is_that_of_an_event() {
        let (one, two) = (record(1_000), record(2_000));
        let batch = GapRecord::batch([&one, &two]);
        let ids = [0, 1].map(|index| batch.position(index));
        assert_eq!(ids.map(|position| position.generation), [one.id, two.id]);
        assert_ne!(ids[0].id(), ids[1].id());
        let event = super::super::Position { whole: RecordKind::Event, ..ids[0] };
        assert_ne!(ids[0].id(), event.id());
        assert_eq!(GapRecord::batch([&one]).position(0), ids[0], "wherever it stands in a batch");
    }

    #[test]
    fn a_gap_is_passed_when_its_cause_cannot_be_met_again() {
        let at = |offset, complete, altered| Progress {
            offset,
            complete,
            alterations: altered,
            ..Progress::default()
        };
        let stretch = place(5, Extent::To(12));
        assert!(!stretch.is_passed(&at(11, false, 0)) && stretch.is_passed(&at(12, false, 0)));
        let rest = place(5, Extent::Rest);
        assert!(!rest.is_passed(&at(99, false, 0)) && rest.is_passed(&at(5, true, 0)));
        let replaced = place(5, Extent::Replaced);
        assert!(!replaced.is_passed(&at(99, true, 0)) && replaced.is_passed(&at(0, false, 1)));
    }

    #[test]
    fn what_a_gap_says_is_not_said_again_though_it_is_met_otherwise() {
        let known = place(5, Extent::To(12));
        assert!(
            known.covers(&place(9, Extent::To(20))) && !known.covers(&place(12, Extent::To(20)))
        );
        assert!(!known.covers(&GapPlace { reason: "nul_hole".into(), ..place(9, Extent::To(20)) }));
        assert!(!known.covers(&GapPlace { altered: 1, ..known.clone() }));
        let rest = place(5, Extent::Rest);
        assert!(rest.covers(&GapPlace { reason: "backup_gone".into(), ..rest.clone() }));
        assert!(!rest.covers(&place(4, Extent::Rest)) && !rest.covers(&place(5, Extent::To(6))));
    }

    proptest! {
        #[test]
        fn whatever_a_file_is_called_the_line_is_one_whole_event(file in any::<String>(), now in any::<i32>()) {
            let facts = GapFacts { file: &file, ..FACTS };
            let gap = GapRecord::new(place(1, Extent::Rest), facts, &file, i64::from(now)).unwrap();
            prop_assert!(!gap.line.contains('\n'));
            let batch = GapRecord::batch([&gap]);
            prop_assert_eq!(batch.events.len(), 1);
            prop_assert_eq!(batch.position(0).generation, gap.id);
        }
    }
}
