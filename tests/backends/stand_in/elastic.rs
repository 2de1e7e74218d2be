//! The recorded answers of Elasticsearch 8.19.21, row by row, and the tests that the stand-in gives the same answers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use kit::store::elastic::{Elastic, Settings};
use kit::store::http::{Answer, Request, Service as _};

const JSON: (&str, &str) = ("content-type", "application/json");
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
const STREAM: &str = "logs-app-a";

struct Bench {
    elastic: Elastic,
    _dir: TempDir,
}

/// Status, headers and body.
type Said = (u16, Vec<(&'static str, String)>, Value);

impl Bench {
    /// Creates a data stream, and an index `plain` whose field `n` is a number, `k` a keyword and `o` an object.
    fn new(settings: Settings) -> Self {
        let dir = TempDir::new().unwrap();
        let secure = settings.secure;
        let mut bench = Self { elastic: Elastic::open(settings, dir.path()), _dir: dir };
        if !secure {
            let mappings = json!({"mappings": {"properties": {"n": {"type": "long"}, "k": {"type": "keyword"}, "t": {"type": "text"}, "o": {"properties": {}}}}});
            assert_eq!(bench.ask("PUT", "/plain", &[JSON], &mappings.to_string()).0, 200);
        }
        bench
    }

    fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Said {
        self.ask_bytes(method, target, headers, body.as_bytes())
    }

    fn ask_bytes(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Said {
        let request = Request::new(method, target, headers, body.to_vec());
        let Answer { status, headers, body } = self.elastic.answer(&request);
        let product = headers.iter().any(|(name, _)| *name == "x-elastic-product");
        assert_eq!(product, !matches!(status, 401 | 403 | 413), "x-elastic-product of {status}");
        assert!(headers.iter().all(|(name, _)| *name != "retry-after"));
        (status, headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The result of each document of one bulk.
    fn items(&mut self, body: &str) -> Vec<(u16, String, String)> {
        let (status, _, answer) = self.ask("POST", "/_bulk", &[NDJSON], body);
        assert_eq!(status, 200, "{answer}");
        let items = answer["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| {
                let inner = item.as_object().unwrap().values().next().unwrap();
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let status = u16::try_from(inner["status"].as_u64().unwrap()).unwrap();
                (status, text(&inner["error"]["type"]), text(&inner["error"]["reason"]))
            })
            .collect()
    }

    fn create(&mut self, index: &str, id: &str, document: &str) -> (u16, String, String) {
        self.items(&action("create", index, id, document)).remove(0)
    }
}

fn action(operation: &str, index: &str, id: &str, document: &str) -> String {
    format!("{}\n{document}\n", json!({operation: {"_index": index, "_id": id}}))
}

const DOCUMENT: &str = r#"{"@timestamp":"2026-11-21T06:25:22.533Z","n":1}"#;

#[test]
fn a_create_is_taken_once_in_an_index_and_once_more_after_a_rollover() {
    let mut bench = Bench::new(Settings::default());
    for index in ["plain", STREAM] {
        assert_eq!(bench.create(index, "a1", DOCUMENT).0, 201);
        let (status, kind, reason) = bench.create(index, "a1", DOCUMENT);
        assert_eq!((status, kind.as_str()), (409, "version_conflict_engine_exception"));
        assert_eq!(reason, "[a1]: version conflict, document already exists (current version [1])");
    }
    let (status, _, rolled) = bench.ask("POST", &format!("/{STREAM}/_rollover"), &[], "");
    assert_eq!((status, &rolled["rolled_over"]), (200, &true.into()));
    assert_eq!(bench.create(STREAM, "a1", DOCUMENT).0, 201, "stored twice");
    bench.ask("POST", &format!("/{STREAM}/_refresh"), &[], "");
    let found = bench.ask("GET", &format!("/{STREAM}/_count"), &[], "");
    assert_eq!(found.2["count"], 2);
    let old = rolled["old_index"].as_str().unwrap();
    assert_eq!(bench.create(old, "a2", DOCUMENT).0, 400, "straight into the old index");
}

#[test]
fn a_document_that_does_not_fit_is_refused_by_the_item_with_its_reason() {
    let mut bench = Bench::new(Settings::default());
    let nested = format!("{}{}", r#"{"a":"#.repeat(1001), "1".to_owned() + &"}".repeat(1001));
    let digits = format!(r#"{{"x":{}}}"#, "7".repeat(1001));
    let keyword = format!(r#"{{"k":"{}"}}"#, "y".repeat(32_767));
    for (index, document, words) in [
        ("plain", r#"{"a":1,"a":2}"#, "Duplicate field 'a'"),
        ("plain", &nested, "nesting depth"),
        ("plain", &digits, "Number value length (1001) exceeds the maximum allowed (1000)"),
        ("plain", &keyword, "immense term"),
        (
            "plain",
            r#"{"n":"many"}"#,
            "[1:23] failed to parse field [n] of type [long] in document with id 'x'. Preview of field's value: 'many'",
        ),
        ("plain", r#"{"t":{"a":1}}"#, "failed to parse field [t] of type [text]"),
        (
            "plain",
            r#"{"o":"text"}"#,
            "object mapping for [o] tried to parse field [o] as object, but found a concrete value",
        ),
        ("plain", r#"{"a":"#, "failed to parse"),
        (STREAM, r#"{"n":1}"#, "data stream timestamp field [@timestamp] is missing"),
    ] {
        let (status, kind, reason) = bench.create(index, "x", document);
        assert_eq!((status, kind.as_str()), (400, "document_parsing_exception"), "{words}");
        assert!(reason.contains(words), "{words}: {reason}");
    }
    let body = [action("create", "plain", "u", "").trim_end().as_bytes(), b"\n{\"a\":\"\xff\"}\n"]
        .concat();
    let (_, _, answer) = bench.ask_bytes("POST", "/_bulk", &[NDJSON], &body);
    assert_eq!(answer["items"][0]["create"]["error"]["type"], "document_parsing_exception");
}

#[test]
fn an_index_that_takes_nothing_says_so_by_the_item() {
    let mut bench = Bench::new(Settings { auto_create: false, ..Settings::default() });
    let no_index = "no such index [nope] and [action.auto_create_index] ([false]) doesn't match";
    let gone = bench.create("nope", "a", DOCUMENT);
    assert_eq!(gone, (404, "index_not_found_exception".to_owned(), no_index.to_owned()));

    let mut bench = Bench::new(Settings::default());
    bench.create(STREAM, "a", DOCUMENT);
    let index = bench.items(&action("index", STREAM, "b", DOCUMENT)).remove(0);
    let words = "only write ops with an op_type of create are allowed in data streams";
    assert_eq!(index, (400, "illegal_argument_exception".to_owned(), words.to_owned()));
    let (status, kind, _) = bench.create("Upper", "a", DOCUMENT);
    assert_eq!((status, kind.as_str()), (400, "invalid_index_name_exception"));
    for (block, status, words) in [
        ("write", 403, "index [plain] blocked by: [FORBIDDEN/8/index write (api)];"),
        ("read_only", 403, "index [plain] blocked by: [FORBIDDEN/5/index read-only (api)];"),
        (
            "read_only_allow_delete",
            429,
            "index [plain] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark",
        ),
    ] {
        let set = |on: bool| json!({format!("index.blocks.{block}"): on}).to_string();
        bench.ask("PUT", "/plain/_settings", &[JSON], &set(true));
        let (found, kind, reason) = bench.create("plain", "x", DOCUMENT);
        assert_eq!((found, kind.as_str()), (status, "cluster_block_exception"));
        assert!(reason.starts_with(words), "{reason}");
        bench.ask("PUT", "/plain/_settings", &[JSON], &set(false));
    }
    bench.ask("POST", "/plain/_close", &[], "");
    let closed = bench.create("plain", "x", DOCUMENT);
    assert_eq!((closed.0, closed.1.as_str()), (400, "index_closed_exception"));
    let (_, _, answer) = bench.ask(
        "POST",
        "/_bulk?pipeline=nope",
        &[NDJSON],
        &action("create", STREAM, "p", DOCUMENT),
    );
    let item = &answer["items"][0]["create"];
    assert_eq!(
        (&item["_id"], &item["error"]["reason"]),
        (&"auto-generated".into(), &"pipeline with id [nope] does not exist".into())
    );
}

#[test]
fn what_is_no_bulk_is_refused_whole() {
    let mut bench = Bench::new(Settings { max_content_length: 5000, ..Settings::default() });
    let good = action("create", "plain", "a", DOCUMENT);
    let vendor = "application/vnd.elasticsearch+x-ndjson;compatible-with=8";
    let vendor_json = "application/vnd.elasticsearch+json;compatible-with=8";
    let long = action("create", "plain", &"i".repeat(513), DOCUMENT);
    for (headers, body, status, kind, words) in [
        (&[NDJSON][..], "", 400, "parse_exception", "request body is required"),
        (
            &[NDJSON, ("content-encoding", "gzip")],
            good.as_str(),
            400,
            "parse_exception",
            "request body is required",
        ),
        (
            &[NDJSON],
            good.trim_end(),
            400,
            "illegal_argument_exception",
            "The bulk request must be terminated by a newline [\\n]",
        ),
        (
            &[NDJSON],
            "nothing\n{}\n",
            400,
            "x_content_parse_exception",
            "Malformed action/metadata line",
        ),
        (
            &[NDJSON],
            long.as_str(),
            400,
            "action_request_validation_exception",
            "no longer than 512 bytes",
        ),
        (
            &[("content-type", vendor), ("accept", "*/*")],
            good.as_str(),
            400,
            "media_type_header_exception",
            "compatible",
        ),
    ] {
        let (found, _, answer) = bench.ask("POST", "/_bulk", headers, body);
        assert_eq!(
            (found, &answer["error"]["type"], &answer["status"]),
            (status, &kind.into(), &status.into())
        );
        assert!(answer["error"]["reason"].as_str().unwrap().contains(words), "{answer}");
    }
    let text = bench.ask("POST", "/_bulk", &[("content-type", "text/plain")], &good);
    assert_eq!(
        (text.0, text.2),
        (406, json!({"error": "Content-Type header [text/plain] is not supported", "status": 406}))
    );
    assert_eq!(
        bench.ask("POST", "/_bulk", &[("content-type", vendor), ("accept", vendor_json)], &good).0,
        200
    );
    // The server ignores this header and reads the bytes as they are.
    assert_eq!(bench.ask("POST", "/_bulk", &[NDJSON, ("content-encoding", "zstd")], &good).0, 200);
    // The limit applies to the decompressed body too.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(" ".repeat(6000).as_bytes()).unwrap();
    let zipped = gzip.finish().unwrap();
    assert!(zipped.len() < 5000);
    let large = bench.ask_bytes("POST", "/_bulk", &[NDJSON, ("content-encoding", "gzip")], &zipped);
    assert_eq!((large.0, large.2), (413, Value::Null));
}

#[test]
fn a_busy_server_turns_away_items_or_whole_requests_with_429() {
    let mut bench = Bench::new(Settings::default());
    bench.ask("PUT", "/_stand_in/busy", &[JSON], r#"["shard","coordinating","pressure"]"#);
    let two = action("create", STREAM, "a", DOCUMENT) + &action("create", STREAM, "b", DOCUMENT);
    let items = bench.items(&two);
    assert_eq!(
        (items[0].0, items[1].0, items[1].1.as_str()),
        (201, 429, "es_rejected_execution_exception")
    );
    for words in [
        "rejected execution of TimedRunnable",
        "rejected execution of coordinating operation [coordinating_and_primary_bytes=17688, ",
    ] {
        let (status, _, answer) = bench.ask("POST", "/_bulk", &[NDJSON], &two);
        assert_eq!(
            (status, &answer["error"]["type"]),
            (429, &"es_rejected_execution_exception".into())
        );
        assert!(answer["error"]["reason"].as_str().unwrap().starts_with(words), "{answer}");
    }
}

#[test]
fn credentials_decide_whole_requests_and_single_items() {
    let mut bench = Bench::new(Settings { secure: true, ..Settings::default() });
    let one = action("create", "logs-app-a", "a", DOCUMENT);
    for header in [None, Some("Basic bm9ib2R5Om5vdGhpbmc="), Some("ApiKey d3Jvbmc6d3Jvbmc=")] {
        let headers: Vec<_> =
            [NDJSON].into_iter().chain(header.map(|value| ("authorization", value))).collect();
        let (status, headers, answer) = bench.ask("POST", "/_bulk", &headers, &one);
        let schemes: Vec<_> =
            headers.iter().filter(|(name, _)| *name == "www-authenticate").collect();
        assert_eq!(
            (status, &answer["error"]["type"], schemes.len()),
            (401, &"security_exception".into(), 2)
        );
    }
    let admin = ("authorization", "Basic ZWxhc3RpYzpvbmx5LWZvci10ZXN0cw==");
    let mut key = |privileges: &[&str]| {
        let rights = json!({"name": "k", "role_descriptors": {"w": {"cluster": [], "indices": [{"names": ["logs-*"], "privileges": privileges}]}}});
        let (_, _, made) =
            bench.ask("POST", "/_security/api_key", &[JSON, admin], &rights.to_string());
        format!("ApiKey {}", made["encoded"].as_str().unwrap())
    };
    let (reader, writer) = (key(&["read"]), key(&["create_doc", "auto_configure"]));
    let (status, _, answer) =
        bench.ask("POST", "/_bulk", &[NDJSON, ("authorization", &reader)], &one);
    assert!(
        status == 403
            && answer["error"]["reason"]
                .as_str()
                .unwrap()
                .starts_with("action [indices:data/write/bulk] is unauthorized for "),
        "{answer}"
    );
    let three = one
        + &action("create", "other", "b", DOCUMENT)
        + &action("index", "logs-app-a", "c", DOCUMENT);
    let (status, _, answer) =
        bench.ask("POST", "/_bulk", &[NDJSON, ("authorization", &writer)], &three);
    let found = |at: usize, name: &str| {
        (
            answer["items"][at][name]["status"].clone(),
            answer["items"][at][name]["error"]["type"].clone(),
        )
    };
    assert_eq!(status, 200);
    assert_eq!(found(0, "create"), (201.into(), Value::Null));
    assert_eq!(found(1, "create"), (403.into(), "security_exception".into()));
    assert_eq!(found(2, "index"), (403.into(), "security_exception".into()));
    for (privilege, has) in [("create_doc", true), ("read", false)] {
        let asked =
            json!({"index": [{"names": ["logs-app-a"], "privileges": [privilege]}]}).to_string();
        let (_, _, answer) = bench.ask(
            "POST",
            "/_security/user/_has_privileges",
            &[JSON, ("authorization", &writer)],
            &asked,
        );
        assert_eq!(answer["has_all_requested"], has, "{privilege}");
    }
}

#[test]
fn a_search_finds_what_a_refresh_has_shown_by_id_and_by_time() {
    let mut bench = Bench::new(Settings::default());
    for minute in 0..30 {
        let document =
            format!(r#"{{"@timestamp":"2026-11-21T06:{minute:02}:00Z","a":{{"b":"{minute}"}}}}"#);
        assert_eq!(bench.create(STREAM, &format!("d{minute}"), &document).0, 201);
    }
    let search = format!("/{STREAM}/_search");
    let ids =
        json!({"query": {"ids": {"values": ["d1", "d29", "none"]}}, "_source": false, "size": 9})
            .to_string();
    let count = |answer: &Value| answer["hits"]["hits"].as_array().unwrap().len();
    assert_eq!(count(&bench.ask("POST", &search, &[JSON], &ids).2), 0, "before the refresh");
    bench.ask("POST", &format!("/{STREAM}/_refresh"), &[], "");
    assert_eq!(count(&bench.ask("POST", &search, &[JSON], &ids).2), 2);
    let range = json!({"query": {"bool": {"filter": [{"range": {"@timestamp": {"gte": "2026-11-21T06:10:00Z", "lt": "2026-11-21T06:20:00Z"}}}]}},
        "sort": [{"@timestamp": "asc"}], "size": 4, "_source": ["a.b"]});
    let (_, _, answer) = bench.ask("POST", &search, &[JSON], &range.to_string());
    assert_eq!((count(&answer), &answer["hits"]["total"]["value"]), (4, &10.into()));
    let first = &answer["hits"]["hits"][0];
    assert_eq!(
        (&first["_source"], &first["sort"][0]),
        (&json!({"a": {"b": "10"}}), &1_795_241_400_000_i64.into())
    );
    let (_, _, mut page) = bench.ask(
        "POST",
        &format!("{search}?scroll=1m"),
        &[JSON],
        r#"{"size":20,"sort":["_doc"]}"#,
    );
    let mut seen = 0;
    while count(&page) > 0 {
        seen += count(&page);
        let next = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]}).to_string();
        page = bench.ask("POST", "/_search/scroll", &[JSON], &next).2;
    }
    assert_eq!(seen, 30);
    let (status, _, answer) = bench.ask("POST", "/nope/_search", &[JSON], "{}");
    assert_eq!((status, &answer["error"]["type"]), (404, &"index_not_found_exception".into()));
}
