//! Errors and warnings about a policy, each with its line.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a policy is refused: all errors, one per line, in the order of the file.
#[derive(Debug)]
pub struct PolicyError {
    file: PathBuf,
    findings: Vec<Finding>,
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(out, "{end}{}", finding.at(&self.file))?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Finding {
    line: u64,
    what: String,
    /// The API server accepts it, but does something else than is meant.
    trap: bool,
}

/// Where something stands in a policy.
pub(super) struct FieldPlace<'a> {
    pub(super) line: u64,
    /// The path of a field, such as `rules[2].verbs`; empty for the whole file.
    pub(super) field: &'a str,
}

impl<'a> From<(u64, &'a str)> for FieldPlace<'a> {
    fn from((line, field): (u64, &'a str)) -> Self {
        Self { line, field }
    }
}

impl<'a> From<(u64, &'a String)> for FieldPlace<'a> {
    fn from((line, field): (u64, &'a String)) -> Self {
        Self { line, field }
    }
}

impl Finding {
    fn new(
        FieldPlace { line, field }: FieldPlace<'_>,
        what: &impl fmt::Display,
        trap: bool,
    ) -> Self {
        let what = if field.is_empty() { what.to_string() } else { format!("{field}: {what}") };
        Self { line, what, trap }
    }

    fn at(&self, file: &Path) -> String {
        format!("{}:{}: {}", file.display(), self.line, self.what)
    }
}

/// The findings while a policy is read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Findings {
    /// Adds an error about something that cannot be parsed.
    pub(super) fn error<'a>(&mut self, place: impl Into<FieldPlace<'a>>, what: impl fmt::Display) {
        self.errors.push(Finding::new(place.into(), &what, false));
    }

    /// Adds an error about something that the API server accepts but surely not as it is meant.
    pub(super) fn trap<'a>(&mut self, place: impl Into<FieldPlace<'a>>, what: impl fmt::Display) {
        self.errors.push(Finding::new(place.into(), &what, true));
    }

    /// Adds a warning about something that may be intended.
    pub(super) fn warn<'a>(&mut self, place: impl Into<FieldPlace<'a>>, what: impl fmt::Display) {
        self.warnings.push(Finding::new(place.into(), &what, true));
    }

    /// Whether the API server would accept the policy.
    pub(super) fn readable(&self) -> bool {
        self.errors.iter().all(|finding| finding.trap)
    }

    pub(super) fn into_error(mut self, file: &Path) -> PolicyError {
        self.errors.sort_by_key(|finding| finding.line);
        PolicyError { file: file.into(), findings: self.errors }
    }

    pub(super) fn warnings(mut self, file: &Path) -> Vec<String> {
        self.warnings.sort_by_key(|finding| finding.line);
        self.warnings.iter().map(|finding| finding.at(file)).collect()
    }
}

/// The most similar word, if any is similar enough.
pub(super) fn nearest<'w>(typed: &str, words: &[&'w str]) -> Option<&'w str> {
    let likeness =
        |word: &str| strsim::jaro_winkler(&typed.to_ascii_lowercase(), &word.to_ascii_lowercase());
    let best = words.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.8).then_some(best)
}

/// The words in backquotes, separated by commas.
pub(super) fn list(words: &[&str]) -> String {
    format!("`{}`", words.join("`, `"))
}
