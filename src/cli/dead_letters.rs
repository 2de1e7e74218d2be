//! `dead-letters`: lists, resends or drops the events that an output refused, whether or not the agent runs.
//!
//! Listing reads the files. Resend and drop are requests to the running agent, which `agent/control.rs` answers. If no
//! agent runs, this process takes the lock of the state directory and does the work itself (`agent/offline.rs`).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

mod groups;
mod list;
mod selector;

use super::configured::DEFAULT_CONFIG;
use super::logging::Detail;
use super::outcome::{ExitCode, note, print, say};
use crate::agent::control::{ControlReply, ControlRequest, PairResult};
use crate::agent::offline;
use crate::agent::parts::{self, socket};
use crate::agent::transforms::NotAccepted;
use crate::checkpoint::Store;
use crate::config::Config;
use crate::dead_letters as room;
use crate::server;
use crate::telemetry::human;
use list::ListForm;
use selector::Selector;

/// After this long without a reply, the agent is taken for hung.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        global = true,
        default_value = DEFAULT_CONFIG
    )]
    pub(super) config: PathBuf,
    /// The directory of a replay, as its summary names it, instead of `state_dir`
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Group the dead letters by the output's answer, with who did what in some of them; with ids, show them in full
    List {
        #[command(flatten)]
        which: Selector,
        /// Print a line for each dead letter, the oldest first
        #[arg(long, conflicts_with = "json")]
        each: bool,
        /// Print a line of JSON for each dead letter, with the event
        #[arg(long)]
        json: bool,
    },
    /// Send dead letters again unless they are stored already; accepted ones are removed, refused ones stay
    Resend {
        #[command(flatten)]
        which: Selector,
        /// Give up when the output accepts nothing for this many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        timeout: u64,
    },
    /// Turn events that wait because the output refuses only them (a read-only index, an unknown answer) into dead
    /// letters
    ///
    /// The running agent does it. The dead letters keep the answer and can be sent again.
    SetAside {
        /// Only of this input
        #[arg(long, value_name = "NAME")]
        input: Option<String>,
        /// Only of this output
        #[arg(long, value_name = "NAME")]
        output: Option<String>,
    },
    /// Delete dead letters for good
    Drop {
        #[command(flatten)]
        which: Selector,
        /// Delete all that --input and --output select, and damaged ones
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}

/// Runs `dead-letters`.
pub(super) fn letters(
    mut config: Config,
    arguments: &Arguments,
    detail: Detail,
) -> anyhow::Result<ExitCode> {
    if let Some(state) = &arguments.state {
        // Uses the node label of the replay, not this machine's.
        let known = Store::load(state)?.state.node;
        config.node = Some(known).filter(|node| !node.is_empty()).or(config.node);
        config.state_dir.clone_from(state);
    }
    let config = &config;
    let which = &match &arguments.action {
        Action::List { which, .. } | Action::Resend { which, .. } | Action::Drop { which, .. } => {
            which.clone()
        }
        Action::SetAside { input, output } => {
            Selector { input: input.clone(), output: output.clone(), ids: Vec::new() }
        }
    };
    known(config, which)?;
    match &arguments.action {
        Action::List { each, json, .. } => {
            let form = match (each, json) {
                (true, _) => ListForm::Each,
                (_, true) => ListForm::Json,
                (false, false) => ListForm::Groups,
            };
            list::list(config, which, form, detail)
        }
        Action::Resend { timeout, .. } => {
            let asking = ControlRequest::Resend { which: which.into(), patience: *timeout };
            done(ask(config, &asking, detail)?, which, "sent again", "delivered")
        }
        Action::SetAside { .. } => {
            let pairs = ask(config, &ControlRequest::SetAside { which: which.into() }, detail)?;
            if pairs.iter().all(|pair| pair.of == 0) {
                say("auditrail: no event waits that could be put aside");
                return Ok(ExitCode::Done);
            }
            done(pairs, which, "put aside", "put aside as dead letters")
        }
        Action::Drop { all, .. } => {
            if which.ids.is_empty() && !all {
                say(
                    "auditrail: name the dead letters to drop by their ids (`auditrail dead-letters list`), or add --all",
                );
                return Ok(ExitCode::Usage);
            }
            done(
                ask(config, &ControlRequest::Drop { which: which.into() }, detail)?,
                which,
                "dropped",
                "dropped",
            )
        }
    }
}

/// A name that is neither in the configuration nor among the dead letters is a typing error.
fn known(config: &Config, which: &Selector) -> anyhow::Result<()> {
    if which.input.is_none() && which.output.is_none() {
        return Ok(());
    }
    let kept = room::look(&config.state_dir).context("cannot read the dead letters")?;
    let inputs = config.logs().map(|input| Arc::clone(&input.name));
    let inputs = inputs.chain(kept.iter().map(|found| found.input.as_str().into()));
    let outputs = config.outputs.iter().map(|output| Arc::clone(&output.name));
    let outputs = outputs.chain(kept.iter().map(|found| found.output.as_str().into()));
    for (kind, asked, there) in [
        ("input", &which.input, inputs.collect::<BTreeSet<Arc<str>>>()),
        ("output", &which.output, outputs.collect()),
    ] {
        if let Some(name) = asked.as_ref().filter(|name| !there.contains(name.as_str())) {
            let there = parts::names(there.iter());
            return Err(NotAccepted::error(format!("there is no {kind} {name:?}, but {there}")));
        }
    }
    Ok(())
}

/// Sends the request to the agent, or does the work in this process; returns the results.
fn ask(
    config: &Config,
    asking: &ControlRequest,
    detail: Detail,
) -> anyhow::Result<Vec<PairResult>> {
    let path = socket(config);
    let mut all = Vec::new();
    let (mut failed, mut complete, mut shown) = (None, false, 0);
    let mut each = |said: ControlReply| match said {
        ControlReply::Progress { input, output, done, of } if done != shown => {
            shown = done;
            let [done, of] = [done, of].map(human::count);
            note(detail, &format!("{input} to {output}: {done} of {of}"));
        }
        ControlReply::Pair(done) => all.push(done),
        ControlReply::Failed { error } => failed = Some(error),
        ControlReply::End => complete = true,
        ControlReply::Progress { .. } | ControlReply::Working => {}
    };
    let question = serde_json::to_value(asking)?;
    let mut odd = None;
    let asked = server::client::ask(&path, &question, SILENCE, |line| {
        serde_json::from_value(line).map_or_else(|error| odd = Some(error), &mut each);
    });
    let asked = asked.with_context(|| {
        format!("the agent does not answer through {}: see its log; no undelivered dead letter was removed", path.display())
    })?;
    if asked.is_none() {
        offline::serve(config, asking, &mut each)?;
    }
    if let Some(error) = odd {
        return Err(error)
            .context("the agent's answer is not understood: is it of another version?");
    }
    if let Some(error) = failed {
        bail!(error);
    }
    if !complete {
        bail!("the agent ended meanwhile: list the rest with `auditrail dead-letters list`");
    }
    Ok(all)
}

/// Prints how many events were handled, and returns the exit code.
fn done(
    all: Vec<PairResult>,
    which: &Selector,
    deed: &str,
    word: &str,
) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::Done;
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    let mut unknown = which.ids.clone();
    for pair in all {
        unknown.retain(|id| pair.unknown.contains(id));
        if pair.of + pair.damaged == 0 {
            continue;
        }
        if pair.gone < pair.of {
            code = ExitCode::DeadLetters;
        }
        let name = format!("{} to {}", pair.input, pair.output);
        let (gone, of) = (human::count(pair.gone), human::count(pair.of));
        let counted = |number: u64, what: &str| match number {
            0 => String::new(),
            _ => format!(", {} {what}", human::count(number)),
        };
        let again = counted(pair.refused, "refused again and kept");
        let damaged = counted(pair.damaged, "damaged stretches deleted");
        lines.push(format!("{name}: {gone} of {of} {word}{again}{damaged}\n"));
        problems.extend(pair.problem.map(|problem| format!("{name}: {problem}")));
    }
    if lines.is_empty() && unknown.is_empty() {
        lines.push("there are no dead letters\n".to_owned());
    }
    print(&lines.concat());
    problems.extend(unknown.iter().map(|id| format!("there is no dead letter {id}")));
    if !problems.is_empty() {
        bail!("some could not be {deed}: {}", problems.join("; "));
    }
    Ok(code)
}
