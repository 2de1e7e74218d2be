//! The text of a configuration file, and places in it, so that every error can name its line.

use std::cell::RefCell;
use std::path::Path;

use memchr::memchr_iter;

use super::ConfigError;

/// A configuration file, and the environment variables to substitute.
pub(super) struct ConfigSource<'a> {
    pub(super) name: &'a Path,
    pub(super) text: &'a str,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Lines of the file that contain a secret itself.
    pub(super) secret_lines: RefCell<Vec<usize>>,
}

impl ConfigSource<'_> {
    /// An error at a byte offset of the file.
    pub(super) fn error(&self, at: usize, what: String) -> ConfigError {
        ConfigError::At { file: self.name.into(), line: self.line(at), what }
    }

    /// The line of a byte offset, counted from 1.
    fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        1 + memchr_iter(b'\n', before).count()
    }
}

/// The place of a value or a table in the file.
#[derive(Clone)]
pub(super) struct SourcePlace<'a> {
    pub(super) source: &'a ConfigSource<'a>,
    /// Its dotted name, such as `outputs.loki.batch`; empty for the whole document.
    pub(super) name: String,
    /// Byte offset of its key in the file.
    pub(super) at: usize,
    /// Errors must not show the value, nor any value below it.
    pub(super) hidden: bool,
}

impl<'a> SourcePlace<'a> {
    /// The whole document.
    pub(super) fn document(source: &'a ConfigSource<'a>) -> Self {
        Self { source, name: String::new(), at: 0, hidden: false }
    }

    /// A place below this one.
    pub(super) fn below(&self, name: String, at: usize) -> Self {
        Self { source: self.source, name, at, hidden: self.hidden }
    }

    /// An error at this place.
    pub(super) fn error(&self, what: String) -> ConfigError {
        self.source.error(self.at, what)
    }

    /// The line of this place, counted from 1.
    pub(super) fn line(&self) -> usize {
        self.source.line(self.at)
    }
}
