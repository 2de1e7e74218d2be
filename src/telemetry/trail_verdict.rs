//! The verdict on the whole agent: is the trail whole, behind, stopped, or does it have holes; since when, and why.
//!
//! This is the only place that judges. The page, `auditrail status`, `/readyz?verbose` and the metric
//! `auditrail_trail_state` show what it says. The worst of these wins:
//!
//! 1. *stopped*: a readiness check fails, so `/readyz` is red. Events do not arrive, or soon will not.
//! 2. *holes*: something is known to be missing in a store, so `auditrail_output_whole` is 0.
//! 3. *behind*: an output's oldest event that is not acknowledged is older than [`BEHIND`], or a backup that an output
//!    still needs is deleted within [`LOSS_AHEAD`].
//! 4. *whole*: none of these.
//!
//! The alert rules use the same conditions and the same times, and wait some minutes before they fire.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::health::Check;
use super::human;
use super::input::InputStats;
use super::pair::PairStats;
use super::time::Time;
use super::writing::Writing;
use crate::event::labels;

/// An output whose oldest event is older is behind. The alert `AuditrailOutputBehind` has the same time.
const BEHIND: Duration = Duration::from_mins(10);

/// Time to act before a backup is lost. The alert `AuditrailLossAhead` has the same time.
const LOSS_AHEAD: Duration = Duration::from_hours(6);

labels! {
    /// What the verdict says; the worst first.
    pub(crate) TrailState {
        Stopped = "stopped",
        Holes = "holes",
        Behind = "behind",
        Whole = "whole",
    }
}

/// The verdict: the state of the trail, since when, and why in one sentence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct TrailVerdict {
    pub(crate) state: TrailState,
    /// *stopped*: when the trouble began. *holes*: when the first known one was found. *behind*: time of the oldest
    /// event that waits. *whole*: time of the first event, or of the first one after the last gap.
    pub(crate) since: Option<Time>,
    pub(crate) why: String,
}

impl TrailVerdict {
    pub(super) fn of(
        checks: &[Check],
        inputs: &[Arc<InputStats>],
        pairs: &[Arc<PairStats>],
        now: Time,
    ) -> Self {
        stopped(checks)
            .or_else(|| holes(pairs))
            .or_else(|| behind(pairs, now))
            .unwrap_or_else(|| whole(inputs, pairs, now))
    }

    /// No agent runs; `saved` is the time of its last checkpoint.
    pub(crate) fn without_agent(saved: Option<Time>, why: String) -> Self {
        Self { state: TrailState::Stopped, since: saved, why }
    }
}

/// `whole since 2026-11-21T08:00:00Z: every output has acknowledged every event`.
impl fmt::Display for TrailVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        if let Some(since) = self.since {
            let word = if self.state == TrailState::Behind { "from" } else { "since" };
            write!(f, " {word} {since:.0}")?;
        }
        write!(f, ": {}", human::line(&self.why, 1000))
    }
}

/// The check that has failed for the longest time.
fn stopped(checks: &[Check]) -> Option<TrailVerdict> {
    let failed = checks.iter().filter_map(|check| Some((check.since, check.problem.as_ref()?)));
    let (since, why) = failed.min_by_key(|(since, _)| (since.is_none(), *since))?;
    Some(TrailVerdict { state: TrailState::Stopped, since, why: why.clone() })
}

/// The pair whose first hole was found first.
fn holes(pairs: &[Arc<PairStats>]) -> Option<TrailVerdict> {
    let torn = pairs.iter().filter(|pair| !pair.trail().whole);
    let found = torn.map(|pair| (pair.first_hole(), pair));
    let (since, pair) = found.min_by_key(|(since, _)| (since.is_none(), *since))?;
    let why = format!("{} lacks a part of the log: {}", pair.title(), pair.trail().missing());
    Some(TrailVerdict { state: TrailState::Holes, since, why })
}

/// The pair with the largest lag.
fn behind(pairs: &[Arc<PairStats>], now: Time) -> Option<TrailVerdict> {
    let is_late = |pair: &&Arc<PairStats>| {
        pair.lag(now) > BEHIND || pair.time_to_loss().is_some_and(|left| left < LOSS_AHEAD)
    };
    let pair = pairs.iter().filter(is_late).max_by_key(|pair| pair.lag(now))?;
    let why = format!(
        "{} has not acknowledged {}; the oldest event is {} old",
        pair.title(),
        human::size(pair.lag_bytes.get()),
        human::duration(pair.lag(now))
    );
    let loss = pair.time_to_loss().map(|left| {
        format!(", and a backup that it needs is deleted in {}", human::duration(left))
    });
    let why = why + &loss.unwrap_or_default();
    let since = pair.oldest_pending.get();
    Some(TrailVerdict { state: TrailState::Behind, since, why })
}

fn whole(inputs: &[Arc<InputStats>], pairs: &[Arc<PairStats>], now: Time) -> TrailVerdict {
    let since = pairs.iter().filter_map(|pair| pair.trail().since).max();
    let silent =
        inputs.iter().find(|input| Writing::of(input.last_write.get(), now) == Writing::Silent);
    let lag = pairs.iter().map(|pair| pair.lag(now)).max().unwrap_or_default();
    let waiting = pairs.iter().map(|pair| pair.lag_bytes.get()).max().unwrap_or_default();
    let known = if since.is_none() {
        "no event is delivered yet, and none is known to be lost".to_owned()
    } else if waiting == 0 && lag.is_zero() {
        "every output has acknowledged every event".into()
    } else {
        let (size, age) = (human::size(waiting), human::duration(lag));
        format!("nothing is missing; {size} are under way, and the oldest event is {age} old")
    };
    let why = match silent {
        Some(input) => format!("{known}; but {}", input.silence(now)),
        None => known,
    };
    TrailVerdict { state: TrailState::Whole, since, why }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, busy};
    use super::super::{FindingKind, GapSeen, Identity, InputFinding, Telemetry};
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn told(telemetry: &Telemetry, seconds: i64) -> (TrailState, Option<Time>, String) {
        let TrailVerdict { state, since, why } = telemetry.verdict(at(seconds), MINUTE);
        (state, since, why)
    }

    fn idle() -> Telemetry {
        Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0" })
    }

    #[test]
    fn an_agent_that_delivers_everything_is_whole_since_the_first_event() {
        let telemetry = idle();
        let pair = telemetry.pair("api", "loki");
        let (state, since, why) = told(&telemetry, 0);
        assert_eq!((state, since), (TrailState::Whole, None));
        assert_eq!(why, "no event is delivered yet, and none is known to be lost");
        pair.begins(at(-100));
        telemetry.pair("api", "archive").begins(at(-50));
        let expected = "every output has acknowledged every event".to_owned();
        assert_eq!(told(&telemetry, 0), (TrailState::Whole, Some(at(-50)), expected));
        telemetry.input("api").last_write.set(Some(at(-1260)));
        let expected = "every output has acknowledged every event; but nothing was written to the log of api for 21m";
        assert_eq!(told(&telemetry, 0).2, expected);
    }

    #[test]
    fn a_lag_beyond_ten_minutes_and_a_loss_within_hours_are_behind() {
        let telemetry = idle();
        let pair = telemetry.pair("api", "loki");
        pair.begins(at(-5000));
        pair.lag_bytes.set(2048);
        pair.oldest_pending.set(Some(at(-600)));
        assert_eq!(told(&telemetry, 0).0, TrailState::Whole);
        let (state, since, why) = told(&telemetry, 1);
        assert_eq!((state, since), (TrailState::Behind, Some(at(-600))));
        assert_eq!(
            why,
            "output loki of input api has not acknowledged 2 KiB; the oldest event is 10m 1s old"
        );
        pair.oldest_pending.set(Some(at(0)));
        pair.set_time_to_loss(Some(Duration::from_hours(6)));
        assert_eq!(told(&telemetry, 1).0, TrailState::Whole);
        pair.set_time_to_loss(Some(Duration::from_hours(5)));
        let (state, _, why) = told(&telemetry, 1);
        assert_eq!(state, TrailState::Behind);
        assert!(why.ends_with("and a backup that it needs is deleted in 5h"), "{why}");
    }

    #[test]
    fn a_gap_or_a_dead_letter_makes_holes_even_if_an_output_is_behind() {
        let telemetry = idle();
        let pair = telemetry.pair("api", "loki");
        pair.lag_bytes.set(2048);
        pair.oldest_pending.set(Some(at(-6000)));
        pair.set_letters(1, 100, 0, Some(at(-30)));
        let (state, since, why) = told(&telemetry, 0);
        assert_eq!((state, since), (TrailState::Holes, Some(at(-30))));
        assert_eq!(why, "output loki of input api lacks a part of the log: 1 dead letter waiting");
        for (from, detected) in [(-90, -60), (-20, -10)] {
            pair.gap_seen(GapSeen {
                reason: "backup_gone".into(),
                file: "audit.log".into(),
                bytes: 1,
                at_least: true,
                from: Some(at(from)),
                to: None,
                detected: at(detected),
            });
        }
        assert_eq!(told(&telemetry, 0).1, Some(at(-60)), "the first hole");
    }

    #[test]
    fn whatever_turns_readyz_red_is_stopped_since_it_began_and_wins() {
        let telemetry = busy();
        let (state, since, why) = told(&telemetry, 60);
        assert_eq!((state, since), (TrailState::Stopped, Some(at(-65))));
        assert!(why.starts_with("output search of input apiserver has taken nothing for 2m 5s"));
        telemetry.pair("apiserver", "search").running();
        assert_eq!(told(&telemetry, 60).1, Some(at(0)), "the other one");
        telemetry.pair("apiserver", "archive").running();
        assert_eq!(told(&telemetry, 60).0, TrailState::Holes);
        let disk = telemetry.disk();
        disk.save_failed(at(30), "full".into());
        disk.save_failed(at(40), "full".into());
        assert_eq!(told(&telemetry, 60).1, Some(at(30)), "not since the last try");
        disk.saved(at(50));
        disk.set_spent(at(51), Some("full".into()));
        disk.set_spent(at(52), Some("full".into()));
        assert_eq!(told(&telemetry, 60).1, Some(at(51)));
        disk.set_spent(at(53), None);
        let missing = InputFinding::failure(FindingKind::LogMissing, "no log", "set `path`");
        let before = Time::now();
        telemetry.input("apiserver").set_finding(missing.kind, Some(missing));
        let (state, since, why) = told(&telemetry, 60);
        assert_eq!(
            (state, why.as_str()),
            (TrailState::Stopped, "input apiserver: no log: set `path`")
        );
        assert!(since.is_some_and(|since| since >= before && since <= Time::now()));
    }

    #[test]
    fn the_verdict_and_readyz_agree_whatever_the_trouble_is() {
        for seconds in [-60, -10, 0, 60, 5000] {
            let telemetry = busy();
            for mended in 0..3 {
                let is_ready = telemetry.readiness(at(seconds), MINUTE).is_empty();
                let stopped = told(&telemetry, seconds).0 == TrailState::Stopped;
                assert_eq!(stopped, !is_ready, "{seconds} {mended}");
                telemetry.pair("apiserver", ["archive", "search", "loki"][mended]).running();
            }
        }
    }

    #[test]
    fn the_alert_rules_use_the_same_times() {
        let rules = include_str!("../../etc/prometheus/auditrail.rules.yaml");
        for expression in [
            format!("auditrail_output_lag_seconds > {}\n", BEHIND.as_secs()),
            format!(
                "auditrail_output_time_to_loss_seconds < {} * 3600\n",
                LOSS_AHEAD.as_secs() / 3600
            ),
        ] {
            assert!(rules.contains(&expression), "{expression}");
        }
    }
}
