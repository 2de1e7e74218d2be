//! The gaps that an output will never get, counted for the life of the state directory, so that a restart hides none.
//!
//! A gap is in the journal ([`Pair::gaps`](super::Pair::gaps)) from its detection until the cursor has passed it. One
//! checkpoint both removes it there and adds it here, so it is counted once even if the agent is killed in between.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::event::{GapRecord, Nanos};
use crate::telemetry::{GapSeen, PairStats, Time};

/// The number of gaps kept one by one; older ones are only counted, with their bytes.
const LAST: usize = 20;

/// Lasting counts by reason, and the latest gaps.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Losses {
    /// Time of the first event that the output acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Nanos>,
    /// By reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) totals: BTreeMap<String, LossTotal>,
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub(crate) last: VecDeque<GapSeen>,
}

/// The gaps of one reason.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct LossTotal {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

impl Losses {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds a gap that leaves the journal.
    pub(super) fn add(&mut self, gap: &GapRecord) {
        let Some(seen) = seen(gap) else { return };
        let total = self.totals.entry(seen.reason.clone()).or_default();
        total.count += 1;
        total.bytes = total.bytes.saturating_add(seen.bytes);
        self.last.push_back(seen);
        if self.last.len() > LAST {
            self.last.pop_front();
        }
    }

    /// Shows all known gaps, including those in the journal, in the statistics of a pipeline that starts.
    pub(crate) fn show(&self, journal: &[GapRecord], stats: &PairStats) {
        let mut all = self.clone();
        for gap in journal {
            all.add(gap);
        }
        for (reason, total) in &all.totals {
            stats.restore_gaps(reason, total.count, total.bytes);
        }
        for gap in all.last {
            stats.restore_gap(gap);
        }
        if let Some(since) = self.since {
            stats.begins(Time::from_nanos(since));
        }
    }
}

/// Parses a gap's line, which the agent wrote itself.
fn seen(gap: &GapRecord) -> Option<GapSeen> {
    let line: serde_json::Value = serde_json::from_str(&gap.line).ok()?;
    let inside = &line["gap"];
    let time = |value: &serde_json::Value| serde_json::from_value::<Time>(value.clone()).ok();
    let exact = inside["bytes"].as_u64();
    Some(GapSeen {
        reason: gap.place.reason.clone(),
        file: inside["file"].as_str()?.to_owned(),
        bytes: exact.or(inside["bytes_at_least"].as_u64()).unwrap_or_default(),
        at_least: exact.is_none(),
        from: time(&inside["from"]),
        to: time(&inside["to"]),
        detected: time(&line["stageTimestamp"])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Pair, State};
    use crate::event::{Extent, Fingerprint, GapFacts, GapPlace, RecordNames};

    fn gap(number: u64, at_least: bool) -> GapRecord {
        let place = GapPlace {
            generation: Fingerprint([7; 16]),
            altered: 0,
            offset: number,
            extent: Extent::Rest,
            reason: "backup_gone".into(),
        };
        let facts = GapFacts {
            names: RecordNames { node: "cp-1", cluster: None, input: "api", output: "loki" },
            file: "audit-2026-11-21.log",
            bytes: 100 + number,
            at_least,
            times: 1,
            from: Some(1_000_000),
            to: None,
        };
        GapRecord::new(place, facts, "gone", 2_000_000).unwrap()
    }

    #[test]
    fn counts_are_kept_for_ever_and_the_last_gaps_one_by_one() {
        let mut losses = Losses::default();
        (0..50).for_each(|number| losses.add(&gap(number, number % 2 == 0)));
        let total = losses.totals["backup_gone"];
        assert_eq!((total.count, total.bytes), (50, 50 * 100 + 49 * 25));
        assert_eq!(losses.last.len(), LAST);
        let last = losses.last.back().unwrap();
        assert_eq!((last.bytes, last.at_least, &*last.file), (149, false, "audit-2026-11-21.log"));
        assert_eq!(last.from, Some(Time::from_nanos(1_000_000)));
        assert_eq!((last.to, last.detected), (None, Time::from_nanos(2_000_000)));
        let text = serde_json::to_string(&losses).unwrap();
        assert_eq!(serde_json::from_str::<Losses>(&text).unwrap(), losses);
    }

    /// A checkpoint as version 0.1.0 wrote it. New fields are added beside the old ones, which stay readable for that
    /// version.
    #[test]
    fn a_checkpoint_from_before_losses_were_kept_is_read_and_reads_as_before() {
        let old = r#"{"node":"cp-1","pairs":[{"input":"api","output":"loki","cursor":{"generations":
            {"a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7":{"offset":9000,"complete":true,"time":-3}}},"reserved":67108864,
            "scopes":["s"]}],"inputs":[]}"#;
        let state: State = serde_json::from_str(old).unwrap();
        let mut pair: Pair = state.pairs[0].clone();
        assert!(pair.losses.is_empty());
        let before = serde_json::to_value(&pair).unwrap();
        assert!(before.get("losses").is_none(), "nothing new where nothing was lost");
        pair.losses.add(&gap(1, false));
        let mut after = serde_json::to_value(&pair).unwrap();
        after.as_object_mut().unwrap().remove("losses").unwrap();
        assert_eq!(after, before);
    }
}
