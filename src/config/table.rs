//! The TOML as typed: tables from which each file of this room takes the keys that it knows.
//!
//! A [`Table`] remembers which keys were read, and [`Table::finish`] refuses the others as unknown. So nobody has to
//! keep a list of known keys in step with the code that reads them. The error for an unknown key names its table, its
//! line and the most similar key, which a derived `Deserialize` cannot do.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::ConfigError;
use super::item::Item;
use super::shown::{is_word, shown_key};
use super::source::{ConfigSource, SourcePlace};
use super::suggest::{list, nearest};

/// A table from which keys are taken one by one.
pub(super) struct Table<'a> {
    place: SourcePlace<'a>,
    items: BTreeMap<String, Item<'a>>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The whole document.
    pub(super) fn document(source: &'a ConfigSource<'a>) -> Result<Self, ConfigError> {
        match DeTable::parse(source.text) {
            Ok(document) => Ok(Self::new(SourcePlace::document(source), document.into_inner())),
            Err(error) => Err(not_toml(source, &error)),
        }
    }

    /// The part of the document that can be parsed, and the first error if it is not valid TOML.
    pub(super) fn as_far_as_it_goes(source: &'a ConfigSource<'a>) -> (Self, Option<ConfigError>) {
        let (document, errors) = DeTable::parse_recoverable(source.text);
        let table = Self::new(SourcePlace::document(source), document.into_inner());
        (table, errors.first().map(|error| not_toml(source, error)))
    }

    fn new(place: SourcePlace<'a>, table: DeTable<'a>) -> Self {
        let item = |(key, value): (Spanned<DeString<'a>>, Spanned<DeValue<'a>>)| {
            let at = key.span().start;
            let key = key.into_inner().into_owned();
            let name = below(&place.name, shown_key(&place.name, &key));
            (key, Item::new(place.below(name, at), value))
        };
        let items = table.into_iter().map(item).collect();
        Self { place, items, asked: Vec::new() }
    }

    /// The value of a key, and marks the key as known.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.asked.push(key);
        self.items.remove(key)
    }

    /// The value of a key as `read` understands it; `default` without the key.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Item<'a>) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        self.get(key).map_or(Ok(default), |item| read(&item))
    }

    /// The value of a key as `read` understands it, if the key is given.
    pub(super) fn given<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.get(key).map(|item| read(&item)).transpose()
    }

    /// The value of a required key. `example` is a complete line for the error.
    pub(super) fn need(
        &mut self,
        key: &'static str,
        example: &str,
    ) -> Result<Item<'a>, ConfigError> {
        if let Some(item) = self.get(key) {
            return Ok(item);
        }
        // A misspelt key is more likely than a missing one.
        if let Some((typed, item)) =
            self.items.iter().find(|(typed, _)| nearest(typed, &[key]).is_some())
        {
            return Err(self.unknown(typed, item));
        }
        let what = format!("`{key}` is missing {}: add a line such as `{example}`", self.shown());
        Err(self.place.error(what))
    }

    /// The table under a key; an empty table if the key is absent.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Table<'a>, ConfigError> {
        if let Some(item) = self.get(key) {
            return item.table();
        }
        let place = self.place.below(below(&self.place.name, key), self.place.at);
        Ok(Self::new(place, DeTable::new()))
    }

    /// Refuses a key that is planned but that this version does not support.
    pub(super) fn not_yet(&mut self, key: &'static str) -> Result<(), ConfigError> {
        // Not marked as known, so that no error suggests it in place of another key.
        let Some(item) = self.items.get(key) else { return Ok(()) };
        Err(item
            .error(format!("`{key}` {} is not supported by this version: remove it", self.shown())))
    }

    /// All keys with their values, for a table in which the operator chooses the keys.
    pub(super) fn entries(self) -> impl Iterator<Item = (String, Item<'a>)> {
        self.items.into_iter()
    }

    /// Refuses unknown keys: reports the first one in the file.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        match self.items.iter().min_by_key(|(_, item)| item.at()) {
            None => Ok(()),
            Some((key, item)) => Err(self.unknown(key, item)),
        }
    }

    /// The table, as the operator writes it in the file.
    fn shown(&self) -> String {
        if self.place.name.is_empty() {
            "at the top of the file".into()
        } else {
            format!("in [{}]", self.place.name.escape_debug())
        }
    }

    fn unknown(&self, key: &str, item: &Item<'_>) -> ConfigError {
        let near = nearest(key, &self.asked);
        let way_out = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", list(&self.asked)),
        };
        // A secret may have been pasted in the place of a key.
        let shown = is_word(key) && (near.is_some() || !self.place.hidden);
        let name = if shown { format!(" `{key}`") } else { String::new() };
        item.error(format!("unknown key{name} {}: {way_out}", self.shown()))
    }
}

impl<'a> Item<'a> {
    /// Its value as a table.
    pub(super) fn table(&self) -> Result<Table<'a>, ConfigError> {
        match self.typed_table() {
            Some((place, table)) => Ok(Table::new(place, table)),
            None => Err(self.wrong(format!("write a table, as `[{}]` or in braces", self.name()))),
        }
    }
}

/// The dotted name of a key in a table.
fn below(table: &str, key: &str) -> String {
    if table.is_empty() { key.into() } else { format!("{table}.{key}") }
}

/// The parser error without its own `Display`, which quotes the line and so could show a secret.
fn not_toml(source: &ConfigSource<'_>, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(source.text.len(), |span| span.start);
    source.error(at, format!("not TOML: {}", error.message()))
}
