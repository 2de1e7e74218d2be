//! The transform of an output: audit policy, `where` expression, redaction of secrets and event size, with reload and
//! `check --sample`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use jiff::SignedDuration;
use rustix::process::Signal;

use crate::command::{Place, root};
use kit::events::Maker;
use kit::{LogWriter, http, wait_for};

const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: ";

/// A configuration whose output has this transform, and a function that appends events to its log.
fn place(transform: &str) -> (Place, impl FnMut(usize) + use<>) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.log");
    let mut writer = LogWriter::new(&log);
    writer.create();
    let place = Place::following(&log);
    place.leaving(transform);
    let mut maker = Maker::from_ago(SignedDuration::from_mins(1));
    let write = move |events| {
        // Keep the directory of the log as long as this function.
        let _ = &dir;
        for _ in 0..events {
            writer.append(format!("{}\n", maker.event(300).line).as_bytes());
        }
    };
    (place, write)
}

/// Waits until exactly this many lines are delivered, and returns them.
fn delivered(place: &Place, lines: usize) -> Vec<String> {
    wait_for("the events", Duration::from_secs(30), || {
        let text = fs::read_to_string(place.out()).unwrap_or_default();
        let found: Vec<_> = text.lines().map(str::to_owned).collect();
        if found.len() == lines { Ok(found) } else { Err(format!("{} of {lines}", found.len())) }
    })
}

/// The value of the first series that begins with `name`; the name may include labels.
fn metric(place: &Place, name: &str) -> Option<u64> {
    let page = http::get(&place.url("/metrics")).ok()?;
    let text = String::from_utf8(page.body).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn wait_metric(place: &Place, name: &str, value: u64) {
    wait_for(name, Duration::from_secs(30), || match metric(place, name) {
        Some(found) if found == value => Ok(()),
        found => Err(format!("{found:?}, not {value}")),
    });
}

fn level_of(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    event["level"].as_str().unwrap().to_owned()
}

#[test]
fn a_reload_counts_from_then_on_and_a_broken_policy_leaves_the_old_one_in_force() {
    let policies = tempfile::tempdir().unwrap();
    let policy = policies.path().join("policy.yaml");
    fs::write(&policy, format!("{POLICY}Metadata\n")).unwrap();
    let (place, mut write) = place(&format!("policy_file = \"{}\"", policy.display()));
    write(5);
    let running = place.start();
    let lines = delivered(&place, 5);
    assert!(lines.iter().all(|line| level_of(line) == "Metadata" && !line.contains("xxxx")));

    // A misspelt field (`user` for `users`), which the API server would ignore.
    fs::write(&policy, format!("{POLICY}None\n  user: [\"alice\"]\n")).unwrap();
    running.signal(Signal::HUP);
    wait_metric(&place, "auditrail_config_last_reload_successful", 0);
    write(5);
    let lines = delivered(&place, 10);
    assert!(lines.iter().all(|line| level_of(line) == "Metadata"));

    fs::write(&policy, format!("{POLICY}None\n  users: [\"alice\"]\n- level: Request\n")).unwrap();
    running.signal(Signal::HUP);
    wait_metric(&place, "auditrail_config_last_reload_successful", 1);
    write(7);
    wait_metric(
        &place,
        "auditrail_output_events_total{input=\"recorded\",output=\"events\",result=\"dropped\"}",
        7,
    );
    delivered(&place, 10);

    // A reload applies the transform only. It names other changes and counts as failed.
    let text = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), text.replace("\"1%\"", "\"2%\"")).unwrap();
    running.signal(Signal::HUP);
    wait_metric(&place, "auditrail_config_last_reload_successful", 0);
    let ready = http::get(&place.url("/readyz?verbose")).unwrap();
    assert_eq!(ready.status, 200, "the agent works as before");
    let restart = "[!]configuration: the last reload applied only [transform]; restart the agent to apply the other changes: disk";
    assert!(ready.text().contains(restart), "{}", ready.text());
    fs::write(place.config(), text).unwrap();
    running.signal(Signal::HUP);
    wait_metric(&place, "auditrail_config_last_reload_successful", 1);
    let (status, said) = running.end(Signal::TERM);
    assert!(status.success(), "{said}");
    assert!(said.contains("policy.yaml") && said.contains("did you mean `users`"), "{said}");
}

#[test]
fn what_is_not_accepted_is_named_with_its_place_and_nothing_starts() {
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let policy =
        write("p.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\nRules:\n- level: None\n");
    let open = write("open.key", &"k".repeat(40));
    set_mode(Path::new(&open), 0o644);
    let short = write("short.key", "k");
    set_mode(Path::new(&short), 0o600);
    for (transform, wanted) in [
        (format!("policy_file = \"{policy}\""), "write `rules`, case matters"),
        ("policy_file = \"/not/there.yaml\"".to_owned(), "/not/there.yaml"),
        ("where = \"event.verb = 'get'\"".to_owned(), "outputs.events.transform.where"),
        ("where = \"event.verbs == 'get'\"".to_owned(), "event.verb"),
        (format!("redact = {{ mode = \"hash\", key_file = \"{open}\" }}"), "chmod 600"),
        (format!("redact = {{ mode = \"hash\", key_file = \"{short}\" }}"), "at least 32"),
        ("redact = { rules = [{ pattern = \"(\" }] }".to_owned(), "transform.redact.rules[0]"),
    ] {
        let (place, _write) = place(&transform);
        let ran = place.ask(&["run"]).expect(2);
        assert!(ran.stderr.contains(wanted), "{transform}: {}", ran.stderr);
        let ran = place.ask(&["check"]).expect(1);
        assert!(ran.stdout.contains(wanted), "{transform}: {}", ran.stdout);
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_sample_shows_what_each_step_would_do_and_sends_nothing() {
    let policies = tempfile::tempdir().unwrap();
    let policy = policies.path().join("policy.yaml");
    let rules = format!("{POLICY}Metadata\n  verbs: [\"create\"]\n- level: RequestResponse\n");
    fs::write(&policy, rules).unwrap();
    let transform = format!(
        "policy_file = \"{}\"\nwhere = \"event.verb != 'watch'\"\nmax_event_bytes = \"4KiB\"",
        policy.display()
    );
    let (place, _write) = place(&transform);
    let recorded = root().join("etc/recorded/audit");
    let ran = place.ask(&["check", "--sample", recorded.to_str().unwrap()]).expect(0);
    for wanted in [
        "outputs.events",
        "events read",
        "dropped: where",
        "lowered to Metadata",
        "redacted",
        "bytes that leave",
    ] {
        assert!(ran.stdout.contains(wanted), "{wanted}:\n{}", ran.stdout);
    }
    for path in [place.out(), place.state_dir().join("checkpoint.json")] {
        assert!(!path.try_exists().unwrap(), "{}", path.display());
    }
}

#[test]
fn a_sample_reads_a_container_s_log_as_the_agent_does() {
    let (place, _write) = place("");
    let event = |id: &str| {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"ResponseComplete","verb":"create","requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:22.612771Z"}}"#
        )
    };
    let at = "2026-11-21T06:25:22.700000000Z stdout";
    let split = event("split");
    let (begin, end) = split.split_at(100);
    let log = format!(
        "{at} F {}\n{at} P {begin}\n{at} F {end}\n{at} F I1121 06:25:22.1 1 a.go:1] started\n",
        event("whole")
    );
    let path = place.state_dir().with_file_name("0.log");
    fs::write(&path, log).unwrap();
    let ran = place.ask(&["check", "--sample", path.to_str().unwrap()]).expect(0);
    let read = ran.stdout.lines().find(|line| line.contains("events read")).unwrap();
    assert!(read.split_whitespace().any(|word| word == "2"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("torn") && !ran.stdout.contains("no event"), "{}", ran.stdout);
}

/// Promise 7: the recorded log that ships with the project holds credentials, and the default redaction removes all of
/// them.
#[test]
fn the_defaults_keep_secrets_home_and_tell_who_did_what() {
    let place = Place::following(&root().join("etc/recorded/audit/audit.log"));
    place.leaving("");
    let running = place.start();
    let events = crate::command::recorded();
    let count = memchr::memchr_iter(b'\n', &events).count();
    let lines = delivered(&place, count);
    let (status, said) = running.end(Signal::TERM);
    assert!(status.success(), "{said}");
    let mut changed = 0;
    for (before, after) in events.split(|byte| *byte == b'\n').zip(&lines) {
        changed += usize::from(before != after.as_bytes());
        let read = |bytes: &[u8]| -> serde_json::Value { serde_json::from_slice(bytes).unwrap() };
        let (before, after) = (read(before), read(after.as_bytes()));
        for field in
            ["auditID", "stage", "verb", "user", "sourceIPs", "objectRef", "stageTimestamp"]
        {
            let who = |event: &serde_json::Value| match field {
                "user" => event["user"]["username"].clone(),
                field => event[field].clone(),
            };
            assert_eq!(who(&before), who(&after), "{field} of {after}");
        }
        assert_eq!(before["responseStatus"]["code"], after["responseStatus"]["code"]);
        secrets_are_blanked(&after);
    }
    assert!(changed > 0);
}

/// Fails if a Secret in the event has an unredacted value under `data`: a string of 16 bytes or more.
fn secrets_are_blanked(event: &serde_json::Value) {
    for body in [&event["requestObject"], &event["responseObject"]] {
        let items = body["items"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
        for item in items {
            if event["objectRef"]["resource"] != "secrets" && item["kind"] != "Secret" {
                continue;
            }
            for (key, value) in item["data"].as_object().into_iter().flatten() {
                assert!(value.as_str().is_none_or(|text| text.len() < 16), "{key}: {value}");
            }
        }
    }
}

/// The secret value in the data of the test's Secrets.
const MARKER: &str = "hunter2-MARKER-hunter2";

fn secret_event(number: usize) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(MARKER);
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"0000000{number}-5d91-4011-a160-4f93a4b80180","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/n/secrets","verb":"create","user":{{"username":"admin"}},"sourceIPs":["127.0.0.1"],"userAgent":"kubectl","objectRef":{{"resource":"secrets","namespace":"n","name":"s{number}","apiVersion":"v1"}},"responseStatus":{{"code":201}},"requestObject":{{"kind":"Secret","data":{{"a":"{data}"}},"stringData":{{"b":"{MARKER}"}}}},"requestReceivedTimestamp":"2026-11-21T06:27:4{number}.546047Z","stageTimestamp":"2026-11-21T06:27:4{number}.549259Z"}}"#
    )
}

/// Fails if the text has the marker or its base64.
fn is_clean(what: &str, text: &[u8]) {
    let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(MARKER);
    for marker in [MARKER, "MARKER", &encoded[..encoded.len() - 1]] {
        assert!(memchr::memmem::find(text, marker.as_bytes()).is_none(), "{marker} in {what}");
    }
}

/// Fails if the marker is in the agent's log, its output or a file of its state directory.
fn nothing_leaked(place: &Place, said: &str) {
    is_clean("the log", said.as_bytes());
    is_clean("the output", &fs::read(place.out()).unwrap());
    for entry in fs::read_dir(place.state_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            is_clean(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

/// The tokens (hashes) that replace the secret in the delivered events: for each event the one in `data`, then the one
/// in `stringData`.
fn tokens(place: &Place, events: usize) -> Vec<String> {
    let lines = delivered(place, events);
    let token = |event: &serde_json::Value, at: &str| {
        event.pointer(&format!("/requestObject/{at}")).unwrap().as_str().unwrap().to_owned()
    };
    let events = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    events.flat_map(|event| [token(&event, "data/a"), token(&event, "stringData/b")]).collect()
}

#[test]
fn a_secret_has_one_token_within_a_key_and_another_within_another() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.log");
    let append = |number| {
        LogWriter::new(&log).append(format!("{}\n", secret_event(number)).as_bytes());
    };
    let with_key = |name: &str, byte: &str| {
        let key = dir.path().join(name);
        fs::write(&key, byte.repeat(40)).unwrap();
        set_mode(&key, 0o600);
        let place = Place::following(&log);
        place.leaving(&format!("redact = {{ mode = \"hash\", key_file = \"{}\" }}", key.display()));
        place
    };
    append(1);
    append(2);
    let place = with_key("one.key", "k");
    let running = place.start();
    let first = tokens(&place, 2);
    let (status, said) = running.end(Signal::TERM);
    assert!(status.success(), "{said}");
    assert!(first[0].starts_with("hmac-sha256:") && first.iter().all(|token| *token == first[0]));

    // The token is the same after a restart.
    append(3);
    let running = place.start();
    let all = tokens(&place, 3);
    let (_, said_then) = running.end(Signal::TERM);
    assert!(all.iter().all(|token| *token == first[0]), "{all:?}");
    nothing_leaked(&place, &(said + &said_then));

    let other = with_key("other.key", "K");
    let running = other.start();
    let others = tokens(&other, 3);
    let (_, said) = running.end(Signal::TERM);
    assert!(others.iter().all(|token| *token == others[0] && *token != first[0]), "{others:?}");
    nothing_leaked(&other, &said);

    let key = dir.path().join("other.key");
    set_mode(&key, 0o640);
    let ran = other.ask(&["run"]).expect(2);
    assert!(ran.stderr.contains(&key.display().to_string()), "{}", ran.stderr);
    assert!(ran.stderr.contains("mode 0640") && ran.stderr.contains("chmod 600"), "{}", ran.stderr);
}

#[test]
fn the_torn_tail_of_a_file_leaves_without_its_secret() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.log");
    let line = secret_event(2);
    let tail = &line[..line.rfind("MARKER").unwrap() + 6];
    fs::write(&log, format!("{}\n{tail}", secret_event(1))).unwrap();
    let place = Place::following(&log);
    place.leaving("");
    let running = place.start();
    wait_for("the first event", Duration::from_secs(30), || {
        let lines = fs::read_to_string(place.out()).unwrap_or_default();
        if lines.contains("00000001-") { Ok(()) } else { Err(lines) }
    });
    // The API server died in the middle of a line (torn line), and its next process begins another file.
    let mut server = LogWriter::new(&log);
    server.rotate("audit-2026-11-21T06-27-43.000.log");
    server.append(format!("{}\n", secret_event(3)).as_bytes());
    wait_for("what is behind the tail", Duration::from_secs(30), || {
        let lines = fs::read_to_string(place.out()).unwrap_or_default();
        let whole = lines.contains("00000003-") && lines.contains("00000002-");
        if whole { Ok(()) } else { Err(lines) }
    });
    for page in ["/metrics", "/status", "/"] {
        is_clean(page, &http::get(&place.url(page)).unwrap().body);
    }
    let (status, said) = running.end(Signal::TERM);
    assert!(status.success(), "{said}");
    nothing_leaked(&place, &said);
}
