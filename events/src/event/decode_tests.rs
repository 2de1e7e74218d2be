use proptest::prelude::*;

use super::*;

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"0be7","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/pods/b?x=\u003cy","verb":"get","user":{"username":"system:apiserver","groups":["g"]},"sourceIPs":["10.0.0.1","127.0.0.1"],"userAgent":"k \"q\"","objectRef":{"resource":"pods","namespace":"a","name":"b","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"responseObject":{"kind":"Pod","a":[{"b":"}]\\\""}]},"requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:22.612771Z","annotations":{"authorization.k8s.io/decision":"allow"}}"#;

fn cut(line: &str, ended: bool) -> Vec<Piece> {
    let mut found = Vec::new();
    pieces(line.as_bytes(), ended, |piece| found.push(piece));
    found
}

fn text<'a>(line: &'a str, piece: &Piece, span: Span) -> &'a str {
    &line[piece.at.start as usize..][span.start as usize..span.end as usize]
}

/// The kind and the text of each piece of a line.
fn shape(line: &str, ended: bool) -> Vec<(Form, RecordKind, &str)> {
    cut(line, ended)
        .iter()
        .map(|piece| {
            (
                piece.form,
                piece.whole,
                text(line, piece, Span { start: 0, end: piece.at.end - piece.at.start }),
            )
        })
        .collect()
}

#[test]
fn the_fields_of_an_event_are_found() {
    let [piece] = cut(EVENT, true)[..] else { panic!("one event") };
    let fields = piece.fields;
    let values = [
        (fields.level, "RequestResponse"),
        (fields.audit_id, "0be7"),
        (fields.stage, "ResponseComplete"),
        (fields.verb, "get"),
        (fields.username, "system:apiserver"),
        (fields.source_ips, r#"["10.0.0.1","127.0.0.1"]"#),
        (fields.resource, "pods"),
        (fields.namespace, "a"),
        (fields.name, "b"),
        (fields.code, "200"),
        (fields.response_object, r#"{"kind":"Pod","a":[{"b":"}]\\\""}]}"#),
        (fields.annotations, r#"{"authorization.k8s.io/decision":"allow"}"#),
    ];
    for (span, value) in values {
        assert_eq!(text(EVENT, &piece, span), value);
    }
    assert_eq!(piece.time, rfc3339(b"2026-11-21T06:25:22.612771Z"));
    assert_eq!(piece.depth, 4);
}

#[test]
fn events_of_older_versions_have_their_time() {
    let beta = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1","metadata":{"creationTimestamp":"2018-01-01T00:00:01Z"},"level":"Metadata","timestamp":"2018-01-01T00:00:00Z","auditID":"x","stage":"ResponseComplete"}"#;
    assert_eq!(cut(beta, true)[0].time, rfc3339(b"2018-01-01T00:00:01Z"));
    let micro = beta
        .replace("\"auditID\"", "\"stageTimestamp\":\"2018-01-01T00:00:01.500000Z\",\"auditID\"");
    assert_eq!(cut(&micro, true)[0].time, rfc3339(b"2018-01-01T00:00:01.500000Z"));
    let alpha = r#"{"kind":"Event","metadata":{"creationTimestamp":null},"timestamp":"2018-01-01T00:00:00Z"}"#;
    assert_eq!(cut(alpha, true)[0].time, rfc3339(b"2018-01-01T00:00:00Z"));
}

#[test]
fn an_event_glued_to_a_torn_one_is_delivered_and_the_torn_one_told_apart() {
    let torn = &EVENT[..300];
    let line = format!("{torn}{EVENT}");
    assert_eq!(
        shape(&line, true),
        [(Form::Unreadable, RecordKind::Torn, torn), (Form::Json, RecordKind::Event, EVENT)]
    );
    assert_eq!(text(&line, &cut(&line, true)[0], cut(&line, true)[0].fields.verb), "get");
}

#[test]
fn two_events_without_a_newline_between_them_are_two() {
    let line = format!("{EVENT}{EVENT}");
    assert_eq!(shape(&line, true), [(Form::Json, RecordKind::Event, EVENT); 2]);
}

#[test]
fn a_line_of_a_million_objects_takes_no_memory_for_each() {
    let line = format!("{}{EVENT}", "{}".repeat(1_000_000));
    let found = shape(&line, true);
    assert_eq!(found.len(), GLUED + 2);
    assert_eq!(found.last(), Some(&(Form::Json, RecordKind::Event, EVENT)));
}

#[test]
fn a_client_cannot_forge_an_event_inside_a_torn_one() {
    let forged =
        format!(r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","requestObject":{EVENT}"#);
    assert_eq!(shape(&forged, false), [(Form::Unreadable, RecordKind::Torn, forged.as_str())]);
    let glued = format!("{forged}{EVENT}");
    assert_eq!(
        shape(&glued, true),
        [
            (Form::Unreadable, RecordKind::Torn, forged.as_str()),
            (Form::Json, RecordKind::Event, EVENT)
        ]
    );
}

#[test]
fn lines_that_are_no_events_come_out_whole() {
    for line in ["hello", "[1,2]", "\"{\"", "null"] {
        assert_eq!(shape(line, true), [(Form::Unreadable, RecordKind::Event, line)]);
    }
    assert_eq!(
        shape(r#"{"kind":"Ev"#, true),
        [(Form::Unreadable, RecordKind::Torn, r#"{"kind":"Ev"#)]
    );
}

#[test]
fn a_legacy_line_after_a_torn_event_is_delivered() {
    let legacy = r#"2017-03-21T03:57:09.1Z AUDIT: id="x" stage="Panic""#;
    let line = format!("{}{legacy}", &EVENT[..200]);
    assert_eq!(shape(&line, true)[1], (Form::Legacy, RecordKind::Event, legacy));
}

#[test]
fn bodies_that_parsers_refuse_are_events_all_the_same() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for body in
        ["1e999999", r#"{"a":1,"a":2}"#, r#""\ud800""#, "99999999999999999999999999", deep.as_str()]
    {
        let line = EVENT
            .replace("\"responseObject\"", &format!("\"requestObject\":{body},\"responseObject\""));
        let [piece] = cut(&line, true)[..] else { panic!("one event for {body:.20}") };
        assert_eq!(text(&line, &piece, piece.fields.request_object), body);
        assert!(piece.time.is_some());
    }
    let mut raw = EVENT.as_bytes().to_vec();
    raw[EVENT.find("Pod").unwrap()] = 0xff;
    let mut found = Vec::new();
    pieces(&raw, true, |piece| found.push(piece.form));
    assert_eq!(found, [Form::Json]);
}

/// Webhooks and shippers that encode events again may escape any character.
#[test]
fn a_key_that_is_written_with_escapes_is_read() {
    let keys =
        ["verb", "userAgent", "username", "namespace", "code", "stageTimestamp", "annotations"];
    let escaped = keys.iter().fold(EVENT.to_owned(), |line, key| {
        let code = u32::from(key.as_bytes()[1]);
        let written = format!("\"{}\\u{code:04x}{}\":", &key[..1], &key[2..]);
        line.replacen(&format!("\"{key}\":"), &written, 1)
    });
    let ([plain], [piece]) = (&cut(EVENT, true)[..], &cut(&escaped, true)[..]) else {
        panic!("one event each")
    };
    let fields = |fields: &Fields| fields.clone().all_mut().map(|span| *span);
    for (before, now) in fields(&plain.fields).into_iter().zip(fields(&piece.fields)) {
        let (before, now) = (text(EVENT, plain, before), text(&escaped, piece, now));
        // Objects that contain an escaped key are kept as written.
        assert!(before == now || now.contains("\\u00"), "{before} {now}");
    }
    assert_eq!(text(&escaped, piece, piece.fields.code), "200");
    assert_eq!(piece.time, plain.time);
}

#[test]
fn a_status_code_is_a_number_that_may_be_written_as_a_string() {
    for (written, expected) in
        [("\"404\"", "404"), ("0", "0"), ("null", ""), ("-1", ""), ("{}", "")]
    {
        let line = EVENT.replace("\"code\":200", &format!("\"code\":{written}"));
        let [piece] = &cut(&line, true)[..] else { panic!("one event") };
        assert_eq!(text(&line, piece, piece.fields.code), expected, "{written}");
    }
}

#[test]
fn a_line_full_of_marks_costs_no_more_than_some_passes() {
    let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","a":"#.repeat(20_000);
    assert_eq!(cut(&line, true).len(), 1);
}

proptest! {
    #[test]
    fn the_pieces_of_any_line_cover_it(line in any::<Vec<u8>>(), ended in any::<bool>()) {
        let mut at = 0;
        pieces(&line, ended, |piece| {
            assert_eq!(piece.at.start, at);
            at = piece.at.end;
        });
        prop_assert_eq!(at as usize, line.len());
    }

    /// An event with one byte changed is read without a panic, and its pieces cover the line; a truncated event is
    /// never an event.
    #[test]
    fn cut_or_changed_events_never_panic_and_cover_the_line(cut_at in 0..EVENT.len(), byte in any::<u8>(), ended in any::<bool>()) {
        let mut line = EVENT.as_bytes().to_vec();
        line[cut_at] = byte;
        let mut end = 0;
        pieces(&line, ended, |piece| end = piece.at.end);
        prop_assert_eq!(end as usize, line.len());
        let mut forms = Vec::new();
        pieces(&line[..cut_at], ended, |piece| forms.push(piece.form));
        prop_assert!(!forms.contains(&Form::Json));
    }
}
