//! `status`: prints the state of the running agent, or else the state in the checkpoint and the directory of the log.
//! `watch.rs` shows it again and again.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

mod watch;

use super::configured::DEFAULT_CONFIG;
use super::logging::Detail;
use super::outcome::{ExitCode, print};
use crate::agent::parts::socket;
use crate::agent::parts::{inputs_of, telemetry};
use crate::checkpoint::{Budget, Origin, Store};
use crate::config::{self, Config};
use crate::dead_letters::{self, StoredPair};
use crate::input::Input;
use crate::server;
use crate::telemetry::{DeliveredUpTo, Snapshot, Time, TrailVerdict, human};

/// The shortest and the longest pause of `--watch`.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Show the status again and again until Ctrl-C: in place on a terminal, else one after the other
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, default_missing_value = "2s", value_parser = pause)]
    watch: Option<Duration>,
}

fn pause(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .filter(|time| PAUSE.contains(time))
        .ok_or_else(|| "write a duration from 100ms to 24h, such as `5s`".to_owned())
}

/// Runs `status`.
pub(super) fn status(
    config: &Config,
    arguments: &Arguments,
    detail: Detail,
) -> anyhow::Result<ExitCode> {
    let Some(interval) = arguments.watch else {
        let (text, code) = look(config, arguments, detail)?;
        print(&text);
        return Ok(code);
    };
    let now = || Time::now().to_string();
    watch::watch(interval, || {
        let (text, code) = look(config, arguments, detail).unwrap_or_else(|error| {
            let error = format!("{error:#}");
            let json = serde_json::json!({"error": error}).to_string() + "\n";
            let text = if arguments.json { json } else { human::line(&error, 1000) + "\n" };
            (text, ExitCode::Failed)
        });
        let every = human::duration(interval);
        let text =
            if arguments.json { text } else { format!("{}, every {every}\n{text}\n", now()) };
        (text, code)
    })
}

/// The text of the status now, and the exit code. With `--watch`, JSON is one line.
fn look(
    config: &Config,
    arguments: &Arguments,
    detail: Detail,
) -> anyhow::Result<(String, ExitCode)> {
    let path = socket(config);
    let running = server::client::status(&path)
        .with_context(|| format!("cannot ask the agent through {}", path.display()))?;
    let snapshot = match running {
        Some(snapshot) => snapshot,
        None => from_disk(config)?,
    };
    let text = if arguments.json {
        let mut value = serde_json::to_value(&snapshot)?;
        if !snapshot.running {
            without_counts(&mut value);
        }
        match arguments.watch {
            None => serde_json::to_string_pretty(&value)? + "\n",
            Some(_) => value.to_string() + "\n",
        }
    } else {
        match detail {
            Detail::Less => server::verdict(&snapshot),
            Detail::Usual => server::table(&snapshot),
            Detail::More => server::table(&snapshot) + &server::details(&snapshot),
        }
    };
    Ok((text, if snapshot.ready { ExitCode::Done } else { ExitCode::Failed }))
}

/// Sets values to null that only a running agent knows; 0 would be a claim.
fn without_counts(status: &mut serde_json::Value) {
    const INPUT: &[&str] = &[
        "watch",
        "bytes",
        "events",
        "pins",
        "pinned_bytes",
        "hold_bytes",
        "torn_lines",
        "over_long_lines",
        "unreadable_lines",
        "hole_bytes",
    ];
    const PAIR: &[&str] = &[
        "delivered",
        "refused",
        "dropped",
        "in_flight",
        "retries",
        "lookups",
        "last_success",
        "time_to_loss_seconds",
    ];
    for (list, keys) in [("inputs", INPUT), ("pairs", PAIR)] {
        for one in status[list].as_array_mut().into_iter().flatten() {
            for key in keys {
                one[*key] = serde_json::Value::Null;
            }
        }
    }
    status["started"] = serde_json::Value::Null;
}

/// The status when no agent runs.
fn from_disk(config: &Config) -> anyhow::Result<Snapshot> {
    let loaded = Store::load(&config.state_dir)?;
    let node = Some(loaded.state.node.clone())
        .filter(|node| !node.is_empty())
        .or(config.node.clone())
        .unwrap_or_default();
    let telemetry = telemetry(config, &node);
    telemetry.set_memory_bound(crate::agent::memory::bound(config));
    let found = dead_letters::look(&config.state_dir).context("cannot read the dead letters")?;
    for output in &config.outputs {
        for input_config in inputs_of(config, output) {
            let input = Input::new(input_config.clone(), Store::key_of(&config.state_dir));
            let stats = telemetry.input(&input_config.name);
            // Findings cover an error.
            let _ = input.look_once(&stats);
            let pair =
                loaded.state.pair(&input_config.name, &output.name).cloned().unwrap_or_default();
            let stats = telemetry.pair(&input_config.name, &output.name);
            stats.not_running();
            pair.losses.show(&pair.gaps, &stats);
            let seen = loaded.state.seen(&input_config.name);
            stats.lag_bytes.set(input.backlog(&pair.cursor));
            let is_it = |found: &&StoredPair| {
                *found.input == *input_config.name && *found.output == *output.name
            };
            if let Some(StoredPair { count, .. }) = found.iter().find(is_it) {
                stats.set_letters(count.letters, count.bytes, count.damaged, count.oldest);
            }
            let latest = pair.cursor.generations.iter().max_by_key(|(_, progress)| progress.time);
            if let Some((fingerprint, progress)) = latest {
                let event_time = progress.time.map(Time::from_nanos);
                stats.set_cursor(DeliveredUpTo {
                    generation: fingerprint.0,
                    file: input.file_of(*fingerprint).or_else(|| {
                        seen.get(fingerprint).map(|sighting| Arc::clone(&sighting.file))
                    }),
                    offset: progress.offset,
                    event_time,
                });
                stats.oldest_pending.set(event_time);
            }
        }
    }
    let budget = Budget::new(&config.state_dir, config.disk);
    telemetry.disk().state_bytes.set(budget.usage().map_or(0, |usage| usage.used));
    if let Some(time) = Store::saved(&config.state_dir) {
        telemetry.disk().saved(Time::from_nanos(time));
    }
    let unusable = match loaded.origin {
        // The remark about the forged one says it already.
        Origin::Previous(why) | Origin::Lost(why) if loaded.forged.is_none() => Some(why),
        _ => None,
    };
    telemetry.disk().set_forged(loaded.forged);
    let mut snapshot = telemetry.snapshot(Time::now(), Duration::MAX);
    snapshot.reasons.extend(unusable.map(|why| {
        format!("the last checkpoint is unusable ({why}): `run` looks up what may have been sent")
    }));
    let absent = format!(
        "no agent runs with the state directory {}: start it, or add --config with the configuration of the running agent",
        config.state_dir.display()
    );
    let saved = snapshot.disk.checkpoint_saved;
    snapshot.verdict = Some(TrailVerdict::without_agent(saved, absent.clone()));
    snapshot.reasons.insert(0, absent);
    Ok(Snapshot { running: false, ready: false, ..snapshot })
}
