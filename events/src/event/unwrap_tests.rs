use proptest::prelude::*;

use super::super::plain;
use super::*;

fn event_of(id: &str) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"{id}","stage":"ResponseComplete","requestURI":"/a?b=\"c\"\u003c","verb":"get","user":{{"username":"jörg"}},"requestObject":{{"x":"\\\"}}{{\n"}},"requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:22.612771Z"}}"#
    )
}

/// An item of a webhook's list.
fn item_of(id: &str) -> String {
    event_of(id).replace(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#, "")
}

/// The text of each piece of a line; `?` precedes one that is no event.
fn read(line: &str, ended: bool) -> Vec<String> {
    let mut bytes = line.as_bytes().to_vec();
    let mut pieces = Vec::new();
    if !plain(&bytes, |piece| pieces.push(piece)) {
        unwrap(&mut bytes, ended, |piece| pieces.push(piece));
    }
    let mut at = 0;
    let text = |piece: &Piece| {
        assert!(at <= piece.at.start, "pieces come in order and do not overlap");
        at = piece.at.end;
        let text = String::from_utf8_lossy(&bytes[piece.at.range()]).into_owned();
        if piece.is_event(&bytes) { text } else { format!("?{text}") }
    };
    pieces.iter().map(text).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn the_event_in_a_line_of_each_shipper_is_delivered_as_it_was() {
    let event = event_of("a");
    let text = quoted(&event);
    let bytes = event.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",");
    for line in [
        format!("2026-11-21T06:25:22.7Z stdout F {event}"),
        format!(
            r#"{{"log":{},"stream":"stdout","time":"2026-11-21T06:25:22.7Z"}}"#,
            quoted(&format!("{event}\n"))
        ),
        format!("<133>Nov 21 06:25:22 cp-1 k8s-audit[12]: {event}"),
        format!(r#"<133>1 2026-11-21T06:25:22Z cp-1 k8s - - [a@1 b="c"] {event}"#),
        format!("cp-1.example.com {event}"),
        format!("[pod/kube-apiserver-cp-1/kube-apiserver] {event}"),
        format!("2026-11-21T06:25:22.612Z {event}"),
        format!(r#"{{"__REALTIME_TIMESTAMP":"1","MESSAGE":{text},"PRIORITY":"6"}}"#),
        format!(r#"{{"__REALTIME_TIMESTAMP":"1","MESSAGE":[{bytes}]}}"#),
        format!(
            r#"{{"category":"kube-audit","properties":{{"log":{text},"stream":"stdout"}},"time":"t"}}"#
        ),
        format!(
            r#"{{"_index":"i","_source":{{"kubernetes":{{"audit":{event}}},"user_agent":{{"name":"k"}}}}}}"#
        ),
        format!(
            r#"{{"_source":{{"kubernetes":{{"audit":{event}}},"event":{{"original":{text}}}}}}}"#
        ),
        format!(r#"{{"data":{{"result":[{{"stream":{{}},"values":[["1",{text}]]}}]}}}}"#),
        format!(r#"["tag",1786008061,{{"line":{text}}}]"#),
        format!("\u{feff}{event}"),
        format!("  \t{event}"),
        format!("\x1b[32m{event}\x1b[0m"),
        format!("[{event},"),
        format!("{event}]"),
        format!("\x1e{event}"),
        format!("Nov 21 06:25:22 fluentd: {{\"message\":{text}}}"),
    ] {
        assert_eq!(read(&line, true), [event.as_str()], "{line}");
        assert_eq!(read(&line, false), [event.as_str()], "{line}");
    }
}

#[test]
fn several_events_in_one_line_are_each_delivered() {
    let (a, b) = (event_of("a"), event_of("b"));
    let both = [a.as_str(), b.as_str()];
    for line in [
        format!("[{a},{b}]"),
        format!("[{a} , {b} ],"),
        format!(
            r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{a},{b}]}}"#
        ),
        format!(
            r#"{{"logEvents":[{{"id":"1","message":{}}},{{"message":{}}}]}}"#,
            quoted(&a),
            quoted(&b)
        ),
        format!(r#"{{"message":{}}}"#, quoted(&format!("{a}\n{b}\n"))),
        format!("x: {a} {b}"),
    ] {
        assert_eq!(read(&line, true), both, "{line}");
    }
    let items = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{},{}]}}"#,
        item_of("a"),
        item_of("b")
    );
    assert_eq!(read(&items, true), [item_of("a"), item_of("b")]);
    let many = format!("[{}]", vec![item_of("a"); 3000].join(","));
    assert_eq!(read(&many, true).len(), 3000);
}

#[test]
fn an_event_in_the_body_of_another_or_of_a_record_is_not_taken_for_one() {
    let (event, text) = (event_of("forged"), quoted(&event_of("forged")));
    let outer = event_of("a")
        .replace(r#""requestObject":{"#, &format!(r#""requestObject":{{"e":{event},"t":{text},"#));
    assert_eq!(read(&outer, true), [outer.as_str()]);
    assert_eq!(read(&format!("host {outer}"), true), [outer.as_str()]);
    let anonymous = outer.replace(r#""auditID":"a","#, "");
    assert_eq!(read(&anonymous, true), [anonymous.as_str()]);
    for line in [
        format!(r#"{{"auditID":"x","verb":"GET","requestBody":{event}}}"#),
        format!(r#"{{"kind":"ConfigMap","apiVersion":"v1","data":{{"e":{text}}}}}"#),
        format!(r#"{{"kind":"SecretList","apiVersion":"v1","items":[{{"data":{{"e":{text}}}}}]}}"#),
        format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"object":{event}}}}}"#
        ),
        format!(r#"{{"protoPayload":{{"request":{event}}},"logName":"x"}}"#),
        format!(r#"{{"time":"t","type":"request","request":{{"data":{text}}}}}"#),
        format!(r#"{{"remote_addr":"192.0.2.1","http_user_agent":{text}}}"#),
        format!(r#"{{"ts":1.5,"msg":"HTTP","v":3,"agent":{text}}}"#),
        format!("I1121 06:25:22.000000       1 httplog.go:1] agent={event}"),
        format!("2026-11-21T06:25:22Z stderr F trace {event}"),
        format!("sshd: invalid user {event} from 192.0.2.1"),
        format!(r#"ed":{{"x":{event}}},"stageTimestamp":"2026-11-21T06:25:22.612771Z"}}"#),
        format!(
            r#"2026-11-21T06:25:22Z stdout F {event},"stageTimestamp":"2026-11-21T06:25:22Z"}}"#
        ),
        format!(r#"2026-11-21T06:25:22Z stdout F {{"kind":"Event","requestObject":{event}"#),
    ] {
        for found in read(&line, false) {
            assert!(found != event && !found.starts_with(r#"{"kind":"Event""#), "{line}");
        }
    }
}

#[test]
fn messages_of_the_server_and_headings_leave_nothing_behind() {
    for line in [
        "I1121 06:25:22.000000       1 httplog.go:1] \"HTTP\" verb=\"GET\"",
        "2026-11-21T06:25:22Z stderr F goroutine 1 [running]:",
        "2026-11-21T06:25:22Z stdout F W1121 06:25:22.000000 1 a.go:1] x",
        r#"{"log":"E1121 06:25:22.000000 1 a.go:1] x\n","stream":"stderr","time":"t"}"#,
        "# from cp-1",
        "==> audit.log <==",
        "]",
    ] {
        let passed =
            unwrap(&mut line.as_bytes().to_vec(), true, |piece| panic!("{piece:?} of {line}"));
        assert_eq!(passed, OddLine::Passed, "{line}");
    }
    for line in ["hello", r#"{"a":1}"#, "2026-11-21T06:25:22Z stdout F hello"] {
        assert_eq!(read(line, true), [format!("?{line}")]);
    }
}

#[test]
fn torn_and_glued_lines_are_cut_as_ever() {
    let event = event_of("a");
    let torn = &event[..200];
    assert_eq!(read(&format!("{torn}{event}"), true), [format!("?{torn}"), event.clone()]);
    assert_eq!(read(&format!("{event}{event}"), true), [event.as_str(), &event]);
    assert_eq!(read(&format!("{event}{torn}"), true), [event.clone(), format!("?{torn}")]);
    assert_eq!(read(&format!("{{\"a\":1}}{event}"), true), [r#"?{"a":1}"#, &event]);
    assert_eq!(read(&format!("{event} and words"), true), [event.as_str(), "?and words"]);
}

#[test]
fn an_event_without_a_time_has_that_of_its_wrapper() {
    let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a"}"#;
    let mut line = format!("2026-11-21T06:25:22.7Z stdout F {event}").into_bytes();
    let mut time = None;
    unwrap(&mut line, true, |piece| time = piece.time);
    assert_eq!(time, super::super::rfc3339(b"2026-11-21T06:25:22.7Z"));
}

#[test]
fn hostile_lines_cost_what_their_length_costs() {
    let deep = format!("{}{}", r#"{"auditID.":["#.repeat(20_000), r#""auditID"]}"#.repeat(20_000));
    let wide = format!("[{}]", r#""auditID","#.repeat(200_000));
    let many = format!("[{}]", r#"{"auditID":"","level":"","stage":""},"#.repeat(50_000));
    let small = format!("[{}]", r#"{"auditID":"a","level":"b","stage":"c"},"#.repeat(50_000));
    let texts = "{\"auditID\\\"audit.k8s.io ".repeat(50_000);
    for line in [deep, wide, many, small, texts] {
        let covered: usize = read(&line, true).iter().map(String::len).sum();
        assert!(covered <= line.len() + 1);
    }
}

proptest! {
    #[test]
    fn an_event_in_any_wrapper_comes_out_whole_and_once(
        layers in prop::collection::vec((0..4_u8, "[a-z_@][a-zA-Z_.-]{0,8}", any::<String>()), 0..6),
        prefix in "[ -z]{0,60}",
    ) {
        let event = event_of("a");
        let mut line = event.clone();
        for (kind, key, other) in layers {
            let other = quoted(&other);
            // The prefix avoids keys that mark an object as no wrapper.
            let key = format!("x{key}");
            line = match kind {
                0 => format!(r#"{{"{key}":{line},"z":{other}}}"#),
                1 => format!(r#"{{"y":{other},"{key}":{}}}"#, quoted(&line)),
                2 => format!("[{other},{line}]"),
                _ => format!("[{},{other}]", quoted(&line)),
            };
        }
        prop_assert_eq!(read(&line, true), [event.as_str()], "{}", line);
        let plain_prefix = !prefix.trim_start().starts_with(['{', '[', '#']) && !prefix.contains('"');
        if line.starts_with('{') && plain_prefix {
            prop_assert_eq!(read(&format!("{prefix}{line}"), true), [event.as_str()], "{}{}", prefix, line);
        }
    }

    #[test]
    fn bytes_around_an_event_never_lose_it_in_silence(before in any::<Vec<u8>>(), after in any::<Vec<u8>>(), ended: bool) {
        let event = event_of("a");
        let mut line = [&before[..], event.as_bytes(), &after[..]].concat();
        line.retain(|byte| !matches!(byte, b'\n' | 0));
        let (mut covered, length) = (0, line.len());
        let odd = unwrap(&mut line, ended, |piece| covered += piece.at.range().len());
        // A log message of the server may quote an event.
        prop_assert!(odd == OddLine::Passed || covered >= event.len(), "{} of {}", covered, length);
        prop_assert!(odd != OddLine::Passed || line.trim_ascii_start().starts_with(b"#") || !before.is_empty());
    }

    #[test]
    fn any_line_is_read_without_a_panic(line in any::<Vec<u8>>(), ended: bool) {
        let mut line = line;
        let (mut at, length) = (0, line.len());
        unwrap(&mut line, ended, |piece| {
            assert!(at <= piece.at.start && piece.at.end as usize <= length);
            at = piece.at.end;
        });
    }
}
