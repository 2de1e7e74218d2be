//! `dead-letters list` with many dead letters, and with hostile ones.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::command::{Place, Ran, finish};

/// As many as an output can have.
const MOST: usize = 100_000;
/// About the size of a segment, in bytes.
const SEGMENT: usize = 4 << 20;
/// Address space of the process, in KiB. The answers alone take more.
const ROOM: u64 = 60_000;

/// Writes a segment, as `src/dead_letters/frame.rs` describes it, with a letter for each number.
fn segment(place: &Place, count: usize, answer: impl Fn(usize) -> String, user: &str) {
    let directory = place.state_dir().join("dead-letters/recorded.events");
    fs::create_dir_all(&directory).unwrap();
    let (mut text, mut number) = (String::new(), 0);
    let mut write = |text: &mut String| {
        number += 1;
        let path = directory.join(format!("{number:06}.seg"));
        fs::write(&path, std::mem::take(text)).unwrap();
        close(&path, 0o600);
    };
    let generation = "07".repeat(16);
    let line = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a", "stage": "ResponseComplete",
        "requestReceivedTimestamp": "2026-11-21T07:30:00Z", "stageTimestamp": "2026-11-21T07:30:00Z",
        "verb": "create", "user": {"username": user}, "responseStatus": {"code": 201},
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web-1"},
    });
    let line = line.to_string();
    for n in 0..count {
        let (id, hour, answer) = (format!("{n:032x}"), n % 24, json!(answer(n)));
        let meta = format!(
            "{{\"id\":\"{id}\",\"generation\":\"{generation}\",\"offset\":{n},\"whole\":\"yes\",\
             \"time\":\"2026-11-21T07:30:00Z\",\"refused\":\"2026-11-22T{hour:02}:00:00Z\",\
             \"answer\":{answer},\"scope\":\"a\\u001b[2J\"}}"
        );
        let body = format!("{:08x} {:08x} {meta} {line}", meta.len(), line.len());
        let _ = writeln!(text, "L1 {:08x} {body}", crc32fast::hash(body.as_bytes()));
        if text.len() > SEGMENT {
            write(&mut text);
        }
    }
    write(&mut text);
    for path in [place.state_dir(), place.state_dir().join("dead-letters"), directory.clone()] {
        close(&path, 0o700);
    }
}

fn close(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs `dead-letters list` with little memory.
fn list(place: &Place, more: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {ROOM} && exec \"$0\" dead-letters list -c \"$@\"")]);
    command.arg(kit::process::built_binary()).arg(place.config()).args(more);
    finish(command.stdin(Stdio::null()).env("NO_COLOR", "1"))
}

#[test]
fn a_hundred_thousand_dead_letters_are_grouped_and_listed_in_little_memory() {
    let place = Place::following_recorded();
    let long = "x".repeat(400);
    segment(&place, MOST, |n| format!("400: entry {n} is too old, {long}"), "alice");
    let said = list(&place, &[]).expect(0).stdout;
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("100,000 of recorded to events ("), "{said}");
    assert!(lines[0].contains("): 400: entry 0 is too old, xxx"), "{said}");
    assert_eq!(lines[1], "  first refused 2026-11-22T00:00:00Z, last refused 2026-11-22T23:00:00Z");
    assert_eq!(lines.len(), 5, "{said}");
    for part in ["  alice  ", "  create ", "  pods shop/web-1  ", "  201"] {
        assert!(lines[4].contains(part), "{part:?}: {said}");
    }
    assert!(lines[4].contains(&format!("{:032x}", 2)), "{said}");

    let said = list(&place, &["--each"]).expect(0).stdout;
    assert_eq!(said.lines().count(), MOST + 1);
    let ids: BTreeSet<_> = said.lines().skip(1).map(|line| &line[..32]).collect();
    assert_eq!(ids.len(), MOST);
}

#[test]
fn a_hostile_answer_or_user_does_not_reach_the_terminal_as_it_is() {
    let place = Place::following_recorded();
    let hostile = "\u{1b}]0;title\u{7}\u{202e}\u{2066}\u{9b}31m\u{200b}\r\n";
    segment(
        &place,
        3,
        |n| format!("400 no{hostile}{}", "é".repeat(n)),
        &format!("mal{hostile}lory"),
    );
    let id = format!("{:032x}", 0);
    for more in [&[][..], &["--each"], &[&id]] {
        let Ran { stdout, stderr, .. } = list(&place, more).expect(0);
        assert!(stdout.contains("]0;title"), "{stdout:?}");
        let raw = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200b}".contains(c);
        assert!(!stdout.contains(raw) && !stderr.contains(raw), "{more:?}: {stdout:?}");
    }
    // Three answers of their own, since they differ in more than numbers.
    let said = list(&place, &[]).expect(0).stdout;
    assert_eq!(said.matches("1 of recorded to events (").count(), 3, "{said}");
    assert_eq!(list(&place, &["-q"]).expect(0).stderr, "");
    let said = list(&place, &["--json", &id]).expect(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["id"], *id);
    let said = list(&place, &[&id, "nonsense"]).expect(1);
    assert!(said.stdout.is_empty() && said.stderr.contains("no dead letter nonsense"));
}
