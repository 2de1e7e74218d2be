//! The preflight of a replay: what Loki would refuse or hide of events of a time range, reported before the first
//! push.
//!
//! It stores nothing: it asks what `check` asks, and reads Loki's settings once.

use std::ops::Range;

use super::limits::{Settings, Word};
use super::{Loki, check, limits, now};
use crate::event::Nanos;
use crate::output::finding::Finding;

const MINUTE: Nanos = 60_000_000_000;
const HOUR: Nanos = 60 * MINUTE;
const DAY: Nanos = 24 * HOUR;

/// Runs the preflight for events in this time range.
pub(in crate::output) async fn preflight(loki: &Loki, times: Range<Nanos>) -> Vec<Finding> {
    let mut findings = check::reach(loki).await;
    if findings.iter().any(Finding::is_failure) {
        return findings;
    }
    let settings = match limits::settings(loki).await {
        Ok(settings) => settings,
        Err(why) => {
            findings.push(Finding::warn(
                format!("Loki does not show its settings at /config, so auditrail cannot tell what it would refuse: {why}"),
                "compare `limits_config` with the age of these events, or let the first refusals show it",
            ));
            Settings::default()
        }
    };
    let replay = Replay { times, now: now(), metadata: !loki.config.metadata.is_empty() };
    findings.extend(check::limits(&settings, replay.age()));
    findings.extend(replay.findings(&settings));
    findings
}

/// The events of a replay, as far as the preflight looks at them.
struct Replay {
    times: Range<Nanos>,
    now: Nanos,
    /// Whether the agent sends structured metadata with the lines.
    metadata: bool,
}

impl Replay {
    fn findings(&self, settings: &Settings) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.too_old(settings));
        findings.extend(self.too_new(settings));
        findings.extend(self.before_the_schema(settings));
        findings.extend(out_of_order(settings));
        findings.extend(self.cut(settings));
        findings.extend(self.hidden(settings));
        findings
    }

    /// The age of the oldest event.
    fn age(&self) -> Nanos {
        self.now.saturating_sub(self.times.start)
    }

    fn too_old(&self, settings: &Settings) -> Option<Finding> {
        let most = settings.limit("reject_old_samples_max_age").limit()?;
        if settings.limit("reject_old_samples").flag() == Some(false) || self.age() <= most {
            return None;
        }
        Some(Finding::fail(
            format!(
                "Loki refuses events older than {} (`reject_old_samples_max_age`), and the oldest here is {} old",
                settings.limit("reject_old_samples_max_age"),
                shown(self.age())
            ),
            format!(
                "set `limits_config.reject_old_samples_max_age: {}` in Loki until the replay is over, in the tenant's overrides too \
                 where those name it, or leave out older events with --since {}",
                hours(self.age()),
                stamp(self.now - most + 10 * MINUTE)
            ),
        ))
    }

    fn too_new(&self, settings: &Settings) -> Option<Finding> {
        let grace = &settings.limit("creation_grace_period");
        let latest = self.now.saturating_add(grace.limit()?);
        (self.times.end > latest).then(|| {
            Finding::fail(
                format!(
                    "Loki refuses events more than {grace} ahead of its clock (`creation_grace_period`), and the newest here is of {}",
                    stamp(self.times.end)
                ),
                format!(
                    "check the clocks of this machine and of the log's, or leave out newer events with --until {}",
                    stamp(latest)
                ),
            )
        })
    }

    /// Loki refuses a new stream with such events with 500 for ever; for an existing stream it accepts them and loses
    /// them.
    fn before_the_schema(&self, settings: &Settings) -> Option<Finding> {
        let from = settings.periods().filter_map(|from| day(&from)).min()?;
        (self.times.start < from).then(|| {
            Finding::fail(
                format!(
                    "Loki cannot store events from before {} (the first `schema_config.configs.from`), and the oldest here is of {}",
                    stamp(from),
                    stamp(self.times.start)
                ),
                format!(
                    "put a period in front in `schema_config` that begins earlier, or leave out older events with --since {}",
                    stamp(from)
                ),
            )
        })
    }

    fn cut(&self, settings: &Settings) -> Vec<Finding> {
        let mut findings = Vec::new();
        let longest = settings.limit("max_line_size").bytes().filter(|bytes| *bytes > 0.0);
        if settings.limit("max_line_size_truncate").flag() == Some(true) && longest.is_some() {
            findings.push(Finding::fail(
                format!("Loki cuts lines over {} (`max_line_size_truncate`), so it would store only the beginning of long events", settings.limit("max_line_size")),
                "set `limits_config.max_line_size_truncate: false` in Loki: it then refuses longer lines, and they become dead letters",
            ));
        }
        if self.metadata && settings.limit("allow_structured_metadata").flag() == Some(false) {
            findings.push(Finding::fail(
                "Loki takes no structured metadata",
                "set `limits_config.allow_structured_metadata: true` in Loki, or `metadata = []` on this output",
            ));
        }
        findings
    }

    /// Warns if queries do not see these events: a look-up would not find them, and they would be sent again.
    fn hidden(&self, settings: &Settings) -> Option<Finding> {
        let lookback = &settings.limit("max_query_lookback");
        lookback.limit().is_some_and(|most| self.age() > most).then(|| {
            Finding::warn(
                format!("queries see nothing older than {lookback} (`max_query_lookback`), so a look-up does not find older events that Loki already holds"),
                format!("set `limits_config.max_query_lookback` in Loki to 0, or to {} at least", hours(self.age())),
            )
        })
    }
}

fn out_of_order(settings: &Settings) -> Option<Finding> {
    (settings.limit("unordered_writes").flag() == Some(false)).then(|| {
        Finding::fail(
            "Loki takes no event that is older than the last one of its stream (`unordered_writes: false`), and audit events are not in order of time",
            "set `limits_config.unordered_writes: true` in Loki",
        )
    })
}

/// A setting that covers this age, in a unit that all of Loki's settings accept.
fn hours(age: Nanos) -> String {
    format!("{}h", age / HOUR + 1)
}

/// A duration for people: days, hours or minutes.
fn shown(span: Nanos) -> String {
    match span {
        DAY.. if span / DAY > 1 => format!("{} days", span / DAY),
        HOUR.. if span % HOUR == 0 || span / HOUR > 4 => format!("{}h", span / HOUR),
        _ => format!("{}m", span / MINUTE),
    }
}

/// A time in the format of `--since`.
fn stamp(time: Nanos) -> String {
    jiff::Timestamp::from_second(time.div_euclid(1_000_000_000))
        .map(|stamp| stamp.to_string())
        .unwrap_or_default()
}

/// The beginning of a day, in UTC.
fn day(date: &Word) -> Option<Nanos> {
    let date: jiff::civil::Date = date.0.get(..10)?.parse().ok()?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    i64::try_from(start.timestamp().as_nanosecond()).ok()
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
