//! Answers recorded from real servers (Elasticsearch 8.19, `OpenSearch` 2.19, `VictoriaLogs` 1.121).

use std::time::Duration;

use super::*;

/// The documents of a request with the ids `a0`, `a1` and so on; `fallback` says which are in safe form.
fn sent(fallback: &[bool]) -> Vec<Sent> {
    (0..).zip(fallback).map(|(at, &fallback)| Sent { id: format!("a{at}"), fallback }).collect()
}

/// The verdict on an answer as Elasticsearch sends it.
fn judged(status: u16, body: &str, fallback: &[bool]) -> Answer {
    let product = (status < 300).then(|| "Elasticsearch".to_owned());
    let retry_after = Some(Duration::from_secs(7)).filter(|_| status >= 300);
    let body = body.as_bytes().to_vec().into();
    let content_type = "application/json".to_owned();
    let response =
        Response { status, retry_after, content_type, product, body, ..Response::default() };
    judge(&response, &sent(fallback))
}

/// A verdict in one word, with the reason or a word of the hint.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered => "delivered".to_owned(),
        Verdict::Retry { reason, after, .. } => {
            format!("retry {reason:?} {}", after.map_or(0, |after| after.as_secs()))
                .replace(" 0", "")
        }
        Verdict::Doubt { reason, .. } => format!("doubt {reason:?}"),
        Verdict::Split { own: true, .. } => "split".to_owned(),
        Verdict::Split { own: false, .. } => "isolate".to_owned(),
        Verdict::TooLarge { own: true, .. } => "too large".to_owned(),
        Verdict::TooLarge { own: false, .. } => "too large for a proxy".to_owned(),
        Verdict::UseFallbackForm { .. } => "safe".to_owned(),
        Verdict::Refuse { .. } => "refuse".to_owned(),
        Verdict::OutOfRange { .. } => "out of range".to_owned(),
        Verdict::Taken { .. } => "taken".to_owned(),
        Verdict::Wait { .. } => "wait".to_owned(),
        Verdict::Stop { hint, .. } => format!("stop: {hint}"),
        Verdict::Stranger { .. } => "stranger".to_owned(),
    }
}

/// Status, type and reason of one item; the verdicts on it if the document was sent plain, and in safe form.
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
    (
        400,
        "validation_exception",
        "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;",
        ("no shard left", "no shard left"),
    ),
    (
        400,
        "illegal_argument_exception",
        "Document ID is not supported in create/index operation request",
        ("under ids of ours", "under ids of ours"),
    ),
    // Unknown refusals: the safe form is tried, and then the document waits for the operator.
    (400, "odd_exception", "who knows", ("safe", "may not be about the event")),
    (400, "illegal_argument_exception", "who knows", ("safe", "may not be about the event")),
    (400, "", "", ("safe", "may not be about the event")),
    (418, "document_parsing_exception", "", ("safe", "may not be about the event")),
];

#[test]
fn an_item_refused_for_its_content_becomes_safe_and_one_for_configuration_stops() {
    for &(status, kind, reason, (plain, fallback)) in ITEMS {
        let error = if kind.is_empty() {
            serde_json::Value::Null
        } else {
            serde_json::json!({ "type": kind, "reason": reason })
        };
        let body = serde_json::json!({ "took": 1, "errors": true, "items": [{ "create": { "status": status, "error": error } }] }).to_string();
        for (is_safe, expected) in [(false, plain), (true, fallback)] {
            let Answer::Each(verdicts) = judged(200, &body, &[is_safe]) else { panic!("{body}") };
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
    (413, "content_too_long_exception", "entity content is too long", "too large"),
    (
        400,
        "json_parse_exception",
        "Illegal character ((CTRL-CHAR, code 31)): only regular white space (\\r, \\n, \\t) is allowed between tokens",
        "stop: the server was given the gzip body",
    ),
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
    (404, "", "404 page not found", "stop: Elasticsearch is not at this URL"),
    (400, "", "Client sent an HTTP request to an HTTPS server.", "stop: the server speaks HTTPS"),
    (400, "", "<html>400 Bad Request", "stop: this is no answer of Elasticsearch"),
    (403, "", "<html>blocked", "stop: a firewall or proxy"),
    (201, "", "{}", "stranger"),
    (204, "", "", "stranger"),
    (301, "", "", "stop: the endpoint redirects"),
    (407, "", "", "stop: the proxy wants"),
];

#[test]
fn an_answer_to_the_whole_request_is_doubt_only_where_something_may_be_stored() {
    for &(status, kind, text, expected) in WHOLE {
        let error =
            serde_json::json!({ "error": { "root_cause": [], "type": kind, "reason": text } });
        let body = if kind.is_empty() { text.to_owned() } else { error.to_string() };
        let Answer::Whole(verdict) = judged(status, &body, &[false, false]) else { panic!() };
        assert!(word(&verdict).starts_with(expected), "{status} {body}: {verdict:?}");
    }
}

/// `VictoriaLogs` sends this if it understood only the documents before the bad one.
#[test]
fn an_empty_answer_is_never_taken_for_success() {
    let check = |fallback: &[bool], expected: &str| match judged(200, "", fallback) {
        Answer::Whole(verdict) => assert_eq!(word(&verdict), expected),
        Answer::Each(_) => panic!(),
    };
    check(&[false, false], "split");
    check(&[false], "safe");
    check(&[true], "split");
    let unnamed = Response { status: 200, ..Response::default() };
    assert!(matches!(judge(&unnamed, &sent(&[false])), Answer::Whole(Verdict::Stranger { .. })));
}

/// `VictoriaLogs` since 1.2x says which line it could not read; its message may quote the line.
#[test]
fn a_document_that_victorialogs_cannot_decode_is_found_by_halving() {
    let body: &[u8] =
        b"cannot decode log message #1 in /_bulk request: cannot parse json-encoded log entry";
    for (fallback, named, expected) in [
        (&[false, false][..], true, "split"),
        (&[false], true, "safe"),
        (&[false], false, "stop: this is no answer of Elasticsearch"),
    ] {
        let product = named.then(|| "Elasticsearch".to_owned());
        let response = Response { status: 400, product, body: body.into(), ..Response::default() };
        let Answer::Whole(verdict) = judge(&response, &sent(fallback)) else { panic!() };
        assert!(word(&verdict).starts_with(expected), "{verdict:?}");
    }
}

#[test]
fn documents_count_only_under_the_ids_that_were_sent_and_for_what_was_asked() {
    let stored = |op: &str, id: &str| {
        format!(r#"{{"took":1,"errors":false,"items":[{{"{op}":{{{id}"status":201}}}}]}}"#)
    };
    let table = [
        (stored("create", r#""_id":"a0","#), "delivered"),
        (stored("create", r#""_id":"b","#), "doubt BadAnswer"),
        (stored("create", ""), "doubt BadAnswer"),
        (stored("index", r#""_id":"a0","#), "stranger"),
        (r#"{"items":[{"create":{"_id":"a0","status":201}}]}"#.to_owned(), "stranger"),
        (r#"{"ok":true}"#.to_owned(), "stranger"),
        ("<html>Sign in".to_owned(), "stranger"),
        ("[]".to_owned(), "stranger"),
    ];
    for (body, expected) in table {
        // As OpenSearch answers, without the header.
        let body_bytes = body.clone().into_bytes().into();
        let response = Response { status: 200, body: body_bytes, ..Response::default() };
        let found = match judge(&response, &sent(&[false])) {
            Answer::Whole(verdict) => word(&verdict),
            Answer::Each(verdicts) => word(&verdicts[0]),
        };
        assert_eq!(found, expected, "{body}");
    }
}

#[test]
fn an_answer_that_does_not_count_up_leaves_doubt() {
    let bodies = [
        r#"{"errors":false,"items":[]}"#,
        r#"{"errors":false,"items":[{"create":{"status":201}}]}"#,
        "{\"items\":[{\"cre",
    ];
    for body in bodies {
        let Answer::Whole(verdict) = judged(200, body, &[false, false]) else { panic!() };
        assert_eq!(word(&verdict), "doubt BadAnswer");
    }
}

/// Elasticsearch answers 201 for a document that it puts into the failure store, as its documentation says.
#[test]
fn what_went_to_the_failure_store_is_not_in_the_data_stream() {
    let body = r#"{"errors":false,"items":[{"create":{"status":201,"failure_store":"used"}},{"create":{"status":201,"failure_store":"used"}},{"create":{"status":201}}]}"#;
    let Answer::Each(verdicts) = judged(200, body, &[false, true, false]) else { panic!() };
    assert_eq!(verdicts.iter().map(word).collect::<Vec<_>>(), ["safe", "refuse", "delivered"]);
}

#[test]
fn the_good_neighbours_of_an_odd_event_are_delivered() {
    let body = r#"{"took":0,"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":null,"caused_by":{"type":"x","reason":"Duplicate field 'a'"}}}},{"create":{"status":409}}]}"#;
    let Answer::Each(verdicts) = judged(200, body, &[false; 3]) else { panic!() };
    assert_eq!(verdicts.iter().map(word).collect::<Vec<_>>(), ["delivered", "safe", "taken"]);
    assert_eq!(
        verdicts[1],
        Verdict::UseFallbackForm {
            answer: "400 document_parsing_exception: : Duplicate field 'a'".to_owned()
        }
    );
}
