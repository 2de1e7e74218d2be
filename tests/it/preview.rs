//! `preview` shows the events as they would leave for one output. It sends nothing and touches no state.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use kit::LogWriter;
use kit::events::Maker;

use crate::command::{Place, Ran, auditrail, finish, root, run};

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"7d1e6c0a-5d91-4011-a160-4f93a4b80180","stage":"STAGE","requestURI":"/api/v1/namespaces/shop/pods/web-1/exec?command=sh","verb":"create","user":{"username":"alice"},"impersonatedUser":{"username":"ROOT"},"sourceIPs":["10.0.0.9"],"userAgent":"curl","objectRef":{"resource":"pods","namespace":"shop","name":"web-1","apiVersion":"v1","subresource":"exec"},"responseStatus":{"metadata":{},"status":"Failure","reason":"Forbidden","code":403},"requestObject":{"password":"hunter2-Qx7"},"requestReceivedTimestamp":"2026-11-21T06:27:41.546047Z","stageTimestamp":"2026-11-21T06:27:41.549259Z"}"#;

/// A place whose log holds these lines.
fn place(lines: &[String]) -> (Place, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.log");
    fs::write(&log, lines.concat()).unwrap();
    let place = Place::following(&log);
    place.leaving("redact = {}");
    (place, dir)
}

fn preview(place: &Place, more: &[&str]) -> Ran {
    finish(auditrail().args(["preview", "-c"]).arg(place.config()).args(more))
}

#[test]
fn a_line_says_when_who_did_what_to_which_object_and_with_which_result() {
    let hostile = EVENT.replace("alice", r"\u001b[2Jalice\nroot");
    let events = [EVENT, &hostile].map(|line| line.replace("STAGE", "ResponseComplete") + "\n");
    let started = EVENT.replace("STAGE", "ResponseStarted") + "\n";
    let (place, dir) = place(&[events.concat(), started, "not an event\n".to_owned()]);
    let text = preview(&place, &[dir.path().to_str().unwrap()]).expect(0).stdout;
    let lines: Vec<_> = text.lines().collect();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        words(lines[0]),
        "2026-11-21T06:27:41.546Z alice as ROOT create pods/exec shop/web-1 403 Forbidden"
    );
    assert!(words(lines[1]).contains(" [2Jalice root as ROOT create "), "{}", lines[1]);
    assert!(words(lines[2]).ends_with("403 Forbidden ResponseStarted"), "{}", lines[2]);
    assert!(words(lines[3]).contains("no event: "), "{}", lines[3]);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn json_is_the_event_as_it_leaves_and_an_expression_selects() {
    let event = EVENT.replace("STAGE", "ResponseComplete") + "\n";
    let (place, dir) = place(&[event.clone(), event.replace("alice", "bob")]);
    let log = dir.path().join("audit.log");
    let selected = ["--json", "--where", "event.user.username == 'bob'", log.to_str().unwrap()];
    let text = preview(&place, &selected).expect(0).stdout;
    let line = event.replace("alice", "bob").replace("hunter2-Qx7", "***");
    assert_eq!(text, line);
}

#[test]
fn a_recorded_directory_is_shown_and_the_state_directory_is_not_made() {
    let (place, _dir) = place(&[]);
    let shown = preview(&place, &[root().join("etc/recorded/audit").to_str().unwrap()]).expect(0);
    assert!(shown.stdout.lines().count() > 1000, "{}", shown.stderr);
    assert!(!place.state_dir().try_exists().unwrap());
}

#[test]
fn an_output_that_takes_nothing_of_the_input_is_refused_by_name() {
    let (place, _dir) = place(&[]);
    let refused = preview(&place, &["--output", "lok"]).expect(2).stderr;
    assert!(refused.contains("no output \"lok\" takes the input"), "{refused}");
    let refused = run(&["preview", "-c", "/nonexistent/a.toml"]).expect(2).stderr;
    assert!(refused.contains("/nonexistent/a.toml"), "{refused}");
}

#[test]
fn without_a_path_the_log_is_followed_through_a_rotation_from_now_on_and_no_link_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit.log");
    let mut writer = LogWriter::new(&log);
    writer.create();
    let mut maker = Maker::from_ago(jiff::SignedDuration::from_mins(1));
    let mut write = |writer: &mut LogWriter| {
        let line = maker.event(300).line;
        writer.append(format!("{line}\n").as_bytes());
        line
    };
    let before = write(&mut writer);
    let place = Place::following(&log);
    let mut process = auditrail()
        .args(["preview", "--json", "-c"])
        .arg(place.config())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    // It may not have looked yet, so events are written until the first one is shown.
    let reading = thread::spawn(move || {
        let first = lines.next().unwrap().unwrap();
        (first, lines)
    });
    let begun = Instant::now();
    let mut written = Vec::new();
    while !reading.is_finished() {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing is shown");
        written.push(write(&mut writer));
        thread::sleep(Duration::from_millis(200));
    }
    let (first, mut lines) = reading.join().unwrap();
    assert_ne!(first, before, "from now on");
    let mut shown = vec![first];
    writer.rotate_now();
    written.push(write(&mut writer));
    let last = written.last().unwrap();
    while shown.last() != Some(last) {
        shown.push(lines.next().unwrap().unwrap());
    }
    assert!(written.ends_with(&shown), "each once, in order");
    let mut names = fs::read_dir(dir.path()).unwrap().flatten().map(|one| one.file_name());
    assert!(names.all(|name| !name.to_string_lossy().contains("hold")));
    drop(lines);
    write(&mut writer);
    assert!(process.wait().unwrap().success(), "a closed pipe ends it");
}
