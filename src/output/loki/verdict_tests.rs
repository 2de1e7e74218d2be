use std::time::Duration;

use super::*;

/// The verdict on an answer in plain text, as Loki sends it.
fn judged(status: u16, retry_after: Option<Duration>, body: &str) -> Verdict {
    let content_type = if body.is_empty() { "" } else { "text/plain; charset=utf-8" }.to_owned();
    let body = body.as_bytes().to_vec().into();
    judge(&Response { status, retry_after, content_type, body, ..Response::default() })
}

/// The name of a verdict, without its texts.
fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered => "delivered",
        Verdict::Retry { .. } => "retry",
        Verdict::Doubt { .. } => "doubt",
        Verdict::Split { own: true, .. } => "split",
        Verdict::Split { own: false, .. } => "isolate",
        Verdict::TooLarge { own: true, .. } => "too large",
        Verdict::TooLarge { own: false, .. } => "too large for a proxy",
        Verdict::UseFallbackForm { .. } => "safe",
        Verdict::Refuse { .. } => "refuse",
        Verdict::Taken { .. } => "taken",
        Verdict::OutOfRange { .. } => "out of range",
        Verdict::Wait { .. } => "wait",
        Verdict::Stop { .. } => "stop",
        Verdict::Stranger { .. } => "stranger",
    }
}

/// Answers recorded from Loki 3.7.8 and from a proxy in front of it: status, body, verdict.
const RECORDED: &[(u16, &str, &str)] = &[
    (204, "", "delivered"),
    (200, "", "stranger"),
    (260, "ingestion blocked for user fake until '2026-11-27' with status code '260'\n", "stop"),
    (
        400,
        "entry with timestamp 2026-11-21 05:43:45.177895027 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-11-21T05:43:45Z, oldest acceptable timestamp is: 2026-11-21T06:01:00Z',\nuser 'fake', total ignored: 1 out of 2 for stream: {app=\"a\"}\n",
        "out of range",
    ),
    (
        400,
        "entry for stream '{app=\"oldd\"}' has timestamp too old: 2026-11-13T06:53:45Z, oldest acceptable timestamp is: 2026-11-14T06:53:45Z\n",
        "out of range",
    ),
    (400, "entry for stream '{app=\"n\"}' has timestamp too new: 2026-11-21T07:13:45Z\n", "wait"),
    (
        400,
        "max entry size '65536' bytes exceeded for stream '{app=\"big\"}' while adding an entry with length '70000' bytes\n",
        "split",
    ),
    (400, "entry for stream '{a=\"b\"}' has 16 label names; limit 15\n", "stop"),
    (400, "stream '{a=\"b\"}' has label value too long: 'xxxx'\n", "stop"),
    (400, "stream '{a=\"b\"}' has label name too long: 'xxxx'\n", "stop"),
    (400, "stream '{a=\"1\", a=\"2\"}' has duplicate label name: 'a'\n", "stop"),
    (400, "error at least one label pair is required per stream\n", "stop"),
    (
        400,
        "couldn't parse labels: 1:5: parse error: unexpected character inside braces: '-'\n",
        "stop",
    ),
    (
        400,
        "stream '{a=\"b\"}' has too many structured metadata labels: '200', limit: '128'. Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it.\n",
        "split",
    ),
    (
        400,
        "stream '{a=\"b\"}' has structured metadata too large: '70001' bytes, limit: '65536' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it.\n",
        "split",
    ),
    (
        400,
        "stream '{a=\"b\"}' includes structured metadata, but this feature is disallowed. Please see `limits_config.allow_structured_metadata` or contact your Loki administrator to enable it.\n",
        "stop",
    ),
    (
        429,
        "ingestion rate limit exceeded for user fake (limit: 314572 bytes/sec) while attempting to ingest '100' lines totaling '99000' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased\n",
        "retry",
    ),
    (
        429,
        "entry with timestamp 2026-11-21 06:53:45 +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: 50KB/sec) while attempting to ingest for stream '{app=\"p\"}' totaling 990B, consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can be increased',\nuser 'fake', total ignored: 200 out of 200 for stream: {app=\"p\"}\n",
        "retry",
    ),
    (
        429,
        "entry with timestamp 2026-11-21 06:53:45 +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: 50KB/sec) ...',\nuser 'fake', total ignored: 20 out of 200 for stream: {app=\"p\"}\n",
        "doubt",
    ),
    (
        429,
        "maximum active stream limit exceeded when trying to create stream {app=\"s4\"}, reduce the number of active streams (reduce labels or reduce label values)\n",
        "retry",
    ),
    (422, "error at least one valid stream is required for ingestion\n", "stop"),
    (400, "snappy: corrupt input\n", "stop"),
    (400, "unexpected EOF\n", "stop"),
    (400, "Content-Encoding \"zstd\" not supported\n", "stop"),
    (404, "404 page not found\n", "stop"),
    (401, "no org id\n", "stop"),
    (400, "multiple org IDs present\n", "stop"),
    (400, "tenant ID 'a b' contains unsupported character ' '\n", "stop"),
    (400, "tenant ID is too long: max 150 characters\n", "stop"),
    (
        500,
        "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (4760493 vs. 4194304)\n",
        "split",
    ),
    (500, "at least 1 live replicas required, could only find 0\n", "doubt"),
    (503, "Ingester is shutting down", "doubt"),
    (502, "bad gateway", "doubt"),
    (504, "gateway timeout", "doubt"),
    (413, "request entity too large", "too large for a proxy"),
    (413, "request body too large: 20971530 bytes, limit: 20971520 bytes", "too large"),
    (401, "Unauthorized", "stop"),
    (403, "Forbidden", "stop"),
    (302, "", "stop"),
    (405, "", "stop"),
    (400, "something that nobody has seen yet", "isolate"),
];

#[test]
fn every_recorded_answer_has_its_verdict() {
    for &(status, body, verdict) in RECORDED {
        assert_eq!(name(&judged(status, None, body)), verdict, "{status} {body}");
    }
}

/// The words of Loki 1.6 and 2.x, from their source, and the prefixes that some versions put before them.
#[test]
fn the_words_of_other_versions_are_known() {
    let table = [
        (
            "entry with timestamp 2026-11-21 05:43:45 +0000 UTC ignored, reason: 'entry out of order' for stream: {a=\"b\"},\ntotal ignored: 1 out of 2\n",
            "out of range",
        ),
        (
            "Max entry size '65536' bytes exceeded for stream '{a=\"b\"}' while adding an entry with length '70000' bytes",
            "split",
        ),
        (
            "entry for stream '{a=\"b\"}' has timestamp too old: 2026-11-13 06:53:45 +0000 UTC",
            "out of range",
        ),
        (
            "rpc error: code = Code(400) desc = entry for stream '{a=\"b\"}' has timestamp too old: 2026-11-13T06:53:45Z",
            "out of range",
        ),
        ("3 errors like: Max entry size '65536' bytes exceeded for stream '{}' while", "split"),
        ("Error parsing labels '{' with error: 1:2: parse error", "stop"),
        ("missing required labels team for user fake for stream {a=\"b\"}", "stop"),
        ("cannot read Loki protobuf data: cannot decompress data: snappy: corrupt input\n", "stop"),
    ];
    for (body, verdict) in table {
        assert_eq!(name(&judged(400, None, body)), verdict, "{body}");
    }
}

/// An answer of something between the agent and Loki, or in Loki's place, says nothing about an event.
#[test]
fn an_answer_that_is_not_lokis_neither_delivers_nor_refuses() {
    let page = "<html><title>max entry size bytes exceeded for stream</title></html>";
    let table = [
        (200, "text/html", "<!DOCTYPE html><title>Sign in</title>", "no answer of Loki"),
        (200, "application/json", "{}", "no answer of Loki"),
        (202, "", "", "no answer of Loki"),
        (400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n", "https://"),
        (
            400,
            "text/html",
            "<title>400 The plain HTTP request was sent to HTTPS port</title>",
            "https://",
        ),
        (400, "text/html", page, "no answer of Loki"),
        (400, "text/plain", page, "no answer of Loki"),
        (
            400,
            "application/json",
            "{\"message\":\"entry for stream ' has timestamp too old\"}",
            "no answer of Loki",
        ),
        (400, "text/plain", "", "no answer of Loki"),
        (403, "text/html", "<html>Request blocked", "firewall"),
        (404, "text/plain", "404 page not found\n", "/loki/api/v1/push"),
        (308, "text/html", "<html>308 Permanent Redirect", "redirects"),
    ];
    for (status, kind, body, expected) in table {
        let (content_type, body) = (kind.to_owned(), body.as_bytes().into());
        let verdict = judge(&Response { status, content_type, body, ..Response::default() });
        let (Verdict::Stop { hint, .. } | Verdict::Stranger { hint, .. }) = &verdict else {
            panic!("{status} {kind}: {verdict:?}")
        };
        assert!(hint.contains(expected), "{status} {kind}: {hint}");
    }
}

#[test]
fn the_answer_is_shown_and_the_hint_names_what_to_change() {
    let Verdict::Stop { answer, hint } = judged(401, None, "no org id\n") else { panic!("stop") };
    assert_eq!(answer, "401 no org id");
    assert!(hint.contains("`tenant`"));
}

#[test]
fn a_wish_to_be_left_alone_is_respected() {
    let Verdict::Retry { after, .. } = judged(429, Some(Duration::from_secs(7)), "slow down")
    else {
        panic!("retry")
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
}
