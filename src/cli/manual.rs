//! `man`: writes a manual page for each command into a directory. It is for those who make packages, so the help does
//! not list it. The pages are no files of the agent: everybody may read them, as far as the umask allows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;
use jiff::Timestamp;
use roff::{Roff, bold, roman};

use super::configured::DEFAULT_CONFIG;
use super::notes::CommandNotes;
use super::outcome::ExitCode;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The directory for the pages; it is made if it is missing
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Files that every page names.
const FILES: &[(&str, &str)] = &[
    (DEFAULT_CONFIG, "The configuration, unless `--config` names another file."),
    (
        "/var/lib/auditrail",
        "The checkpoint, the dead letters and the socket of the running agent (`state_dir`).",
    ),
    (
        ".auditrail-hold",
        "Hard links that keep backups of the log, in the directory of the log (`hold.dir`).",
    ),
];

/// Environment variables that every page names.
const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "AUDITRAIL_LOG",
        "The level of the log, as `--log-level`. Each of the options `--log-level`, `-q` and `-v` overrides it.",
    ),
    ("NO_COLOR", "If it is set, nothing is coloured."),
];

/// Runs `man`. `program`: the program with all its commands.
pub(super) fn man(arguments: &Arguments, program: &Command) -> anyhow::Result<ExitCode> {
    let directory = &arguments.directory;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    let date = date(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref());
    pages(&program, "", &date, directory)?;
    Ok(ExitCode::Done)
}

/// The day of `SOURCE_DATE_EPOCH`, which packagers set to the time of the sources, so that two builds are equal. Empty
/// without the variable.
fn date(epoch: Option<&str>) -> String {
    let time = epoch.and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    time.map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// Writes the page of a command and those of the commands below it. `name`: its name below the program's.
fn pages(command: &Command, name: &str, date: &str, directory: &Path) -> anyhow::Result<()> {
    let path = directory.join(Man::new(command.clone()).get_filename());
    let text = page_of(command, name, date)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, format!("{name} {}", below.get_name()).trim_start(), date, directory)?;
    }
    Ok(())
}

/// The page of one command, in the order of man-pages(7).
fn page_of(command: &Command, name: &str, date: &str) -> io::Result<String> {
    let page = Man::new(command.clone());
    let title = command.get_display_name().unwrap_or(command.get_name()).to_uppercase();
    let mut text = Vec::new();
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        page.render_subcommands_section(&mut text)?;
    }
    page.render_options_section(&mut text)?;
    notes(name).to_writer(&mut text)?;
    // Each section begins with the definition of the apostrophe; one is enough, before the title.
    let definition = Roff::new().render();
    let text = String::from_utf8_lossy(&text).replace(&definition, "");
    let version = env!("CARGO_PKG_VERSION");
    let title = format!(".TH {title} 1 \"{date}\" \"auditrail {version}\" \"auditrail\"\n");
    Ok(definition + &title + &tidied(&text))
}

/// The sections that the arguments do not give.
fn notes(name: &str) -> Roff {
    let mut page = Roff::new();
    let notes = CommandNotes::of(name);
    if let Some(notes) = notes {
        page.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in notes.exit_codes() {
            entry(&mut page, &code.to_string(), &format!("{meaning}."));
        }
    }
    for (title, entries) in [("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)] {
        page.control("SH", [title]);
        for (what, meaning) in entries {
            entry(&mut page, what, meaning);
        }
    }
    if let Some(notes) = notes {
        page.control("SH", ["EXAMPLES"]);
        for (line, what) in notes.examples() {
            entry(&mut page, line, &format!("{what}."));
        }
    }
    let above = name.rsplit_once(' ').map(|(above, _)| format!(", auditrail-{above}(1)"));
    let above = above.unwrap_or_default();
    if !name.is_empty() {
        page.control("SH", ["SEE ALSO"]).text([roman(format!("auditrail(1){above}"))]);
    }
    page
}

fn entry(page: &mut Roff, what: &str, meaning: &str) {
    page.control("TP", []).text([bold(what)]).text([roman(meaning)]);
}

/// Sets words between backquotes in bold, and removes what clap leaves: spaces at the end of a line, and line breaks
/// around an empty line.
fn tidied(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for line in page.replace(".br\n\n.br\n", ".sp\n").lines() {
        for (at, part) in line.trim_end().split('`').enumerate() {
            match at {
                0 => {}
                _ if at % 2 == 1 => text.push_str(r"\fB"),
                _ => text.push_str(r"\fR"),
            }
            text.push_str(part);
        }
        text.push('\n');
    }
    text
}
