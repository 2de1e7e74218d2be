//! Checks the state directory: whether it can be created and used, what it holds, and how much room there is.

use std::os::unix::ffi::OsStrExt as _;

use super::report::Report;
use crate::agent::parts::socket;
use crate::checkpoint::{Budget, CheckpointError, Loaded, Remark, Store, try_directory};
use crate::config::Config;
use crate::output::Finding;

/// Longest path of a Unix socket, without the NUL at its end.
const SOCKET_PATH: usize = 107;

const FORGED: &str = "find out who may write to `state_dir`; `run` does not use it, and looks up what may have been sent";

/// Adds a line for each finding; returns the loaded checkpoint.
pub(super) fn state_dir(config: &Config, running: bool, report: &mut Report) -> Option<Loaded> {
    let shown = config.state_dir.display();
    if running {
        report.add("state_dir", Finding::ok(format!("{shown} is in use by a running agent")));
    } else {
        for finding in tried(config) {
            report.add("state_dir", finding);
        }
    }
    if !config.state_dir.is_dir() {
        return None;
    }
    let budget = Budget::new(&config.state_dir, config.disk);
    match budget.room(0) {
        Ok(Ok(())) => {}
        Ok(Err(spent)) => report.add("disk", Finding::fail(spent, "")),
        Err(error) => report
            .add("disk", Finding::fail(format!("cannot look at the disk of {shown}: {error}"), "")),
    }
    match Store::load(&config.state_dir) {
        Ok(loaded) => {
            if let Some(what) = &loaded.forged {
                let what = format!("a checkpoint failed authentication: {what}");
                report.add("checkpoint", Finding::fail(what, FORGED));
            }
            Some(loaded)
        }
        Err(error) => {
            report.add("checkpoint", from_error(&error));
            None
        }
    }
}

/// Checks what `run` would find, and changes nothing.
fn tried(config: &Config) -> Vec<Finding> {
    let shown = config.state_dir.display();
    let socket = socket(config);
    if socket.as_os_str().as_bytes().len() > SOCKET_PATH {
        let what = format!("the path of the agent's socket, {}, is too long", socket.display());
        return vec![Finding::fail(what, "choose a shorter `state_dir`")];
    }
    let there = config.state_dir.is_dir();
    if let Err(error) = try_directory(&config.state_dir) {
        let what = if there { "cannot be written to" } else { "cannot be made" };
        return vec![Finding::fail(
            format!("{shown} {what}: {error}"),
            "set `state_dir` to a directory on a writable disk that the agent's user owns; in a pod mount one that outlives it",
        )];
    }
    if !there {
        return vec![Finding::ok(format!("{shown} is not there yet, `run` can make it"))];
    }
    match Store::look(&config.state_dir) {
        Ok(remarks) if remarks.is_empty() => vec![Finding::ok(format!("{shown} can be used"))],
        Ok(remarks) => remarks.into_iter().map(from_remark).collect(),
        Err(error) => vec![from_error(&error)],
    }
}

fn from_remark(remark: Remark) -> Finding {
    match remark {
        Remark::Open(what) => {
            Finding::warn(format!("other users may use {what}"), "`run` closes it to them")
        }
        Remark::KeyWasReadable(what) => Finding::warn(
            format!("other users can read the node's secret, {what}"),
            "if one did, move the state directory away, and the agent makes a new one: a reader of the secret can forge this node's checkpoints and guess redacted values",
        ),
        Remark::Stays(what) => Finding::warn(what, ""),
    }
}

fn from_error(error: &CheckpointError) -> Finding {
    let source =
        std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Finding::fail(format!("{error}{source}"), "")
}
