//! Runs promtool, which comes with Prometheus.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs promtool with this standard input, and fails unless it succeeds. Returns what it printed, or `None` if there is
/// no promtool on this machine; in CI there must be one.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            missing("promtool", &error);
            return None;
        }
    };
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = promtool.wait_with_output().unwrap();
    let said = [&ended.stdout[..], &ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(ended.status.success(), "promtool {arguments:?}: {said}\n{input}");
    Some(said)
}

/// Fails in CI because a program of Prometheus is missing. Elsewhere prints that the test did not run.
pub(crate) fn missing(program: &str, error: &std::io::Error) {
    let why = format!("no {program} ({error}): it is in the Debian package prometheus");
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("NOT TESTED: {why}");
}
