//! `auditrail status`: with and without a running agent, once and watched.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::command::{Place, recorded};

#[test]
fn status_tells_the_running_agent_from_the_last_checkpoint() {
    let place = Place::following_recorded();
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    let status = |place: &Place, code| -> Value {
        serde_json::from_str(&place.ask(&["status", "--json"]).expect(code).stdout).unwrap()
    };
    let json = kit::wait_for("all to be counted", Duration::from_secs(10), || {
        let json = status(&place, 0);
        if json["pairs"][0]["delivered"] == 4900 { Ok(json) } else { Err(json.to_string()) }
    });
    assert_eq!((&json["running"], &json["ready"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!((&json["node"], &json["inputs"][0]["backups"]), (&"cp-1".into(), &2.into()));
    assert!(place.ask(&["status"]).expect(0).stdout.contains("ready"));
    let (ended, said) = running.end(Signal::TERM);
    assert!(ended.success(), "{said}");

    let json = status(&place, 1);
    assert_eq!((&json["running"], &json["node"]), (&Value::Bool(false), &"cp-1".into()));
    assert_eq!(json["ready"], false, "an agent that does not run is not ready");
    assert_eq!(json["pairs"][0]["state"], "not_running");
    assert_eq!(json["pairs"][0]["trail"]["whole"], true);
    for unknown in [&json["inputs"][0]["events"], &json["pairs"][0]["delivered"]] {
        assert_eq!(*unknown, Value::Null, "nobody counted: {json}");
    }
    assert_eq!(json["pairs"][0]["lag_bytes"], 0);
    assert_eq!(json["pairs"][0]["cursor"]["file"], "audit.log");
    let shown = place.ask(&["status"]).expect(1).stdout;
    for part in [
        "NOT RUNNING; this is from the checkpoint of ",
        "no agent runs with",
        "audit.log at ",
        "whole since ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

/// Reads from a stream until it holds the text.
fn read_until(stream: &mut impl std::io::Read, wanted: &str, times: usize) -> String {
    let (mut found, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&found);
        if text.matches(wanted).count() >= times {
            return text.into_owned();
        }
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended: {text}");
        found.extend_from_slice(&buffer[..read]);
    }
}

#[test]
fn a_watched_status_follows_one_another_where_there_is_no_terminal_and_ends_with_ctrl_c() {
    let place = Place::following_recorded();
    let start = |more: &[&str]| {
        let mut command = crate::command::auditrail();
        command.args(["status", "--watch", "100ms", "-c"]).arg(place.config()).args(more);
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut watching = start(&[]);
    let said = read_until(watching.stdout.as_mut().unwrap(), "NOT RUNNING", 3);
    assert!(said.contains(", every 0.1s\nauditrail ") && !said.contains('\u{1b}'), "{said}");
    rustix::process::kill_process(rustix::process::Pid::from_child(&watching), Signal::INT)
        .unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(1), "it ended by the signal");

    let mut watching = start(&["--json"]);
    let said = read_until(watching.stdout.as_mut().unwrap(), "\n", 2);
    let line: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(line["running"], false);
    // Nobody reads any more, as with `| head`.
    drop(watching.stdout.take());
    let ended = kit::wait_for("it to end", Duration::from_secs(20), || {
        watching.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
    });
    assert_eq!(ended.code(), Some(1));
    let ran = place.ask(&["status", "--watch", "1ms"]).expect(2);
    assert!(ran.stderr.contains("write a duration from 100ms to 24h"), "{}", ran.stderr);
}

#[test]
fn a_watched_status_is_drawn_in_place_on_a_terminal() {
    let place = Place::following_recorded();
    let program = kit::process::built_binary();
    // Ctrl-C is what the terminal makes of the byte 3.
    let watch = format!(
        "stty cols 60 rows 8; exec {} status --watch=100ms -c {}",
        program.display(),
        place.config().display()
    );
    let mut script = Command::new("script");
    script.args(["-qec", &watch, "/dev/null"]).env("TERM", "xterm");
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut watching = match script.spawn() {
        Ok(watching) => watching,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no script: {error}");
            return eprintln!("NOT TESTED: no script ({error}): it is in the package bsdutils");
        }
    };
    let home = "\u{1b}[1;1H";
    let said = read_until(watching.stdout.as_mut().unwrap(), home, 3);
    std::io::Write::write_all(watching.stdin.as_mut().unwrap(), b"\x03").unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(1), "{said}");
    let drawn = said.split(home).nth(1).unwrap();
    assert_eq!(drawn.matches("\u{1b}[K\r\n").count(), 7, "it scrolls: {drawn:?}");
    assert!(drawn.contains("NOT RUNNING; this") || drawn.contains("NOT RUNNING, and"), "{drawn:?}");
}
