//! Statistics of one pipeline, which joins one input to one output, and its state.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::errors::{ErrorList, Failing};
use super::gaps::{GapList, GapSeen};
use super::human;
use super::input::InputStats;
use super::number::{CounterValue, Counts, GaugeValue, Histogram, Stamp};
use super::pair_state::PairState;
use super::requests::Requests;
use super::time::Time;
use crate::event::{GapReason, Label as _, RetryReason, TRANSFORM_ACTIONS, labels};

/// Longest answer of a back end that the status shows, in characters.
const ANSWER_MAX: usize = 300;

/// Upper bounds, in seconds, of the time from event to acknowledgement: from a local back end that answers at once to
/// a backlog of an hour.
const LATENCY: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

labels! {
    /// The outcome of an event.
    pub(crate) EventResult {
        Delivered = "delivered",
        /// The output refused it for good; it is stored as a dead letter with the answer.
        Refused = "refused",
        /// Left out because the configuration says so.
        Dropped = "dropped",
    }
}

labels! {
    /// The result of looking up an event in doubt.
    pub(crate) LookupResult {
        /// The event is stored.
        Found = "found",
        /// The event is not stored, and is sent again.
        Missing = "missing",
        /// The back end cannot be queried; the event is sent again, which may make a duplicate.
        Unavailable = "unavailable",
        /// Another document has its id; the event is sent under another one.
        Other = "other",
    }
}

labels! {
    /// What became of a heartbeat.
    pub(crate) HeartbeatResult {
        Delivered = "delivered",
        /// It was sent, and the output did not confirm it. It is not sent again.
        Failed = "failed",
        /// It was not sent, because the output takes nothing at the moment.
        Dropped = "dropped",
    }
}

/// The position in an input up to which an output has acknowledged everything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DeliveredUpTo {
    /// The fingerprint of the generation.
    pub(crate) generation: [u8; 16],
    /// Name of the file that holds the generation, if known.
    pub(crate) file: Option<Arc<str>>,
    /// Decompressed bytes.
    pub(crate) offset: u64,
    /// Event time of the last acknowledged event.
    pub(crate) event_time: Option<Time>,
}

/// Counts since the process started, except gaps: they count since the state directory was created.
///
/// Many fields: one for each metric.
#[derive(Debug, Default)]
pub(crate) struct PairStats {
    pub(super) input_stats: Arc<InputStats>,
    pub(crate) input: Arc<str>,
    pub(crate) output: Arc<str>,
    pub(crate) events: Counts<EventResult>,
    /// By action of a transform step.
    pub(crate) actions: [CounterValue; TRANSFORM_ACTIONS],
    pub(crate) retries: Counts<RetryReason>,
    pub(crate) lookups: Counts<LookupResult>,
    pub(super) gaps: Counts<GapReason>,
    pub(super) gap_bytes: Counts<GapReason>,
    pub(super) gap_list: GapList,
    /// The lag: decompressed bytes on disk that are not acknowledged.
    pub(crate) lag_bytes: GaugeValue,
    /// Event time of the oldest event that is not acknowledged.
    pub(crate) oldest_pending: Stamp,
    pub(crate) last_success: Stamp,
    /// In seconds; [`u64::MAX`]: no backup is at risk.
    time_to_loss: GaugeValue,
    /// Time from event to acknowledgement.
    pub(crate) latency: Histogram,
    pub(crate) requests: Requests,
    pub(crate) in_flight: GaugeValue,
    /// Dead letters: their number, their bytes on disk, and how many stretches of them are damaged.
    pub(crate) dead_letters: GaugeValue,
    pub(crate) dead_letter_bytes: GaugeValue,
    pub(crate) dead_letters_damaged: GaugeValue,
    /// When the oldest dead letter was first refused.
    pub(super) dead_letters_oldest: Stamp,
    pub(crate) heartbeats: HeartbeatStats,
    pub(super) errors: ErrorList,
    /// These locks are taken once per request and when shown, never for an event, and only to move a value.
    state: Mutex<PairState>,
    /// Events that the output refuses for a reason that the operator has to fix, while it may accept others.
    waiting: Mutex<WaitingEvents>,
    cursor: Mutex<Option<DeliveredUpTo>>,
}

/// The heartbeats of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct HeartbeatStats {
    pub(super) results: Counts<HeartbeatResult>,
    pub(super) last_success: Stamp,
    /// When the first one after that was not stored.
    pub(super) missing_since: Stamp,
}

impl HeartbeatStats {
    /// Counts a heartbeat; returns whether the one before was not stored.
    pub(crate) fn count(&self, now: Time, result: HeartbeatResult) -> bool {
        let was_missing = self.missing_since.get();
        self.results.of(result).inc();
        match result {
            HeartbeatResult::Delivered => {
                self.last_success.set(Some(now));
                self.missing_since.set(None);
            }
            HeartbeatResult::Failed | HeartbeatResult::Dropped => {
                self.missing_since.set(was_missing.or(Some(now)));
            }
        }
        was_missing.is_some()
    }
}

/// The number of events that wait for the operator, and why the first of them does.
#[derive(Debug, Default)]
struct WaitingEvents {
    events: u64,
    why: Option<(Time, String, String)>,
}

impl PairStats {
    pub(super) fn new(input: Arc<InputStats>, output: &str) -> Self {
        Self {
            input: Arc::clone(&input.name),
            input_stats: input,
            output: output.into(),
            time_to_loss: GaugeValue::of(u64::MAX),
            latency: Histogram::new(&LATENCY),
            ..Self::default()
        }
    }

    /// `output loki of input apiserver`.
    pub(crate) fn title(&self) -> String {
        format!("output {} of input {}", self.output, self.input)
    }

    /// Counts a gap and adds it to the list of the last gaps.
    pub(crate) fn gap_seen(&self, gap: GapSeen) {
        self.restore_gaps(&gap.reason, 1, gap.bytes);
        self.gap_list.add(gap);
    }

    /// Adds the counts of an earlier process. A reason that only a later version knows is left out.
    pub(crate) fn restore_gaps(&self, reason: &str, count: u64, bytes: u64) {
        if let Some(&reason) = GapReason::ALL.iter().find(|known| known.text() == reason) {
            self.gaps.of(reason).add(count);
            self.gap_bytes.of(reason).add(bytes);
        }
    }

    /// Adds a gap of an earlier process to the list, without counting it again.
    pub(crate) fn restore_gap(&self, gap: GapSeen) {
        self.gap_list.add(gap);
    }

    /// The last gaps, the latest at the end.
    pub(crate) fn last_gaps(&self) -> Vec<GapSeen> {
        self.gap_list.last()
    }

    /// Records that an event of this time is acknowledged; only the first call counts.
    pub(crate) fn begins(&self, time: Time) {
        self.gap_list.begins(time);
    }

    /// Number and bytes of the gaps with this reason.
    #[cfg(test)]
    pub(crate) fn gap_count(&self, reason: GapReason) -> (u64, u64) {
        (self.gaps.of(reason).get(), self.gap_bytes.of(reason).get())
    }

    pub(crate) fn set_letters(&self, letters: u64, bytes: u64, damaged: u64, oldest: Option<Time>) {
        self.dead_letters.set(letters);
        self.dead_letter_bytes.set(bytes);
        self.dead_letters_damaged.set(damaged);
        self.dead_letters_oldest.set(oldest);
    }

    /// The output accepted a request.
    pub(crate) fn running(&self) {
        *held(&self.state) = PairState::Running;
    }

    /// Counts a retry. The state keeps the time since which there were only retries.
    pub(crate) fn retrying(&self, now: Time, reason: RetryReason, answer: &str) {
        self.retries.of(reason).inc();
        let mut state = held(&self.state);
        let since = match *state {
            PairState::Retrying { since, .. } => since,
            _ => now,
        };
        let answer = human::line(answer, ANSWER_MAX);
        *state = PairState::Retrying { since, reason, answer };
        self.errors.note(Failing::Output(state.clone()), now);
    }

    /// The output accepts nothing at the moment, and the agent tries again.
    pub(crate) fn is_retrying(&self) -> bool {
        matches!(*held(&self.state), PairState::Retrying { .. })
    }

    pub(crate) fn stopped(&self, now: Time, answer: &str, hint: &str) {
        let (answer, hint) = (human::line(answer, ANSWER_MAX), human::line(hint, ANSWER_MAX));
        let state = PairState::Stopped { since: now, answer, hint };
        self.errors.note(Failing::Output(state.clone()), now);
        *held(&self.state) = state;
    }

    pub(crate) fn draining(&self) {
        *held(&self.state) = PairState::Draining;
    }

    pub(crate) fn not_running(&self) {
        *held(&self.state) = PairState::NotRunning;
    }

    /// Sets the number of events that wait for the operator, and since when and why the first of them does.
    pub(crate) fn set_waiting(&self, events: u64, why: Option<(Time, &str, &str)>) {
        let why = why.map(|(since, answer, hint)| {
            (since, human::line(answer, ANSWER_MAX), human::line(hint, ANSWER_MAX))
        });
        if let Some((since, answer, hint)) = why.clone() {
            let waits = PairState::Stopped { since, answer, hint };
            self.errors.lasts(Failing::Output(waits), since, since);
        }
        *held(&self.waiting) = WaitingEvents { events, why };
    }

    /// Number of events that wait for the operator.
    pub(crate) fn waiting(&self) -> u64 {
        held(&self.waiting).events
    }

    /// The state. It is `Stopped` as long as any event waits for the operator, even if others are delivered.
    pub(crate) fn state(&self) -> PairState {
        let state = held(&self.state).clone();
        match (&state, &*held(&self.waiting)) {
            (PairState::Draining, _) | (_, WaitingEvents { why: None, .. }) => state,
            (_, WaitingEvents { events, why: Some((since, answer, hint)) }) => PairState::Stopped {
                since: *since,
                answer: answer.clone(),
                hint: match events {
                    1 => format!("{hint} (1 event waits)"),
                    _ => format!("{hint} ({} events wait)", human::count(*events)),
                },
            },
        }
    }

    pub(crate) fn set_cursor(&self, cursor: DeliveredUpTo) {
        *held(&self.cursor) = Some(cursor);
    }

    /// Sets the file name of the cursor if it has none: after a start only the generation is known.
    pub(crate) fn name_cursor(&self, file_of: impl FnOnce([u8; 16]) -> Option<Arc<str>>) {
        if let Some(cursor) = held(&self.cursor).as_mut().filter(|cursor| cursor.file.is_none()) {
            cursor.file = file_of(cursor.generation);
        }
    }

    pub(crate) fn cursor(&self) -> Option<DeliveredUpTo> {
        held(&self.cursor).clone()
    }

    /// Sets the time until a backup that is not acknowledged is deleted, at the present write rate; `None` if none is
    /// pending.
    pub(crate) fn set_time_to_loss(&self, left: Option<Duration>) {
        self.time_to_loss.set(left.map_or(u64::MAX, |left| left.as_secs()));
    }

    pub(crate) fn time_to_loss(&self) -> Option<Duration> {
        Some(self.time_to_loss.get()).filter(|&left| left != u64::MAX).map(Duration::from_secs)
    }

    /// Age of the oldest event that is not acknowledged; zero if there is none.
    pub(crate) fn lag(&self, now: Time) -> Duration {
        let oldest = self.oldest_pending.get().filter(|_| self.lag_bytes.get() > 0);
        oldest.map_or(Duration::ZERO, |oldest| now.since(oldest))
    }
}

/// Takes a lock even if it is poisoned: holders only move values, so the value is intact.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_counts_from_its_first_retry_and_ends_with_a_success() {
        let pair = PairStats::new(Arc::new(InputStats::new("apiserver")), "loki");
        let at = |second: i64| Time::from_nanos(second * 1_000_000_000);
        pair.retrying(at(1), RetryReason::Connect, "refused");
        pair.retrying(at(9), RetryReason::Timeout, "no answer");
        let PairState::Retrying { since, reason, .. } = pair.state() else { panic!("{pair:?}") };
        assert_eq!((since, reason), (at(1), RetryReason::Timeout));
        pair.running();
        pair.retrying(at(20), RetryReason::Connect, "refused");
        assert!(matches!(pair.state(), PairState::Retrying { since, .. } if since == at(20)));
        assert_eq!(pair.retries.of(RetryReason::Connect).get(), 2);
    }

    #[test]
    fn lag_is_zero_once_nothing_is_pending_even_if_the_last_event_was_long_ago() {
        let pair = PairStats::new(Arc::new(InputStats::new("apiserver")), "loki");
        pair.oldest_pending.set(Some(Time::from_nanos(0)));
        pair.lag_bytes.set(1);
        assert_eq!(pair.lag(Time::from_nanos(3_000_000_000)), Duration::from_secs(3));
        pair.lag_bytes.set(0);
        assert_eq!(pair.lag(Time::from_nanos(3_000_000_000)), Duration::ZERO);
    }
}
