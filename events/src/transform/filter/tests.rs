//! Filters as people write them, over recorded events and hostile ones.

use proptest::prelude::*;

use super::*;
use crate::transform::record_tests::record;

fn keeps(expression: &str, line: &str) -> Result<bool, String> {
    let filter = Filter::compile(expression).unwrap_or_else(|error| panic!("{error}"));
    let mut kept = None;
    record(line.as_bytes(), |record| kept = Some(filter.keeps(record)));
    kept.unwrap()
}

const LINE: &str = r#"{"kind":"Event","level":"Metadata","auditID":"1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/secrets/b","verb":"delete","user":{"username":"system:serviceaccount:a:b","groups":["system:serviceaccounts","system:authenticated"],"extra":{"k":["v"]}},"sourceIPs":["10.0.0.1","127.0.0.1"],"userAgent":"kubectl\/v1","objectRef":{"resource":"secrets","namespace":"a","name":"b","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestObject":{"spec":{"containers":[{"image":"evil/x","n":1},{"image":"good/y","n":18446744073709551615}],"f":1.5,"null":null}},"requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:24.000000Z","annotations":{"authorization.k8s.io/decision":"allow"}}"#;

/// One filter is used by all threads of an output.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Filter>();
};

#[test]
fn expressions_as_people_write_them_work() {
    for expression in [
        r#"event.verb == "delete" && event.objectRef.resource == "secrets""#,
        r#"event.verb in ["create", "update", "patch", "delete"]"#,
        r#"!(event.verb in ["get", "list", "watch"])"#,
        r#"event.user.username.startsWith("system:serviceaccount:")"#,
        r#""system:authenticated" in event.user.groups"#,
        "event.responseStatus.code >= 200 && event.responseStatus.code < 300",
        r#"event.annotations["authorization.k8s.io/decision"] == "allow""#,
        r#"event.sourceIPs.exists(ip, ip.startsWith("10."))"#,
        r#"event.sourceIPs.all(ip, ip != "1.2.3.4") && size(event.sourceIPs) == 2"#,
        r#"event.sourceIPs[1] == "127.0.0.1""#,
        r#"event.sourceIPs == ["10.0.0.1", "127.0.0.1"]"#,
        r#"["10.0.0.1", "127.0.0.1"] == event.sourceIPs"#,
        r#"event.user.extra == {"k": ["v"]} && {"k": ["w"]} != event.user.extra"#,
        r#"event.userAgent.matches("^kube(ctl|let)/")"#,
        r#"event.requestURI.contains("/secrets/")"#,
        r#"event.requestObject.spec.containers.exists(c, c.image.startsWith("evil/"))"#,
        "event.requestObject.spec.containers.filter(c, c.n > 5).size() == 1",
        r#"event.requestObject.spec.f > 1.0 && event.requestObject.spec["null"] == null"#,
        "has(event.objectRef) && !has(event.responseObject) && !has(event.objectRef.subresource)",
        r#"event.?objectRef.?subresource.orValue("none") == "none""#,
        r#"event.?responseObject.?kind.orValue("") == """#,
        r#"has(event.objectRef.subresource) ? event.objectRef.subresource == "exec" : true"#,
        r#"timestamp(event.stageTimestamp) > timestamp("2026-11-21T06:00:00Z")"#,
        r#"timestamp(event.stageTimestamp) - timestamp(event.requestReceivedTimestamp) > duration("1s")"#,
        "timestamp(event.stageTimestamp).getHours() < 8 && timestamp(event.stageTimestamp).getDayOfWeek() == 6",
        r#"event.stageTimestamp < "2027""#,
        r#""objectRef" in event && event["verb"] == "delete""#,
        "event.user.extra.exists(key, key == \"k\")",
        "// a comment\nevent.level == \"Metadata\" &&\n\tevent.stage != 'Panic'",
        "true",
    ] {
        assert_eq!(keeps(expression, LINE), Ok(true), "{expression}");
    }
    assert_eq!(keeps(r#"event.verb == "get""#, LINE), Ok(false));
}

#[test]
fn constrained_impersonation_can_be_filtered_by_and_a_misspelt_constraint_is_refused() {
    let constrained = LINE.replacen(
        r#""sourceIPs""#,
        r#""impersonatedUser":{"username":"jane"},"authenticationMetadata":{"impersonationConstraint":"impersonate:user-info"},"sourceIPs""#,
        1,
    );
    for (expression, with, without) in [
        (
            r#"event.?authenticationMetadata.?impersonationConstraint.orValue("") == "impersonate:user-info""#,
            true,
            false,
        ),
        ("has(event.authenticationMetadata)", true, false),
        ("has(event.impersonatedUser) && !has(event.authenticationMetadata)", false, false),
        (
            r#"!has(event.authenticationMetadata) || event.authenticationMetadata.impersonationConstraint.startsWith("impersonate:")"#,
            true,
            true,
        ),
    ] {
        assert_eq!(keeps(expression, &constrained), Ok(with), "{expression}");
        assert_eq!(keeps(expression, LINE), Ok(without), "{expression}");
    }
    let misspelt = "event.authenticationMetadata.impersonationConstrain == \"\"";
    let error = Filter::compile(misspelt).unwrap_err().to_string();
    assert!(error.contains("did you mean `impersonationConstraint`?"), "{error}");
}

#[test]
fn a_failure_is_said_without_any_value_and_other_operands_may_outweigh_it() {
    for (expression, message) in [
        ("event.objectRef.subresource == \"exec\"", "the event has no `subresource` there"),
        ("event.responseObject.kind == \"Secret\"", "the event has no `responseObject` there"),
        (
            "event.requestObject.spec.f.g == 1",
            "found no matching overload for '_._' applied to '(double, string)'",
        ),
        ("event.annotations[event.user.username] == \"\"", "the event has no such member there"),
        ("event.sourceIPs[7] == \"\"", "a list has no such element"),
        ("event.requestObject.spec", "it is of type map, not bool"),
        (
            "event.requestObject.spec < 5",
            "found no matching overload for '_<_' applied to '(map, int)'",
        ),
        ("event.requestObject.spec.f + event.verb == \"\"", "values of the wrong types"),
        ("1 / 0 == 1", "division by zero"),
        ("timestamp(event.verb) == timestamp(event.stageTimestamp)", "`timestamp` failed"),
        ("int(event.verb) == 1", "`int` failed"),
        (
            "event.requestObject == event.user",
            "two objects or lists of an event cannot be compared",
        ),
    ] {
        assert_eq!(keeps(expression, LINE), Err(message.into()), "{expression}");
    }
    assert_eq!(
        keeps("event.objectRef.subresource == \"exec\" && event.verb == \"get\"", LINE),
        Ok(false)
    );
    assert_eq!(
        keeps("event.objectRef.subresource == \"exec\" || event.verb == \"delete\"", LINE),
        Ok(true)
    );
}

#[track_caller]
fn refused(expression: &str, message: &str) {
    assert_eq!(Filter::compile(expression).unwrap_err().to_string(), message);
}

#[test]
fn what_is_wrong_is_said_when_the_filter_is_loaded_with_the_place_marked() {
    refused(
        "event.verb = \"get\"",
        "line 1, column 12: `=` means nothing here: to compare, write `==`\n  event.verb = \"get\"\n             ^",
    );
    refused(
        "event.verb ==",
        "line 1, column 14: it ends before it is complete\n  event.verb ==\n               ^",
    );
    refused("", "line 1, column 1: it ends before it is complete\n  \n  ^");
    refused(
        "event.level == \"Metadata\" &&\n\tverb == \"get\"",
        "line 2, column 2: `verb` is not known: a filter sees `event` and nothing else\n  \tverb == \"get\"\n  \t^",
    );
    refused(
        "event.objectref.resource == \"pods\"",
        "line 1, column 6: no event has `objectref` here: did you mean `objectRef`?\n  event.objectref.resource == \"pods\"\n       ^",
    );
    refused(
        "event.verb",
        "line 1, column 6: it is a string, and a filter is true or false\n  event.verb\n       ^",
    );
}

#[test]
fn mistakes_that_could_only_show_later_are_found_before() {
    for (expression, message) in [
        (
            "event.responseStatus.code == \"403\"",
            "a number and a string are never the same, nor one more than the other",
        ),
        ("event.responseStatus.code", "it is a number, and a filter is true or false"),
        ("event.user && true", "it is an object, and true or false is asked for here"),
        ("!event.verb", "it is a string, and true or false is asked for here"),
        ("event.verb.name == \"x\"", "there is no `name` in it: it is a string"),
        ("\"a\" in event.verb", "nothing can be in it: it is a string"),
        (
            "event.sourceIPs.startsWith(\"10.\")",
            "`startsWith` asks for a string, and this is a list",
        ),
        (
            "event.verb.startswith(\"g\")",
            "there is no function `startswith`: did you mean `startsWith`?",
        ),
        ("event.verb.matches(\"(\")", "the pattern cannot be read: unclosed group"),
        (
            "event.verb.matches(event.level)",
            "the pattern of `matches` has to be written out, in quotes",
        ),
        ("event.verb.exists(x, true)", "it is a string: there is nothing to go through"),
        (
            "[1].exists(a, [1].exists(b, [1].exists(c, true)))",
            "more than 2 loops inside of each other cost too much",
        ),
        ("event.user.name == \"x\"", "no event has `name` here: did you mean `username`?"),
        ("has(event.objectRef.resorce)", "no event has `resorce` here: did you mean `resource`?"),
        ("event.sourceIPs.map(ip, ip)", "it is a list, and a filter is true or false"),
        ("Event{verb: \"x\"}", "there are no messages here: write a map, {\"key\": value}"),
    ] {
        assert_eq!(Filter::compile(expression).unwrap_err().message, message, "{expression}");
    }
}

#[test]
fn no_expression_is_long_or_deep_enough_to_end_the_program() {
    for expression in [
        "(".repeat(8000),
        "!".repeat(8000) + "true",
        "-".repeat(8000) + "1 == 1",
        "[".repeat(4000) + &"]".repeat(4000),
        "{".repeat(100),
        "event".to_owned() + &".a".repeat(4000),
        "true".to_owned() + &" ? true : true".repeat(500),
        "1".to_owned() + &" + 1".repeat(2000) + " == 1",
        "x".repeat(9000),
        "true && ".repeat(1000),
        "\"".repeat(3),
        "event.verb.matches(\"(a{1000}){1000}\")".to_owned(),
        "\u{0}\u{ffff}é`".to_owned(),
        format!(">{}?[{}{}l\u{0}?(-", "{".repeat(63), "(".repeat(11), "{".repeat(26)),
    ] {
        if let Ok(filter) = Filter::compile(&expression) {
            record(LINE.as_bytes(), |record| assert_eq!(filter.keeps(record), Ok(true)));
        }
    }
    // Many conditions joined by `&&` do not count as depth.
    let long = vec!["event.verb != \"x\""; 300].join(" && ");
    assert_eq!(keeps(&long, LINE), Ok(true));
}

#[test]
fn hostile_bodies_are_kept() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let line = format!(
        r#"{{"verb":"patch","requestObject":{{"deep":{deep},"surrogate":"\ud800","huge":1e999999,"big":99999999999999999999,"twice":1,"twice":2,"ok":1}}}}"#
    );
    for (expression, expected) in [
        ("event.requestObject.ok == 1", Ok(true)),
        ("event.requestObject.ok == 2", Ok(false)),
        ("event.requestObject.deep == []", Ok(false)),
        ("size(event.requestObject.deep[0]) == 2", Ok(false)),
        (
            "event.requestObject.deep == event.requestObject.deep",
            Err("two objects or lists of an event cannot be compared"),
        ),
        ("event.requestObject.surrogate == \"x\"", Err(value_unreadable())),
        ("event.requestObject.huge > 1.0 || true", Err(value_unreadable())),
        ("event.requestObject.big > 1", Err(value_unreadable())),
        ("event.requestObject.twice == 1", Err("it asks for a member that the event has twice")),
    ] {
        assert_eq!(keeps(expression, &line), expected.map_err(Into::into), "{expression}");
    }
    let filter = Filter::compile("event.userAgent == \"x\"").unwrap();
    record(b"{\"userAgent\":\"x\xff\"}", |record| {
        assert_eq!(filter.keeps(record), Err(value_unreadable().into()));
    });
    record(b"{\"verb\":\"get\",\"requestObject\":", |record| {
        assert!(filter.keeps(record).is_err());
    });
}

fn value_unreadable() -> &'static str {
    "it asks for a part of the event that is not proper JSON"
}

#[test]
fn an_expression_that_costs_too_much_keeps_the_event() {
    let items = vec!["1"; 20_000].join(",");
    let line = format!(r#"{{"requestObject":{{"a":[{items}],"b":{{"c":2}}}}}}"#);
    let expression = "event.requestObject.a.all(x, event.requestObject.b.c != x)";
    assert_eq!(keeps(expression, &line), Err("it costs too much on so large an event".into()));
    assert_eq!(keeps("event.requestObject.a.all(x, x != 2)", &line), Ok(true));
    let line = format!(r#"{{"requestObject":[{}]}}"#, vec!["1"; 70_000].join(","));
    let expected = Err("it goes through too long a list".into());
    assert_eq!(keeps("event.requestObject.all(x, x != 2)", &line), expected);
}

#[test]
fn a_legacy_line_has_the_fields_that_it_tells() {
    let line = r#"2017-03-21T03:57:09.106841886-04:00 AUDIT: id="c939" stage="ResponseComplete" ip="127.0.0.1" method="get" user="\"admin\"" groups="\"a\"" as="<self>" asgroups="<lookup>" user-agent="x" namespace="default" uri="/api" response="200""#;
    for expression in [
        r#"event.verb == "get" && event.user.username == "\"admin\"""#,
        r#"event.objectRef.namespace == "default" && event.responseStatus.code == 200"#,
        r#"event.sourceIPs == ["127.0.0.1"] && !has(event.user.groups)"#,
        "timestamp(event.stageTimestamp).getHours() == 7",
    ] {
        assert_eq!(keeps(expression, line), Ok(true), "{expression}");
    }
}

#[test]
fn recorded_events_are_told_apart_as_a_slow_reading_does() {
    type Slow = fn(&serde_json::Value) -> bool;
    let table: [(&str, Slow); 4] = [
        (r#"event.verb in ["get", "list", "watch"]"#, |event| {
            ["get", "list", "watch"].contains(&event["verb"].as_str().unwrap())
        }),
        ("has(event.responseObject) && has(event.responseObject.items)", |event| {
            event["responseObject"].get("items").is_some()
        }),
        ("event.?responseStatus.?code.orValue(0) >= 300", |event| {
            event["responseStatus"]["code"].as_i64().unwrap_or(0) >= 300
        }),
        (
            r#"event.?objectRef.?apiGroup.orValue("") == "" && !event.user.username.startsWith("system:")"#,
            |event| {
                event["objectRef"]["apiGroup"].as_str().unwrap_or_default().is_empty()
                    && !event["user"]["username"].as_str().unwrap().starts_with("system:")
            },
        ),
    ];
    for (expression, slow) in table {
        for line in include_str!("../../../../tests/data/audit-events.ndjson").lines() {
            let event = serde_json::from_str(line).unwrap();
            assert_eq!(keeps(expression, line), Ok(slow(&event)), "{expression} on {line}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_expression_and_no_bytes_cause_a_panic(
        words in prop::collection::vec(prop::sample::select(&["event", ".", "verb", "requestObject", "(", ")", "[", "]", "==", "&&", "!", "\"x\"", "1", "-", "in", "exists(x, x", "?", ":", "{", "}", ",", "has(", " ", "a", "1.5", "matches("][..]), 0..14),
        bytes in any::<Vec<u8>>(),
    ) {
        let line = [br#"{"verb":"get","requestObject":{"a":"#, &bytes[..], b"}}"].concat();
        if line.contains(&b'\n') { return Ok(()); }
        if let Ok(filter) = Filter::compile(&words.concat()) {
            let mut events = Vec::new();
            crate::event::pieces(&line, true, |piece| events.push(piece));
            for piece in events {
                let event = crate::event::Event { offset: 0, whole: piece.whole, form: piece.form, line: piece.at, time: 0, fields: piece.fields, depth: piece.depth };
                let _ = filter.keeps(&Record { event: &event, line: &line[piece.at.range()] });
            }
        }
    }
}
