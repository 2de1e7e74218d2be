//! Shared by the commands: names, and parts that are built from the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;

use crate::checkpoint::{Origin, Pair};
use crate::config::{self, Config, FollowedLog};
use crate::event::{IdScheme, LogName};
use crate::input::Limits;
use crate::output::Output;
use crate::telemetry::{Identity, Telemetry};

/// The state directory knows a table under another name than the configuration. An operator has to decide.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotTakenOver(pub(super) String);

/// The node's name. It is a label, so it must stay what it was at the first start.
///
/// # Errors If the name would change, or if there is none.
pub(crate) fn node_name(config: &Config, kept: &str) -> anyhow::Result<String> {
    let (name, source) = match &config.node {
        Some(name) => (name.clone(), "`node`"),
        None => (host_name()?, "the host name"),
    };
    if !kept.is_empty() && kept != name {
        return Err(NotTakenOver(format!(
            "{source} is {name:?}, but this state directory was begun as {kept:?}, which is a label of everything delivered so far: \
             set `node = {kept:?}`, or give the agent a new `state_dir`"
        ))
        .into());
    }
    Ok(name)
}

fn host_name() -> anyhow::Result<String> {
    let name = rustix::system::uname()
        .nodename()
        .to_str()
        .context("the host name is not UTF-8: set `node`")?
        .to_owned();
    if name.is_empty() {
        bail!("the host has no name: set `node`");
    }
    Ok(name)
}

/// A runtime with so many threads.
pub(crate) fn runtime(threads: usize) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// A list of names for an error message.
pub(crate) fn names<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// The inputs that an output takes.
pub(crate) fn inputs_of<'a>(
    config: &'a Config,
    output: &'a config::Output,
) -> impl Iterator<Item = &'a FollowedLog> {
    config.logs().filter(|input| output.inputs.contains(&input.name))
}

/// Telemetry of a node.
pub(crate) fn telemetry(config: &Config, node: &str) -> Telemetry {
    Telemetry::new(Identity {
        node: node.to_owned(),
        cluster: config.cluster.clone(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// The limits of one batch of an output.
pub(crate) fn limits(output: &config::Output, input: &FollowedLog) -> Limits {
    Limits {
        bytes: output.batch.bytes,
        events: output.batch.events,
        line_bytes: usize::try_from(input.max_line_bytes).unwrap_or(usize::MAX),
    }
}

/// All places where an output's events may be: its scope now, and its earlier ones.
pub(crate) fn scopes<'a>(
    output: &Output,
    earlier: impl IntoIterator<Item = &'a String>,
) -> Vec<String> {
    let mut scopes = vec![output.scope()];
    for scope in earlier {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    scopes
}

/// The id schemes that an earlier process of this pair may have used, or anybody if the checkpoint is lost.
pub(crate) fn earlier_ids(known: Option<&Pair>, origin: &Origin) -> Vec<IdScheme> {
    match known {
        Some(pair) if pair.ids.is_empty() => vec![IdScheme::Position],
        Some(pair) => pair.ids.clone(),
        None if matches!(origin, Origin::First | Origin::Current) => Vec::new(),
        None => vec![IdScheme::Position],
    }
}

/// The same for commands other than `run`: their events may be stored under any of these.
pub(crate) fn all_ids<'a>(known: impl IntoIterator<Item = &'a Pair>) -> Vec<IdScheme> {
    let mut ids = vec![IdScheme::Position];
    for other in known.into_iter().flat_map(|pair| &pair.ids) {
        if !ids.contains(other) {
            ids.push(other.clone());
        }
    }
    ids
}

/// An output for one input. Makes no request and opens no file of the output. `earlier`: id schemes used before.
///
/// # Errors If a file that its configuration names cannot be used.
pub(crate) fn output(
    config: &Config,
    output: &config::Output,
    node: &str,
    input: &Arc<str>,
    earlier: &[IdScheme],
) -> anyhow::Result<Output> {
    let log = LogName {
        cluster: config.cluster.clone(),
        node: node.to_owned(),
        input: input.to_string(),
    };
    let followed = config.logs().find(|known| known.name == *input);
    Output::new(&output.kind, log, followed.map(|followed| &*followed.path), earlier)
        .map_err(|failure| anyhow::anyhow!("outputs.{}: {failure}", output.name))
}

/// The socket through which other commands ask the running agent.
pub(crate) fn socket(config: &Config) -> PathBuf {
    socket_in(&config.state_dir)
}

/// The same for a state directory.
pub(crate) fn socket_in(state_dir: &Path) -> PathBuf {
    state_dir.join("agent.sock")
}
