//! Prints the findings of `check`: a line for each, and a hint for each failure.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use crate::cli::logging::Detail;
use crate::cli::outcome::print;
use crate::output::{Finding, FindingState};

/// The lines to print.
#[derive(Default)]
pub(super) struct Report {
    lines: Vec<(String, Finding)>,
    pub(super) failed: bool,
    pub(super) warned: bool,
}

impl Report {
    pub(super) fn add(&mut self, subject: &str, finding: Finding) {
        self.failed |= finding.is_failure();
        self.warned |= finding.state == FindingState::Warn;
        self.lines.push((subject.to_owned(), finding));
    }

    /// Prints the lines; with `--quiet`, only those that an operator has to look at.
    pub(super) fn print(&self, detail: Detail) {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let shown = |(_, finding): &&(String, Finding)| {
            detail != Detail::Less || finding.state != FindingState::Ok
        };
        let lines: Vec<_> = self.lines.iter().filter(shown).collect();
        let width = lines.iter().map(|(subject, _)| subject.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (subject, finding) in lines {
            let (word, code) = match finding.state {
                FindingState::Ok => ("ok  ", 32),
                FindingState::Warn => ("warn", 33),
                FindingState::Fail => ("FAIL", 31),
            };
            let word = if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
            let _ = writeln!(text, "{word} {subject:width$}  {}", finding.what);
            if !finding.hint.is_empty() {
                let _ = writeln!(text, "     {:width$}  hint: {}", "", finding.hint);
            }
        }
        print(&text);
    }
}
