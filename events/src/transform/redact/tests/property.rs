//! Random bodies, compared with a slow reference based on `serde_json`: nothing is broken, and the prefilter misses
//! nothing.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

const KEYS: &[&str] = &[
    "a",
    "name",
    "value",
    "key",
    "password",
    "data",
    "stringData",
    "kind",
    "spec",
    "metadata",
    "token",
    "secretName",
    "env",
    "items",
    "args",
    "path",
    "op",
    "secret",
    "managedFields",
    "annotations",
    "apiKey",
    "Authorization",
    "f:token",
    "my password x",
    "n\u{61}me",
    "secrets/x",
    "api key",
    "from token",
    "binaryData",
    "extra",
    "message",
    "columnDefinitions",
    "rows",
    "cells",
];
const VALUES: &[&str] = &[
    "x",
    "Secret",
    "password",
    "token",
    "--password",
    "Bearer abc1",
    "a=b",
    "password=hunter2",
    "/data/x",
    "/spec/password",
    "https://u:p@h",
    "{\"password\":\"x\"}",
    "[\"--token\",\"y\"]",
    "<password a=\"b\">x</password>",
    "<a:token>x</a:token> <b key='apiKey' value='x'/>",
    "",
    "true",
    "ConfigMap",
    "/metadata",
    "add",
    "secrets",
    "my token x",
    "/spec/token/x",
    "secrets/x",
    "the \"token\": x",
    "{\"op\":\"add\",\"path\":\"/a/token\",\"value\":\"y\"}",
    "api key: x",
    "token x",
    "a\nkind: Secret\ndata: x",
    "{\"a\":{\"name\":\"my token x\",\"value\":\"y\"}}",
    "key",
    "sshpass -p x y",
    "/var/run/secrets/kubernetes.io/serviceaccount",
    "--token",
    "y",
    "mysql",
    "-px",
    "Invalid value: \"x\"",
    "signing-key=x",
    "eyJhbGciOiJSUzI1NiJ9.e30.e30",
    "$(X)",
    "curl",
    "-u",
    "a:b",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        prop::sample::select(VALUES).prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(KEYS), inner), 0..5).prop_map(|members| {
                let members = members.into_iter().map(|(key, value)| (key.to_owned(), value));
                Value::Object(members.collect::<Map<_, _>>())
            }),
        ]
    })
}

/// Whether one value differs from the other only by redacted strings.
fn blanked(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| blanked(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| blanked(a, b))
        }
        // A whole value, or parts of a text.
        (_, Value::String(text)) if before != after => text.contains(MASK),
        _ => before == after,
    }
}

/// The strings that are certainly secret: those under names of secrets, and data of Secrets.
fn sure(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let named =
                    ["password", "apiKey", "token", "Authorization"].contains(&key.as_str());
                if let (true, Value::String(text)) = (named, value) {
                    secrets.push(text.clone());
                }
                sure(value, secrets);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|value| sure(value, secrets)),
        _ => {}
    }
}

/// Redaction with a prefilter that reports every place.
fn wary() -> Redaction {
    let mut redaction = masking();
    redaction.screen.wary = true;
    redaction
}

proptest! {
    #[test]
    fn what_is_touched_is_json_and_differs_at_blanked_values_only(body in json(), secret in any::<bool>()) {
        let resource = if secret { "secrets" } else { "things" };
        let line = event(resource, &format!(r#""requestObject":{body}"#));
        let out = text(&masking(), &line);
        let before: Value = serde_json::from_str(&line).unwrap();
        let after: Value = serde_json::from_str(&out).unwrap();
        prop_assert!(blanked(&before, &after), "{line}\n{out}");
        if out == line {
            prop_assert!(before == after);
        }
        prop_assert_eq!(&text(&masking(), &out), &out);
        let mut secrets = Vec::new();
        sure(&after["requestObject"], &mut secrets);
        for text in secrets {
            prop_assert!(values::is_harmless(&text) || text == MASK, "{text} in {out}");
        }
    }

    #[test]
    fn the_screen_hides_nothing_that_the_walk_would_blank(body in json()) {
        // The handling of managed fields depends on the hits.
        let body = body.to_string().replace("managedFields", "managed");
        let line = event("things", &format!(r#""requestObject":{body}"#));
        prop_assert_eq!(text(&masking(), &line), text(&wary(), &line));
    }

    #[test]
    fn the_screen_hides_nothing_among_other_letters(
        parts in prop::collection::vec(prop_oneof![
            "x{0,40} ?",
            "[äşпは ]{0,12}",
            prop::sample::select(patterns::OTHER_LETTERS).prop_map(|word| format!("{word}=hunter2x ")),
        ], 0..8),
    ) {
        let line = event("things", &format!(r#""requestObject":{{"a":"{}"}}"#, parts.concat()));
        prop_assert_eq!(text(&masking(), &line), text(&wary(), &line));
    }

    #[test]
    fn no_bytes_cause_a_panic(bytes in any::<Vec<u8>>(), body in "[{}\\[\\]\",:a\\\\ pu0-9]{0,60}") {
        let _ = leaves(&masking(), &bytes);
        let line = event("secrets", &format!(r#""requestObject":{body}"#));
        let _ = leaves(&masking(), line.as_bytes());
        let _ = leaves(&masking(), body.as_bytes());
    }
}

#[test]
fn the_screen_hides_nothing_in_a_recorded_log() {
    let (quick, wary) = (masking(), wary());
    for line in include_str!("../../../../../tests/data/audit-events.ndjson").lines() {
        let line = line.replace("managedFields", "managed");
        same("screened", &text(&quick, &line), &text(&wary, &line));
    }
}

/// The parts that the prefilter skips: the API server writes them in a fixed form in which nothing can be hidden, or
/// their text leaves the node anyway.
#[test]
fn the_screen_hides_nothing_where_it_takes_a_short_way() {
    let (quick, wary) = (masking(), wary());
    let status = r#""metadata":{},"status":"Failure","message":"secrets \"a\" is forbidden: User \"u\" cannot get it","reason":"Forbidden","details":{"name":"a","kind":"secrets"},"code":403"#;
    let failed = format!(
        r#""responseStatus":{{{status}}},"responseObject":{{"kind":"Status","apiVersion":"v1",{status}}}"#
    );
    let review = r#""requestObject":{"kind":"SubjectAccessReview","spec":{"resourceAttributes":{"namespace":"a","verb":"get","resource":"secrets"},"user":"u"}}"#;
    let times = r#""requestReceivedTimestamp":"2026-11-21T07:32:22.085199Z","stageTimestamp":"2026-11-21T07:32:22.085199Z""#;
    let odd = r#""requestReceivedTimestamp":"password=hunter2","stageTimestamp":"2026-11-21T07:32:22.085199Z""#;
    for (resource, members) in [
        ("secrets", failed.clone()),
        ("secrets", failed.replacen("cannot get it", "cannot: password=hunter2", 2)),
        (
            "secrets",
            failed.replace(r#""apiVersion":"v1","#, r#""apiVersion":"v1","data":{"a":"hunter2"},"#),
        ),
        ("subjectaccessreviews", review.to_owned()),
        ("subjectaccessreviews", review.replace(r#""user":"u""#, r#""extra":{"a":["hunter2"]}"#)),
        ("pods", times.to_owned()),
        ("pods", odd.to_owned()),
    ] {
        let line = event(resource, &members);
        let out = text(&quick, &line);
        same("screened", &out, &text(&wary, &line));
        assert!(!out.contains("hunter2"), "{out}");
    }
}
