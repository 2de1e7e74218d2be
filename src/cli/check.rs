//! `check`: preflight of a configuration. Prints one line for each thing it looks at, with a hint for each failure:
//! ok, a warning (events are delivered, but look at it) or FAIL (something prevents delivery, or events can be lost).

use std::path::{Path, PathBuf};

mod report;
mod state_dir;

use super::configured::DEFAULT_CONFIG;
use super::outcome::ExitCode;
use crate::agent::exposed::exposed;
use crate::agent::own_files::conflicts;
use crate::agent::parts::{inputs_of, node_name, output};
use crate::agent::transforms::chain;
use crate::checkpoint::{State, Store};
use crate::config::{Config, FollowedLog, StartAt};
use crate::event::{Cursor, Format, Key};
use crate::input::{Input, list, try_link};
use crate::output::Finding;
use crate::receive;
use crate::server;
use crate::telemetry::{
    FindingKind, Identity, InputFinding, Severity, Snapshot, Telemetry, Time, human,
};
use crate::tls::UnusableFile;
use report::Report;
pub(super) use report::ReportForm;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(super) config: PathBuf,
    /// Check a recorded log, or a directory of them, instead: count what the transform of each output would drop,
    /// lower, redact and cut, and show examples
    #[arg(long, value_name = "PATH")]
    pub(super) sample: Option<PathBuf>,
    /// Fail on warnings too
    #[arg(long, conflicts_with = "sample")]
    pub(super) strict: bool,
    /// Print one JSON object with all results
    #[arg(long, conflicts_with = "sample")]
    pub(super) json: bool,
}

/// Runs `check`. `strict`: warnings fail, too.
pub(super) fn check(path: &Path, strict: bool, form: ReportForm) -> ExitCode {
    let mut report = Report::default();
    match Config::load(path) {
        Ok(config) => {
            report.add("configuration", Finding::ok(format!("{} is accepted", path.display())));
            for (subject, finding) in
                conflicts(&config, path).into_iter().chain(exposed(&config, path))
            {
                report.add(&subject, finding);
            }
            everything(&config, &mut report);
        }
        Err(error) => {
            let source = std::error::Error::source(&error);
            let source = source.map(|source| format!(": {source}")).unwrap_or_default();
            report.add("configuration", Finding::fail(format!("{error}{source}"), ""));
            report.print(form);
            return ExitCode::Usage;
        }
    }
    report.print(form);
    let fails = report.failed || (strict && report.warned);
    if fails { ExitCode::Failed } else { ExitCode::Done }
}

fn everything(config: &Config, report: &mut Report) {
    let agent = server::client::status(&crate::agent::parts::socket(config)).ok().flatten();
    let running = agent.is_some();
    let loaded = state_dir::state_dir(config, running, report);
    if let Some(agent) = agent {
        for finding in of_agent(&agent) {
            report.add("agent", finding);
        }
    }
    let state = loaded.map(|loaded| loaded.state).unwrap_or_default();
    for input in config.logs() {
        for finding in look_at(config, input, &state) {
            report.add(&format!("inputs.{}", input.name), finding);
        }
    }
    let kept = state.node;
    let node = match node_name(config, &kept) {
        Ok(node) => node,
        Err(error) => return report.add("node", Finding::fail(error.to_string(), "")),
    };
    report.add("node", Finding::ok(format!("{node:?}")));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report.add("runtime", Finding::fail(error.to_string(), "")),
    };
    let key = Store::key_of(&config.state_dir);
    for to in &config.outputs {
        if let Err(error) = chain(to, &key) {
            report.add(&format!("outputs.{}", to.name), Finding::fail(format!("{error:#}"), ""));
        }
        let name = format!("outputs.{}", to.name);
        // The back end is the same for every input but for a label, so the check of one input covers all.
        let Some(input) = inputs_of(config, to).next() else { continue };
        match output(config, to, &node, &input.name, &[]) {
            Ok(output) => runtime
                .block_on(output.check())
                .into_iter()
                .for_each(|finding| report.add(&name, finding)),
            Err(error) => report.add(&name, Finding::fail(format!("{error:#}"), "")),
        }
    }
    for webhook in config.webhooks() {
        let name = format!("inputs.{}", webhook.log.name);
        report.add(
            &name,
            match receive::usable(webhook) {
                Ok(senders) => Finding::ok(format!("takes events of {senders}")),
                Err(UnusableFile { what, hint }) => Finding::fail(what, hint),
            },
        );
        if !running {
            report.add(&name, listening(&webhook.listen, &format!("[{name}]")));
        }
    }
    if let Some(listen) = config.server.listen.as_ref().filter(|_| !running) {
        report.add("server", listening(listen, "[server]"));
    }
}

/// Whether an address can be listened on that a table of the configuration names.
fn listening(listen: &str, table: &str) -> Finding {
    match std::net::TcpListener::bind(listen) {
        Ok(_) => Finding::ok(format!("{listen} is free")),
        Err(error) => Finding::fail(
            format!("cannot listen on {listen}: {error}"),
            format!("free the port, or set `listen` in {table}"),
        ),
    }
}

/// The state of a running agent, as the agent reports it.
fn of_agent(agent: &Snapshot) -> Vec<Finding> {
    if agent.ready {
        return vec![Finding::ok("is running and ready")];
    }
    agent
        .reasons
        .iter()
        .map(|reason| Finding::fail(format!("is not ready: {reason}"), ""))
        .collect()
}

/// Checks the log: whether it exists, can be read, is written to, and is not further ahead of an output than `hold`
/// keeps.
fn look_at(config: &Config, input_config: &FollowedLog, kept: &State) -> Vec<Finding> {
    let telemetry = Telemetry::new(Identity { node: String::new(), cluster: None, version: "" });
    let stats = telemetry.input(&input_config.name);
    let input = Input::new(input_config.clone(), Store::key_of(&config.state_dir));
    // Findings cover an error.
    if input.look_once(&stats).is_ok() {
        stats
            .set_finding(FindingKind::BacklogOverHold, backlog(config, input_config, &input, kept));
    }
    let key = Store::key_of(&config.state_dir);
    stats.set_finding(FindingKind::NotEvents, foreign(input_config, &key));
    let mut findings = Vec::new();
    if !stats.findings().iter().any(InputFinding::is_failure) {
        let age = |time: Time| human::duration(Time::now().since(time));
        let last = stats.last_event.get().map(|time| format!("the last event {} ago", age(time)));
        let backups = match stats.backups.get() {
            1 => "1 backup".to_owned(),
            n => format!("{n} backups"),
        };
        findings.push(Finding::ok(format!(
            "{} can be read, with {backups} beside it, {}",
            input_config.path.display(),
            last.unwrap_or_else(|| "no event yet".into())
        )));
    }
    findings.extend(stats.findings().into_iter().map(from_input));
    findings.extend(link(input_config));
    findings
}

/// The backlog of an output is larger than `hold` keeps: events that the API server deletes before delivery are lost.
fn backlog(
    config: &Config,
    input_config: &FollowedLog,
    input: &Input,
    state: &State,
) -> Option<InputFinding> {
    let most = input_config.hold.max_bytes;
    let takers = config.outputs.iter().filter(|output| output.inputs.contains(&input_config.name));
    let behind = takers.filter_map(|output| {
        let cursor = match state.pair(&input_config.name, &output.name) {
            Some(pair) => pair.cursor.clone(),
            None if input_config.start_at == StartAt::Beginning => Cursor::default(),
            None => return None,
        };
        Some((input.backlog_on_disk(&cursor), &output.name))
    });
    let (bytes, output) = behind.max()?;
    (most > 0 && bytes > most).then(|| {
        InputFinding::failure(
            FindingKind::BacklogOverHold,
            format!(
                "{} of {} and its backups wait for the output {output}, and `hold` keeps {}: what the server deletes before \
                 it is delivered is lost",
                human::size(bytes),
                input_config.path.display(),
                human::size(most)
            ),
            format!(
                "raise `hold.max_bytes` in [inputs.{}] above {} until the output has caught up",
                input_config.name,
                human::size(bytes)
            ),
        )
    })
}

fn from_input(InputFinding { severity, what, hint, .. }: InputFinding) -> Finding {
    match severity {
        Severity::Warning => Finding::warn(what, hint),
        Severity::Failure => Finding::fail(what, hint),
    }
}

/// A log whose lines so far are no audit events.
fn foreign(config: &FollowedLog, key: &Key) -> Option<InputFinding> {
    // Another check reports a file that cannot be read.
    let files = list(std::slice::from_ref(&config.path), &config.path, key).ok()?;
    let format = files.first()?.foreign()?;
    let shown = config.path.display().to_string();
    let what = format!("{shown} is {}", format.name());
    let hint = format.way_out().replace("FILE", &shown);
    // Events may follow them: the log of a container begins like this.
    let warns = format == Format::ServerMessages;
    let make = if warns { InputFinding::warning } else { InputFinding::failure };
    Some(make(FindingKind::NotEvents, what, hint))
}

/// Tries whether a hard link can keep backups, if the configuration asks for that and a log exists to try it with.
fn link(config: &FollowedLog) -> Option<Finding> {
    // The agent itself removes the files of a spool.
    if config.spool.is_some() {
        return None;
    }
    if config.hold.max_bytes == 0 {
        let cost = "nothing keeps a backup that the server deletes while the agent is down";
        return Some(Finding::ok(format!("`hold` is off: {cost}")));
    }
    if !config.path.is_file() {
        return None;
    }
    let shown = config.hold.dir.display();
    Some(match try_link(&config.path, &config.hold.dir) {
        Ok(()) => Finding::ok(format!("backups that are needed are kept by links in {shown}")),
        Err((error, hint)) => Finding::warn(
            format!(
                "no link can be made in {shown} ({error}): only open files keep backups, so backups that the API server deletes while the agent is down are lost"
            ),
            hint,
        ),
    })
}
