//! What leaves the node: policy, expression, redaction and size, as an operator meets them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use rustix::process::Signal;

use crate::command::{Place, root};
use crate::support::events::Maker;
use crate::support::{http, wait_for};

const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: ";

/// A log that is written to, and a place whose output has this transform.
fn place(transform: &str) -> (Place, impl FnMut(usize) + use<>) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.log");
    let mut file = OpenOptions::new().create(true).append(true).open(&log).unwrap();
    let place = Place::following(&log);
    place.leaving(transform);
    let mut maker = Maker::from_ago(SignedDuration::from_mins(1));
    let write = move |events| {
        // It lives as long as the log is written to.
        let _ = &dir;
        for _ in 0..events {
            writeln!(file, "{}", maker.event(300).line).unwrap();
        }
    };
    (place, write)
}

/// The delivered lines, once there are so many.
fn delivered(place: &Place, lines: usize) -> Vec<String> {
    wait_for("the events", Duration::from_secs(30), || {
        let text = fs::read_to_string(place.out()).unwrap_or_default();
        let found: Vec<_> = text.lines().map(str::to_owned).collect();
        if found.len() == lines { Ok(found) } else { Err(format!("{} of {lines}", found.len())) }
    })
}

/// The value of a metric that has no labels, or these.
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

    // A typing mistake that the API server would not notice.
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

/// Promise 7, seen from outside: what ships with the project holds credentials, and none of them comes out.
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

/// No value under `data` of anything that says it is a Secret.
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
