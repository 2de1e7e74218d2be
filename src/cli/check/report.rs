//! Prints the findings of `check`: a line for each, and a hint for each failure.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use serde_json::json;

use crate::cli::logging::Detail;
use crate::cli::outcome::print;
use crate::output::{Finding, FindingState};

/// How the report is printed.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum ReportForm {
    Text(Detail),
    Json,
}

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

    pub(super) fn print(&self, form: ReportForm) {
        match form {
            ReportForm::Text(detail) => self.print_text(detail),
            ReportForm::Json => print(&self.json()),
        }
    }

    /// One object. Its names and the values of `state` are documented: scripts rely on them.
    fn json(&self) -> String {
        let word = |state| match state {
            FindingState::Ok => "ok",
            FindingState::Warn => "warn",
            FindingState::Fail => "fail",
        };
        let check = |(subject, finding): &(String, Finding)| {
            let hint = Some(&finding.hint).filter(|hint| !hint.is_empty());
            json!({"subject": subject, "state": word(finding.state), "what": finding.what, "hint": hint})
        };
        let state = match (self.failed, self.warned) {
            (true, _) => "fail",
            (false, true) => "warn",
            (false, false) => "ok",
        };
        let checks: Vec<_> = self.lines.iter().map(check).collect();
        format!("{:#}\n", json!({"state": state, "checks": checks}))
    }

    /// With `--quiet`, only the lines that an operator has to look at.
    fn print_text(&self, detail: Detail) {
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
