//! The command line: help, exit codes, errors, `check` and `status`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Signal, geteuid};
use serde_json::Value;

use crate::command::{Place, finish, recorded, root, run};

/// Somebody who may read nothing of root's.
const NOBODY: u32 = 65534;

/// To accept a change: `AUDITRAIL_BLESS=1 cargo test help`, and read the difference.
#[test]
fn help_is_what_it_was() {
    let pages = [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["replay", "--help"],
        &["status", "--help"],
        &["verify", "--help"],
        &["dead-letters", "--help"],
        &["dead-letters", "list", "--help"],
        &["dead-letters", "resend", "--help"],
        &["dead-letters", "drop", "--help"],
    ];
    let mut found = String::new();
    for page in pages {
        found.extend(["$ auditrail ", &page.join(" "), "\n", &run(page).expect(0).stdout, "\n"]);
    }
    let path = root().join("tests/it/help.txt");
    if std::env::var_os("AUDITRAIL_BLESS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(path).unwrap());
}

#[test]
fn the_version_is_printed_to_standard_output() {
    let ran = run(&["--version"]).expect(0);
    assert_eq!(ran.stdout, format!("auditrail {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_ends_with_2_and_says_so_on_standard_error() {
    for wrong in [&["frobnicate"][..], &["run", "--fast"], &[], &["run", "--log-format", "xml"]] {
        let ran = run(wrong).expect(2);
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains("--help"),
            "{wrong:?}: {}",
            ran.stderr
        );
    }
    let ran = run(&["run", "--log-level", "nonsense=="]).expect(2);
    assert!(ran.stderr.contains("nonsense"), "{}", ran.stderr);
}

#[test]
fn a_configuration_that_is_not_there_ends_with_2_and_is_named() {
    for command in ["run", "status"] {
        let ran = run(&[command, "-c", "/nowhere/auditrail.toml"]).expect(2);
        assert!(ran.stderr.contains("/nowhere/auditrail.toml"), "{}", ran.stderr);
    }
    let ran = run(&["check", "-c", "/nowhere/auditrail.toml"]).expect(2);
    assert!(ran.stdout.contains("FAIL configuration"), "{}", ran.stdout);
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_nearest_known_one() {
    let place = Place::following_recorded();
    let text = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), text.replace("state_dir", "state_dri")).unwrap();
    for command in ["run", "status", "check"] {
        let ran = place.ask(&[command]).expect(2);
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains("unknown key `state_dri`"), "{said}");
        assert!(said.contains("did you mean `state_dir`?"), "{said}");
        assert!(said.contains("auditrail.toml:2"), "{said}");
    }
}

#[test]
fn check_says_a_line_for_each_thing_and_is_content() {
    let place = Place::following_recorded();
    let ran = place.ask(&["check"]).expect(0);
    let subjects: Vec<_> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>())
        .collect();
    let wanted = [
        "configuration",
        "state_dir",
        "inputs.recorded",
        "inputs.recorded",
        "node",
        "outputs.events",
        "server",
    ];
    assert_eq!(subjects, wanted.map(|subject| vec!["ok", subject]), "{}", ran.stdout);
    assert!(ran.stdout.contains("with 2 backups beside it"), "{}", ran.stdout);
    assert!(!place.state_dir().try_exists().unwrap(), "check made the state directory");
    assert!(!place.out().try_exists().unwrap(), "check made the output's file");
}

#[test]
fn check_answers_to_validate_too() {
    let place = Place::following_recorded();
    assert_eq!(place.ask(&["validate"]).expect(0).stdout, place.ask(&["check"]).stdout);
}

#[test]
fn check_of_a_log_that_may_not_be_read_says_the_way_out() {
    let place = Place::following_recorded();
    let log = place.path("audit.log");
    fs::write(&log, recorded()).unwrap();
    place.configure("cp-1", &log, place.port);
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // Root reads everything, so it becomes somebody else, who must be able to run a copy of the binary.
    let binary = place.path("auditrail");
    fs::copy(env!("CARGO_BIN_EXE_auditrail"), &binary).unwrap();
    mode(&place.path("."), 0o755);
    mode(&binary, 0o755);
    mode(&place.config(), 0o644);
    mode(&log, 0);
    let mut command = Command::new(&binary);
    command.args(["check", "-c"]).arg(place.config()).current_dir("/").stdin(Stdio::null());
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran = finish(&mut command).expect(1);
    let shown = log.display();
    assert!(
        ran.stdout.contains(&format!("FAIL inputs.recorded  {shown} cannot be read")),
        "{}",
        ran.stdout
    );
    for way in
        ["run as root", "CAP_DAC_READ_SEARCH", "mode and group of the file and its directory"]
    {
        assert!(ran.stdout.contains(way), "{way}: {}", ran.stdout);
    }
}

#[test]
fn check_of_a_missing_log_is_a_warning_since_the_agent_waits_for_it() {
    let place = Place::following_recorded();
    place.configure("cp-1", &place.path("later/audit.log"), place.port);
    let ran = place.ask(&["check"]).expect(0);
    assert!(ran.stdout.contains("warn inputs.recorded"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--audit-log-path"), "{}", ran.stdout);
}

#[test]
fn check_of_a_back_end_that_is_not_there_fails_with_its_address() {
    let place = Place::following_recorded();
    let port = crate::support::free_port();
    let loki = format!("[outputs.loki]\ntype = \"loki\"\nendpoint = \"http://127.0.0.1:{port}\"\n");
    let text = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), text + &loki).unwrap();
    let ran = place.ask(&["check"]).expect(1);
    assert!(ran.stdout.contains("FAIL outputs.loki"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("127.0.0.1:{port}")), "{}", ran.stdout);
}

#[test]
fn status_tells_the_running_agent_from_the_last_checkpoint() {
    let place = Place::following_recorded();
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    let status = |place: &Place| -> Value {
        serde_json::from_str(&place.ask(&["status", "--json"]).expect(0).stdout).unwrap()
    };
    let json =
        crate::support::wait_for("all to be counted", std::time::Duration::from_secs(10), || {
            let json = status(&place);
            if json["pairs"][0]["delivered"] == 4900 { Ok(json) } else { Err(json.to_string()) }
        });
    assert_eq!((&json["running"], &json["ready"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!((&json["node"], &json["inputs"][0]["backups"]), (&"cp-1".into(), &2.into()));
    assert!(place.ask(&["status"]).expect(0).stdout.contains("ready"));
    let (ended, said) = running.end(Signal::TERM);
    assert!(ended.success(), "{said}");

    let json = status(&place);
    assert_eq!((&json["running"], &json["node"]), (&Value::Bool(false), &"cp-1".into()));
    assert_eq!(json["pairs"][0]["lag_bytes"], 0);
    assert_eq!(json["pairs"][0]["cursor"]["file"], "audit.log");
    assert!(place.ask(&["status"]).expect(0).stdout.contains("not running"));
}

#[test]
fn verify_says_what_it_cannot_compare() {
    let place = Place::following_recorded();
    let path = place.config();
    let path = path.to_str().unwrap();
    for (more, said) in [
        (&[][..], "nothing to compare: a file output is not"),
        (&["--output", "loki"], "there is no output \"loki\""),
        (&["--input", "other"], "there is no input \"other\""),
        (&["--since", "yesterday"], "write a time such as"),
        (&["--json", "--repair"], "cannot be used with"),
    ] {
        let ran = run(&[&["verify", "-c", path][..], more].concat()).expect(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(said), "{more:?}: {}", ran.stderr);
    }
}
