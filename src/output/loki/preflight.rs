//! The preflight of a replay: what Loki would refuse, hide or delete of events of a time range, reported before the
//! first push.
//!
//! The preflight asks Loki whether it accepts a push without streams and answers a query; it reads the rest from Loki's
//! settings. It stores nothing.
//!
//! It does not report whether the stream is already ahead of the events to be sent: [`super::presence::newest`] finds
//! that out, and `stream_per_hour` avoids the problem.

use std::ops::Range;

use super::limits::{Settings, Word};
use super::{Loki, check, limits, now};
use crate::event::Nanos;
use crate::output::finding::Finding;

const MINUTE: Nanos = 60_000_000_000;
const HOUR: Nanos = 60 * MINUTE;
const DAY: Nanos = 24 * HOUR;
/// The age of a chunk if Loki does not show it.
const CHUNK: Nanos = 2 * HOUR;
/// A rate limit below this deserves a warning, in bytes per second.
const SLOW: f64 = 32.0 * MIB;
/// Most bytes of a push of usual size, uncompressed.
const PUSH: f64 = MIB;
const MIB: f64 = 1_048_576.0;

/// Runs the preflight for events in this time range.
pub(super) async fn preflight(loki: &Loki, times: Range<Nanos>) -> Vec<Finding> {
    let mut findings = vec![check::push(loki).await];
    if findings.iter().any(Finding::is_failure) {
        return findings;
    }
    findings.push(check::read(loki).await);
    let settings = match limits::settings(loki).await {
        Ok(settings) => settings,
        Err(why) => {
            findings.push(Finding::warn(
                format!("Loki does not show its settings at /config, so what it would refuse is not known: {why}"),
                "compare `limits_config` with the age of these events, or let the first refusals show it",
            ));
            Settings::default()
        }
    };
    let replay = Replay { times, now: now(), metadata: !loki.config.metadata.is_empty() };
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
        findings.extend(rate(settings));
        findings.extend(self.streams(settings));
        findings.extend(self.hidden(settings));
        findings.extend(self.deleted(settings));
        findings
    }

    /// The age of the oldest event.
    fn age(&self) -> Nanos {
        self.now.saturating_sub(self.times.start)
    }

    fn too_old(&self, settings: &Settings) -> Option<Finding> {
        let limits = &settings.limits_config;
        let most = limits.reject_old_samples_max_age.limit()?;
        if limits.reject_old_samples.flag() == Some(false) || self.age() <= most {
            return None;
        }
        Some(Finding::fail(
            format!(
                "Loki refuses events older than {} (`reject_old_samples_max_age`), and the oldest here is {} old",
                limits.reject_old_samples_max_age,
                shown(self.age())
            ),
            format!(
                "set `limits_config.reject_old_samples_max_age: {}` in Loki until the replay is over, in the tenant's overrides too \
                 where those name it, or leave out what is older with --since {}",
                hours(self.age()),
                stamp(self.now - most + 10 * MINUTE)
            ),
        ))
    }

    fn too_new(&self, settings: &Settings) -> Option<Finding> {
        let grace = &settings.limits_config.creation_grace_period;
        let latest = self.now.saturating_add(grace.limit()?);
        (self.times.end > latest).then(|| {
            Finding::fail(
                format!(
                    "Loki refuses events more than {grace} ahead of its clock (`creation_grace_period`), and the newest here is of {}",
                    stamp(self.times.end)
                ),
                format!(
                    "check the clocks of this machine and of the log's, or leave out what is newer with --until {}",
                    stamp(latest)
                ),
            )
        })
    }

    /// Loki refuses a new stream with such events with 500 for ever; for an existing stream it accepts them and loses
    /// them.
    fn before_the_schema(&self, settings: &Settings) -> Option<Finding> {
        let from =
            settings.schema_config.configs.iter().filter_map(|period| day(&period.from)).min()?;
        (self.times.start < from).then(|| {
            Finding::fail(
                format!(
                    "Loki cannot store events from before {} (the first `schema_config.configs.from`), and the oldest here is of {}",
                    stamp(from),
                    stamp(self.times.start)
                ),
                format!(
                    "put a period in front in `schema_config` that begins earlier, or leave out what is older with --since {}",
                    stamp(from)
                ),
            )
        })
    }

    fn cut(&self, settings: &Settings) -> Vec<Finding> {
        let limits = &settings.limits_config;
        let mut findings = Vec::new();
        let longest = limits.max_line_size.bytes().filter(|bytes| *bytes > 0.0);
        if limits.max_line_size_truncate.flag() == Some(true) && longest.is_some() {
            findings.push(Finding::fail(
                format!("Loki cuts lines over {} (`max_line_size_truncate`), so that long events would be stored as remains of themselves", limits.max_line_size),
                "set `limits_config.max_line_size_truncate: false` in Loki: what is too long is then refused and kept here",
            ));
        } else if longest.is_some() {
            findings.push(Finding::ok(format!(
                "takes lines up to {}; longer ones are refused and kept as dead letters",
                limits.max_line_size
            )));
        }
        if self.metadata && limits.allow_structured_metadata.flag() == Some(false) {
            findings.push(Finding::fail(
                "Loki takes no structured metadata",
                "set `limits_config.allow_structured_metadata: true` in Loki, or `metadata = []` on this output",
            ));
        }
        findings
    }

    fn streams(&self, settings: &Settings) -> Option<Finding> {
        let most = settings.limits_config.max_global_streams_per_user.number()?;
        let hours = self.times.end.saturating_sub(self.times.start) / HOUR + 1;
        #[expect(clippy::cast_precision_loss, reason = "compared with a rough bound")]
        let too_many = most > 0.0 && hours as f64 > most;
        too_many.then(|| {
            Finding::warn(
                format!("an hour each makes {hours} streams of this log, and Loki takes {most:.0} at a time from a tenant (`max_global_streams_per_user`)"),
                "raise `limits_config.max_global_streams_per_user` in Loki, or replay in parts with --since and --until: a stream ends half an hour after its last event",
            )
        })
    }

    /// Warns about settings that hide recent pushes from queries: a look-up would not find them, and they would be sent
    /// again.
    fn hidden(&self, settings: &Settings) -> Vec<Finding> {
        let mut findings = Vec::new();
        let limits = &settings.limits_config;
        // In a single-process Loki the first of these settings counts, if it is set.
        let one = (
            "ingester.query_store_max_look_back_period",
            "-1s",
            &settings.ingester.query_store_max_look_back_period,
        );
        let many =
            ("querier.query_ingesters_within", "0", &settings.querier.query_ingesters_within);
        let is_set = |word: &Word| word.span().is_some_and(|span| span != 0);
        let (name, off, within) = if is_set(one.2) { one } else { many };
        if within.limit().is_some_and(|most| self.age() > most) {
            findings.push(Finding::warn(
                format!("queries see events older than {within} only once Loki has written their chunks (`{name}`): where the replay is interrupted, what it sent last may be sent twice"),
                format!("set `{name}: {off}` in Loki until the replay is over, or have Loki write its chunks (POST /flush) before an interrupted one goes on"),
            ));
        }
        if limits.max_query_lookback.limit().is_some_and(|most| self.age() > most) {
            findings.push(Finding::warn(
                format!("queries see nothing older than {} (`max_query_lookback`), and so no look-up finds what is stored of it already", limits.max_query_lookback),
                format!("set `limits_config.max_query_lookback` in Loki to 0, or to {} at least", hours(self.age())),
            ));
        }
        if limits.max_query_length.limit().is_some_and(|most| most < HOUR) {
            findings.push(Finding::warn(
                format!("queries may span {} only (`max_query_length`), which can be too short for a look-up", limits.max_query_length),
                "set `limits_config.max_query_length` in Loki to an hour at least",
            ));
        }
        findings
    }

    fn deleted(&self, settings: &Settings) -> Option<Finding> {
        let period = &settings.limits_config.retention_period;
        let most = period.limit()?;
        let enabled = settings.compactor.retention_enabled.flag() == Some(true);
        (enabled && self.age() > most).then(|| {
            Finding::warn(
                format!("Loki deletes what is older than {period} (`retention_period`), by the time of the event: the oldest here is {} old", shown(self.age())),
                format!("set `limits_config.retention_period: {}` in Loki, or a `retention_stream` for these labels, before its compactor runs", hours(self.age())),
            )
        })
    }
}

fn out_of_order(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let limits = &settings.limits_config;
    if limits.unordered_writes.flag() == Some(false) {
        findings.push(Finding::fail(
            "Loki takes no event that is older than the last one of its stream (`unordered_writes: false`), and audit events are not in order of time",
            "set `limits_config.unordered_writes: true` in Loki",
        ));
    }
    if limits.shard_streams.time_sharding_enabled.flag() == Some(true) {
        return findings;
    }
    let window = settings.ingester.max_chunk_age.limit().unwrap_or(CHUNK) / 2;
    if window < HOUR {
        findings.push(Finding::warn(
            format!("Loki takes events up to {} behind the newest of their stream (half of `max_chunk_age`), which is less than the hour that a stream has at the least", shown(window)),
            "set `ingester.max_chunk_age: 2h` in Loki, or replay one file at a time",
        ));
    }
    findings
}

fn rate(settings: &Settings) -> Option<Finding> {
    let limits = &settings.limits_config;
    let megabytes = |word: &Word| word.number().map(|number| number * MIB);
    let all =
        ("ingestion_rate_mb", &limits.ingestion_rate_mb, megabytes(&limits.ingestion_rate_mb));
    let one = (
        "per_stream_rate_limit",
        &limits.per_stream_rate_limit,
        // With stream sharding Loki spreads a fast stream over several.
        limits
            .per_stream_rate_limit
            .bytes()
            .filter(|_| limits.shard_streams.enabled.flag() != Some(true)),
    );
    let bursts = [
        ("ingestion_burst_size_mb", megabytes(&limits.ingestion_burst_size_mb)),
        ("per_stream_rate_limit_burst", limits.per_stream_rate_limit_burst.bytes()),
    ];
    if let Some((name, _)) =
        bursts.iter().find(|(_, burst)| burst.is_some_and(|burst| burst > 0.0 && burst < PUSH))
    {
        return Some(Finding::warn(
            format!(
                "Loki refuses at once what is larger than `{name}`, and a push has up to 1 MiB"
            ),
            format!(
                "raise `limits_config.{name}` in Loki, or keep `batch.max_bytes` of this output well below it"
            ),
        ));
    }
    let (name, set, rate) = [all, one]
        .into_iter()
        .filter_map(|(name, set, rate)| Some((name, set, rate.filter(|rate| *rate > 0.0)?)))
        .min_by(|a, b| a.2.total_cmp(&b.2))?;
    let (speed, hour) = (rate / MIB, rate * 3600.0 / (1024.0 * MIB));
    let what = format!(
        "Loki takes {speed:.1} MiB a second at the most (`{name}: {set}`), {hour:.0} GiB an hour"
    );
    Some(if rate >= SLOW {
        Finding::ok(what)
    } else {
        Finding::warn(
            what,
            "raise `ingestion_rate_mb`, `ingestion_burst_size_mb`, `per_stream_rate_limit` and `per_stream_rate_limit_burst` \
             in `limits_config` while the replay lasts, or give it the time",
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
