//! Tests of shrinking from outside: which parts of which event remain.

use proptest::prelude::*;
use serde_json::Value;

use super::super::cuts::{Cut, NOTE};
use super::*;

const KEY: Key = Key([7; 32]);

fn usual(limit: usize) -> Shrinking {
    Shrinking { limit, key: KEY, order: ShrinkOrder::Usual }
}

fn shrunk(line: &str, limit: usize) -> (Shrunk, String) {
    let mut out = b"before".to_vec();
    let shrunk = shrink(line.as_bytes(), line.as_bytes(), &usual(limit), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap().split_off("before".len());
    assert_eq!(shrunk.length, text.len());
    assert!(text.len() <= limit.max(MIN_LIMIT), "{} of {limit}: {text}", text.len());
    (shrunk, text)
}

/// Shrinks an event with these additional members to 8 KiB. Returns what is left, and checks what was cut.
fn check(members: &str, cuts: &str) -> Value {
    let line = format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"7b6b","stage":"ResponseComplete","verb":"update","user":{{"username":"admin","groups":["a"]}},"sourceIPs":["10.0.0.1"],{members}"stageTimestamp":"2026-11-21T06:25:22.533537Z"}}"#
    );
    let (shrunk, text) = shrunk(&line, 8192);
    assert_eq!(shrunk.cuts.to_string(), cuts, "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    let note = value["annotations"][NOTE].as_str().unwrap();
    let told = format!("cut={cuts} bytes={} hmac-sha256=", line.len());
    assert!(note.strip_prefix(&told).is_some_and(|digest| digest.len() == 32), "{note}");
    assert_eq!(value["user"]["username"], "admin");
    assert_eq!(value["stageTimestamp"], "2026-11-21T06:25:22.533537Z");
    value
}

fn x(count: usize) -> String {
    "x".repeat(count)
}

#[test]
fn parts_go_in_order_and_no_further_than_needed() {
    let managed = format!(r#""managedFields":["{}"]"#, x(9000));
    let applied = format!(
        r#""annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"{}","b":"c"}}"#,
        x(9000)
    );
    let value = check(
        &format!(r#""responseObject":{{"metadata":{{"name":"n",{managed}}}}},"#),
        "managedFields",
    );
    assert_eq!(value["responseObject"]["metadata"]["name"], "n");
    let value = check(
        &format!(r#""requestObject":{{"metadata":{{{applied},{managed}}}}},"#),
        "managedFields,last-applied-configuration",
    );
    assert_eq!(value["requestObject"]["metadata"]["annotations"]["b"], "c");
    let value = check(
        &format!(
            r#""requestObject":{{"a":1}},"responseObject":{{"metadata":{{{managed}}},"a":"{}"}},"#,
            x(9000)
        ),
        "managedFields,responseObject",
    );
    assert_eq!((&value["requestObject"]["a"], value.get("responseObject")), (&1.into(), None));
    check(
        &format!(r#""requestObject":"{}","responseObject":{{}},"#, x(9000)),
        "responseObject,requestObject",
    );
}

#[test]
fn what_is_large_without_bodies_is_cut_too() {
    let value = check(
        &format!(
            r#""annotations":{{"patch.webhook.admission.k8s.io/round_0_index_0":"{}","a":"b"}},"#,
            x(9000)
        ),
        "webhook-patches",
    );
    assert_eq!(value["annotations"]["a"], "b");
    let value = check(
        &format!(r#""annotations":{{"authorization.k8s.io/decision":"allow","a":"{}"}},"#, x(9000)),
        "annotations",
    );
    assert_eq!(value["annotations"]["authorization.k8s.io/decision"], "allow");
    check(&format!(r#""impersonatedUser":{{"extra":{{"a":["{}"]}}}},"#, x(9000)), "extra");
    check(&format!(r#""impersonatedUser":{{"groups":["{}"]}},"#, x(9000)), "groups");
    let value = check(
        &format!(
            r#""requestURI":"/api/{}","objectRef":{{"resource":"pods","name":"n"}},"#,
            x(20_000)
        ),
        "groups,strings",
    );
    assert!(value["requestURI"].as_str().unwrap().ends_with("...[17957 more bytes]"));
    assert_eq!(value["objectRef"]["name"], "n");
}

#[test]
fn the_smallest_limit_holds_the_worst_event_there_can_be() {
    let long = x(100_000);
    let object = |keys: &[&str]| {
        let members: Vec<_> = keys.iter().map(|key| format!(r#""{key}":"{long}""#)).collect();
        format!("{{{}}}", members.join(","))
    };
    let user = object(&["username", "uid"]);
    let line = format!(
        r#"{{"kind":"{long}","apiVersion":"{long}","level":"{long}","auditID":"{long}","stage":"{long}","requestURI":"{long}","verb":"{long}","user":{user},"impersonatedUser":{user},"authenticationMetadata":{},"sourceIPs":["{long}","{long}","{long}","{long}","{long}","{long}"],"userAgent":"{long}","objectRef":{},"responseStatus":{},"metadata":{},"timestamp":"{long}","requestReceivedTimestamp":"{long}","stageTimestamp":"{long}","requestObject":{{"metadata":{{"managedFields":1,"annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"x"}}}}}},"responseObject":1,"annotations":{}}}"#,
        object(&["impersonationConstraint"]),
        object(&[
            "resource",
            "namespace",
            "name",
            "uid",
            "apiGroup",
            "apiVersion",
            "resourceVersion",
            "subresource"
        ]),
        object(&["status", "message", "reason", "code"]),
        object(&["creationTimestamp"]),
        object(&[
            "authorization.k8s.io/decision",
            "authorization.k8s.io/reason",
            "audit.k8s.io/truncated",
            "auditrail.io/over-long-line-bytes",
            "patch.webhook.admission.k8s.io/a",
            "x"
        ]),
    );
    let (_, text) = shrunk(&line, 0);
    let value: Value = serde_json::from_str(&text).unwrap();
    let constraint = &value["authenticationMetadata"]["impersonationConstraint"];
    assert!(constraint.as_str().is_some_and(|constraint| constraint.starts_with('x')), "{value}");
}

#[test]
fn an_earlier_note_gives_way_and_odd_annotations_do_not_break_the_event() {
    for annotations in [
        r#"{"auditrail.io/shrunk":"old","a":"b"}"#,
        "null",
        "[]",
        r#""x""#,
        r#"{"auditrail.io/\u0073hrunk":1}"#,
    ] {
        let members = format!(r#""annotations":{annotations},"responseObject":"{}","#, x(9000));
        let value = check(&members, "responseObject");
        assert!(value["annotations"][NOTE].as_str().unwrap().starts_with("cut="));
    }
}

#[test]
fn an_event_that_fits_is_left_alone() {
    let mut out = Vec::new();
    assert_eq!(shrink(b"{}", b"{}", &usual(10), &mut out), None);
    assert!(out.is_empty());
}

#[test]
fn the_digest_is_of_the_original_and_depends_on_the_key() {
    let line = format!(r#"{{"requestURI":"{}"}}"#, x(9000));
    let note = |original: &[u8], key: &Key| {
        let mut out = Vec::new();
        shrink(line.as_bytes(), original, &Shrinking { key: key.clone(), ..usual(8192) }, &mut out)
            .unwrap();
        let value: Value = serde_json::from_slice(&out).unwrap();
        value["annotations"][NOTE].as_str().unwrap().to_owned()
    };
    assert!(note(b"abc", &KEY).contains("bytes=3 "));
    assert_eq!(note(b"abc", &KEY), note(b"abc", &KEY));
    assert_ne!(note(b"abc", &KEY), note(b"abd", &KEY));
    assert_ne!(note(b"abc", &KEY), note(b"abc", &Key([8; 32])));
}

#[test]
fn a_legacy_line_keeps_its_values_and_can_still_be_read() {
    let line = format!(
        r#"2017-03-21T03:57:09.1-04:00 AUDIT: id="c939" stage="ResponseComplete" ip="127.0.0.1" method="get" user="admin" groups="\"a\"" as="<self>" asgroups="<lookup>" user-agent="{}" namespace="default" uri="/{}" response="200""#,
        r"\x41".repeat(5000),
        r#"\""#.repeat(9000)
    );
    let (shrunk, text) = shrunk(&line, 4096);
    assert_eq!(shrunk.cuts.to_string(), "strings");
    let (form, fields) = form(text.as_bytes());
    assert_eq!(form, Form::Legacy);
    assert_eq!(&text[fields.code.range()], "200");
    assert!(text.contains(r#"user="admin" groups="\"a\"" "#), "{text}");
    assert!(text.contains(&format!(" {NOTE}=\"cut=strings bytes={} ", line.len())), "{text}");
}

#[test]
fn a_line_that_nobody_can_read_keeps_its_beginning() {
    let line =
        format!(r#"{{"kind":"Event","auditID":"abc","requestObject":"é{}"#, "é".repeat(9000));
    let (shrunk, text) = shrunk(&line, 4097);
    assert_eq!(shrunk.cuts.to_string(), "tail");
    assert!(text.starts_with(r#"{"kind":"Event","auditID":"abc","#));
    assert!(text.contains(&format!(" {NOTE}=\"cut=tail bytes={} ", line.len())));
    // An event with another one directly after it.
    let mut out = Vec::new();
    let glued = format!("{{}}{{\"a\":\"{}\"}}", x(9000));
    let shrunk = shrink(glued.as_bytes(), glued.as_bytes(), &usual(4096), &mut out).unwrap();
    assert!(shrunk.cuts.has(Cut::Tail) && out.len() <= 4096);
}

#[test]
fn what_the_server_truncated_stays_as_it_is() {
    let value = check(
        &format!(r#""annotations":{{"audit.k8s.io/truncated":"true","a":"{}"}},"#, x(9000)),
        "annotations",
    );
    assert_eq!(value["annotations"]["audit.k8s.io/truncated"], "true");
    assert_eq!(value["level"], "RequestResponse");
}

/// A JSON string of some length, with characters that are hard to cut.
fn text() -> impl Strategy<Value = String> {
    let part = prop::sample::select(
        &["x", "é", "😀", r"\ud83d\ude00", r#"\""#, r"\\", r"\u0000", " "][..],
    );
    (prop::collection::vec(part, 0..6), prop_oneof![4 => 0..4_usize, 1 => 0..3000_usize])
        .prop_map(|(parts, times)| format!("\"{}\"", parts.concat().repeat(times)))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![text(), Just("1e5".to_owned()), Just("null".to_owned())];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let keys = prop::sample::select(
            &[
                "metadata",
                "managedFields",
                "items",
                "annotations",
                "kubectl.kubernetes.io/last-applied-configuration",
                "rows",
                "object",
                "a",
            ][..],
        );
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec((keys, inner), 0..4).prop_map(|all| {
                let all: Vec<_> =
                    all.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", all.join(" , "))
            }),
        ]
    })
}

/// An event with the fields that matter; its other fields are random.
fn event() -> impl Strategy<Value = String> {
    (
        prop::collection::vec(text(), 9),
        prop::collection::vec(value(), 2),
        prop::collection::vec((prop::sample::select(&["a", "patch.webhook.admission.k8s.io/x", "auditrail.io/shrunk"][..]), text()), 0..3),
        any::<bool>(),
    )
        .prop_map(|(texts, bodies, annotations, first)| {
            let [id, uri, user, group, agent, name, address, message, extra] = &texts[..] else { unreachable!() };
            let annotations: Vec<_> = annotations.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let annotations = format!(r#""annotations":{{{}}},"#, annotations.join(","));
            format!(
                r#"{{{}"auditID":{id},"stage":"ResponseComplete","requestURI":{uri},"verb":"get","user":{{"username":{user},"groups":[{group},{group}],"extra":{{"a":[{extra}]}}}},"sourceIPs":[{address},"10.0.0.1"],"userAgent":{agent},"objectRef":{{"resource":"pods","name":{name}}},"responseStatus":{{"metadata":{{}},"message":{message},"code":409}},"requestObject":{},{}"responseObject":{},"requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:22.533538Z"}}"#,
                if first { &annotations } else { "" },
                bodies[0],
                if first { "" } else { &annotations },
                bodies[1],
            )
        })
}

proptest! {
    #[test]
    fn whatever_an_event_holds_it_fits_is_json_and_keeps_what_matters(line in event(), limit in 4096..40_000_usize) {
        let mut out = Vec::new();
        let shrunk = shrink(line.as_bytes(), line.as_bytes(), &usual(limit), &mut out);
        if line.len() <= limit {
            prop_assert_eq!(shrunk, None);
            return Ok(());
        }
        let shrunk = shrunk.unwrap();
        prop_assert!(out.len() <= limit && out.len() == shrunk.length);
        let before: Value = serde_json::from_str(&line).unwrap();
        let after: Value = serde_json::from_slice(&out).unwrap();
        for place in ["/stage", "/verb", "/objectRef/resource", "/responseStatus/code", "/sourceIPs/1", "/requestReceivedTimestamp", "/stageTimestamp"] {
            prop_assert_eq!(before.pointer(place), after.pointer(place), "{}", place);
        }
        for place in ["/auditID", "/user/username", "/objectRef/name", "/sourceIPs/0", "/requestURI"] {
            let text = |event: &Value| event.pointer(place).unwrap().as_str().unwrap().to_owned();
            let (before, after) = (text(&before), text(&after));
            let kept = after.rsplit_once("...[").map_or(&*after, |(kept, _)| kept);
            prop_assert!(after == before || (before.starts_with(kept) && shrunk.cuts.has(Cut::Strings)), "{}", place);
        }
        let note = after["annotations"][NOTE].as_str().unwrap();
        let expected = format!("cut={} bytes={} ", shrunk.cuts, line.len());
        prop_assert!(note.starts_with(&expected));
        // No duplicate members.
        prop_assert_eq!(String::from_utf8_lossy(&out).matches(&format!("\"{NOTE}\":")).count(), 1);
    }

    #[test]
    fn no_bytes_cause_a_panic(prefix in prop::sample::select(&["", "{", r#"{"a":""#, "2017-03-21T03:57:09Z AUDIT: id=\""][..]), bytes in prop::collection::vec(any::<u8>(), 4097..5000), quotes in any::<bool>()) {
        let end = if quotes { "\"" } else { "" };
        let mut line = [prefix.as_bytes(), &bytes, end.as_bytes()].concat();
        line.retain(|byte| *byte != b'\n');
        let mut out = Vec::new();
        shrink(&line, &line, &usual(0), &mut out);
        prop_assert!(out.len() <= MIN_LIMIT);
    }
}
