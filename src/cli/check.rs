//! `check`: what would go wrong, before it does. One line for each thing looked at, and what to do about a failure.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use super::ExitCode;
use super::start::{inputs_of, node_name, output};
use super::transform::chain;
use crate::checkpoint::{Budget, CheckpointError, Loaded, Store};
use crate::config::{Config, FileInput};
use crate::input::{Input, try_link};
use crate::output::{Finding, FindingState};
use crate::server;
use crate::telemetry::{Identity, InputFinding, InputState, Severity, Telemetry};

/// See the module.
pub(super) fn check(path: &Path) -> ExitCode {
    let mut report = Report::default();
    match Config::load(path) {
        Ok(config) => {
            report.add("configuration", Finding::ok(format!("{} is accepted", path.display())));
            everything(&config, &mut report);
        }
        Err(error) => {
            report.add("configuration", Finding::fail(error.to_string(), ""));
            report.print();
            return ExitCode::Usage;
        }
    }
    report.print();
    if report.failed { ExitCode::Failed } else { ExitCode::Done }
}

fn everything(config: &Config, report: &mut Report) {
    let running = matches!(server::local::status(&super::run::socket(config)), Ok(Some(_)));
    let loaded = state(config, running, report);
    for input in &config.inputs {
        for finding in look_at(input, &config.state_dir) {
            report.add(&format!("inputs.{}", input.name), finding);
        }
    }
    let kept = loaded.map(|loaded| loaded.state.node).unwrap_or_default();
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
        // The back end is the same for every input but for a label: one stands for all.
        let Some(input) = inputs_of(config, to).next() else { continue };
        match output(config, to, &node, &input.name) {
            Ok(output) => runtime
                .block_on(output.check())
                .into_iter()
                .for_each(|finding| report.add(&name, finding)),
            Err(error) => report.add(&name, Finding::fail(format!("{error:#}"), "")),
        }
    }
    if let Some(listen) = config.server.listen.as_ref().filter(|_| !running) {
        report.add(
            "server",
            match std::net::TcpListener::bind(listen) {
                Ok(_) => Finding::ok(format!("{listen} is free")),
                Err(error) => Finding::fail(
                    format!("cannot listen on {listen}: {error}"),
                    "free the port, or set `listen` in [server]",
                ),
            },
        );
    }
}

/// The state directory: whether it can be used, what it holds, how much room there is.
fn state(config: &Config, running: bool, report: &mut Report) -> Option<Loaded> {
    let shown = config.state_dir.display();
    match fs::metadata(&config.state_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            report
                .add("state_dir", Finding::ok(format!("{shown} is not there yet, `run` makes it")));
            return None;
        }
        _ if running => {
            report.add("state_dir", Finding::ok(format!("{shown} is in use by a running agent")));
        }
        _ => match Store::open(&config.state_dir) {
            Ok(_) => report.add("state_dir", Finding::ok(format!("{shown} can be used"))),
            Err(error) => report.add("state_dir", from_error(&error)),
        },
    }
    let budget = Budget::new(&config.state_dir, config.disk);
    match budget.room(0) {
        Ok(Ok(())) => {}
        Ok(Err(spent)) => report.add("disk", Finding::fail(spent, "")),
        Err(error) => report
            .add("disk", Finding::fail(format!("cannot look at the disk of {shown}: {error}"), "")),
    }
    match Store::load(&config.state_dir) {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            report.add("checkpoint", from_error(&error));
            None
        }
    }
}

fn from_error(error: &CheckpointError) -> Finding {
    let source =
        std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Finding::fail(format!("{error}{source}"), "")
}

/// The log: whether it is there and can be read.
fn look_at(config: &FileInput, state_dir: &Path) -> Vec<Finding> {
    let telemetry = Telemetry::new(Identity { node: String::new(), cluster: None, version: "" });
    let stats = telemetry.input(&config.name);
    let input = Input::new(config.clone(), Store::key_of(state_dir));
    // An error is among the findings.
    let looked = input.look_once(&stats);
    let mut findings: Vec<_> = stats.findings().into_iter().map(from_input).collect();
    if looked.is_ok() && stats.state() == InputState::Ok && findings.is_empty() {
        findings.push(Finding::ok(format!(
            "{} can be read, with {} backups beside it",
            config.path.display(),
            stats.backups.get()
        )));
    }
    findings.extend(link(config));
    if let Some(finding) = mounted_alone(&config.path) {
        findings.push(finding);
    }
    findings
}

fn from_input(InputFinding { severity, what, hint, .. }: InputFinding) -> Finding {
    match severity {
        Severity::Warning => Finding::warn(what, hint),
        Severity::Failure => Finding::fail(what, hint),
    }
}

/// Whether backups can be kept by a hard link, where that is asked for and there is a log to try it with.
fn link(config: &FileInput) -> Option<Finding> {
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
                "no link can be made in {shown} ({error}): backups are kept by open files only, and what the server deletes while the agent is down is lost"
            ),
            hint,
        ),
    })
}

/// A file that is itself a mount point cannot be renamed: the server's rotation fails, and events are lost from then on
/// (kubernetes/website pull request 30712).
fn mounted_alone(path: &Path) -> Option<Finding> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let path = path.to_str()?;
    let mounted = mounts.lines().any(|line| line.split(' ').nth(4) == Some(path));
    mounted.then(|| {
        Finding::warn(
            format!("{path} is mounted as a single file: kube-apiserver cannot rotate it, and loses events once it is full"),
            "mount its directory instead, here and in the server's manifest",
        )
    })
}

/// What is printed.
#[derive(Default)]
struct Report {
    lines: Vec<(String, Finding)>,
    failed: bool,
}

impl Report {
    fn add(&mut self, subject: &str, finding: Finding) {
        self.failed |= finding.is_failure();
        self.lines.push((subject.to_owned(), finding));
    }

    fn print(&self) {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let width = self.lines.iter().map(|(subject, _)| subject.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (subject, finding) in &self.lines {
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
        // A closed pipe is no failure.
        let _ = io::stdout().write_all(text.as_bytes());
    }
}
