//! The TOML as typed: tables and values that know their place in the file, so that every error can name its line.
//!
//! A [`Table`] remembers which keys were read, and [`Table::finish`] refuses the others as unknown. So there is no list
//! of known keys to keep in step with the code that reads them, and the error for an unknown key names its table, its
//! line and the most similar key, which a derived `Deserialize` cannot do.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use memchr::memchr_iter;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::ConfigError;
use super::item::Item;
use super::shown::{is_word, shown_key};

/// A configuration file, and the environment variables to substitute.
pub(super) struct ConfigSource<'a> {
    pub(super) name: &'a Path,
    pub(super) text: &'a str,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Lines of the file that contain a secret itself.
    pub(super) secret_lines: RefCell<Vec<usize>>,
}

impl<'a> ConfigSource<'a> {
    /// The whole document.
    pub(super) fn table(&'a self) -> Result<Table<'a>, ConfigError> {
        match DeTable::parse(self.text) {
            Ok(document) => Ok(Table::new(self, String::new(), 0, false, document.into_inner())),
            Err(error) => Err(self.not_toml(&error)),
        }
    }

    /// The part of the document that can be parsed, and the first error if it is not valid TOML.
    pub(super) fn table_as_far_as_it_goes(&'a self) -> (Table<'a>, Option<ConfigError>) {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        let table = Table::new(self, String::new(), 0, false, document.into_inner());
        (table, errors.first().map(|error| self.not_toml(error)))
    }

    /// The parser error without its own `Display`, which quotes the line and so could show a secret.
    fn not_toml(&self, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map_or(self.text.len(), |span| span.start);
        self.error(at, format!("not TOML: {}", error.message()))
    }

    /// An error at a byte offset of the file.
    pub(super) fn error(&self, at: usize, what: String) -> ConfigError {
        ConfigError::At { file: self.name.into(), line: self.line(at), what }
    }

    /// The line of a byte offset, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        1 + memchr_iter(b'\n', before).count()
    }
}

/// A table from which keys are taken one by one.
pub(super) struct Table<'a> {
    source: &'a ConfigSource<'a>,
    /// Its dotted name; empty for the whole document.
    path: String,
    at: usize,
    hidden: bool,
    items: BTreeMap<String, Item<'a>>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// `hidden`: errors must not show its values.
    pub(super) fn new(
        source: &'a ConfigSource<'a>,
        path: String,
        at: usize,
        hidden: bool,
        table: DeTable<'a>,
    ) -> Self {
        let item = |(key, value): (Spanned<DeString<'a>>, Spanned<DeValue<'a>>)| {
            let at = key.span().start;
            let key = key.into_inner().into_owned();
            let shown = shown_key(&path, &key);
            let name = if path.is_empty() { shown.to_owned() } else { format!("{path}.{shown}") };
            (key, Item::new(source, name, at, hidden, value))
        };
        let items = table.into_iter().map(item).collect();
        Self { source, path, at, hidden, items, asked: Vec::new() }
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
        let what = format!("`{key}` is missing {}: add a line such as `{example}`", self.place());
        Err(self.source.error(self.at, what))
    }

    /// The table under a key; an empty table if the key is absent.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Table<'a>, ConfigError> {
        match self.get(key) {
            Some(item) => item.table(),
            None => Ok(Self::new(self.source, self.name(key), self.at, false, DeTable::new())),
        }
    }

    /// Refuses a key that is planned but that this version does not support.
    pub(super) fn not_yet(&mut self, key: &'static str) -> Result<(), ConfigError> {
        // Not marked as known, so that no error suggests it in place of another key.
        let Some(item) = self.items.get(key) else { return Ok(()) };
        Err(item
            .error(format!("`{key}` {} is not supported by this version: remove it", self.place())))
    }

    /// All keys with their values, for a table in which the operator chooses the keys.
    pub(super) fn entries(self) -> impl Iterator<Item = (String, Item<'a>)> {
        self.items.into_iter()
    }

    /// Refuses unknown keys: reports the first one in the file.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        match self.items.iter().min_by_key(|(_, item)| item.at) {
            None => Ok(()),
            Some((key, item)) => Err(self.unknown(key, item)),
        }
    }

    /// The place of the table, as the operator writes it in the file.
    fn place(&self) -> String {
        if self.path.is_empty() {
            "at the top of the file".into()
        } else {
            format!("in [{}]", self.path.escape_debug())
        }
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    fn unknown(&self, key: &str, item: &Item<'_>) -> ConfigError {
        let near = nearest(key, &self.asked);
        let way_out = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", list(&self.asked)),
        };
        // A secret may have been pasted in the place of a key.
        let shown = is_word(key) && (near.is_some() || !self.hidden);
        let name = if shown { format!(" `{key}`") } else { String::new() };
        item.error(format!("unknown key{name} {}: {way_out}", self.place()))
    }
}

/// The word most similar to the typed one, if any is similar enough.
pub(super) fn nearest<'w>(typed: &str, words: &[&'w str]) -> Option<&'w str> {
    let likeness = |word: &str| strsim::jaro_winkler(typed, word);
    let best = words.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    // The threshold was found by trial: `tenent`, `endpont`, `max_event` and `listen_addr` pass, `colour` for `cluster`
    // does not.
    (likeness(best) > 0.8).then_some(best)
}

/// The words in backquotes, sorted, separated by commas.
pub(super) fn list(words: &[&str]) -> String {
    let mut words = words.to_vec();
    words.sort_unstable();
    format!("`{}`", words.join("`, `"))
}
