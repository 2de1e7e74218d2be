//! The whole status as data: the body of `/status`, which `auditrail status` reads from the running agent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::number::Counts;
use super::{
    Check, DeliveredUpTo, ErrorSeen, EventResult, GapSeen, InForce, InputFinding, InputState,
    InputStats, LookupResult, PairState, PairStats, Telemetry, Time, Trail, TrailVerdict, Watch,
    Writing,
};
use crate::event::{GapReason, Label, RetryReason};

/// The number of errors shown.
const ERRORS: usize = 20;

/// The status at one time. Counts are since the process started, those of gaps since the state directory was created.
///
/// Many fields: one for each line of the status, as the JSON has them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Snapshot {
    pub(crate) node: String,
    pub(crate) cluster: Option<String>,
    pub(crate) version: String,
    /// `false` if no agent runs and `status` made this from the checkpoint.
    pub(crate) running: bool,
    pub(crate) started: Time,
    pub(crate) taken: Time,
    /// Absent in the answer of an earlier version.
    #[serde(default)]
    pub(crate) verdict: Option<TrailVerdict>,
    pub(crate) ready: bool,
    /// Why the agent is not ready, one sentence each.
    pub(crate) reasons: Vec<String>,
    pub(crate) inputs: Vec<InputView>,
    pub(crate) pairs: Vec<PairView>,
    pub(crate) disk: DiskView,
    /// The latest first.
    #[serde(default)]
    pub(crate) errors: Vec<ErrorSeen>,
    /// Absent if no agent runs.
    #[serde(default)]
    pub(crate) in_force: Option<InForce>,
    /// The part of the file that the last reload left out, and what to do; absent while all of it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reload_problem: Option<String>,
    /// The most memory that the configuration allows, in bytes.
    pub(crate) memory_bound_bytes: u64,
}

/// One input.
///
/// Many fields: one for each line of the status, as the JSON has them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct InputView {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) state: InputState,
    pub(crate) watch: Watch,
    pub(crate) bytes: u64,
    pub(crate) events: u64,
    pub(crate) last_event: Option<Time>,
    #[serde(default)]
    pub(crate) last_write: Option<Time>,
    pub(crate) generations: u64,
    pub(crate) backups: u64,
    /// Pins (hard links in the hold directory), bytes on disk of all pinned files, and of those that only the pin
    /// keeps.
    pub(crate) pins: u64,
    pub(crate) pinned_bytes: u64,
    pub(crate) hold_bytes: u64,
    pub(crate) torn_lines: u64,
    pub(crate) over_long_lines: u64,
    pub(crate) unreadable_lines: u64,
    pub(crate) hole_bytes: u64,
    /// Conditions that keep events from arriving or put them at risk, the worst first.
    #[serde(default)]
    pub(crate) findings: Vec<InputFinding>,
}

/// The gaps of one reason.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct GapView {
    pub(crate) reason: GapReason,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

/// One pipeline.
///
/// Many fields: one for each line of the status, as the JSON has them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct PairView {
    pub(crate) input: String,
    pub(crate) output: String,
    #[serde(flatten)]
    pub(crate) state: PairState,
    pub(crate) delivered: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
    /// Events that wait for the operator to fix something.
    #[serde(default)]
    pub(crate) waiting_events: u64,
    pub(crate) dead_letters: u64,
    pub(crate) dead_letter_bytes: u64,
    pub(crate) dead_letters_damaged: u64,
    #[serde(default)]
    pub(crate) dead_letters_oldest: Option<Time>,
    pub(crate) lag_bytes: u64,
    pub(crate) lag_seconds: f64,
    /// Time until a backup that is not acknowledged is deleted; absent if none is pending.
    pub(crate) time_to_loss_seconds: Option<f64>,
    pub(crate) last_success: Option<Time>,
    pub(crate) in_flight: u64,
    /// Only reasons that have occurred.
    pub(crate) retries: Vec<(RetryReason, u64)>,
    /// Only results that have occurred.
    pub(crate) lookups: Vec<(LookupResult, u64)>,
    /// Only reasons that have occurred.
    pub(crate) gaps: Vec<GapView>,
    /// Whether anything is known to be missing in the back end.
    #[serde(default)]
    pub(crate) trail: Trail,
    /// The latest at the end.
    #[serde(default)]
    pub(crate) last_gaps: Vec<GapSeen>,
    pub(crate) cursor: Option<CursorView>,
}

/// The position up to which an output has acknowledged everything.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct CursorView {
    /// Fingerprint of the generation: 32 hexadecimal digits.
    pub(crate) generation: String,
    pub(crate) file: Option<String>,
    pub(crate) offset: u64,
    pub(crate) event_time: Option<Time>,
}

/// The checkpoint and the state directory.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct DiskView {
    pub(crate) checkpoint_saved: Option<Time>,
    pub(crate) checkpoint_error: Option<String>,
    pub(crate) checkpoint_errors: u64,
    pub(crate) state_bytes: u64,
    /// Free bytes on its file system; 0 if nobody has looked yet.
    #[serde(default)]
    pub(crate) free_bytes: u64,
    pub(crate) spent: Option<String>,
    /// The checkpoint that failed authentication at the last start, and the evidence.
    #[serde(default)]
    pub(crate) checkpoint_forged: Option<String>,
}

impl Telemetry {
    /// The status at `now`, which the caller takes from the clock.
    pub(crate) fn snapshot(&self, now: Time, unready_after: Duration) -> Snapshot {
        let identity = &self.0.identity;
        let disk = self.disk();
        let checks = self.checks(now, unready_after);
        let verdict = Some(self.verdict_of(&checks, now));
        let reasons = problems(checks);
        Snapshot {
            node: identity.node.clone(),
            cluster: identity.cluster.clone(),
            version: identity.version.into(),
            running: true,
            started: self.0.started,
            taken: now,
            verdict,
            ready: reasons.is_empty(),
            reasons,
            inputs: self.inputs().iter().map(|input| InputView::of(input)).collect(),
            pairs: self.pairs().iter().map(|pair| PairView::of(pair, now)).collect(),
            disk: DiskView {
                checkpoint_saved: disk.checkpoint_saved.get(),
                checkpoint_error: disk.checkpoint_error(),
                checkpoint_errors: disk.checkpoint_errors.get(),
                state_bytes: disk.state_bytes.get(),
                free_bytes: disk.free_bytes.get(),
                spent: disk.spent(),
                checkpoint_forged: disk.forged(),
            },
            errors: self.errors(false),
            in_force: self.in_force(),
            reload_problem: self.0.reload.problem(),
            memory_bound_bytes: self.0.memory_bound.get(),
        }
    }
}

impl Telemetry {
    /// The status without the wording of a back end's answers, only their class: safe to show to anybody.
    pub(crate) fn public_snapshot(&self, now: Time, unready_after: Duration) -> Snapshot {
        let mut snapshot = self.snapshot(now, unready_after);
        let checks = self.public_checks(now, unready_after);
        snapshot.verdict = Some(self.verdict_of(&checks, now));
        snapshot.errors = self.errors(true);
        snapshot.reasons = problems(checks);
        snapshot.ready = snapshot.reasons.is_empty();
        for pair in &mut snapshot.pairs {
            pair.state = std::mem::take(&mut pair.state).public();
        }
        snapshot
    }
}

impl Telemetry {
    /// The last errors of this process, the latest first.
    pub(super) fn errors(&self, public: bool) -> Vec<ErrorSeen> {
        let mut errors = self.disk().errors.list("state directory", public);
        for input in self.inputs() {
            errors.extend(input.errors.list(&format!("input {}", input.name), public));
        }
        for pair in self.pairs() {
            errors.extend(pair.errors.list(&pair.title(), public));
        }
        errors.sort_by_key(|error| std::cmp::Reverse(error.last));
        errors.truncate(ERRORS);
        errors
    }
}

fn problems(checks: Vec<Check>) -> Vec<String> {
    checks.into_iter().filter_map(|check| check.problem).collect()
}

impl InputView {
    /// Whether the API server still writes to the log.
    pub(crate) fn writing(&self, now: Time) -> Writing {
        Writing::of(self.last_write, now)
    }

    fn of(input: &InputStats) -> Self {
        Self {
            name: input.name.as_ref().into(),
            state: input.state(),
            watch: input.watch(),
            bytes: input.bytes.get(),
            events: input.events.get(),
            last_event: input.last_event.get(),
            last_write: input.last_write.get(),
            generations: input.generations.get(),
            backups: input.backups.get(),
            pins: input.pins.get(),
            pinned_bytes: input.pinned_bytes.get(),
            hold_bytes: input.hold_bytes.get(),
            torn_lines: input.torn_lines.get(),
            over_long_lines: input.over_long_lines.get(),
            unreadable_lines: input.unreadable_lines.get(),
            hole_bytes: input.hole_bytes.get(),
            findings: input.findings(),
        }
    }
}

impl PairView {
    fn of(pair: &PairStats, now: Time) -> Self {
        let gap = |(reason, count)| {
            let bytes = pair.gap_bytes.of(reason).get();
            GapView { reason, count, bytes }
        };
        Self {
            input: pair.input.as_ref().into(),
            output: pair.output.as_ref().into(),
            state: pair.state(),
            delivered: pair.events.of(EventResult::Delivered).get(),
            refused: pair.events.of(EventResult::Refused).get(),
            dropped: pair.events.of(EventResult::Dropped).get(),
            waiting_events: pair.waiting(),
            dead_letters: pair.dead_letters.get(),
            dead_letter_bytes: pair.dead_letter_bytes.get(),
            dead_letters_damaged: pair.dead_letters_damaged.get(),
            dead_letters_oldest: pair.dead_letters_oldest.get(),
            lag_bytes: pair.lag_bytes.get(),
            lag_seconds: pair.lag(now).as_secs_f64(),
            time_to_loss_seconds: pair.time_to_loss().map(|left| left.as_secs_f64()),
            last_success: pair.last_success.get(),
            in_flight: pair.in_flight.get(),
            retries: occurred(&pair.retries),
            lookups: occurred(&pair.lookups),
            gaps: occurred(&pair.gaps).into_iter().map(gap).collect(),
            trail: pair.trail(),
            last_gaps: pair.last_gaps(),
            cursor: pair.cursor().map(CursorView::from),
        }
    }
}

impl From<DeliveredUpTo> for CursorView {
    fn from(cursor: DeliveredUpTo) -> Self {
        Self {
            generation: format!("{:032x}", u128::from_be_bytes(cursor.generation)),
            file: cursor.file.map(|file| file.as_ref().into()),
            offset: cursor.offset,
            event_time: cursor.event_time,
        }
    }
}

fn occurred<L: Label>(counts: &Counts<L>) -> Vec<(L, u64)> {
    L::ALL.iter().map(|&label| (label, counts.of(label).get())).filter(|&(_, n)| n > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, busy};
    use super::*;

    #[test]
    fn a_status_survives_the_way_through_the_socket() {
        let snapshot = busy().snapshot(at(60), Duration::from_mins(1));
        let text = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
    }

    #[test]
    fn the_json_names_states_reasons_and_cursors_as_a_script_would_look_for_them() {
        let snapshot = busy().snapshot(at(60), Duration::from_mins(1));
        let json = serde_json::to_value(&snapshot).unwrap();
        assert_eq!(json["ready"], false);
        assert_eq!(json["inputs"][0]["state"], "ok");
        assert_eq!(json["pairs"][0]["gaps"][0]["reason"], "torn_line");
        assert_eq!(json["pairs"][0]["state"], "running");
        assert_eq!(json["pairs"][0]["lag_seconds"], 1.0);
        assert_eq!(json["pairs"][0]["cursor"]["generation"], "a7".repeat(16));
        assert_eq!(json["pairs"][0]["cursor"]["event_time"], "2025-11-21T08:00:59Z");
        assert_eq!(json["pairs"][1]["state"], "retrying");
        assert_eq!(json["pairs"][1]["reason"], "connect");
        assert_eq!(json["pairs"][1]["retries"], serde_json::json!([["connect", 1]]));
        assert_eq!(json["pairs"][2]["state"], "stopped");
    }
}
