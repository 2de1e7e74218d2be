//! What `run`, `check` and `status` have in common: names, and outputs made from their configuration.

use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::config::{self, Config, FileInput, OutputKind};
use crate::output::{Elasticsearch, File, Loki, Output};

/// The node's name, which is a label and so must stay what it was at the first start.
///
/// # Errors
/// If it would become another one, or there is none.
pub(super) fn node_name(config: &Config, kept: &str) -> anyhow::Result<String> {
    let (name, source) = match &config.node {
        Some(name) => (name.clone(), "`node`"),
        None => (host_name()?, "the host name"),
    };
    if !kept.is_empty() && kept != name {
        bail!(
            "{source} is {name:?}, but this state directory was begun as {kept:?}, which is a label of everything delivered so far: \
             set `node = {kept:?}`, or give the agent a new `state_dir`"
        );
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

/// The inputs that an output takes.
pub(super) fn inputs_of<'a>(
    config: &'a Config,
    output: &'a config::Output,
) -> impl Iterator<Item = &'a FileInput> {
    config.inputs.iter().filter(|input| output.inputs.contains(&input.name))
}

/// An output for one input. No request is made, and no file of the output's is opened.
///
/// # Errors
/// If a file that its configuration names cannot be used.
pub(super) fn output(
    config: &Config,
    output: &config::Output,
    node: &str,
    input: &Arc<str>,
) -> anyhow::Result<Output> {
    let cluster = config.cluster.as_deref();
    let made = match &output.kind {
        OutputKind::Loki(loki) => {
            Loki::new(loki, node, cluster, input).map(|loki| Output::Loki(Box::new(loki)))
        }
        OutputKind::Elasticsearch(elasticsearch) => {
            Elasticsearch::new(elasticsearch, node, cluster)
                .map(|elasticsearch| Output::Elasticsearch(Box::new(elasticsearch)))
        }
        OutputKind::File(file) => Ok(Output::File(File::new(&file.path, file.rotate, input))),
    };
    made.map_err(|failure| anyhow::anyhow!("outputs.{}: {failure}", output.name))
}
