//! The command line: the arguments and the commands. `outcome.rs` has the exit codes and prints errors.

use std::ffi::OsString;
use std::process;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod check;
mod completions;
mod config;
mod configured;
mod dead_letters;
mod holds;
mod init;
mod logging;
mod manual;
mod notes;
mod outcome;
mod preview;
mod probe;
mod recorded;
mod replay;
mod sample;
mod status;
mod times;
mod usage;
mod verify;

use crate::agent::{self, parts::NotTakenOver, transforms::NotAccepted};
use crate::checkpoint::CheckpointError;
use crate::config::{Config, ConfigError};
use crate::disk::descriptors;
use crate::telemetry::log;
use check::ReportForm;
use configured::Configured;
use logging::{Detail, LogArguments};
use outcome::{ExitCode, fail};

/// What `--version` prints: `build.rs` sets the commit and the target.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("AUDITRAIL_COMMIT"),
    ", ",
    env!("AUDITRAIL_TARGET"),
    ")"
);

/// Follows the Kubernetes audit log and delivers every event to Loki, Elasticsearch or a file: whole, once, in event
/// time.
#[derive(Debug, Parser)]
#[command(version = VERSION, max_term_width = 100, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find this node's audit log, write a configuration that follows it, and check it
    Init(init::Arguments),
    /// Follow the audit log and deliver it until SIGTERM or Ctrl-C
    Run(Configured),
    /// Check configuration, permissions and back ends; print a line for each, and how to fix each failure
    #[command(visible_alias = "validate")]
    Check(check::Arguments),
    /// Print the configuration in force, or the schema of configuration files
    Config(config::Arguments),
    /// Print the events as they would leave the node for one output, one a line; nothing is sent
    Preview(preview::Arguments),
    /// Ship recorded logs, compressed or not, as the agent would; events that are already stored are not sent again
    Replay(replay::Arguments),
    /// Compare the events on disk with those in Loki or Elasticsearch, hour by hour, and list the missing ones
    Verify(verify::Arguments),
    /// Show cursors, lag, gaps and states; without a running agent, those of its checkpoint. Fails if the agent is
    /// not ready or does not run
    Status(status::Arguments),
    /// Ask the running agent whether it is alive or ready, over the socket in its state directory; fails if it is not
    Probe(probe::Arguments),
    /// List or remove the hard links that keep backups, also those that a removed state directory left behind
    Holds(holds::Arguments),
    /// List, resend or drop the events that an output refused, with or without a running agent
    #[command(visible_alias = "letters")]
    DeadLetters(dead_letters::Arguments),
    /// Print a script with which a shell completes the commands and flags
    Completions(completions::Arguments),
    /// Write a manual page for each command into a directory
    #[command(hide = true)]
    Man(manual::Arguments),
}

/// The program with all its commands, flags and their help.
fn program() -> clap::Command {
    notes::annotated(Arguments::command())
}

fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let mut program = program();
    let mut matches = program.try_get_matches_from_mut(words)?;
    let arguments = Arguments::from_arg_matches_mut(&mut matches);
    let arguments = arguments.map_err(|error| error.format(&mut program))?;
    arguments.log.agree(&mut program)?;
    Ok(arguments)
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn main() -> process::ExitCode {
    let arguments = match parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version count as success.
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Done };
            usage::print(error);
            return code.into();
        }
    };
    // `probe` logs nothing and opens nothing but a socket.
    if let Command::Probe(arguments) = &arguments.command {
        return probe::probe(arguments).into();
    }
    if let Err(error) = log::init(arguments.log.format(), arguments.log.level()) {
        return fail(&error, ExitCode::Usage).into();
    }
    descriptors::raise();
    run(arguments.command, arguments.log.detail()).into()
}

fn run(command: Command, detail: Detail) -> ExitCode {
    match command {
        Command::Init(arguments) => {
            init::init(&arguments, detail).unwrap_or_else(|error| fail(&*error, ExitCode::Failed))
        }
        Command::Run(Configured { config: path }) => with_config(&path, |config| {
            let clean = agent::run(config, &path)?;
            Ok(if clean { ExitCode::Done } else { ExitCode::Failed })
        }),
        Command::Check(check::Arguments { config, sample: Some(path), .. }) => {
            with_config(&config, |config| sample::sample(&config, &path))
        }
        Command::Check(arguments) => {
            let form = if arguments.json { ReportForm::Json } else { ReportForm::Text(detail) };
            check::check(&arguments.config, arguments.strict, form)
        }
        Command::Config(arguments) => config::config(&arguments),
        Command::Preview(arguments) => {
            with_config(&arguments.config, |config| preview::preview(&config, &arguments, detail))
        }
        Command::Replay(arguments) => {
            let path = arguments.config.clone();
            with_config(&path, |config| replay::replay(config, arguments))
        }
        Command::Verify(arguments) => {
            with_config(&arguments.config, |config| verify::verify(&config, &arguments))
        }
        Command::Status(arguments) => {
            with_config(&arguments.config, |config| status::status(&config, &arguments, detail))
        }
        Command::Probe(arguments) => probe::probe(&arguments),
        Command::Holds(arguments) => {
            with_config(&arguments.config, |config| holds::holds(&config, &arguments))
        }
        Command::DeadLetters(arguments) => with_config(&arguments.config, |config| {
            dead_letters::letters(config, &arguments, detail)
        }),
        Command::Completions(arguments) => completions::completions(&arguments, &program()),
        Command::Man(arguments) => manual::man(&arguments, &program())
            .unwrap_or_else(|error| fail(&*error, ExitCode::Failed)),
    }
}

fn with_config(
    path: &std::path::Path,
    command: impl FnOnce(Config) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => return fail::<ConfigError>(&error, ExitCode::Usage),
    };
    command(config).unwrap_or_else(|error| {
        let refused = error.is::<NotAccepted>()
            || error.is::<NotTakenOver>()
            || error.downcast_ref().is_some_and(CheckpointError::is_refusal);
        fail(&*error, if refused { ExitCode::Usage } else { ExitCode::Failed })
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_arguments_agree_with_one_another() {
        program().debug_assert();
    }

    /// Each command that does something, with its name below the program's.
    fn leaves(above: &str, command: &clap::Command) -> Vec<String> {
        let visible = command.get_subcommands().filter(|below| !below.is_hide_set());
        let below = visible.flat_map(|below| {
            let name = format!("{above} {}", below.get_name());
            let own = if below.has_subcommands() { leaves(&name, below) } else { vec![name] };
            own.into_iter()
        });
        below.map(|name| name.trim_start().to_owned()).collect()
    }

    #[test]
    fn each_command_has_exit_codes_and_examples_that_are_accepted() {
        let mut named = leaves("", &program());
        named.push(String::new());
        named.sort();
        assert_eq!(named, notes::CommandNotes::names());
        for name in named {
            let notes = notes::CommandNotes::of(&name).unwrap();
            assert!(notes.exit_codes().len() >= 2 && !notes.examples().is_empty(), "{name}");
            for (line, _) in notes.examples() {
                let (line, _) = line.split_once(" >").unwrap_or((line, ""));
                // The only quotes are around the last argument.
                let (words, quoted) = line.split_once(" '").unwrap_or((line, ""));
                let words = words.split(' ').chain(Some(quoted).filter(|text| !text.is_empty()));
                let parsed = parse(words.map(OsString::from));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                assert!(line.starts_with(format!("auditrail {name}").trim_end()), "{name}: {line}");
            }
        }
    }

    #[test]
    fn the_configuration_may_be_left_to_its_usual_place() {
        let arguments =
            Arguments::try_parse_from(["auditrail", "run", "--log-format", "json"]).unwrap();
        let Command::Run(Configured { config }) = arguments.command else { panic!("run") };
        assert_eq!(config, PathBuf::from("/etc/auditrail/auditrail.toml"));
    }
}
