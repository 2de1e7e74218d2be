//! `[transform]`: filtering, policy, redaction of secrets, and size limit of events before they leave the node. An
//! output's own table is merged over the general one, key by key.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::ConfigError;
use super::item::Item;
use super::table::Table;
use crate::transform::{ConfigMaps, Rule};

/// Which events one output gets, and how they are changed for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Transform {
    /// Path of an `audit.k8s.io/v1` Policy. Default: none; every event keeps the level it was written at.
    pub(crate) policy_file: Option<PathBuf>,
    /// `where`: a CEL expression. Events for which it is false are dropped. Default: none.
    pub(crate) filter: Option<Placed>,
    /// Which secrets are redacted; `None` for `"off"`.
    pub(crate) redact: Option<Redact>,
    /// Removes `managedFields` from bodies. Default true.
    pub(crate) omit_managed_fields: bool,
    /// Longer events are shrunk to this many bytes; `None` for `"off"`. Default 256 KiB for Loki, 240 KiB for Falco
    /// (and never more), else off.
    pub(crate) max_event_bytes: Option<usize>,
    /// Events of these stages are left out. Default `RequestReceived` for Falco, else none.
    pub(crate) omit_stages: Vec<String>,
}

/// What an output has unless the configuration says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransformDefaults {
    pub(super) max_event_bytes: Option<usize>,
    /// The output never takes more; `None`: no such bound.
    pub(super) most_event_bytes: Option<usize>,
    pub(super) omit_stages: &'static [&'static str],
}

/// The stages that the API server writes.
pub(super) const STAGES: [(&str, &str); 4] = [
    ("RequestReceived", "RequestReceived"),
    ("ResponseStarted", "ResponseStarted"),
    ("ResponseComplete", "ResponseComplete"),
    ("Panic", "Panic"),
];

/// A text that another room parses, with its place for that room's errors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) text: String,
    /// File, line and key.
    pub(crate) place: String,
}

/// `redact`: which values are redacted beyond the ones that always are, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Redact {
    pub(crate) mode: RedactMode,
    pub(crate) config_maps: ConfigMaps,
    /// Keys of `user.extra` whose values are kept, in addition to the harmless ones.
    pub(crate) user_extra: Vec<String>,
    /// Replaces user names by pseudonyms.
    pub(crate) pseudonymise_users: bool,
    /// Redacts the whole path and all parameters behind `/proxy/` in a URI. Without it, parameters there that are known
    /// to be harmless are kept.
    pub(crate) proxy_paths: bool,
    /// `rules`, then `keep`: values that are kept although a built-in rule by name or shape would redact them.
    pub(crate) rules: Vec<Rule>,
}

/// What replaces a redacted value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum RedactMode {
    /// The same text for all values.
    #[default]
    Mask,
    /// A keyed hash, so that equal values can still be recognised as equal.
    Hash {
        /// File of the key. Default: the key in the state directory, which no other node has.
        key_file: Option<PathBuf>,
    },
}

/// Bounds of `max_event_bytes`: an event without its bodies is expected to fit into the lower one, and no line exceeds
/// the upper one.
const EVENT: RangeInclusive<u64> = 4 << 10..=1 << 30;

pub(super) const CONFIG_MAPS: [(&str, ConfigMaps); 3] =
    [("pattern", ConfigMaps::Pattern), ("all", ConfigMaps::All), ("off", ConfigMaps::Off)];

/// What a key turns on, or that it turns it off.
#[derive(Clone)]
enum Setting<T> {
    Off,
    On(T),
}

impl<T> Setting<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

/// The keys given in one table.
#[derive(Clone, Default)]
pub(super) struct Given {
    policy_file: Option<Setting<PathBuf>>,
    filter: Option<Setting<Placed>>,
    redact: Option<Setting<Redact>>,
    omit_managed_fields: Option<bool>,
    max_event_bytes: Option<Setting<usize>>,
    omit_stages: Option<Vec<String>>,
}

impl Given {
    pub(super) fn read(mut table: Table<'_>) -> Result<Self, ConfigError> {
        let given = Self {
            policy_file: table.given("policy_file", optional_path)?,
            filter: table.given("where", placed)?,
            redact: table.given("redact", redact)?,
            omit_managed_fields: table.given("omit_managed_fields", Item::flag)?,
            max_event_bytes: table.given("max_event_bytes", limit)?,
            omit_stages: table.given("omit_stages", stages)?,
        };
        table.finish()?;
        Ok(given)
    }

    /// Merges this table over the general one, and that over the defaults.
    pub(super) fn over(self, general: &Self, defaults: TransformDefaults) -> Transform {
        let general = general.clone();
        let max_event_bytes = self
            .max_event_bytes
            .or(general.max_event_bytes)
            .map_or(defaults.max_event_bytes, Setting::value);
        Transform {
            policy_file: self.policy_file.or(general.policy_file).and_then(Setting::value),
            filter: self.filter.or(general.filter).and_then(Setting::value),
            redact: self
                .redact
                .or(general.redact)
                .map_or_else(|| Some(Redact::default()), Setting::value),
            omit_managed_fields: self
                .omit_managed_fields
                .or(general.omit_managed_fields)
                .unwrap_or(true),
            max_event_bytes: match defaults.most_event_bytes {
                Some(most) => Some(max_event_bytes.map_or(most, |bytes| bytes.min(most))),
                None => max_event_bytes,
            },
            omit_stages: self.omit_stages.or(general.omit_stages).unwrap_or_else(|| {
                defaults.omit_stages.iter().map(|stage| (*stage).to_owned()).collect()
            }),
        }
    }
}

/// A path; empty means none.
fn optional_path(item: &Item<'_>) -> Result<Setting<PathBuf>, ConfigError> {
    if item.text()?.is_empty() { Ok(Setting::Off) } else { item.path().map(Setting::On) }
}

/// An expression; empty means none.
fn placed(item: &Item<'_>) -> Result<Setting<Placed>, ConfigError> {
    let text = item.text()?;
    if text.trim().is_empty() {
        return Ok(Setting::Off);
    }
    Ok(Setting::On(Placed { text, place: item.place() }))
}

fn stages(item: &Item<'_>) -> Result<Vec<String>, ConfigError> {
    let stages = item.selection(&STAGES, "no such stage")?;
    Ok(stages.into_iter().map(str::to_owned).collect())
}

fn limit(item: &Item<'_>) -> Result<Setting<usize>, ConfigError> {
    if item.is_off() {
        return Ok(Setting::Off);
    }
    item.size(EVENT).map(|bytes| Setting::On(usize::try_from(bytes).unwrap_or(usize::MAX)))
}

fn redact(item: &Item<'_>) -> Result<Setting<Redact>, ConfigError> {
    if !item.is_table() {
        let is_on = item.choice(&[("default", true), ("off", false)])?;
        return Ok(if is_on { Setting::On(Redact::default()) } else { Setting::Off });
    }
    let mut table = item.table()?;
    let key_file = table.get("key_file");
    let mode = match table.get("mode").map(|item| item.choice(&[("mask", false), ("hash", true)])) {
        Some(Ok(true)) => {
            RedactMode::Hash { key_file: key_file.map(|item| item.path()).transpose()? }
        }
        Some(Err(error)) => return Err(error),
        Some(Ok(false)) | None => match key_file {
            Some(item) => return Err(item.wrong("only `mode = \"hash\"` has a key")),
            None => RedactMode::Mask,
        },
    };
    let redact = Redact {
        mode,
        config_maps: table
            .or("config_maps", ConfigMaps::Pattern, |item| item.choice(&CONFIG_MAPS))?,
        user_extra: table.or("user_extra", Vec::new(), texts)?,
        pseudonymise_users: table.or("pseudonymise_users", false, Item::flag)?,
        proxy_paths: table.or("proxy_paths", false, Item::flag)?,
        rules: [
            table.or("rules", Vec::new(), |item| rules(item, false))?,
            table.or("keep", Vec::new(), |item| rules(item, true))?,
        ]
        .concat(),
    };
    table.finish()?;
    Ok(Setting::On(redact))
}

fn texts(item: &Item<'_>) -> Result<Vec<String>, ConfigError> {
    item.list()?.into_iter().map(|element| element.filled()).collect()
}

fn rules(item: &Item<'_>, keep: bool) -> Result<Vec<Rule>, ConfigError> {
    let rules: Vec<_> =
        item.list()?.iter().map(|item| rule(item, keep)).collect::<Result<_, _>>()?;
    Ok(rules.concat())
}

/// One rule for each resource that an element names, or one for all resources.
fn rule(item: &Item<'_>, keep: bool) -> Result<Vec<Rule>, ConfigError> {
    let mut table = item.table()?;
    let mut text = |key| table.given(key, Item::filled);
    let (path, key, pattern) = (text("path")?, text("key")?, text("pattern")?);
    let group = table.given("group", Item::text)?;
    let resources = table.or("resources", Vec::new(), texts)?;
    table.finish()?;
    if path.is_none() && key.is_none() && pattern.is_none() {
        return Err(item.wrong("say what is meant: give `path`, `key` or `pattern`"));
    }
    let name = item.place();
    let rule = Rule { name, resource: None, group, path, key, pattern, keep };
    if resources.is_empty() {
        return Ok(vec![rule]);
    }
    let of = |resource| Rule { resource: Some(resource), ..rule.clone() };
    Ok(resources.into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const REST: &str = "[inputs.a]\ntype = \"file\"\npath = \"/a/audit.log\"\n\
        [outputs.f]\ntype = \"file\"\npath = \"/f\"\n[outputs.l]\ntype = \"loki\"\nendpoint = \"http://l\"\n";

    fn load(text: &str) -> Result<Vec<Transform>, String> {
        let config = Config::parse(&format!("{text}{REST}"), Path::new("a.toml"), &|_| None);
        let config = config.map_err(|error| error.to_string())?;
        Ok(config.outputs.into_iter().map(|output| output.transform).collect())
    }

    #[test]
    fn by_default_secrets_stay_and_only_loki_is_sent_shortened_events() {
        let [file, loki] = load("").unwrap().try_into().unwrap();
        assert_eq!(file.redact, Some(Redact::default()));
        assert!(file.omit_managed_fields);
        assert_eq!((file.max_event_bytes, loki.max_event_bytes), (None, Some(256 << 10)));
        assert_eq!((file.policy_file, file.filter), (None, None));
    }

    #[test]
    fn the_table_of_an_output_is_merged_over_the_general_one_key_by_key() {
        let text =
            "transform = { policy_file = \"/p\", redact = \"off\", max_event_bytes = \"1MiB\" }\n";
        let [file, mut loki] = load(text).unwrap().try_into().unwrap();
        assert_eq!(file.policy_file.as_deref(), Some(Path::new("/p")));
        assert_eq!((file.redact.as_ref(), file.max_event_bytes), (None, Some(1 << 20)));
        let own = "[outputs.l.transform]\npolicy_file = \"\"\nwhere = \"event.verb != 'get'\"\n";
        let config = Config::parse(&format!("{text}{REST}{own}"), Path::new("a.toml"), &|_| None);
        let merged = config.unwrap().outputs.remove(1).transform;
        let place = "a.toml:13: outputs.l.transform.where".to_owned();
        let filter = Some(Placed { text: "event.verb != 'get'".into(), place });
        (loki.policy_file, loki.filter) = (None, filter);
        assert_eq!(merged, loki);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_way_out() {
        let wrong =
            |redact: &str| load(&format!("transform = {{ redact = {redact} }}\n")).unwrap_err();
        assert!(wrong("\"of\"").contains("off"), "{}", wrong("\"of\""));
        assert!(wrong("{ key_file = \"/k\" }").contains("only `mode = \"hash\"` has a key"));
        assert!(
            wrong("{ rules = [{ resources = [\"secrets\"] }] }").contains("give `path`, `key` or")
        );
        assert!(wrong("{ rules = [{ keys = \"x\" }] }").contains("did you mean `key`?"));
        assert!(load("transform = { max_event_bytes = \"1KiB\" }\n").is_err());
    }
}
