//! The error of a filter: what is wrong, and where in the expression.

use std::fmt;

use cel::ParseErrors;

/// An expression is not a valid filter.
#[derive(Debug, Eq, PartialEq)]
pub struct FilterError {
    /// What is wrong, and what to do.
    pub message: String,
    /// Counted from 1, in characters.
    pub line: usize,
    pub column: usize,
    /// The line of the expression that the error is in.
    pub text: String,
}

impl FilterError {
    /// An error at a place that is counted in characters from the beginning of the expression.
    pub(super) fn at(expression: &str, offset: usize, message: impl Into<String>) -> Self {
        let before: String = expression.chars().take(offset).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|char| *char != '\n').count() + 1;
        Self::on(expression, line, column, message.into())
    }

    fn on(expression: &str, line: usize, column: usize, message: String) -> Self {
        let text = expression.lines().nth(line - 1).unwrap_or_default().to_owned();
        Self { message, line, column, text }
    }

    /// The first error of the parser; later ones are mostly its consequences.
    pub(super) fn parsing(expression: &str, errors: &ParseErrors) -> Self {
        let Some(first) = errors.errors.first() else {
            return Self::at(expression, 0, "it cannot be read");
        };
        let place = |at: isize| usize::try_from(at).unwrap_or(1).max(1);
        Self::on(expression, place(first.pos.0), place(first.pos.1), plain(&first.msg))
    }
}

/// The parser's message without its jargon.
fn plain(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split(" expecting {").next().unwrap_or(message);
    let quoted = || message.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\''));
    if message.contains("'<EOF>'") {
        return "it ends before it is complete".into();
    }
    match quoted() {
        Some((what, _)) if message.starts_with("token recognition") => {
            let hint = if what.starts_with('=') { ": to compare, write `==`" } else { "" };
            format!("`{}` means nothing here{hint}", what.trim_end())
        }
        Some((what, _)) if message.starts_with("mismatched") => format!("unexpected `{what}`"),
        Some((what, _)) if message.starts_with("extraneous") => {
            format!("unexpected `{what}`")
        }
        _ => message.to_owned(),
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}, column {}: {}", self.line, self.column, self.message)?;
        writeln!(f, "  {}", self.text)?;
        // Keeps tabs, so that the caret is in the right column.
        let indent: String = self
            .text
            .chars()
            .map(|char| if char == '\t' { '\t' } else { ' ' })
            .chain(std::iter::repeat(' '))
            .take(self.column - 1)
            .collect();
        write!(f, "  {indent}^")
    }
}

impl std::error::Error for FilterError {}
