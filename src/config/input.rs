//! `[inputs.NAME]`: where events come from. Each kind of input yields a log to follow (`followed.rs`). To add an input,
//! read "To add something" in ARCHITECTURE.md.

use std::path::Path;
use std::sync::Arc;

use super::ConfigError;
use super::followed::FollowedLog;
use super::item::Item;
use super::paths::Paths;
use super::shown::is_word;
use super::table::Table;
use super::webhook::WebhookInput;

/// `[inputs.NAME]`: an input of one kind.
#[derive(Clone, Debug)]
pub(crate) enum InputKind {
    /// `type = "file"`: the API server writes the log.
    File(FollowedLog),
    /// `type = "webhook"`: the API server sends events, and the agent writes the log.
    Webhook(WebhookInput),
}

impl InputKind {
    /// The log to follow, whoever writes it.
    pub(crate) fn log(&self) -> &FollowedLog {
        match self {
            Self::File(log) => log,
            Self::Webhook(webhook) => &webhook.log,
        }
    }

    pub(crate) fn log_mut(&mut self) -> &mut FollowedLog {
        match self {
            Self::File(log) => log,
            Self::Webhook(webhook) => &mut webhook.log,
        }
    }

    /// Reads one input from its table.
    fn read(
        name: &str,
        item: &Item<'_>,
        paths: &mut Paths,
        state_dir: &Path,
    ) -> Result<Self, ConfigError> {
        let mut table = item.table()?;
        let kind = table.need("type", "type = \"file\"")?;
        let is_file = kind.choice(&[("file", true), ("webhook", false)])?;
        let name = named(name, item)?;
        let input = if is_file {
            Self::File(FollowedLog::read(name, &mut table, paths)?)
        } else {
            Self::Webhook(WebhookInput::read(name, &mut table, state_dir, (paths, &kind))?)
        };
        table.finish()?;
        Ok(input)
    }
}

/// Refuses a `type` that only a later version will support.
pub(super) fn later(kind: &Item<'_>, types: &[&str]) -> Result<(), ConfigError> {
    if types.contains(&kind.text()?.as_str()) {
        return Err(kind.wrong("not supported by this version: remove this table"));
    }
    Ok(())
}

/// A name that may be used in a label, a metric and a file name.
pub(super) fn named(name: &str, item: &Item<'_>) -> Result<Arc<str>, ConfigError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 63 || !name.chars().all(fits) {
        let what = "a name is made of up to 63 letters, digits, `-` and `_`";
        let shown = if is_word(name) { format!("`{name}`: ") } else { String::new() };
        return Err(item.error(format!("{shown}{what}")));
    }
    Ok(name.into())
}

/// Reads `[inputs]`, in the order of their names.
pub(super) fn read_all(
    document: &mut Table<'_>,
    paths: &mut Paths,
    state_dir: &Path,
) -> Result<Vec<InputKind>, ConfigError> {
    let item = document.need("inputs", "[inputs.apiserver]")?;
    let mut inputs = Vec::new();
    for (name, item) in item.table()?.entries() {
        inputs.push(InputKind::read(&name, &item, paths, state_dir)?);
    }
    if inputs.is_empty() {
        return Err(
            item.wrong("nothing to follow: add `[inputs.apiserver]` with `type` and `path`")
        );
    }
    Ok(inputs)
}

/// The inputs of an output: all of them, or the ones that `inputs` names.
pub(super) fn chosen(
    item: Option<Item<'_>>,
    inputs: &[InputKind],
) -> Result<Vec<Arc<str>>, ConfigError> {
    let names = inputs.iter().map(|input| &input.log().name);
    let Some(item) = item else { return Ok(names.cloned().collect()) };
    let names: Vec<_> = names.map(|name| (&**name, Arc::clone(name))).collect();
    let mut selected = item.selection(&names, "there is no such input")?;
    if selected.is_empty() {
        return Err(item.wrong("name at least one input, or leave `inputs` out to take all"));
    }
    selected.sort_unstable();
    Ok(selected)
}
