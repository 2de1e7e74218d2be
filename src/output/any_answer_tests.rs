//! Property tests with arbitrary answers: a status, a media type, headers and a body that a store, a proxy, a sign-in
//! page or a broken connection may send. Each back end asserts its invariants (in its `fuzz_tests.rs`): only the
//! store's own answer makes an event count as delivered or stored, only its own words refuse an event, and nothing
//! panics.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::http::Response;
use super::{elasticsearch, loki};

/// Words that have a meaning if the right store sends them.
const WORDS: [&str; 16] = [
    "max entry size '65536' bytes exceeded for stream '{a=\"b\"}' while adding an entry",
    "entry for stream '{a=\"b\"}' has timestamp too old: 2026-11-13T06:53:45Z",
    "entry for stream '{a=\"b\"}' has timestamp too new: 2030-11-13T06:53:45Z",
    "entry with timestamp 2026-11-21 ignored, reason: 'entry too far behind'",
    "stream '{a=\"b\"}' has structured metadata too large: '70001' bytes",
    "error at least one valid stream is required for ingestion",
    "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (2 vs. 1)",
    "request body too large: 2 bytes, limit: 1 bytes",
    "snappy: corrupt input",
    "Client sent an HTTP request to an HTTPS server.",
    "404 page not found",
    "index_not_found_exception",
    "cannot decode log message #1 in /_bulk request",
    "document_parsing_exception",
    "no org id",
    "",
];

fn body() -> impl Strategy<Value = Vec<u8>> {
    let words = proptest::sample::select(&WORDS[..]);
    let wrapped = (words, 0..6_u8).prop_map(|(words, wrap)| match wrap {
        0 => words.to_owned(),
        1 => format!("<html><body>{words}</body></html>"),
        2 => json!({ "message": words }).to_string(),
        3 => json!({"error": {"type": words, "reason": words}, "status": 400}).to_string(),
        4 => format!("upstream said: {words}"),
        _ => format!("rpc error: code = Code(400) desc = {words}"),
    });
    prop_oneof![
        2 => wrapped.prop_map(String::into_bytes),
        2 => (bulk(), cut()).prop_map(cut_short),
        2 => (looked_up(), cut()).prop_map(cut_short),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => Just(Vec::new()),
    ]
}

/// An answer to a bulk request, valid or nearly so.
fn bulk() -> impl Strategy<Value = String> {
    let statuses =
        proptest::sample::select(&[200_u16, 201, 400, 403, 404, 409, 413, 418, 429, 500][..]);
    let kinds = proptest::sample::select(
        &["document_parsing_exception", "validation_exception", "cluster_block_exception", "odd"][..],
    );
    let item = (statuses, kinds, 0..7_u8, 0..6_u8).prop_map(|(status, kind, id, form)| {
        let operation = if form == 0 { "index" } else { "create" };
        let mut outcome = json!({ "status": status });
        if id < 6 {
            outcome["_id"] = format!("a{id}").into();
        }
        if form > 2 && status >= 300 {
            outcome["error"] = json!({ "type": kind, "reason": "why" });
        }
        json!({ operation: outcome })
    });
    (proptest::collection::vec(item, 0..5), any::<bool>()).prop_map(|(mut items, in_order)| {
        if in_order {
            for (at, item) in items.iter_mut().enumerate() {
                if let Some(outcome) = item.get_mut("create") {
                    outcome["_id"] = format!("a{at}").into();
                }
            }
        }
        json!({ "took": 1, "errors": true, "items": items }).to_string()
    })
}

/// An answer to a look-up, of either store or of another server.
fn looked_up() -> impl Strategy<Value = String> {
    let values = json!([["1", "{}"]]);
    let result = json!([{ "stream": {}, "values": values }]);
    let hits = json!({ "total": { "value": 1 }, "hits": [{ "_id": "a", "_index": "i" }] });
    proptest::sample::select(vec![
        json!({"status": "success", "data": {"resultType": "streams", "result": result}}),
        json!({"status": "success", "data": {"resultType": "streams", "result": []}}),
        json!({"status": "success", "data": {"resultType": "matrix", "result": []}}),
        json!({"status": "error", "data": {"resultType": "streams", "result": []}}),
        json!({"data": {"result": []}}),
        json!({"status": "success", "data": []}),
        json!({"timed_out": false, "_shards": {"failed": 0}, "hits": hits}),
        json!({"timed_out": true, "_shards": {"failed": 0}, "hits": hits}),
        json!({"timed_out": false, "_shards": {"failed": 1}, "hits": hits}),
        json!({"_shards": {"failed": 0}}),
        json!({"hits": []}),
        json!({}),
        json!([]),
        json!("ok"),
    ])
    .prop_map(|value| value.to_string())
}

/// How many percent of a body arrive; mostly all.
fn cut() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(100_usize), 1 => 0..100_usize]
}

fn cut_short((text, parts): (String, usize)) -> Vec<u8> {
    let length = text.len() * parts / 100;
    text.into_bytes()[..length].to_vec()
}

fn response() -> impl Strategy<Value = Response> {
    let usual = [
        200_u16, 201, 202, 204, 260, 301, 302, 308, 400, 401, 403, 404, 413, 422, 426, 429, 500,
        502, 503,
    ];
    let status = prop_oneof![
        4 => Just(200_u16),
        3 => Just(400_u16),
        4 => proptest::sample::select(usual.to_vec()),
        1 => 100..1000_u16,
    ];
    let types = ["", "text/plain; charset=utf-8", "text/html", "application/json", "TEXT/HTML"];
    let kind = proptest::sample::select(types.to_vec());
    let location = proptest::option::of("(https?://)?[a-z@:/?]{0,20}");
    (status, kind, location, any::<bool>(), proptest::option::of(0..9_u64), body()).prop_map(
        |(status, kind, location, named, after, body)| Response {
            status,
            retry_after: after.map(Duration::from_secs),
            content_type: kind.to_owned(),
            location,
            product: named.then(|| "Elasticsearch".to_owned()),
            body: Bytes::from(body),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn nothing_is_delivered_stored_or_refused_that_a_store_did_not_say(response in response(), fallback: u8) {
        loki::fuzz_tests::answer(&response);
        elasticsearch::fuzz_tests::answer(response, fallback);
    }
}
