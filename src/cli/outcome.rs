//! The outcome of a command: what it prints, and the exit code of the process.

use std::io::{self, Write as _};
use std::process;

use super::logging::Detail;

/// The exit code of the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ExitCode {
    Done = 0,
    /// An event is undelivered or missing, or something cannot be reached.
    Failed = 1,
    /// The usage is wrong, or the configuration is refused.
    Usage = 2,
    /// Finished, but there are dead letters.
    DeadLetters = 3,
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// Prints to standard output. A closed pipe (`| head`) is no error.
pub(super) fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Prints an error with its sources to standard error.
#[expect(
    clippy::print_stderr,
    reason = "the last word of a process that fails, whatever the log level"
)]
pub(super) fn fail<E: std::error::Error + ?Sized>(error: &E, code: ExitCode) -> ExitCode {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    eprintln!("auditrail: {text}");
    code
}

/// Prints a line to standard error that is no result and no problem: `--quiet` leaves it out.
pub(super) fn note(detail: Detail, text: &str) {
    if detail != Detail::Less {
        say(text);
    }
}

/// Prints a line to standard error, for people.
#[expect(clippy::print_stderr, reason = "standard output is for the result")]
pub(super) fn say(text: &str) {
    eprintln!("{text}");
}
