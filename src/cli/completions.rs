//! `completions`: prints a script with which a shell completes the commands and flags.

use clap::{Command, ValueEnum};
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

use super::outcome::{ExitCode, print};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The shell that reads the script
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Runs `completions`. `program`: the program with all its commands.
pub(super) fn completions(arguments: &Arguments, program: &Command) -> ExitCode {
    let name = env!("CARGO_PKG_NAME");
    let program = &mut visible(program);
    // Not written to standard output directly: a closed pipe (`| head`) would be a panic.
    let mut script = Vec::new();
    match arguments.shell {
        Shell::Bash => generate(Bash, program, name, &mut script),
        Shell::Zsh => generate(Zsh, program, name, &mut script),
        Shell::Fish => generate(Fish, program, name, &mut script),
    }
    print(&String::from_utf8_lossy(&script));
    ExitCode::Done
}

/// The program without its hidden commands, which a script would offer too.
fn visible(program: &Command) -> Command {
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(program.get_arguments())
        .subcommands(commands)
}
