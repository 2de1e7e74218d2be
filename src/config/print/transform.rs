//! Prints the `transform` table of an output.

use super::{TomlText, inline, list, or_off, path, quoted, texts, word};
use crate::config::transform::{CONFIG_MAPS, Redact, RedactMode, Transform};
use crate::config::value::show_size;
use crate::transform::Rule;

impl TomlText {
    pub(super) fn transform(&mut self, at: &[&str], transform: &Transform) {
        self.table(at);
        let policy = transform.policy_file.as_deref();
        self.set("policy_file", policy.map_or_else(|| quoted(""), path));
        let filter = transform.filter.as_ref().map_or("", |filter| &filter.text);
        self.set("where", quoted(filter));
        self.set("omit_managed_fields", transform.omit_managed_fields);
        let limit = transform.max_event_bytes.map(|bytes| show_size(bytes as u64));
        self.set("max_event_bytes", or_off(limit));
        self.set("omit_stages", texts(&transform.omit_stages));
        match &transform.redact {
            None => self.set("redact", quoted("off")),
            Some(redact) => {
                self.table(&[at, &["redact"]].concat());
                self.redact(redact);
            }
        }
    }

    fn redact(&mut self, redact: &Redact) {
        match &redact.mode {
            RedactMode::Mask => self.set("mode", quoted("mask")),
            RedactMode::Hash { key_file } => {
                self.set("mode", quoted("hash"));
                if let Some(file) = key_file {
                    self.set("key_file", path(file));
                }
            }
        }
        self.set("config_maps", word(&CONFIG_MAPS, &redact.config_maps));
        self.set("user_extra", texts(&redact.user_extra));
        self.set("pseudonymise_users", redact.pseudonymise_users);
        self.set("proxy_paths", redact.proxy_paths);
        for (key, keep) in [("rules", false), ("keep", true)] {
            let rules = redact.rules.iter().filter(|rule| rule.keep == keep);
            self.set(key, list(rules.map(rule)));
        }
    }
}

fn rule(rule: &Rule) -> String {
    let texts = [
        ("path", &rule.path),
        ("key", &rule.key),
        ("pattern", &rule.pattern),
        ("group", &rule.group),
    ];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key, quoted(text.as_ref()?))));
    let resources = rule.resource.iter().map(|name| ("resources", list([quoted(name)])));
    inline(resources.chain(texts).map(|(key, value)| (key.into(), value)))
}
