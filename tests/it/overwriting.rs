//! The agent refuses an output path that would overwrite a log, its own files or its configuration, before it writes
//! anything. It warns of files that other users can read or write.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use jiff::SignedDuration;

use crate::command::{Place, Ran};
use kit::events::Maker;

/// A configuration with a log of its own beside other files, and the text of the configuration.
fn place() -> (Place, String) {
    let place = Place::following_recorded();
    let log = place.path("log");
    fs::create_dir(&log).unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(1));
    fs::write(log.join("audit.log"), maker.event(300).line + "\n").unwrap();
    place.configure("cp-1", &log.join("audit.log"), place.port);
    let private = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    private(&place.state_dir().join("dead-letters")).unwrap();
    fs::set_permissions(place.state_dir(), fs::Permissions::from_mode(0o700)).unwrap();
    let text = fs::read_to_string(place.config()).unwrap();
    (place, text)
}

/// The configuration of a further file output.
fn output(name: &str, path: &Path) -> String {
    format!("[outputs.{name}]\ntype = \"file\"\npath = \"{}\"\n", path.display())
}

/// Fails unless `check` and `run` refuse the configuration with all these words, and `run` has written nothing.
fn refused(place: &Place, config: &str, parts: &[&str]) {
    fs::write(place.config(), config).unwrap();
    let Ran { stdout, .. } = place.ask(&["check"]).expect(1);
    let Ran { stderr, .. } = place.ask(&["run"]).expect(2);
    for part in parts {
        assert!(stdout.contains(part) && stderr.contains(part), "{part}:\n{stdout}\n{stderr}");
    }
    assert!(!place.state_dir().join("node.key").try_exists().unwrap(), "it began all the same");
}

#[test]
fn an_output_into_a_file_of_the_agent_or_of_its_configuration_is_refused() {
    let (place, text) = place();
    let secrets = place.path("secrets");
    fs::create_dir(&secrets).unwrap();
    for name in ["password", "ca.pem", "policy.yaml"] {
        fs::write(secrets.join(name), "x").unwrap();
    }
    let more = format!(
        "[outputs.logs]\ntype = \"loki\"\nendpoint = \"https://127.0.0.1:9\"\ntls = {{ ca_file = \"{dir}/ca.pem\" }}\n\
         basic_auth = {{ username = \"u\", password_file = \"{dir}/password\" }}\ntransform = {{ policy_file = \"{dir}/policy.yaml\" }}\n",
        dir = secrets.display()
    );
    let state = place.state_dir();
    symlink(&state, place.path("linked-state")).unwrap();
    symlink(secrets.join("password"), place.path("linked-password")).unwrap();
    fs::hard_link(secrets.join("password"), place.path("second-name")).unwrap();
    symlink(state.join("node.key"), place.path("linked-key")).unwrap();
    for (path, what) in [
        (state.join("checkpoint.json"), "is the agent's own, in `state_dir`"),
        (state.join("checkpoint.json.previous"), "is the agent's own"),
        (state.join("node.key"), "is the agent's own"),
        (state.join("lock"), "is the agent's own"),
        (state.join("agent.sock"), "is the agent's own"),
        (state.join("../state/./lock"), "is the agent's own"),
        (place.path("linked-state/checkpoint.json"), "is the agent's own"),
        (place.path("linked-key"), "is the agent's own"),
        (state.join("dead-letters/x"), "is among the dead letters"),
        (place.path("linked-state/dead-letters/x/y"), "is among the dead letters"),
        (place.config(), "is the configuration"),
        (secrets.join("password"), "is the file that `password_file` of outputs.logs names"),
        (place.path("linked-password"), "is the file that `password_file` of outputs.logs names"),
        (place.path("second-name"), "is the file that `password_file` of outputs.logs names"),
        (secrets.join("ca.pem"), "is the file that `tls.ca_file` of outputs.logs names"),
        (secrets.join("policy.yaml"), "is the file that `policy_file` of outputs.logs names"),
    ] {
        let config = format!("{text}\n{more}\n{}", output("copy", &path));
        refused(
            &place,
            &config,
            &["outputs.copy", what, "set `path` of this output to a file of its own"],
        );
    }
    assert_eq!(fs::read_to_string(secrets.join("password")).unwrap(), "x");
}

#[test]
fn an_output_among_the_logs_is_refused_by_whatever_name() {
    let (place, text) = place();
    let text = text.replace("hold = { max_bytes = 0 }", "hold = { min_free = \"1%\" }");
    let log = place.path("log");
    fs::create_dir(log.join(".auditrail-hold")).unwrap();
    fs::write(log.join("audit-2026-11-26T00-00-00.000.log"), "").unwrap();
    symlink(&log, place.path("linked-log")).unwrap();
    symlink(log.join("audit.log"), place.path("one-link")).unwrap();
    fs::hard_link(log.join("audit.log"), place.path("second-name")).unwrap();
    fs::hard_link(log.join("audit-2026-11-26T00-00-00.000.log"), place.path("third-name")).unwrap();
    // A dangling link: the output would create the file that it points to.
    symlink(log.join("audit.log.7"), place.path("dangling")).unwrap();
    for (name, what) in [
        ("one-link", "is the log that inputs.recorded follows"),
        ("second-name", "is the log that inputs.recorded follows"),
        ("third-name", "takes for a backup of its log"),
        ("dangling", "takes for a backup of its log"),
        ("linked-log/audit-2026-11-27T00-00-00.000.log", "takes for a backup of its log"),
        ("linked-log/audit.log", "is the log that inputs.recorded follows"),
        ("log/.auditrail-hold/x", "is in the hold directory of inputs.recorded"),
        ("linked-log/.auditrail-hold/x", "is in the hold directory of inputs.recorded"),
    ] {
        let config = format!("{text}\n{}", output("copy", &place.path(name)));
        refused(&place, &config, &["outputs.copy", what]);
    }
}

#[test]
fn two_outputs_in_one_file_or_in_each_other_s_rotated_ones_are_refused() {
    let (place, text) = place();
    fs::write(place.path("first"), "").unwrap();
    symlink(place.path("first"), place.path("link")).unwrap();
    symlink(place.path(""), place.path("here")).unwrap();
    fs::hard_link(place.path("first"), place.path("hard")).unwrap();
    for (one, two, what) in [
        ("first", "link", "is the file of outputs.one"),
        ("first", "hard", "is the file of outputs.one"),
        ("first", "here/first", "is the file of outputs.one"),
        ("new", "here/new", "is the file of outputs.one"),
        ("a.ndjson", "a.ndjson.000003", "has the name of a rotated file of outputs.one"),
        (
            "a.ndjson.1234567",
            "here/a.ndjson",
            "would be rotated to the name of the file of outputs.one",
        ),
    ] {
        let config = format!(
            "{text}\n{}{}",
            output("one", &place.path(one)),
            output("two", &place.path(two))
        );
        refused(&place, &config, &["outputs.two", what, "give each output a file of its own"]);
    }
    // These paths look alike, but do not collide.
    let config = format!(
        "{text}\n{}{}",
        output("one", &place.path("a.ndjson")),
        output("two", &place.path("a.ndjson.12"))
    );
    fs::write(place.config(), config).unwrap();
    place.ask(&["check"]).expect(0);
}

#[test]
fn an_output_that_keeps_no_lines_is_refused() {
    let (place, text) = place();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("fifo"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    for (path, what) in [
        (place.path("fifo"), "is a FIFO"),
        (place.path("socket"), "is a socket"),
        (place.path("log"), "is a directory"),
        ("/dev/full".into(), "is a device"),
        ("/dev/null".into(), "is a device"),
    ] {
        let config = format!("{text}\n{}", output("copy", &path));
        refused(&place, &config, &["outputs.copy", what, "`path = \"-\"`"]);
    }
}

#[test]
fn one_log_for_two_inputs_or_a_state_directory_among_logs_is_refused() {
    let (place, text) = place();
    let log = place.path("log");
    symlink(&log, place.path("linked-log")).unwrap();
    fs::hard_link(log.join("audit.log"), place.path("second-name")).unwrap();
    for name in ["linked-log/audit.log", "second-name"] {
        let path = place.path(name);
        let more = format!(
            "[inputs.second]\ntype = \"file\"\npath = \"{}\"\nhold = {{ max_bytes = 0 }}\n",
            path.display()
        );
        let alone =
            text.replace("[outputs.events]\n", "[outputs.events]\ninputs = [\"recorded\"]\n");
        refused(
            &place,
            &format!("{alone}\n{more}"),
            &["inputs.second", "inputs.recorded follows already"],
        );
    }
    let among = text.replace(place.state_dir().to_str().unwrap(), log.to_str().unwrap());
    refused(&place, &among, &["inputs.recorded", "`state_dir`", "is the directory of the log"]);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn check_warns_of_what_others_can_read_or_write_and_of_secrets_in_the_clear() {
    let (place, text) = place();
    let token = place.path("token");
    fs::write(&token, "t0ken-of-the-agent").unwrap();
    let loki = |keys: &str| format!("{text}\n[outputs.logs]\ntype = \"loki\"\n{keys}\n");
    let by_file = format!("bearer_token_file = \"{}\"", token.display());
    let local = "endpoint = \"http://127.0.0.1:9\"\n";
    let remote = "endpoint = \"http://loki.monitoring.svc:3100\"\ntimeout = \"100ms\"\n";
    for (config, config_mode, token_mode, expected) in [
        (
            loki(&format!("{local}bearer_token = \"t0ken-of-the-agent\"")),
            0o644,
            0o600,
            Some("holds a secret in line"),
        ),
        (loki(&format!("{local}bearer_token = \"t0ken-of-the-agent\"")), 0o600, 0o600, None),
        (loki(&format!("{local}bearer_token = \"${{NOT_SET:-t0ken}}\"")), 0o644, 0o600, None),
        (
            loki(&format!("{local}headers = {{ X-Api-Key = \"k3y\" }}")),
            0o644,
            0o600,
            Some("holds a secret in line"),
        ),
        (loki(&format!("{local}headers = {{ AccountID = \"7\" }}")), 0o644, 0o600, None),
        (
            loki(&format!("{local}{by_file}")),
            0o644,
            0o644,
            Some("holds a secret and can be read by everybody (mode 0644)"),
        ),
        (
            loki(&format!("{local}{by_file}")),
            0o644,
            0o666,
            Some("can be written to by everybody (mode 0666)"),
        ),
        (loki(&format!("{local}{by_file}")), 0o644, 0o600, None),
        (
            loki(&format!("{remote}{by_file}")),
            0o644,
            0o600,
            Some("a token is sent to loki.monitoring.svc over plain HTTP"),
        ),
        (loki(remote), 0o644, 0o600, None),
        (
            text.replace("127.0.0.1:", "0.0.0.0:"),
            0o644,
            0o600,
            Some("is every address of this node"),
        ),
        (text.replace("127.0.0.1:", "[::]:"), 0o644, 0o600, Some("is every address of this node")),
    ] {
        fs::write(place.config(), &config).unwrap();
        mode(&place.config(), config_mode);
        mode(&token, token_mode);
        let said = place.ask(&["check"]).stdout;
        let warned: Vec<_> = said.lines().filter(|line| line.starts_with("warn ")).collect();
        match expected {
            Some(part) => {
                assert!(warned.iter().any(|line| line.contains(part)), "{part}: {said}\n{config}");
            }
            None => assert!(warned.is_empty(), "{said}\n{config}"),
        }
        assert!(!said.contains("t0ken"), "{said}");
    }
}

#[test]
fn a_configuration_that_others_can_write_fails_check_and_is_said_at_the_start() {
    let (place, _) = place();
    mode(&place.config(), 0o666);
    let said = place.ask(&["check"]).expect(1).stdout;
    assert!(
        said.contains("FAIL configuration") && said.contains("can be written to by everybody"),
        "{said}"
    );
    let running = place.start();
    let (status, said) = running.end(rustix::process::Signal::TERM);
    assert!(status.success() && said.contains("can be written to by everybody"), "{said}");
}

/// In a pod, every address is the pod's own, and Prometheus has to reach it.
#[test]
fn in_a_pod_listening_on_every_address_is_no_reason_to_warn() {
    let (place, text) = place();
    fs::write(place.config(), text.replace("127.0.0.1:", "0.0.0.0:")).unwrap();
    let mut command = crate::command::auditrail();
    command.env("KUBERNETES_SERVICE_HOST", "10.96.0.1").args(["check", "-c"]).arg(place.config());
    let said = crate::command::finish(&mut command).expect(0).stdout;
    assert!(!said.contains("warn "), "{said}");
}
