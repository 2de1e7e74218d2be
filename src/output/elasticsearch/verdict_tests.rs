//! Every answer that was recorded from real servers (Elasticsearch 8.19, `OpenSearch` 2.19, `VictoriaLogs` 1.121).

use super::*;

/// A verdict in a word, with the reason or a word of the hint.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered => "delivered".to_owned(),
        Verdict::Retry { reason, after, .. } => {
            format!("retry {reason:?} {}", after.map_or(0, |after| after.as_secs()))
                .replace(" 0", "")
        }
        Verdict::Doubt { reason, .. } => format!("doubt {reason:?}"),
        Verdict::Split { .. } => "split".to_owned(),
        Verdict::TooLarge { .. } => "too large".to_owned(),
        Verdict::Safe { .. } => "safe".to_owned(),
        Verdict::Refuse { .. } => "refuse".to_owned(),
        Verdict::OutOfRange { .. } => "out of range".to_owned(),
        Verdict::Taken { .. } => "taken".to_owned(),
        Verdict::Stop { hint, .. } => format!("stop: {hint}"),
    }
}

/// Status, type and reason of one item; the verdict on it plain, and in safe form.
const ITEMS: &[(u16, &str, &str, (&str, &str))] = &[
    (201, "", "", ("delivered", "delivered")),
    (200, "", "", ("delivered", "delivered")),
    (
        409,
        "version_conflict_engine_exception",
        "[a1]: version conflict, document already exists (current version [1])",
        ("taken", "taken"),
    ),
    (
        400,
        "document_parsing_exception",
        "[1:23] failed to parse field [n] of type [long] in document with id 'a2'. Preview of field's value: 'only write ops with an op_type of create'",
        ("safe", "refuse"),
    ),
    (
        400,
        "mapper_parsing_exception",
        "failed to parse field [n] of type [long] in document with id 'a2'",
        ("safe", "refuse"),
    ),
    (
        400,
        "illegal_argument_exception",
        "Limit of total fields [1000] has been exceeded",
        ("safe", "refuse"),
    ),
    (400, "strict_dynamic_mapping_exception", "mapping set to strict", ("safe", "refuse")),
    (
        400,
        "illegal_argument_exception",
        "only write ops with an op_type of create are allowed in data streams",
        ("changes the operation", "changes the operation"),
    ),
    (
        400,
        "invalid_index_name_exception",
        "Invalid index name [A], must be lowercase",
        ("no index can have this name", "no index can have this name"),
    ),
    (
        400,
        "illegal_argument_exception",
        "pipeline with id [nope] does not exist",
        ("create the ingest pipeline", "create the ingest pipeline"),
    ),
    (400, "index_closed_exception", "closed", ("open it", "open it")),
    (
        404,
        "index_not_found_exception",
        "no such index [nope] and [action.auto_create_index] ([false]) doesn't match",
        ("does not exist", "does not exist"),
    ),
    (
        403,
        "cluster_block_exception",
        "index [app-ro] blocked by: [FORBIDDEN/8/index write (api)];",
        ("blocked for writing", "blocked for writing"),
    ),
    (
        403,
        "cluster_block_exception",
        "index [a] blocked by: [FORBIDDEN/5/index read-only (api)];",
        ("read-only", "read-only"),
    ),
    (
        429,
        "cluster_block_exception",
        "index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];",
        ("disk is full", "disk is full"),
    ),
    (
        429,
        "es_rejected_execution_exception",
        "rejected execution of TimedRunnable",
        ("retry Throttled", "retry Throttled"),
    ),
    (
        403,
        "security_exception",
        "action [indices:admin/auto_create] is unauthorized for API key id [x]",
        ("create_doc", "create_doc"),
    ),
    (
        503,
        "unavailable_shards_exception",
        "[a][0] primary shard is not active Timeout: [1m]",
        ("doubt ServerError", "doubt ServerError"),
    ),
    (500, "exception", "", ("doubt ServerError", "doubt ServerError")),
];

#[test]
fn an_item_refused_for_its_content_becomes_safe_and_one_for_configuration_stops() {
    for &(status, kind, reason, (plain, safe)) in ITEMS {
        let error = if kind.is_empty() {
            serde_json::Value::Null
        } else {
            serde_json::json!({ "type": kind, "reason": reason })
        };
        let body = serde_json::json!({ "took": 1, "errors": true, "items": [{ "create": { "status": status, "error": error } }] }).to_string();
        for (is_safe, expected) in [(false, plain), (true, safe)] {
            let Answer::Each(verdicts) = judge(200, None, body.as_bytes(), &[is_safe]) else {
                panic!("{body}")
            };
            let found = word(&verdicts[0]);
            let fits = if found.starts_with("stop") {
                found.contains(expected)
            } else {
                found == expected
            };
            assert!(fits, "{status} {kind} {reason}: {found}, expected {expected}");
        }
    }
}

/// Status of a whole request, type and reason of its error (or no type, and the body), and the verdict.
const WHOLE: &[(u16, &str, &str, &str)] = &[
    (
        429,
        "es_rejected_execution_exception",
        "rejected execution of coordinating operation [coordinating_and_primary_bytes=17688]",
        "retry Throttled 7",
    ),
    (
        429,
        "cluster_block_exception",
        "disk usage exceeded flood-stage watermark",
        "stop: the cluster's disk is full",
    ),
    (
        429,
        "es_rejected_execution_exception",
        "rejected execution of coordinating operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, coordinating_operation_bytes=60001302, max_coordinating_bytes=51897958]",
        "too large",
    ),
    (413, "", "", "too large"),
    (
        400,
        "action_request_validation_exception",
        "Validation Failed: 1: id is too long",
        "stop: the whole request",
    ),
    (
        400,
        "illegal_argument_exception",
        "The bulk request must be terminated by a newline",
        "stop: the whole request",
    ),
    (400, "x_content_parse_exception", "[1:2] unexpected", "stop: the whole request"),
    (400, "parse_exception", "request body is required", "stop: the whole request"),
    (
        400,
        "illegal_argument_exception",
        "pipeline with id [nope] does not exist",
        "stop: create the ingest pipeline",
    ),
    (
        406,
        "",
        r#"{"error":"Content-Type header [text/plain] is not supported","status":406}"#,
        "stop: the server does not take this content type",
    ),
    (
        401,
        "security_exception",
        "missing authentication credentials for REST request",
        "stop: check api_key_file",
    ),
    (
        403,
        "security_exception",
        "action [indices:data/write/bulk] is unauthorized for user [limited]",
        "stop: give these credentials",
    ),
    (
        500,
        "illegal_state_exception",
        "There are no ingest nodes in this cluster, unable to forward request to an ingest node.",
        "stop: a pipeline is configured",
    ),
    (
        503,
        "cluster_block_exception",
        "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];",
        "retry ServerError 7",
    ),
    (503, "", "<html>Service Unavailable</html>", "doubt ServerError"),
    (502, "", "bad gateway", "doubt ServerError"),
    (504, "", "", "doubt ServerError"),
    (408, "", "", "doubt ServerError"),
    (404, "", "404 page not found", "stop: nothing takes bulk"),
    (301, "", "", "stop: the endpoint redirects"),
    (407, "", "", "stop: the proxy wants"),
];

#[test]
fn an_answer_to_the_whole_request_is_doubt_only_where_something_may_be_stored() {
    for &(status, kind, text, expected) in WHOLE {
        let error =
            serde_json::json!({ "error": { "root_cause": [], "type": kind, "reason": text } });
        let body = if kind.is_empty() { text.to_owned() } else { error.to_string() };
        let Answer::Whole(verdict) =
            judge(status, Some(Duration::from_secs(7)), body.as_bytes(), &[false, false])
        else {
            panic!()
        };
        assert!(word(&verdict).starts_with(expected), "{status} {body}: {verdict:?}");
    }
}

/// `VictoriaLogs` answers so where it understood only the documents before the bad one.
#[test]
fn an_empty_answer_is_never_taken_for_success() {
    let check = |safe: &[bool], expected: &str| match judge(200, None, b"", safe) {
        Answer::Whole(verdict) => assert_eq!(word(&verdict), expected),
        Answer::Each(_) => panic!(),
    };
    check(&[false, false], "split");
    check(&[false], "safe");
    check(&[true], "split");
}

#[test]
fn an_answer_that_does_not_count_up_leaves_doubt() {
    let bodies: [&[u8]; 4] = [
        br#"{"items":[]}"#,
        br#"{"items":[{"create":{"status":201}}]}"#,
        b"{\"items\":[{\"cre",
        b"<html>ok</html>",
    ];
    for body in bodies {
        let Answer::Whole(verdict) = judge(200, None, body, &[false, false]) else { panic!() };
        assert_eq!(word(&verdict), "doubt BadAnswer");
    }
}

/// Elasticsearch answers 201 to what it puts there, as its documentation has it.
#[test]
fn what_went_to_the_failure_store_is_not_in_the_data_stream() {
    let body = br#"{"errors":false,"items":[{"create":{"status":201,"failure_store":"used"}},{"create":{"status":201,"failure_store":"used"}},{"create":{"status":201}}]}"#;
    let Answer::Each(verdicts) = judge(200, None, body, &[false, true, false]) else { panic!() };
    assert_eq!(verdicts.iter().map(word).collect::<Vec<_>>(), ["safe", "refuse", "delivered"]);
}

#[test]
fn the_good_neighbours_of_an_odd_event_are_delivered() {
    let body = br#"{"took":0,"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":null,"caused_by":{"type":"x","reason":"Duplicate field 'a'"}}}},{"index":{"status":409}}]}"#;
    let Answer::Each(verdicts) = judge(200, None, body, &[false; 3]) else { panic!() };
    assert_eq!(verdicts.iter().map(word).collect::<Vec<_>>(), ["delivered", "safe", "taken"]);
    assert_eq!(
        verdicts[1],
        Verdict::Safe {
            answer: "400 document_parsing_exception: : Duplicate field 'a'".to_owned()
        }
    );
}
