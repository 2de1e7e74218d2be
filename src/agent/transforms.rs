//! Builds the transforms from the configuration and its files (policy, filters, redaction rules), and reloads them on
//! SIGHUP.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::in_force;
use crate::config::{self, Config, RedactMode, Transform};
use crate::event::Key;
use crate::output::{Capabilities, TakenLines};
use crate::telemetry::{Telemetry, Time};
use crate::transform::{
    Chain, Completing, Filter, Filters, ManagedFields, Mode, OmitStages, Policy, Redaction,
    ReloadableChain, Rules, ShrinkOrder, Shrinking,
};

/// Most bytes that completing an event adds to it.
const ADDED: usize = 512;
/// A key with fewer bytes could be guessed.
const KEY_BYTES: usize = 32;

/// A policy, expression, rule or key file is refused: the configuration has to change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotAccepted(String);

impl NotAccepted {
    /// Creates the error.
    pub(crate) fn error(what: impl Into<String>) -> anyhow::Error {
        Self(what.into()).into()
    }
}

/// The transform chains of all outputs.
pub(crate) struct Transforms {
    /// The node's own key, for digests and for `hash` without a key file.
    key: Key,
    current: Vec<(Arc<str>, Arc<ReloadableChain>)>,
}

impl Transforms {
    /// # Errors If a file cannot be read, or if its content or the configuration is refused.
    pub(crate) fn new(config: &Config, key: &Key) -> anyhow::Result<Self> {
        Self::with(config, key, None)
    }

    /// Every event also has to match an expression of the command line.
    ///
    /// # Errors As for `new`.
    pub(crate) fn with(config: &Config, key: &Key, filter: Option<&str>) -> anyhow::Result<Self> {
        let compiled = |text: &str| {
            Filter::compile(text).map_err(|error| NotAccepted(format!("--where: {error}")))
        };
        let chains = chains(config, key).map_err(|error| NotAccepted(format!("{error:#}")))?;
        let mut current = Vec::with_capacity(chains.len());
        for (name, mut chain) in chains {
            if let Some(filter) = filter.map(compiled).transpose()? {
                chain.filters.get_or_insert_default().0.push(filter);
            }
            current.push((name, Arc::new(ReloadableChain::new(chain))));
        }
        Ok(Self { key: key.clone(), current })
    }

    /// The chain of an output of the configuration.
    pub(crate) fn of(&self, output: &str) -> anyhow::Result<Arc<ReloadableChain>> {
        let found = self.current.iter().find(|(name, _)| **name == *output);
        found.map(|(_, current)| Arc::clone(current)).context("an output without a transform")
    }

    /// Reads configuration and files again, and replaces the chains: all of them, or none if anything is refused.
    pub(crate) fn reload(&self, path: &Path, running: &Config, telemetry: &Telemetry) {
        let read = self.try_reload(path, running);
        if let Ok((_, read)) = &read {
            telemetry.set_in_force(in_force::after_reload(running, read, path));
        }
        match read {
            Ok((left_out, _)) if left_out.is_empty() => {
                telemetry.reload().succeeded(Time::now());
                tracing::info!("transform configuration reloaded");
            }
            Ok((left_out, _)) => {
                let problem = format!(
                    "the last reload applied only [transform]; restart the agent to apply the other changes: {}",
                    left_out.join(", ")
                );
                tracing::warn!("{problem}");
                telemetry.reload().failed(problem);
            }
            Err(error) => {
                let problem = format!(
                    "the last reload was refused, the earlier configuration stays in force: {error:#}"
                );
                tracing::error!("{problem}");
                telemetry.reload().failed(problem);
            }
        }
    }

    /// Returns the names of tables and keys that have changed and cannot be reloaded, and what was read.
    fn try_reload(&self, path: &Path, running: &Config) -> anyhow::Result<(Vec<String>, Config)> {
        let config = Config::load(path)?;
        let mut made = chains(&config, &self.key)?;
        let mut ready = Vec::new();
        for (name, current) in &self.current {
            if let Some(at) = made.iter().position(|(other, _)| other == name) {
                ready.push((current, made.swap_remove(at).1));
            }
        }
        for (current, chain) in ready {
            current.replace(chain);
        }
        Ok((beside_transform(running, &config), config))
    }
}

/// The tables and keys that differ and that a reload does not change.
fn beside_transform(running: &Config, read: &Config) -> Vec<String> {
    let (old, new) = (parts(running), parts(read));
    let mut names: Vec<_> = old
        .iter()
        .filter(|(name, part)| new.get(*name) != Some(part))
        .map(|(name, _)| name.clone())
        .collect();
    names.extend(new.keys().filter(|name| !old.contains_key(*name)).cloned());
    names
}

/// The value of each table and key, without the transforms.
fn parts(config: &Config) -> BTreeMap<String, String> {
    let Config {
        node,
        cluster,
        state_dir,
        disk,
        checkpoint_interval,
        drain_timeout,
        unready_after,
        heartbeat,
        inputs,
        outputs,
        server,
        confine,
        // The line numbers of secrets do not matter here.
        secret_lines: _,
    } = config;
    let mut parts: BTreeMap<_, _> = [
        ("node", format!("{node:?}")),
        ("cluster", format!("{cluster:?}")),
        ("state_dir", state_dir.display().to_string()),
        ("disk", format!("{disk:?}")),
        ("checkpoint_interval", format!("{checkpoint_interval:?}")),
        ("drain_timeout", format!("{drain_timeout:?}")),
        ("unready_after", format!("{unready_after:?}")),
        ("heartbeat", format!("{heartbeat:?}")),
        ("[server]", format!("{server:?}")),
        ("confine", confine.to_string()),
    ]
    .map(|(name, part)| (name.to_owned(), part))
    .into();
    parts.extend(
        inputs.iter().map(|input| (format!("[inputs.{}]", input.log().name), format!("{input:?}"))),
    );
    parts.extend(outputs.iter().map(|output| {
        let plain = config::Output { transform: Transform::default(), ..output.clone() };
        (format!("[outputs.{}]", output.name), format!("{plain:?}"))
    }));
    parts
}

fn chains(config: &Config, key: &Key) -> anyhow::Result<Vec<(Arc<str>, Chain)>> {
    config
        .outputs
        .iter()
        .map(|output| Ok((Arc::clone(&output.name), chain(output, key)?)))
        .collect()
}

/// The chain of one output.
///
/// # Errors As for [`Transforms::new`].
pub(crate) fn chain(output: &config::Output, key: &Key) -> anyhow::Result<Chain> {
    let transform = &output.transform;
    let policy = transform.policy_file.as_deref().map(policy).transpose()?;
    let filter = transform.filter.as_ref().map(|placed| {
        Filter::compile(&placed.text).map_err(|error| anyhow::anyhow!("{}: {error}", placed.place))
    });
    let redaction = transform.redact.as_ref().map(|redact| redaction(redact, key)).transpose()?;
    let always = transform.omit_managed_fields;
    let whole = Capabilities::of(&output.kind).takes == TakenLines::WholeEvents;
    let shrinking = |limit: usize| {
        let (limit, order) = if whole {
            // Room for what completing adds.
            (limit.saturating_sub(ADDED), ShrinkOrder::ResponseFirst)
        } else {
            (limit, ShrinkOrder::Usual)
        };
        Shrinking { limit, key: key.clone(), order }
    };
    Ok(Chain {
        managed_fields: (always || policy.is_some()).then_some(ManagedFields { always }),
        policy: policy.map(Arc::new),
        filters: filter.transpose()?.map(|filter| Filters(vec![filter])),
        redaction,
        stages: (!transform.omit_stages.is_empty())
            .then(|| OmitStages(transform.omit_stages.clone())),
        shrinking: transform.max_event_bytes.map(shrinking),
        completing: whole.then(|| Completing { key: key.clone() }),
    })
}

fn policy(path: &Path) -> anyhow::Result<Policy> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the `policy_file` {}", path.display()))?;
    let policy = Policy::parse(&text, path)?;
    for warning in policy.warnings() {
        tracing::warn!(policy = %path.display(), "{warning}");
    }
    Ok(policy)
}

fn redaction(redact: &config::Redact, key: &Key) -> anyhow::Result<Redaction> {
    let mode = match &redact.mode {
        RedactMode::Mask => Mode::Mask,
        RedactMode::Hash { key_file: None } => Mode::Hash(key.clone()),
        RedactMode::Hash { key_file: Some(path) } => Mode::Hash(key_of(path)?),
    };
    let rules = Rules {
        config_maps: redact.config_maps,
        user_extra: redact.user_extra.clone(),
        pseudonymise_users: redact.pseudonymise_users,
        proxy_paths: redact.proxy_paths,
        own: redact.rules.clone(),
        key: Some(key.clone()),
    };
    Ok(Redaction::new(rules, mode)?)
}

/// A key from a file that only its owner may read.
fn key_of(path: &PathBuf) -> anyhow::Result<Key> {
    let shown = path.display();
    let read = || format!("cannot read the `key_file` {shown}");
    let mode = fs::metadata(path).with_context(read)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "{shown} can be read or written by others (mode {:04o}), who could then guess redacted values: chmod 600 {shown}",
            mode & 0o7777
        );
    }
    let bytes = fs::read(path).with_context(read)?;
    let bytes = bytes.trim_ascii();
    if bytes.len() < KEY_BYTES {
        bail!(
            "{shown} holds {} bytes, a key has at least {KEY_BYTES}: openssl rand -base64 32 > {shown}",
            bytes.len()
        );
    }
    Ok(Key(Sha256::digest(bytes).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "node = \"a\"\n[inputs.api]\ntype = \"file\"\npath = \"/l/audit.log\"\n[server]\nlisten = \"127.0.0.1:1\"\n\
                         [outputs.f]\ntype = \"file\"\npath = \"/f\"\n";

    #[test]
    fn a_reload_names_each_table_and_key_that_needs_a_restart_and_no_transform() {
        let config = |text: &str| Config::parse(text, Path::new("test"), &|_| None).unwrap();
        let table: &[(&str, &str, &[&str])] = &[
            ("\"a\"", "\"a\"", &[]),
            ("\"a\"", "\"b\"", &["node"]),
            ("127.0.0.1:1", "127.0.0.1:2", &["[server]"]),
            ("/l/audit.log", "/m/audit.log", &["[inputs.api]"]),
            ("[outputs.f]", "[outputs.g]", &["[outputs.f]", "[outputs.g]"]),
            ("path = \"/f\"\n", "path = \"/f\"\ntransform = { redact = \"off\" }\n", &[]),
            ("node = \"a\"", "drain_timeout = \"3s\"", &["drain_timeout", "node"]),
        ];
        for (old, new, names) in table {
            let changed = config(&PLAIN.replace(old, new));
            assert_eq!(beside_transform(&config(PLAIN), &changed), *names, "{old} to {new}");
        }
    }
}
