//! Preflight of a replay: asks the store before the first push what it would refuse, and what it holds already.

use std::ops::Range;

use anyhow::bail;

use super::job::Job;
use crate::agent::wiring::Wiring;
use crate::config::{self, OutputKind};
use crate::event::{IdScheme, Nanos};
use crate::input::Listed;
use crate::output::{FindingState, Output, QueryError, Queryable};

/// Within this time a Loki stream takes events in any order (half of its `max_chunk_age`, 2 h by default). The agent
/// may have just sent events of the present time there.
const WINDOW: Nanos = 3_600_000_000_000;

/// Creates the output, and asks its back end what it would refuse.
pub(super) async fn output(
    job: &Job,
    wiring: &Wiring<'_>,
    files: &[Listed],
    earlier: &[IdScheme],
) -> anyhow::Result<Output> {
    let times = times(job, files);
    let hourly = times.as_ref().and_then(|times| hourly(wiring.output, times));
    let config = hourly.as_ref().unwrap_or(wiring.output);
    let output = Wiring { output: config, ..*wiring }.output(earlier)?;
    if let Some((store, times)) = output.queryable().zip(times) {
        ask_first(store, &config.name, times).await?;
    }
    Ok(output)
}

/// The output with a stream for each hour, if some event may be too old for Loki's live stream.
fn hourly(config: &config::Output, times: &Range<Nanos>) -> Option<config::Output> {
    let OutputKind::Loki(loki) = &config.kind else { return None };
    if loki.stream_per_hour || times.start >= now() - WINDOW / 2 {
        return None;
    }
    tracing::info!(
        output = &*config.name,
        "each hour of events goes to its own stream, with the label `hour`: Loki refuses an event that is far older than the newest of its stream"
    );
    let hourly = config::Loki { stream_per_hour: true, ..loki.clone() };
    Some(config::Output { kind: OutputKind::Loki(hourly), ..config.clone() })
}

/// Logs what the back end would refuse or hide.
///
/// # Errors
/// If it would not take the events at all.
async fn ask_first(store: Queryable<'_>, name: &str, times: Range<Nanos>) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for finding in store.preflight(times).await {
        let text = format!("{}: {}", finding.what, finding.hint);
        match finding.state {
            FindingState::Ok => tracing::debug!(output = name, "{}", finding.what),
            FindingState::Warn => tracing::warn!(output = name, "{text}"),
            FindingState::Fail => failed.push(text),
        }
    }
    if !failed.is_empty() {
        bail!("outputs.{name} would not take these events. {}", failed.join(". "));
    }
    Ok(())
}

/// The times of the first and the last event, as far as the file heads and names show them.
fn times(job: &Job, files: &[Listed]) -> Option<Range<Nanos>> {
    let first = files.iter().filter_map(Listed::first).min()?;
    let now = now();
    let end = |file: &Listed| file.rotated().unwrap_or(now);
    let last = files.iter().map(end).max()?.max(first);
    job.plan.within(first..last)
}

fn now() -> Nanos {
    Nanos::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(Nanos::MAX)
}

/// Whether the store holds nothing of these files' times, in any scope. Then no event needs a look-up.
///
/// # Errors
/// If the store cannot be queried, and `--at-least-once` is not set.
pub(super) async fn is_empty(
    job: &Job,
    store: Queryable<'_>,
    scopes: &[String],
    files: &[Listed],
) -> anyhow::Result<bool> {
    let Some(times) = times(job, files) else { return Ok(false) };
    let (from, to) = (times.start - WINDOW / 12, times.end + WINDOW / 12);
    for scope in scopes {
        match store.holds_any(scope, from..to).await {
            Ok(false) => {}
            Err(QueryError::Unavailable { answer }) if !job.at_least_once => bail!(
                "it cannot be queried, so events that it holds already would be stored twice: give these credentials the right to read, \
                 or accept that with --at-least-once ({answer})"
            ),
            Ok(true) | Err(_) => return Ok(false),
        }
    }
    Ok(true)
}
