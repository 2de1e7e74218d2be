//! Preflight of a replay: asks the store before the first push what it would refuse, and what it holds already.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::Job;
use super::ship::EarlierRun;
use crate::agent::parts::output as output_of;
use crate::config::{self, OutputKind};
use crate::event::{Fingerprint, IdScheme, Nanos};
use crate::input::Listed;
use crate::output::{FindingState, Held, Output, Queryable};

/// Within this time a Loki stream takes events in any order (half of its `max_chunk_age`, 2 h by default).
const WINDOW: Nanos = 3_600_000_000_000;
/// Longest time for asking an output file by file what it holds. The remaining files are looked up chunk by chunk.
const PATIENCE: Duration = Duration::from_secs(20);

/// Creates the output, and asks its back end what it would refuse.
pub(super) async fn output(
    job: &Job,
    config: &config::Output,
    files: &[Listed],
    lanes: usize,
    earlier: &[IdScheme],
) -> anyhow::Result<Arc<Output>> {
    let make = |config: &config::Output| {
        output_of(&job.config, config, &job.node, &job.input.name, earlier).map(Arc::new)
    };
    let mut output = make(config)?;
    let Some(times) = times(job, files) else { return Ok(output) };
    if let OutputKind::Loki(loki) = &config.kind
        && needs_hours(&output, loki, &times, lanes).await
    {
        tracing::info!(
            output = &*config.name,
            "each hour of events goes to a stream of its own, with the label `hour`: Loki takes no event that is far older than the newest of its stream"
        );
        let hourly = config::Loki { stream_per_hour: true, ..loki.clone() };
        output = make(&config::Output { kind: OutputKind::Loki(hourly), ..config.clone() })?;
    }
    if let Some(store) = output.queryable() {
        ask_first(store, &config.name, times).await?;
    }
    Ok(output)
}

/// Whether events are too far apart for one stream of Loki to take them out of order: those of files shipped in
/// parallel, or those older than the stored ones.
async fn needs_hours(
    output: &Output,
    loki: &config::Loki,
    times: &Range<Nanos>,
    lanes: usize,
) -> bool {
    let apart = lanes > 1 && times.end.saturating_sub(times.start) > WINDOW / 2;
    if loki.stream_per_hour || apart {
        return apart && !loki.stream_per_hour;
    }
    let newest = match output.queryable() {
        Some(store) => store.newest().await,
        None => None,
    };
    newest.is_some_and(|newest| newest > times.start + WINDOW / 2)
}

/// Logs what the back end would refuse, hide or delete.
///
/// # Errors If it would not take the events at all.
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
    let now = jiff::Timestamp::now().as_nanosecond();
    let now = Nanos::try_from(now).unwrap_or(Nanos::MAX);
    let end = |file: &Listed| file.rotated().unwrap_or(now);
    let last = files.iter().map(end).max()?.max(first);
    job.plan.within(first..last)
}

/// The files of which the store holds nothing for certain, and that no earlier run has begun.
pub(super) async fn absent(
    job: &Job,
    store: Queryable<'_>,
    scopes: &[String],
    files: &[Listed],
    known: &EarlierRun,
) -> anyhow::Result<HashSet<Fingerprint>> {
    let mut absent = HashSet::new();
    let unbegun =
        || files.iter().filter(|file| !known.generations.contains_key(&file.fingerprint()));
    // Mostly one query covers all files; otherwise one for each.
    if let Some(times) = times(job, files)
        && is_empty(job, store, scopes, times).await?
    {
        return Ok(unbegun().map(Listed::fingerprint).collect());
    }
    let deadline = Instant::now() + PATIENCE;
    for (at, file) in files.iter().enumerate() {
        if known.generations.contains_key(&file.fingerprint()) {
            continue;
        }
        let Some(first) = file.first() else { continue };
        let next = files[at + 1..].iter().find_map(Listed::first);
        let Some(last) = file.rotated().or(next) else { continue };
        if Instant::now() > deadline {
            break;
        }
        if is_empty(job, store, scopes, first..last.max(first)).await? {
            absent.insert(file.fingerprint());
        }
    }
    Ok(absent)
}

/// Whether the store holds nothing in this time range and near it, in any scope.
///
/// # Errors If the store cannot be queried, and `--at-least-once` is not set.
async fn is_empty(
    job: &Job,
    store: Queryable<'_>,
    scopes: &[String],
    times: Range<Nanos>,
) -> anyhow::Result<bool> {
    let (from, to) = (times.start - WINDOW / 12, times.end + WINDOW / 12);
    for scope in scopes {
        match store.holds_any(scope, from..to).await {
            Held::No => {}
            Held::Unavailable { answer } if !job.at_least_once => bail!(
                "it cannot be asked what it holds, so that what is there already would be stored twice: give these credentials the right \
                 to read, or accept that with --at-least-once ({answer})"
            ),
            Held::Yes | Held::Unavailable { .. } | Held::Retry { .. } => return Ok(false),
        }
    }
    Ok(true)
}
