//! The configuration: parses and validates the operator's TOML file. Other rooms receive only the types of this room.
//!
//! [`Config::load`] is the only constructor, and fails at the first value that is not accepted. The TOML becomes a
//! `table.rs` table. Each file that knows the meaning of some keys takes them from it one by one (`input.rs`, `output.rs`
//! and one for each kind of output, `http.rs`). `item.rs` and `value.rs` parse single values, `expand.rs` substitutes
//! environment variables, `paths.rs` ensures that no two writers share a file, and `secret.rs` holds text that must not
//! be printed. An error names the file, the line and the accepted form. It repeats the value only if that cannot be a
//! secret (`shown.rs`).
//!
//! Not done here: checking whether files exist, names resolve or back ends answer. `auditrail check` (preflight) does
//! that.

use std::cell::RefCell;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod address;
mod backups;
mod disk;
mod elasticsearch;
mod error;
mod expand;
mod falco;
mod file;
mod followed;
mod http;
mod input;
mod item;
mod loki;
mod output;
mod paths;
mod print;
mod secret;
mod server;
mod shown;
mod source;
mod spool;
mod suggest;
mod table;
#[cfg(test)]
mod tests;
mod transform;
mod value;
mod waits;
mod webhook;

pub(crate) use address::valid_address;
pub(crate) use backups::Backups;
pub(crate) use disk::{Disk, MinFree};
pub(crate) use elasticsearch::{Compression, Elasticsearch, Layout, SetupTemplate, Target};
pub(crate) use error::ConfigError;
pub(crate) use falco::Falco;
pub(crate) use file::Rotate;
pub(crate) use followed::{FollowedLog, Hold, StartAt};
pub(crate) use http::{Auth, Http, Tls, is_telling};
pub(crate) use input::InputKind;
pub(crate) use loki::{Loki, MetadataField};
pub(crate) use output::{Output, OutputKind, Retry};
pub(crate) use paths::is_backup;
pub(crate) use print::SecretDisplay;
pub(crate) use secret::SecretSource;
pub(crate) use server::{Server, state_dir};
pub(crate) use spool::{SPOOL_FILE, SPOOLS, Spool};
pub(crate) use transform::{Redact, RedactMode, Transform};
pub(crate) use value::{duration, size};
pub(crate) use waits::Waits;
pub(crate) use webhook::{WEBHOOK_LISTEN, WebhookInput, WebhookTls};

use item::Item;
use paths::Paths;
use source::ConfigSource;
use table::Table;

/// The whole configuration, every value checked and every default filled in.
///
/// Many fields: one for each key and table at the top of the file.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Name of this node in labels; `None`: the host name, which the checkpoint keeps from the first start.
    pub(crate) node: Option<String>,
    pub(crate) cluster: Option<String>,
    /// Where the checkpoint, dead letters and other state are stored; absolute.
    pub(crate) state_dir: PathBuf,
    pub(crate) disk: Disk,
    /// Minimum time between two writes of the checkpoint. Default 1 s.
    pub(crate) checkpoint_interval: Duration,
    /// Longest drain at shutdown: how long the agent waits for acknowledgements after SIGTERM. Default 10 s.
    pub(crate) drain_timeout: Duration,
    /// How long an output may be unreachable before `/readyz` turns red. Default 60 s; [`Duration::MAX`] for "off".
    pub(crate) unready_after: Duration,
    /// How often each output gets a heartbeat; `None` for none, which is the default.
    pub(crate) heartbeat: Option<Duration>,
    /// At least one, in the order of their names.
    pub(crate) inputs: Vec<InputKind>,
    /// At least one, in the order of their names.
    pub(crate) outputs: Vec<Output>,
    pub(crate) server: Server,
    /// Whether the agent gives up access to all paths and system calls that it does not need. Default yes.
    pub(crate) confine: bool,
    /// Lines of the file that contain a secret itself, not a variable or the path of a secret's file.
    pub(crate) secret_lines: Vec<usize>,
}

/// The JSON Schema of a configuration file.
pub(crate) const SCHEMA: &str = include_str!("../../etc/auditrail.schema.json");

/// Default of `state_dir`.
const STATE_DIR: &str = "/var/lib/auditrail";
const CHECKPOINT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_mins(1);
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(10);
const HEARTBEAT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
const UNREADY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(168);

impl Config {
    /// The logs that the inputs follow.
    pub(crate) fn logs(&self) -> impl ExactSizeIterator<Item = &FollowedLog> {
        self.inputs.iter().map(InputKind::log)
    }

    /// The receivers of the API server's webhook.
    pub(crate) fn webhooks(&self) -> impl Iterator<Item = &WebhookInput> {
        self.inputs.iter().filter_map(|input| match input {
            InputKind::Webhook(webhook) => Some(webhook),
            InputKind::File(_) => None,
        })
    }

    /// Reads a configuration file. `${NAME}` is replaced by an environment variable of this process.
    ///
    /// # Errors
    /// If the file cannot be read or a value in it is not accepted. The error names the first such value.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read(path)?, path, &|name| std::env::var(name).ok())
    }

    /// Reads a configuration from a text. `name` is used in errors; `env` returns the value of an environment variable
    /// if it is set.
    ///
    /// # Errors
    /// If a value is not accepted. The error names the first such value.
    pub(crate) fn parse(
        text: &str,
        name: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let source = ConfigSource { name, text, env, secret_lines: RefCell::default() };
        let mut document = Table::document(&source)?;
        document.not_yet("detect")?;
        let mut paths = Paths::default();
        let node = document.given("node", label)?;
        let cluster = document.given("cluster", label)?;
        let state_dir = document.given("state_dir", Item::path)?;
        let state_dir = state_dir.unwrap_or_else(|| PathBuf::from(STATE_DIR));
        let disk = Disk::read(document.table("disk")?)?;
        let mut time =
            |key, default, bounds| document.or(key, default, |item| item.duration(bounds));
        let checkpoint_interval = time("checkpoint_interval", Duration::from_secs(1), CHECKPOINT)?;
        let drain_timeout = time("drain_timeout", Duration::from_secs(10), DRAIN)?;
        let unready_after = match document.get("unready_after") {
            None => Duration::from_mins(1),
            Some(item) if item.is_off() => Duration::MAX,
            Some(item) => item.duration(UNREADY)?,
        };
        let heartbeat = match document.get("heartbeat") {
            Some(item) if !item.is_off() => {
                let every = item.duration(HEARTBEAT)?;
                if every.subsec_nanos() != 0 {
                    return Err(item.wrong("write whole seconds"));
                }
                Some(every)
            }
            _ => None,
        };
        let confine = document.or("confine", true, Item::flag)?;
        let server = Server::read(document.table("server")?)?;
        let mut inputs = input::read_all(&mut document, &mut paths, &state_dir)?;
        let transform = transform::Given::read(document.table("transform")?)?;
        let outputs = output::read_all(&mut document, &inputs, &transform, &mut paths)?;
        for log in inputs.iter_mut().map(InputKind::log_mut) {
            log.neighbours = paths.neighbours(&log.path);
        }
        document.finish()?;
        Ok(Self {
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
            secret_lines: source.secret_lines.take(),
        })
    }
}

/// The text of a configuration file.
fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })
}

/// A text that can be the value of a label.
fn label(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.filled()?;
    if text.len() > 253 || text.contains(char::is_control) {
        return Err(item.wrong("write up to 253 bytes without control characters"));
    }
    Ok(text)
}
