//! One value of the configuration file, and its parsers: text, path, secret, size, duration, choice, list.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::expand::expand;
use super::shown::is_plain;
use super::source::SourcePlace;
use super::suggest::{list, nearest};
use super::value::{self, show_duration, show_size};

/// Longest part of a value that an error repeats, in characters.
const SHOWN: usize = 60;

/// A value and its place in the file.
pub(super) struct Item<'a> {
    place: SourcePlace<'a>,
    value: Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    pub(super) fn new(place: SourcePlace<'a>, value: Spanned<DeValue<'a>>) -> Self {
        Self { place, value }
    }

    /// Hides the value, and all values below it, in errors.
    pub(super) fn hide(mut self) -> Self {
        self.place.hidden = true;
        self
    }

    /// Its dotted name, such as `outputs.loki.batch`.
    pub(super) fn name(&self) -> &str {
        &self.place.name
    }

    /// Byte offset of its key in the file.
    pub(super) fn at(&self) -> usize {
        self.place.at
    }

    /// An error at this value.
    pub(super) fn error(&self, what: String) -> ConfigError {
        self.place.error(what)
    }

    /// File, line and name of this value, for errors of other rooms that parse its text.
    pub(super) fn place(&self) -> String {
        format!("{}:{}: {}", self.place.source.name.display(), self.place.line(), self.name())
    }

    /// The error that this value is not accepted. It shows the value as typed, with variables not substituted, unless
    /// it may be a secret.
    pub(super) fn wrong(&self, accepted: impl Display) -> ConfigError {
        let name = self.name().escape_debug();
        if self.is_table() {
            return self.error(format!("{name}: {accepted}"));
        }
        self.error(format!("{name} = {}: {accepted}", self.typed()))
    }

    fn typed(&self) -> String {
        let text = self.place.source.text.get(self.value.span()).unwrap_or_default();
        if self.place.hidden || !is_plain(text) {
            return "***".into();
        }
        let mut shown: String = text.chars().take_while(|c| !c.is_control()).take(SHOWN).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        shown
    }

    /// A text with its variables substituted.
    pub(super) fn text(&self) -> Result<String, ConfigError> {
        match self.value.get_ref() {
            DeValue::String(text) => {
                expand(text, self.place.source.env).map_err(|what| self.wrong(what))
            }
            _ => Err(self.wrong("write a text in quotes")),
        }
    }

    /// A text that is not empty.
    pub(super) fn filled(&self) -> Result<String, ConfigError> {
        let text = self.text()?;
        if text.trim().is_empty() { Err(self.wrong("must not be empty")) } else { Ok(text) }
    }

    /// A secret. Its line is recorded unless the text comes from a variable.
    pub(super) fn secret(&self) -> Result<String, ConfigError> {
        let secret = self.filled()?;
        if self.value.get_ref().as_str().is_some_and(|text| !text.contains("${")) {
            self.place.source.secret_lines.borrow_mut().push(self.place.line());
        }
        Ok(secret)
    }

    /// The path of a file that contains a secret. It must look like a path, because an error would show a secret that
    /// was pasted in its place.
    pub(super) fn secret_path(&self, key: &str) -> Result<PathBuf, ConfigError> {
        let text = self.filled()?;
        if ["/", "./", "../"].iter().any(|start| text.starts_with(start)) {
            return self.path();
        }
        let name = self.name();
        let way_out = "the path of a file begins with `/`, `./` or `../`";
        Err(self.error(format!("{name} = ***: {way_out}; the secret itself is written as `{key}`")))
    }

    /// A path that is not empty; a relative one is resolved against the working directory.
    pub(super) fn path(&self) -> Result<PathBuf, ConfigError> {
        let path = PathBuf::from(self.filled()?);
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(self.wrong("a path cannot hold a NUL"));
        }
        // Fails only if the working directory no longer exists.
        std::path::absolute(&path).map_err(|error| {
            self.wrong(format!("cannot be made absolute ({error}): write an absolute path"))
        })
    }

    /// Whether it is the word `off`.
    pub(super) fn is_off(&self) -> bool {
        self.text().is_ok_and(|text| text == "off")
    }

    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        self.value.get_ref().as_bool().ok_or_else(|| self.wrong("write true or false"))
    }

    /// A whole number within bounds.
    pub(super) fn count(&self, bounds: RangeInclusive<usize>) -> Result<usize, ConfigError> {
        let count =
            self.integer().and_then(|n| usize::try_from(n).ok()).filter(|n| bounds.contains(n));
        count.ok_or_else(|| {
            self.wrong(format!("write a number from {} to {}", bounds.start(), bounds.end()))
        })
    }

    /// A number of bytes within bounds.
    pub(super) fn size(&self, bounds: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let bytes = match self.value.get_ref() {
            DeValue::String(_) => value::size(&self.text()?),
            _ => self.integer(),
        };
        match bytes {
            None => {
                Err(self.wrong("write a size such as \"10MiB\", \"10MB\" or a number of bytes"))
            }
            Some(bytes) if bounds.contains(&bytes) => Ok(bytes),
            Some(_) => Err(self.wrong(format!(
                "write a size from {} to {}",
                show_size(*bounds.start()),
                show_size(*bounds.end())
            ))),
        }
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &self,
        bounds: RangeInclusive<Duration>,
    ) -> Result<Duration, ConfigError> {
        let time = match self.value.get_ref() {
            DeValue::String(_) => value::duration(&self.text()?),
            _ => None,
        };
        match time {
            None => Err(self.wrong("write a duration such as \"200ms\", \"5s\" or \"1h30m\"")),
            Some(time) if bounds.contains(&time) => Ok(time),
            Some(_) => Err(self.wrong(format!(
                "write a duration from {} to {}",
                show_duration(*bounds.start()),
                show_duration(*bounds.end())
            ))),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let typed = self.text()?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == typed) {
            return Ok(*meaning);
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let accepted = match words.split_last() {
            Some((last, [])) => format!("write \"{last}\""),
            Some((last, others)) => {
                let near =
                    nearest(&typed, &words).map(|near| format!("; did you mean \"{near}\"?"));
                format!(
                    "write \"{}\" or \"{last}\"{}",
                    others.join("\", \""),
                    near.unwrap_or_default()
                )
            }
            None => String::new(),
        };
        Err(self.wrong(accepted))
    }

    /// A list of known words, each at most once. `unknown` is the error for any other.
    pub(super) fn selection<T: Clone>(
        &self,
        words: &[(&str, T)],
        unknown: &str,
    ) -> Result<Vec<T>, ConfigError> {
        let mut taken = vec![false; words.len()];
        let mut selected = Vec::new();
        for element in self.list()? {
            let typed = element.text()?;
            let Some(at) = words.iter().position(|(word, _)| *word == typed) else {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let way_out = match nearest(&typed, &words) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("known are {}", list(&words)),
                };
                return Err(element.wrong(format!("{unknown}: {way_out}")));
            };
            if std::mem::replace(&mut taken[at], true) {
                return Err(element.wrong("named twice: remove one"));
            }
            selected.push(words[at].1.clone());
        }
        Ok(selected)
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Result<Vec<Item<'a>>, ConfigError> {
        let DeValue::Array(array) = self.value.get_ref() else {
            return Err(self.wrong("write a list in brackets, as in `[\"a\", \"b\"]`"));
        };
        let element = |(index, value): (usize, &Spanned<DeValue<'a>>)| {
            let name = format!("{}[{index}]", self.name());
            Item::new(self.place.below(name, value.span().start), value.clone())
        };
        Ok(array.iter().enumerate().map(element).collect())
    }

    /// Its place and its members, if it is a table.
    pub(super) fn typed_table(&self) -> Option<(SourcePlace<'a>, DeTable<'a>)> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some((self.place.clone(), table.clone())),
            _ => None,
        }
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    fn integer(&self) -> Option<u64> {
        let integer = self.value.get_ref().as_integer()?;
        u64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }
}
