//! `config`: prints the configuration in force, or the schema of configuration files.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::configured::DEFAULT_CONFIG;
use super::outcome::{ExitCode, fail, print};
use crate::config::{Config, SCHEMA, SecretDisplay};
use crate::output::shown_url;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the configuration in force, with every default filled in, as TOML that reads back the same
    ///
    /// Variables are filled in, and each output has the transform that results for it. Secrets are shown as `***`. Of a
    /// secret in a file, the path of the file is shown.
    Print {
        /// The configuration file
        #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
        /// Print passwords, tokens and keys too
        #[arg(long)]
        show_secrets: bool,
    },
    /// Print the JSON Schema of the configuration, with which editors complete keys and check values
    Schema,
}

/// Runs `config`.
pub(super) fn config(arguments: &Arguments) -> ExitCode {
    match &arguments.action {
        Action::Print { config, show_secrets } => match Config::load(config) {
            Ok(config) => {
                let hidden = SecretDisplay::Hidden(shown_url);
                let secrets = if *show_secrets { SecretDisplay::Whole } else { hidden };
                print(&config.to_toml(secrets));
                ExitCode::Done
            }
            Err(error) => fail(&error, ExitCode::Usage),
        },
        Action::Schema => {
            print(SCHEMA);
            ExitCode::Done
        }
    }
}
