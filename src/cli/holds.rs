//! `holds`: lists or removes the hard links (holds) beside the logs that keep backups. An agent removes its own
//! links. If a state directory was removed, no agent owns its links, and they keep their files for ever.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::outcome::{ExitCode, print};
use crate::agent::parts::socket;
use crate::checkpoint::Store;
use crate::config::Config;
use crate::input::{HeldLink, agent_name, held_links, remove_link};
use crate::server;
use crate::telemetry::human;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        global = true,
        default_value = super::configured::DEFAULT_CONFIG
    )]
    pub(super) config: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List each link with its file, agent, input and size
    List,
    /// Remove the links of agents whose state directory is gone, and of inputs that are no longer configured
    Prune {
        /// Remove the links of other agents even if one may still run, and those of this agent if it does not run
        #[arg(long)]
        force: bool,
    },
}

/// The owner of a link, as seen from the state directory of this configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Owner {
    /// This agent, for an input of the configuration.
    Own,
    /// This agent, for an input that is no longer in the configuration.
    InputGone,
    /// An agent with another state directory, or with one that no longer exists.
    Other,
}

impl Owner {
    fn text(self) -> &'static str {
        match self {
            Self::Own => "this agent",
            Self::InputGone => "this agent, the input is gone",
            Self::Other => "another agent, or one that is gone",
        }
    }
}

/// Runs `holds`.
pub(super) fn holds(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let agent = Store::known_key(&config.state_dir)?.map(|key| agent_name(&key));
    let owner = |link: &HeldLink| {
        if agent.as_deref() != Some(&*link.agent) {
            return Owner::Other;
        }
        let known = config.logs().any(|input| *input.name == *link.input);
        if known { Owner::Own } else { Owner::InputGone }
    };
    let directories: BTreeSet<&Path> =
        config.logs().map(|input| input.hold.dir.as_path()).collect();
    let mut links = Vec::new();
    for directory in directories {
        let found = held_links(directory)
            .with_context(|| format!("cannot read the hold directory {}", directory.display()))?;
        links.extend(found.into_iter().map(|link| (owner(&link), link)));
    }
    match arguments.action {
        Action::List => {
            print(&table(&links));
            Ok(ExitCode::Done)
        }
        Action::Prune { force } => {
            let running = matches!(server::client::status(&socket(config)), Ok(Some(_)));
            let logs = config.logs().filter_map(|input| fs::metadata(&input.path).ok());
            let mut files: HashSet<_> = links.iter().map(|(_, link)| link.id).collect();
            files.extend(logs.map(|meta| (meta.dev(), meta.ino())));
            let others = !force && another_runs(&files, running);
            Ok(prune(&links, Pruning { force, running, others }))
        }
    }
}

fn table(links: &[(Owner, HeldLink)]) -> String {
    if links.is_empty() {
        return "no links\n".into();
    }
    let rows = links.iter().map(|(owner, link)| {
        [
            link.agent.clone(),
            human::line(&link.input, 63),
            human::size(link.bytes),
            if link.alone { "the link alone" } else { "the log too" }.into(),
            owner.text().into(),
            human::line(&link.path.to_string_lossy(), 300),
        ]
    });
    let titles = ["AGENT", "INPUT", "SIZE", "KEPT BY", "OWNER", "LINK"];
    server::columns(&titles, rows.collect())
}

/// The conditions for the removal of links.
#[derive(Clone, Copy, Debug)]
struct Pruning {
    force: bool,
    /// The agent of this configuration runs, and removes its links itself.
    running: bool,
    /// Another agent follows one of the logs, and may own the links.
    others: bool,
}

impl Pruning {
    /// Why a link is kept; `None`: it is removed.
    fn left(self, owner: Owner) -> Option<&'static str> {
        match owner {
            Owner::Other if self.others => Some(
                "another auditrail follows the log and may need it: stop that one, or add --force",
            ),
            Owner::Other => None,
            Owner::Own | Owner::InputGone if self.running => {
                Some("this agent runs and removes it once every output has passed it")
            }
            Owner::InputGone => None,
            Owner::Own if self.force => None,
            Owner::Own => Some(
                "this agent needs it when it runs again; --force removes it, and its events are lost",
            ),
        }
    }
}

fn prune(links: &[(Owner, HeldLink)], pruning: Pruning) -> ExitCode {
    // Writing to a String cannot fail.
    let (mut text, mut removed, mut bytes) = (String::new(), 0_u64, 0);
    let mut code = ExitCode::Done;
    for (owner, link) in links {
        let shown = human::line(&link.path.to_string_lossy(), 300);
        if let Some(why) = pruning.left(*owner) {
            let _ = writeln!(text, "left     {shown}: {why}");
            if *owner == Owner::Other {
                code = ExitCode::Failed;
            }
            continue;
        }
        match remove_link(link) {
            Ok(()) => {
                removed += 1;
                bytes += if link.alone { link.bytes } else { 0 };
                let _ = writeln!(text, "removed  {shown}");
            }
            Err(error) => {
                let _ = writeln!(text, "FAILED   {shown}: {error}");
                code = ExitCode::Failed;
            }
        }
    }
    let _ = writeln!(text, "{removed} links removed, {} freed", human::size(bytes));
    print(&text);
    code
}

/// Whether another agent has one of these files open. An agent that follows a log always has.
fn another_runs(files: &HashSet<(u64, u64)>, own: bool) -> bool {
    let is_agent = |process: &Path| {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let mut words = command.split(|byte| *byte == 0);
        let name = words.next().and_then(|program| program.rsplit(|byte| *byte == b'/').next());
        name == Some(b"auditrail".as_slice()) && words.any(|word| word == b"run")
    };
    let follows = |process: &Path| match fs::read_dir(process.join("fd")) {
        Ok(open) => open.flatten().any(|file| {
            fs::metadata(file.path()).is_ok_and(|meta| files.contains(&(meta.dev(), meta.ino())))
        }),
        // This process may not look, so it may be one.
        Err(_) => true,
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let paths = processes.map(|process| process.path());
    let agents = paths.filter(|path| is_agent(path) && follows(path)).count();
    agents > usize::from(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_an_agent_that_may_run_are_left_alone() {
        let pruning = |force: bool, running: bool, others: bool| Pruning { force, running, others };
        let table = [
            // Owner, force, this agent runs, another agent runs: whether the link is removed.
            (Owner::Other, false, false, false, true),
            (Owner::Other, false, true, false, true),
            (Owner::Other, false, false, true, false),
            (Owner::Own, false, false, false, false),
            (Owner::Own, true, false, false, true),
            (Owner::Own, true, true, false, false),
            (Owner::InputGone, false, false, false, true),
            (Owner::InputGone, true, true, false, false),
        ];
        for (owner, force, running, others, goes) in table {
            let left = pruning(force, running, others).left(owner);
            assert_eq!(left.is_none(), goes, "{owner:?} {force} {running} {others}: {left:?}");
        }
    }
}
