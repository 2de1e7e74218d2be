//! The global options: how much is logged, in which format, and how much a command prints.

use clap::error::ErrorKind;
use clap::{ArgAction, Args, Command, ValueEnum};

use crate::telemetry::log::LogFormat;

/// How much a command prints beside its result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Detail {
    /// `--quiet`: what is wrong, and the result itself.
    Less,
    Usual,
    /// `--verbose`: everything that is known.
    More,
}

#[derive(Args, Debug)]
pub(super) struct LogArguments {
    /// The format of log lines on standard error
    #[arg(long, global = true, help_heading = "Global options", value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// error, warn, info, debug or trace, or a list such as `info,auditrail::pipeline=debug`; overrides
    /// `AUDITRAIL_LOG`
    #[arg(long, global = true, help_heading = "Global options", value_name = "LEVEL")]
    log_level: Option<String>,
    /// Log and print less: warnings and errors; -qq for errors only, -qqq for no log
    #[arg(short, long, global = true, help_heading = "Global options", action = ArgAction::Count)]
    quiet: u8,
    /// Log and print more: what auditrail does in detail; -vv traces it, -vvv traces its libraries too
    #[arg(short, long, global = true, help_heading = "Global options", action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl LogArguments {
    /// Refuses options that contradict each other. clap does not see it if one stands before the command and the other
    /// behind it.
    pub(super) fn agree(&self, program: &mut Command) -> Result<(), clap::Error> {
        let given = [
            ("--log-level", self.log_level.is_some()),
            ("--quiet", self.quiet > 0),
            ("--verbose", self.verbose > 0),
        ];
        let given: Vec<_> =
            given.iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
        let [one, other, ..] = given[..] else { return Ok(()) };
        let what = format!("{one} and {other} both set the level of the log: keep one of them");
        Err(program.error(ErrorKind::ArgumentConflict, what))
    }

    pub(super) fn format(&self) -> LogFormat {
        match self.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        }
    }

    /// The level that the options ask for; `None`: that of `AUDITRAIL_LOG`, or the default.
    pub(super) fn level(&self) -> Option<&str> {
        match (self.quiet, self.verbose) {
            (0, 0) => self.log_level.as_deref(),
            (0, 1) => Some("info,auditrail=debug"),
            (0, 2) => Some("info,auditrail=trace"),
            (0, _) => Some("trace"),
            (1, _) => Some("warn"),
            (2, _) => Some("error"),
            _ => Some("off"),
        }
    }

    pub(super) fn detail(&self) -> Detail {
        match (self.quiet, self.verbose) {
            (0, 0) => Detail::Usual,
            (0, _) => Detail::More,
            _ => Detail::Less,
        }
    }
}
