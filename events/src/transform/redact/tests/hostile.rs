//! Hostile bodies and lines, written to evade redaction or to make it expensive.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::leaks::{MARKER, leaks};
use super::*;

fn no_leak(what: &str, line: &[u8]) -> Vec<u8> {
    assert!(leaks(line), "{what}: nothing planted");
    let out = leaves(&masking(), line);
    assert!(!leaks(&out), "{what}\n{}", String::from_utf8_lossy(&out[..out.len().min(4000)]));
    assert_eq!(leaves(&masking(), &out), out, "{what}: twice is not once");
    out
}

#[test]
fn broken_characters_hide_nothing() {
    let body = event("secrets", r#""requestObject":{"da\u0074a":{"a":"@"},"b":"\ud800"}"#);
    let line = body.replace('@', MARKER).into_bytes();
    no_leak("a lone surrogate", &line);
    let mut line = event("things", r#""requestObject":{"a":"@","password":"#).into_bytes();
    line.truncate(line.len() - event("things", "").len() / 4);
    let body = event("things", &format!(r#""requestObject":{{"x":"@ password={MARKER}"}}"#));
    let at = body.find('@').unwrap();
    let mut line = body.into_bytes();
    line[at] = 0xff;
    no_leak("bad UTF-8", &line);
}

#[test]
fn depth_opens_no_hole() {
    for depth in [10, 300, 10_000] {
        for (open, close) in [(r#"{"a":"#, "}"), ("[", "]"), (r#"{"password":"#, "}")] {
            let inner = format!(r#"{{"password":"{MARKER}"}}"#);
            let body = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            for resource in ["things", "secrets"] {
                let line = event(resource, &format!(r#""requestObject":{body}"#));
                no_leak("deep", line.as_bytes());
            }
        }
    }
}

#[test]
fn json_in_json_opens_no_hole_however_often() {
    let mut text = format!(r#"{{"password":"{MARKER}"}}"#);
    for _ in 0..8 {
        let line = event("things", &format!(r#""requestObject":{text}"#));
        no_leak("nested", line.as_bytes());
        text = format!(r#"{{"x":{}}}"#, serde_json::to_string(&text).unwrap());
    }
}

#[test]
fn doubled_members_of_the_event_are_all_looked_at() {
    let body = format!(r#"{{"data":{{"a":"{MARKER}"}}}}"#);
    let line = event(
        "secrets",
        &format!(r#""requestObject":{{}},"requestObject":{body},"request\u004fbject":{body}"#),
    );
    no_leak("doubled bodies", line.as_bytes());
    let line =
        event("pods", &format!(r#""requestObject":{body},"objectRef":{{"resource":"secrets"}}"#));
    no_leak("doubled objects", line.as_bytes());
}

#[test]
fn of_torn_and_unreadable_lines_no_byte_leaves_but_fields() {
    let body = format!(r#""requestObject":{{"a":"{MARKER}"}}"#);
    let whole = event("pods", &body);
    let torn = &whole[..whole.len() - 150];
    let out = String::from_utf8(no_leak("torn", torn.as_bytes())).unwrap();
    for kept in [
        r#""username":"admin""#,
        r#""verb":"create""#,
        r#""resource":"pods""#,
        r#""bytes":"#,
        "hmac-sha256:",
    ] {
        assert!(out.contains(kept), "{kept}: {out}");
    }
    let glued = format!(
        "{torn}{}",
        event("secrets", &format!(r#""requestObject":{{"data":{{"a":"{MARKER}"}}}}"#))
    );
    no_leak("glued", glued.as_bytes());
    no_leak("no event", format!("panic: {MARKER}").as_bytes());
    let whole = event("secrets", &format!(r#""requestObject":{{"data":{{"a":"{MARKER}"}}}}"#));
    for wrapped in [
        format!(r#"{{"log":{},"stream":"stdout"}}"#, serde_json::json!(whole)),
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{whole}]}}"#),
        format!(r#"{{"timestamp":"2026-11-21T17:00:00Z","event":{whole}}}"#),
    ] {
        no_leak("an event in something else", wrapped.as_bytes());
    }
    let inside = format!(
        r#"{{"stage":"{MARKER}","verb":"{MARKER} x","stageTimestamp":"{MARKER}","sourceIPs":["{MARKER}"],"x"#
    );
    no_leak("forged fields", inside.as_bytes());
}

#[test]
fn what_cannot_be_read_where_a_secret_can_stand_is_blanked() {
    for body in [
        format!(r#"{{"data":{{"a" "{MARKER}"}}}}"#),
        format!(r#"{{"data":{{"a":{MARKER}}}}}"#),
        format!(r#"{{"token":{MARKER}}}"#),
        format!(r#"["{MARKER}" "x"]"#),
    ] {
        let line = event("secrets", &format!(r#""requestObject":{body}"#));
        no_leak("malformed", line.as_bytes());
    }
}

/// Checks that the cost is linear: four times the length takes about four times as much processor time of this
/// thread, whatever else the machine does. Sixteen times as much would be quadratic.
fn linear(what: &str, redact: impl Fn(usize)) {
    let cost = |length| {
        let spent = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let before = spent();
        redact(length);
        spent().saturating_sub(before)
    };
    let (short, long) = (cost(100_000), cost(400_000));
    assert!(long < short * 9 + Duration::from_millis(50), "{what}: {short:?}, {long:?}");
}

#[test]
fn hostile_lines_cost_what_their_length_costs() {
    let patterns = [
        "token",
        "://",
        "password=",
        "password=\\\"",
        "curl ",
        "eyJ",
        "kind: Secret ",
        "value: ",
        "basic ",
        "login/",
        "secret:\\n",
        "-----BEGIN PRIVATE KEY",
        "-----BEGIN CERTIFICATE",
        "Ab1",
        "://a@",
        "invalid value: ",
        "\\\\u0070",
        "mysql -",
        "\\\\",
        "%25",
        "{\\\"data\\\":",
        "[",
    ];
    for pattern in patterns {
        linear(pattern, |length| {
            let text = pattern.repeat(length / pattern.len());
            let line = event("things", &format!(r#""requestObject":{{"a":"{text}"}}"#));
            let _ = leaves(&masking(), line.as_bytes());
            let line = event("pods", "").replace("/api/v1", &format!("/x?a={text}"));
            let _ = leaves(&masking(), line.as_bytes());
            let line = event("pods", "").replace("kubectl", &text);
            let _ = leaves(&masking(), line.as_bytes());
        });
    }
    for unit in [
        r#"{"data":"#,
        r#"{"kind":"Secret","data":"#,
        r#"{"name":"token","value":"#,
        r#"{"value":"#,
        r#"{"extra":"#,
    ] {
        linear(unit, |length| {
            let depth = length / unit.len();
            let body = format!("{}1{}", unit.repeat(depth), "}".repeat(depth));
            let line = event("things", &format!(r#""requestObject":{body}"#));
            let _ = leaves(&masking(), line.as_bytes());
        });
    }
}
