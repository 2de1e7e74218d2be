//! The command line: help, exit codes, errors, `check`, `status` and `verify`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::SignedDuration;
use rustix::process::{Signal, geteuid};

use crate::command::{Place, finish, recorded, root, run};
use kit::events::{Maker, log_of};

/// A user id that may not read root's private files.
const NOBODY: u32 = 65534;

/// To accept a change, run `AUDITRAIL_BLESS=1 cargo test help` and read the diff.
#[test]
fn help_is_what_it_was() {
    let pages = [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["replay", "--help"],
        &["status", "--help"],
        &["probe", "--help"],
        &["init", "--help"],
        &["preview", "--help"],
        &["verify", "--help"],
        &["holds", "--help"],
        &["holds", "list", "--help"],
        &["holds", "prune", "--help"],
        &["dead-letters", "--help"],
        &["dead-letters", "list", "--help"],
        &["dead-letters", "resend", "--help"],
        &["dead-letters", "set-aside", "--help"],
        &["dead-letters", "drop", "--help"],
        &["completions", "--help"],
        &["config", "--help"],
        &["config", "print", "--help"],
        &["config", "schema", "--help"],
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
    let start = concat!("auditrail ", env!("CARGO_PKG_VERSION"), " (commit ");
    let (commit, target) = ran.stdout.strip_prefix(start).unwrap().split_once(", ").unwrap();
    // A debug build does not ask Git; tests/backends/binaries.rs looks at a release.
    assert!(commit == "unknown" || commit.len() >= 12, "{}", ran.stdout);
    assert!(target.ends_with(")\n") && target.contains("-linux-"), "{}", ran.stdout);
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

/// A configuration that follows a log with one backup. Both have recent events.
fn fresh() -> Place {
    let place = Place::following_recorded();
    let mut maker = Maker::from_ago(SignedDuration::from_secs(60));
    for name in ["audit-2026-11-26T01-02-03.004.log", "audit.log"] {
        fs::write(place.path(name), log_of(&[maker.event(500), maker.event(500)])).unwrap();
    }
    place.configure("cp-1", &place.path("audit.log"), place.port);
    place
}

#[test]
fn check_says_a_line_for_each_thing_and_is_content() {
    let place = fresh();
    let ran = place.ask(&["check", "--strict"]).expect(0);
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
    assert!(ran.stdout.contains("with 1 backup beside it, the last event "), "{}", ran.stdout);
    assert!(!place.state_dir().try_exists().unwrap(), "check made the state directory");
    assert!(!place.out().try_exists().unwrap(), "check made the output's file");
}

#[test]
fn check_fails_on_whatever_keeps_events_from_arriving() {
    let place = fresh();
    let failing = |what: &str| {
        let said = place.ask(&["check"]).expect(1).stdout;
        let line = said.lines().find(|line| line.starts_with("FAIL")).unwrap_or_default();
        assert!(line.contains(what), "{what}: {said}");
        assert!(said.contains("hint: "), "{said}");
    };
    let log = place.path("audit.log");
    let text = fs::read_to_string(place.config()).unwrap();

    place.configure("cp-1", &place.path("later/audit.log"), place.port);
    failing("audit.log is not there");

    let empty = place.path("empty.log");
    fs::write(&empty, "").unwrap();
    place.configure("cp-1", &empty, place.port);
    failing("empty.log has been empty for ");

    let old = place.path("old.log");
    let mut maker = Maker::from_ago(SignedDuration::from_hours(3 * 24));
    fs::write(&old, log_of(&[maker.event(500)])).unwrap();
    place.configure("cp-1", &old, place.port);
    failing("nothing was written to ");

    // The parent of the state directory is a file, below which not even root can create anything.
    fs::write(place.config(), text.replace("/state\"", "/audit.log/state\"")).unwrap();
    failing("audit.log/state cannot be made");

    fs::write(place.config(), text.replace("max_bytes = 0", "max_bytes = 900")).unwrap();
    failing("wait for the output events, and `hold` keeps 900 B");
    assert!(log.is_file(), "check took the log away");
}

#[test]
fn a_warning_fails_the_check_only_where_that_is_asked_for() {
    let place = fresh();
    let mut maker = Maker::from_ago(SignedDuration::from_hours(30));
    fs::write(place.path("audit.log"), log_of(&[maker.event(500)])).unwrap();
    let said = place.ask(&["check"]).expect(0).stdout;
    assert!(said.contains("warn inputs.recorded  nothing was written to "), "{said}");
    place.ask(&["check", "--strict"]).expect(1);
}

#[test]
fn quiet_and_verbose_set_the_level_of_the_log_and_what_commands_print() {
    let place = fresh();
    assert_eq!(place.ask(&["check", "-q"]).expect(0).stdout, "");
    let said = place.ask(&["status", "-q"]).expect(1).stdout;
    assert!(
        said.contains("trail of recorded in events: ") && !said.contains("DELIVERED"),
        "{said}"
    );
    let said = place.ask(&["-v", "status"]).expect(1).stdout;
    assert!(said.contains("DELIVERED") && said.contains("  look-ups      none\n"), "{said}");
    let mut maker = Maker::from_ago(SignedDuration::from_hours(30));
    fs::write(place.path("audit.log"), log_of(&[maker.event(500)])).unwrap();
    let said = place.ask(&["check", "--quiet"]).expect(0).stdout;
    assert!(said.starts_with("warn inputs.recorded  nothing was"), "{said}");
    assert_eq!(said.matches("warn").count(), said.lines().count() / 2, "{said}");

    let logged = |options: &[&str]| {
        let place = fresh();
        let mut command = crate::command::auditrail();
        command.env("AUDITRAIL_LOG", "error").args(["replay", "audit.log", "-c"]);
        let ran = finish(command.arg(place.config()).args(options).current_dir(place.path(".")));
        ran.expect(0).stderr
    };
    assert_eq!(logged(&[]), "");
    assert_eq!(logged(&["-q"]), "");
    assert!(logged(&["--log-level", "info"]).contains(" INFO "));
    let verbose = logged(&["-v"]);
    assert!(verbose.contains(" INFO ") && !verbose.contains("TRACE"), "{verbose}");
}

/// clap itself sees no conflict between an option before the command and one behind it.
#[test]
fn two_options_for_the_level_of_the_log_are_refused() {
    for wrong in [
        &["-q", "status", "-v"][..],
        &["status", "-v", "-q"],
        &["status", "-q", "--log-level", "info"],
        &["--log-level", "info", "status", "-v"],
    ] {
        let ran = run(wrong).expect(2);
        assert!(ran.stderr.contains("both set the level of the log"), "{}", ran.stderr);
    }
}

#[test]
fn a_log_that_is_a_fifo_or_a_directory_is_refused_by_check_and_run_and_never_waited_for() {
    let place = fresh();
    let fifo = place.path("fifo.log");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    for (path, what) in [(fifo, "a FIFO"), (place.path("."), "a directory")] {
        place.configure("cp-1", &path, place.port);
        let said = place.ask(&["check"]).expect(1).stdout;
        assert!(said.contains(&format!("is {what}, not a log file")), "{said}");
        let said = place.ask(&["run"]).expect(2).stderr;
        assert!(said.contains(&format!("is {what}, not a log file")), "{said}");
    }
}

#[test]
fn a_wrong_path_is_said_at_once_and_makes_readyz_red_with_the_way_out() {
    let place = fresh();
    place.configure("cp-1", &place.path("nowhere/audit.log"), place.port);
    let running = place.start();
    let ready = kit::wait_for("/readyz to be red", Duration::from_secs(20), || {
        let answer = kit::http::get(&place.url("/readyz"))?;
        if answer.status == 503 { Ok(answer.text()) } else { Err(answer.text()) }
    });
    assert!(ready.contains("nowhere/audit.log is not there: "), "{ready}");
    assert!(place.ask(&["status"]).expect(1).stdout.contains("is not there"));
    let (_, said) = running.end(Signal::TERM);
    assert!(said.contains("ERROR") && said.contains("nowhere/audit.log is not there"), "{said}");
    assert!(said.contains("received SIGTERM, draining"), "{said}");
}

#[test]
fn check_answers_to_validate_too() {
    let place = Place::following_recorded();
    place.configure("cp-1", &place.path("nowhere.log"), place.port);
    let said = place.ask(&["validate"]).expect(1).stdout;
    assert_eq!(said, place.ask(&["check"]).stdout);
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
    // Root may read everything, so run a copy of the binary as another user, who must be able to execute it.
    let binary = place.path("auditrail");
    fs::copy(kit::process::built_binary(), &binary).unwrap();
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
fn check_of_a_back_end_that_is_not_there_fails_with_its_address() {
    let place = Place::following_recorded();
    let port = kit::free_port();
    let loki = format!("[outputs.loki]\ntype = \"loki\"\nendpoint = \"http://127.0.0.1:{port}\"\n");
    let text = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), text + &loki).unwrap();
    let ran = place.ask(&["check"]).expect(1);
    assert!(ran.stdout.contains("FAIL outputs.loki"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("127.0.0.1:{port}")), "{}", ran.stdout);
}

/// The result of `check --json`: the state of all, and subject, state and hint of each line.
fn checked(place: &Place, more: &[&str], code: i32) -> (String, Vec<(String, String, bool)>) {
    let said = place.ask(&[&["check", "--json"], more].concat()).expect(code).stdout;
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let check = |check: &serde_json::Value| {
        let keys: Vec<_> = check.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["hint", "state", "subject", "what"]);
        (text(&check["subject"]), text(&check["state"]), check["hint"].is_string())
    };
    (text(&json["state"]), json["checks"].as_array().unwrap().iter().map(check).collect())
}

#[test]
fn check_as_json_has_the_lines_of_the_text_and_the_same_exit_codes() {
    let place = fresh();
    let (state, checks) = checked(&place, &["-q"], 0);
    assert_eq!((state.as_str(), checks.len()), ("ok", 7));
    assert!(checks.iter().all(|(_, state, hint)| state == "ok" && !hint), "{checks:?}");
    let mut maker = Maker::from_ago(SignedDuration::from_hours(30));
    fs::write(place.path("audit.log"), log_of(&[maker.event(500)])).unwrap();
    let (state, checks) = checked(&place, &[], 0);
    let late = ("inputs.recorded".to_owned(), "warn".to_owned(), true);
    assert!(state == "warn" && checks.contains(&late), "{checks:?}");
    assert_eq!(checked(&place, &["--strict"], 1).0, "warn");
    place.configure("cp-1", &place.path("later/audit.log"), place.port);
    let (state, checks) = checked(&place, &[], 1);
    let missing = ("inputs.recorded".to_owned(), "fail".to_owned(), true);
    assert!(state == "fail" && checks.contains(&missing), "{checks:?}");
    fs::write(place.config(), "nodes = 1").unwrap();
    let (state, checks) = checked(&place, &[], 2);
    assert_eq!((state.as_str(), checks.len()), ("fail", 1));
}

#[test]
fn the_printed_configuration_is_one_that_the_agent_accepts() {
    let place = Place::following_recorded();
    let printed = place.ask(&["config", "print"]).expect(0).stdout;
    assert!(printed.contains("checkpoint_interval = \"1s\"\n"), "{printed}");
    let copy = place.path("copy.toml");
    fs::write(&copy, &printed).unwrap();
    let again = run(&["config", "print", "-c", copy.to_str().unwrap()]).expect(0).stdout;
    assert_eq!(again, printed);
    let ran = run(&["config", "print", "-c", "/nowhere/auditrail.toml"]).expect(2);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("/nowhere/auditrail.toml"));
    let secret = "[outputs.loki]\ntype = \"loki\"\nendpoint = \"https://h/S3CRET1/loki/api/v1/push?a=S3CRET2\"\n\
        bearer_token = \"S3CRET3\"\nheaders = { X = \"S3CRET4\" }\n";
    let text = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), text + secret).unwrap();
    let printed = place.ask(&["config", "print"]).expect(0).stdout;
    assert!(printed.contains("\"https://h/***/loki/api/v1/push\"\n"), "{printed}");
    assert!(!printed.contains("S3CRET"), "{printed}");
    let printed = place.ask(&["config", "print", "--show-secrets"]).expect(0).stdout;
    assert_eq!(printed.matches("S3CRET").count(), 4, "{printed}");
    let schema = run(&["config", "schema"]).expect(0).stdout;
    assert_eq!(schema, fs::read_to_string(root().join("etc/auditrail.schema.json")).unwrap());
}

#[test]
fn verify_says_what_it_cannot_compare() {
    let place = Place::following_recorded();
    let path = place.config();
    let path = path.to_str().unwrap();
    for (more, said) in [
        (&[][..], "nothing to compare: neither a file nor Falco"),
        (&["--output", "loki"], "there is no output \"loki\", but \"events\""),
        (&["--input", "other"], "there is no input \"other\", but \"recorded\""),
        (&["--since", "yesterday"], "write a time such as"),
        (&["--json", "--repair"], "cannot be used with"),
    ] {
        let ran = run(&[&["verify", "-c", path][..], more].concat()).expect(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(said), "{more:?}: {}", ran.stderr);
    }
}
