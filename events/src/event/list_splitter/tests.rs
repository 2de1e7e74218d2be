use super::reference_tests::{fast, slowly};
use super::*;

/// Puts the kind and the version in front of the members of an event.
fn v1(members: &str) -> String {
    format!("{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",{members}\n")
}

fn list(items: &str) -> String {
    format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{items}]}}"#
    )
}

/// The lines and the fault of a body. They are the same however it is cut, and the slow splitter agrees.
#[track_caller]
fn check(body: impl AsRef<[u8]>, expected: &str, fault: Option<(u64, &'static str)>) {
    let body = body.as_ref();
    let (mut splitter, mut lines) = (ListSplitter::default(), Vec::new());
    splitter.push(body, &mut lines);
    let split = splitter.finish(&mut lines);
    assert_eq!(String::from_utf8_lossy(&lines), expected);
    assert_eq!(split.unreadable, fault.map(|(at, why)| UnreadableBody { at, why }));
    let slow = slowly(body);
    assert_eq!((slow.events, &slow.lines), (split.events, &lines));
    for length in [1, 2, 3, 7, 63, 64, 65] {
        assert_eq!(fast(body, |_| length), slow, "cut every {length} bytes");
    }
}

#[test]
fn the_items_of_a_list_become_the_lines_of_the_log() {
    let two = v1(r#""level":"None"}"#) + &v1(r#""a":[1,"\u003c  é"]}"#);
    check(list(r#"{"level":"None"},{"a":[1,"\u003c  é"]}"#), &two, None);
    check(r#"{"kind":"EventList","items":[{"level":"None"},{"a":[1,"\u003c  é"]}]}"#, &two, None);
    check(r#"{"items":[{"level":"None"},{"a":[1,"\u003c  é"]}],"metadata":{}}"#, &two, None);
    let indented = "{\r\n\t\"items\" : [ { \"level\" : \"None\" } ,\n{ \"a\" : [ 1 , \"\\u003c  é\" ] }\n] , \"kind\" : \"EventList\" }\n";
    check(indented, &two, None);
}

#[test]
fn a_list_may_hold_nothing() {
    check(list(""), "", None);
    check(r#"{"kind":"EventList","metadata":{},"items":null}"#, "", None);
    check(r#"{"kind":"EventList"}"#, "", None);
    check(r#"{"items":null}"#, "", None);
    check("[]", "", None);
}

#[test]
fn a_single_event_or_an_array_is_taken_as_well() {
    let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"None"}"#;
    check(event, &format!("{event}\n"), None);
    let array = format!(r#" [ {event}, {}, {{"b":2}} ] "#, list(r#"{"a":1}"#));
    check(array, &format!("{event}\n{}{}", v1(r#""a":1}"#), v1(r#""b":2}"#)), None);
}

#[test]
fn only_what_an_item_lacks_is_put_in_front() {
    check(
        list(
            r#"{"kind":"Event","a":1},{"a":1,"apiVersion":"x"},{"k\u0069nd":"Pod","apiVersion":null},{},{"a":{"kind":"x"}}"#,
        ),
        &[
            r#"{"apiVersion":"audit.k8s.io/v1","kind":"Event","a":1}"#,
            r#"{"kind":"Event","a":1,"apiVersion":"x"}"#,
            r#"{"k\u0069nd":"Pod","apiVersion":null}"#,
            r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1"}"#,
            &v1(r#""a":{"kind":"x"}}"#),
        ]
        .join("\n"),
        None,
    );
}

#[test]
fn a_version_that_is_no_text_is_none() {
    for version in ["{}", "[]", "null", "1", "true", r#"{"apiVersion":"x"}"#, r#"["x"]"#] {
        let body = format!(r#"{{"apiVersion":{version},"items":[{{"a":1}}],"kind":"EventList"}}"#);
        check(body, &v1(r#""a":1}"#), None);
        let twice = format!(r#"{{"apiVersion":"x","apiVersion":{version},"items":[{{"a":1}}]}}"#);
        let line = "{\"kind\":\"Event\",\"apiVersion\":\"x\",\"a\":1}\n";
        check(twice, line, None);
    }
}

#[test]
fn items_have_the_version_of_their_list_if_it_comes_before_them() {
    let beta = "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1beta1\",\"a\":1}\n";
    check(
        r#"{"apiVersion":"audit.k8s.io/v1beta1","kind":"EventList","items":[{"a":1}]}"#,
        beta,
        None,
    );
    check(
        r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1beta1","items":[{"a":1}]}"#,
        beta,
        None,
    );
    check(
        r#"[{"apiVersion":"audit.k8s.io/v1beta1","items":[{"a":1}]},{"items":[{"a":1}]}]"#,
        &(beta.to_owned() + &v1(r#""a":1}"#)),
        None,
    );
    for useless in [r#""""#, "7", "null", &format!("\"{}\"", "v".repeat(65))] {
        let body = format!(r#"{{"apiVersion":{useless},"items":[{{"a":1}}]}}"#);
        check(body, &v1(r#""a":1}"#), None);
    }
    check(r#"{"items":[{"a":1}],"apiVersion":"late"}"#, &v1(r#""a":1}"#), None);
}

#[test]
fn an_object_of_another_kind_is_one_line_whatever_it_holds() {
    let pods = r#"{"kind":"PodList","apiVersion":"v1","items":[{"a":1}]}"#;
    check(pods, &format!("{pods}\n"), None);
    let event = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Event","items":[{"a":1}]}"#;
    check(event, &format!("{event}\n"), None);
    check(
        r#"{"items":{"a":1},"kind":"EventList"}"#,
        "{\"apiVersion\":\"audit.k8s.io/v1\",\"items\":{\"a\":1},\"kind\":\"EventList\"}\n",
        None,
    );
    let nested = list(r#"{"kind":"EventList","items":[{"a":1}]}"#);
    check(
        nested,
        "{\"apiVersion\":\"audit.k8s.io/v1\",\"kind\":\"EventList\",\"items\":[{\"a\":1}]}\n",
        None,
    );
}

#[test]
fn no_event_is_lost_in_a_list_with_repeated_members() {
    let twice = r#"{"items":[{"a":1}],"items":null,"kind":"Event","items":[{"b":1}]}"#;
    check(twice, &(v1(r#""a":1}"#) + &v1(r#""b":1}"#)), None);
    let versions = r#"{"apiVersion":"x","apiVersion":"audit.k8s.io/v1","items":[{"a":1,"a":2}]}"#;
    check(versions, &v1(r#""a":1,"a":2}"#), None);
    check(
        r#"{"kind":null,"kind":"","kind":"EventList","items":[{"a":1}]}"#,
        &v1(r#""a":1}"#),
        None,
    );
}

#[test]
fn what_the_log_may_hold_though_parsers_refuse_it_is_kept() {
    let body = b"{\"items\":[{\"a\":\"\xff\xfe\\ud800\",\"b\":1e999999,\"c\":123456789012345678901234567890}]}";
    let (mut splitter, mut lines) = (ListSplitter::default(), Vec::new());
    splitter.push(body, &mut lines);
    assert_eq!(splitter.finish(&mut lines), SplitBody { events: 1, unreadable: None });
    let expected = b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"a\":\"\xff\xfe\\ud800\",\"b\":1e999999,\"c\":123456789012345678901234567890}\n";
    assert_eq!(lines, expected);
}

#[test]
fn whatever_is_no_object_is_passed_over_and_told() {
    const NO_OBJECT: &str = "an element is no object";
    let rest = v1(r#""a":1}"#);
    check(r#"[null,"x",1,[{"b":1}],{"a":1}]"#, &rest, Some((1, NO_OBJECT)));
    check(r#"{"items":["items",[{}],{"a":1},true]}"#, &rest, Some((10, NO_OBJECT)));
    let items = r#"{"kind":"EventList","items":{"b":1},"items":[{"a":1}]}"#;
    check(items, &rest, Some((28, "`items` is no array")));
    for (body, at) in [("true", 0), (" 17", 1), ("\"{}\"", 0), ("null", 0)] {
        check(body, "", Some((at, "neither an object nor an array")));
    }
}

#[test]
fn a_body_that_is_no_json_keeps_the_events_before_the_fault() {
    let whole = v1(r#""a":1}"#);
    check("", "", Some((0, "the body is empty")));
    check(" \n", "", Some((2, "the body is empty")));
    check("hello", "", Some((0, "no JSON")));
    check(b"\xef\xbb\xbf{}", "", Some((0, "no JSON")));
    check(b"\0{}", "", Some((0, "no JSON")));
    check(b"\xff\xfe{\0}\0", "", Some((0, "no JSON")));
    check(
        b"{\0}\0",
        "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"\n",
        Some((1, "no JSON")),
    );
    check(list(r#"{"a":1}"#) + "{}", &whole, Some((83, "text after the end")));
    check("[{\"a\":1}]\n\0", &whole, Some((10, "text after the end")));
    check("[{\"a\":1}}", &whole, Some((8, "no JSON")));
    check("[{\"a\":1},]", &whole, Some((9, "no JSON")));
    check("[{\"a\":1}{", &whole, Some((8, "no JSON")));
    check("[{\"a\":1},", &whole, Some((9, "the body ends before its last bracket")));
    check(
        r#"{"items":[{"a":1}],"b":"#,
        &whole,
        Some((23, "the body ends before its last bracket")),
    );
    let torn = whole.clone() + &v1(r#""b":[tr"#);
    check(r#"[{"a":1},{ "b" : [ tr"#, &torn, Some((21, "the body ends within an event")));
    check(
        r#"[{"a":1},{ "b" : [ tru]}"#,
        &(whole.clone() + &v1(r#""b":[tru"#)),
        Some((22, "no JSON")),
    );
    for number in ["01", "-x", "1.x", ".5", "1e+x", "+1", "1 2", "NaN"] {
        let body = format!(r#"{{"items":[{{"a":1}},{{"b":{number}}}]}}"#);
        let found = slowly(body.as_bytes());
        assert_eq!((found.events, fast(body.as_bytes(), |_| 5)), (1, found), "{number}");
    }
}

#[test]
fn a_client_cannot_begin_a_line() {
    const BAD: &str = "a string holds what JSON does not allow";
    check("[{\"a\":\"\n# x\"},{}]", &v1(r#""a":""#), Some((7, BAD)));
    check("[{\"a\n#\":1},{}]", &v1(r#""a"#), Some((4, BAD)));
    check("[{\"a\":\"\0\"}]", &v1(r#""a":""#), Some((7, BAD)));
    check("[{\"a\":1\n# x\n}]", &v1(r#""a":1"#), Some((8, "no JSON")));
    check("[{\"a\":\"\\\n\"}]", &v1(r#""a":"\"#), Some((8, BAD)));
    check(r#"[{"a":"\u00g0"}]"#, &v1(r#""a":"\u00"#), Some((11, BAD)));
    check(r#"[{"a":"\x"}]"#, &v1(r#""a":"\"#), Some((8, BAD)));
    check("# x\n{}", "", Some((0, "no JSON")));
}

#[test]
fn a_torn_line_never_ends_with_an_object() {
    let forged = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"forged"}"#;
    let body = format!(r#"{{"items":[{{"requestObject":{forged}"#);
    let torn = v1(&format!(r#""requestObject":{forged},"#));
    check(&body, &torn, Some((93, "the body ends within an event")));
    check(body + "!", &torn, Some((93, "no JSON")));
}
