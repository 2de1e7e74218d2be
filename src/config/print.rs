//! Prints a configuration as TOML with every key, which reads back as the same configuration.
//!
//! `[transform]` does not appear: each output has the table that results for it. A key that has no value to turn it off
//! is left out where it is not set.

use std::fmt::{Display, Write as _};
use std::path::Path;
use std::time::Duration;

use toml_writer::{ToTomlKey, ToTomlValue as _, TomlStringBuilder};

use super::input::InputKind;
use super::value::{show_duration, show_size};
use super::{Backups, Config, FollowedLog, MinFree, StartAt, WebhookInput, WebhookTls};

mod output;
mod transform;

/// How secrets are printed.
#[derive(Clone, Copy)]
pub(crate) enum SecretDisplay {
    Whole,
    /// As `***`, and each URL as this function shows it.
    Hidden(fn(&str) -> String),
}

/// TOML that is written key by key.
struct TomlText {
    text: String,
    secrets: SecretDisplay,
}

impl Config {
    /// The configuration as TOML.
    pub(crate) fn to_toml(&self, secrets: SecretDisplay) -> String {
        let mut toml = TomlText { text: String::new(), secrets };
        for (key, name) in [("node", &self.node), ("cluster", &self.cluster)] {
            if let Some(name) = name {
                toml.set(key, quoted(name));
            }
        }
        toml.set("state_dir", path(&self.state_dir));
        toml.set("checkpoint_interval", show_duration(self.checkpoint_interval));
        toml.set("drain_timeout", show_duration(self.drain_timeout));
        let unready_after = Some(self.unready_after).filter(|time| *time != Duration::MAX);
        toml.set("unready_after", or_off(unready_after.map(show_duration)));
        toml.set("heartbeat", or_off(self.heartbeat.map(show_duration)));
        toml.set("confine", self.confine);
        toml.table(&["disk"]);
        toml.set("max_bytes", show_size(self.disk.max_bytes));
        toml.set("min_free", min_free(self.disk.min_free));
        toml.table(&["server"]);
        toml.set("listen", or_off(self.server.listen.as_deref().map(quoted)));
        toml.set("allowed_hosts", texts(&self.server.allowed_hosts));
        for input in &self.inputs {
            match input {
                InputKind::File(log) => toml.followed(log),
                InputKind::Webhook(webhook) => toml.webhook(webhook),
            }
        }
        for output in &self.outputs {
            toml.output(output);
        }
        toml.text
    }
}

impl TomlText {
    fn table(&mut self, path: &[&str]) {
        let path: Vec<_> = path.iter().map(ToTomlKey::to_toml_key).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "\n[{}]", path.join("."));
    }

    /// `value` is TOML already.
    fn set(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.text, "{key} = {value}");
    }

    fn webhook(&mut self, webhook: &WebhookInput) {
        let WebhookInput { log, listen, insecure_listen, tls, auth } = webhook;
        self.table(&["inputs", &log.name]);
        self.set("type", quoted("webhook"));
        self.set("listen", quoted(listen));
        self.set("insecure_listen", insecure_listen);
        if let Some(WebhookTls { certificate, key, client_ca }) = tls {
            let given = [("cert_file", Some(certificate)), ("key_file", Some(key))];
            self.tls(given.into_iter().chain([("client_ca_file", client_ca.as_ref())]));
        }
        self.auth(auth);
        self.set("max_line_bytes", show_size(log.max_line_bytes));
        let Some(spool) = &log.spool else { return };
        self.table(&["inputs", &log.name, "spool"]);
        self.set("max_bytes", show_size(spool.max_bytes));
        self.set("min_free", min_free(spool.min_free));
        self.set("compression", quoted(if spool.compress { "gzip" } else { "none" }));
    }

    fn followed(&mut self, log: &FollowedLog) {
        self.table(&["inputs", &log.name]);
        self.set("type", quoted("file"));
        self.set("path", path(&log.path));
        self.set("start_at", start_at(log.start_at));
        self.set("max_line_bytes", show_size(log.max_line_bytes));
        self.set("rescan", show_duration(log.rescan));
        let beside = log.path.parent().unwrap_or(Path::new("/"));
        self.set("backups", list(log.backups.iter().map(|one| pattern(one, beside))));
        self.table(&["inputs", &log.name, "hold"]);
        self.set("max_bytes", show_size(log.hold.max_bytes));
        self.set("min_free", min_free(log.hold.min_free));
        self.set("dir", path(&log.hold.dir));
    }
}

/// A text in quotes, as this room reads it: with a dollar sign doubled.
fn quoted(text: &str) -> String {
    let text = text.replace('$', "$$");
    TomlStringBuilder::new(&text).as_basic().to_toml_value()
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn or_off(value: Option<String>) -> String {
    value.unwrap_or_else(|| quoted("off"))
}

fn list(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(", "))
}

fn texts(values: &[String]) -> String {
    list(values.iter().map(|text| quoted(text)))
}

/// A table on one line.
fn inline(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let pairs = pairs.into_iter().map(|(key, value)| format!("{} = {value}", key.to_toml_key()));
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() { "{}".into() } else { format!("{{ {} }}", pairs.join(", ")) }
}

/// The word for a value, from the table with which it is read.
fn word<T: PartialEq>(words: &[(&str, T)], value: &T) -> String {
    let found = words.iter().find(|(_, meaning)| meaning == value);
    quoted(found.map_or("", |(word, _)| word))
}

fn min_free(free: MinFree) -> String {
    match free {
        MinFree::Bytes(bytes) => show_size(bytes),
        MinFree::Percent(percent) => quoted(&format!("{percent}%")),
    }
}

fn start_at(start: StartAt) -> String {
    match start {
        StartAt::Beginning => quoted("beginning"),
        StartAt::CurrentFile => quoted("current_file"),
        StartAt::End => quoted("end"),
        StartAt::Age(age) => show_duration(age),
    }
}

/// The pattern of backups, relative to the directory of the log if they are below it: that directory may contain
/// characters that a pattern gives a meaning.
fn pattern(backups: &Backups, beside: &Path) -> String {
    let directory = backups.directory.strip_prefix(beside).unwrap_or(&backups.directory);
    path(&directory.join(backups.name()))
}
