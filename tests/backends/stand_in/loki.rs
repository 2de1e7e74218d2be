//! The recorded answers of Loki 3.7.8, row by row, and the tests that the stand-in gives the same answers.

use jiff::Timestamp;
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;

use kit::store::http::{Answer, Request, Service as _};
use kit::store::loki::{HOUR, Loki, SECOND, Settings};
use kit::store::wire::{Entry, Pair, Push, Stream, Time};

/// A Loki, with shorthands for requests to it.
struct Bench {
    loki: Loki,
    _dir: TempDir,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let dir = TempDir::new().unwrap();
        Self { loki: Loki::open(settings, dir.path()), _dir: dir }
    }

    fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (u16, String) {
        let request = Request::new(method, target, headers, body);
        let Answer { status, headers, body } = self.loki.answer(&request);
        // Loki never sends `Retry-After`, and every error is text that ends with a newline.
        assert!(headers.iter().all(|(name, _)| *name != "retry-after"));
        let text = String::from_utf8(body).unwrap();
        assert!(status < 400 || text.ends_with('\n'), "{status} {text}");
        (status, text)
    }

    fn push(&mut self, streams: Vec<Stream>) -> (u16, String) {
        let body =
            snap::raw::Encoder::new().compress_vec(&Push { streams }.encode_to_vec()).unwrap();
        self.ask("POST", "/loki/api/v1/push", &[("content-type", "application/x-protobuf")], body)
    }

    /// How many lines a log query shows, and how many a count finds.
    fn held(&mut self, selector: &str) -> (usize, usize) {
        let (start, end) = (now() - 700 * HOUR, now() + HOUR);
        let query = kit::http::escape(selector);
        let target = format!(
            "/loki/api/v1/query_range?query={query}&start={start}&end={end}&limit=5000&direction=forward"
        );
        let (status, text) = self.ask("GET", &target, &[], Vec::new());
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let streams = answer["data"]["result"].as_array().unwrap();
        let shown = streams.iter().map(|stream| stream["values"].as_array().unwrap().len()).sum();
        let count = kit::http::escape(&format!("sum(count_over_time({selector}[701h]))"));
        let (_, text) = self.ask(
            "GET",
            &format!("/loki/api/v1/query?query={count}&time={end}"),
            &[],
            Vec::new(),
        );
        let answer: Value = serde_json::from_str(&text).unwrap();
        let counted = answer["data"]["result"][0]["value"][1]
            .as_str()
            .map_or(0, |text| text.parse().unwrap());
        (shown, counted)
    }
}

fn now() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap()
}

/// An entry with a timestamp that lies `ago` nanoseconds in the past.
fn entry(ago: i64, line: impl Into<Vec<u8>>) -> Entry {
    let at = now() - ago;
    let nanos = i32::try_from(at % SECOND).unwrap();
    Entry {
        time: Some(Time { seconds: at / SECOND, nanos }),
        line: line.into(),
        metadata: Vec::new(),
    }
}

fn with(mut entry: Entry, pairs: usize, bytes: usize) -> Entry {
    let pair = |n| Pair { name: format!("m{n}"), value: "v".repeat(bytes) };
    entry.metadata = (0..pairs).map(pair).collect();
    entry
}

fn stream(labels: &str, entries: Vec<Entry>) -> Stream {
    Stream { labels: labels.to_owned(), entries }
}

fn bare() -> Settings {
    Settings { shard_streams: false, query_ingesters_within: 0, ..Settings::default() }
}

fn labels(count: usize) -> String {
    let all: Vec<_> = (0..count).map(|n| format!("l{n}=\"v\"")).collect();
    format!("{{{}}}", all.join(", "))
}

/// Each bad entry is pushed after a good one in another stream.
#[test]
fn a_push_that_is_refused_in_part_says_why_and_keeps_the_rest() {
    let long = |name: &str| format!("{{a=\"b\", {name}}}");
    let value = long(&format!("c=\"{}\"", "x".repeat(2049)));
    let name = long(&format!("{}=\"x\"", "n".repeat(1025)));
    #[rustfmt::skip]
    let table: Vec<(u16, &str, &str, Entry)> = vec![
        (400, "has timestamp too old: ", r#"{app="oldd"}"#, entry(8 * 24 * HOUR, "old")),
        (400, "has timestamp too new: ", r#"{app="new"}"#, entry(-HOUR, "new")),
        (400, "max entry size '262144' bytes exceeded for stream '{app=\"big\"}' while adding an entry with length '262145' bytes", r#"{app="big"}"#, entry(0, "x".repeat(262_145))),
        (400, " has 16 label names; limit 15", &*labels(16).leak(), entry(0, "x")),
        (400, " has label value too long: 'xxx", &value, entry(0, "x")),
        (400, " has label name too long: 'nnn", &name, entry(0, "x")),
        (400, "' has duplicate label name: 'a'", r#"{a="1", a="2"}"#, entry(0, "x")),
        (400, "error at least one label pair is required per stream", "{}", entry(0, "x")),
        (400, "has too many structured metadata labels: '200', limit: '128'", r#"{app="m"}"#, with(entry(0, "x"), 200, 1)),
        (400, "has structured metadata too large: '70002' bytes, limit: '65536' bytes", r#"{app="m"}"#, with(entry(0, "x"), 1, 70_000)),
    ];
    for (status, words, labels, odd) in table {
        let mut bench = Bench::new(bare());
        let good = stream(r#"{app="good"}"#, vec![entry(0, "good")]);
        let (found, text) = bench.push(vec![good, stream(labels, vec![odd])]);
        assert!(found == status && text.contains(words), "{words}: {found} {text}");
        assert_eq!(bench.held(r#"{app="good"}"#), (1, 1), "{words}");
    }
}

#[test]
fn what_is_far_behind_its_stream_is_refused_by_the_entry_and_what_is_half_an_hour_behind_is_taken()
{
    let mut bench = Bench::new(bare());
    assert_eq!(bench.push(vec![stream("{app=\"a\"}", vec![entry(0, "x")])]).0, 204);
    assert_eq!(bench.push(vec![stream("{app=\"a\"}", vec![entry(HOUR / 2, "y")])]).0, 204);
    let (status, text) =
        bench.push(vec![stream("{app=\"a\"}", vec![entry(2 * HOUR, "z"), entry(0, "w")])]);
    assert_eq!(status, 400);
    for part in [
        "entry with timestamp 20",
        " +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: ",
        ", oldest acceptable timestamp is: ",
        "',\nuser 'fake', total ignored: 1 out of 2 for stream: {app=\"a\"}\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(bench.held("{app=\"a\"}"), (3, 3));
}

/// The ingester reports only the error of the last stream.
#[test]
fn a_push_of_several_streams_can_lose_lines_behind_a_204() {
    for (last, status) in [("good", 204), ("bad", 400)] {
        let mut bench = Bench::new(bare());
        bench.push(vec![stream("{app=\"bad\"}", vec![entry(0, "x")])]);
        let bad = stream("{app=\"bad\"}", vec![entry(2 * HOUR, "lost")]);
        let good = stream("{app=\"good\"}", vec![entry(0, "kept")]);
        let streams = if last == "good" { vec![bad, good] } else { vec![good, bad] };
        assert_eq!(bench.push(streams).0, status);
        assert_eq!((bench.held("{app=\"bad\"}").0, bench.held("{app=\"good\"}").0), (1, 1));
    }
}

#[test]
fn what_is_no_push_is_refused_whole() {
    let good = || stream(r#"{app="good"}"#, vec![entry(0, "good")]);
    let mut bench = Bench::new(bare());
    let (status, text) = bench.push(vec![good(), stream("{a-b=\"c\"}", vec![entry(0, "x")])]);
    let wanted =
        "couldn't parse labels: 1:3: parse error: unexpected character inside braces: '-'\n";
    assert_eq!((status, text.as_str()), (400, wanted));
    let empty = "error at least one valid stream is required for ingestion\n";
    assert_eq!(bench.push(Vec::new()), (422, empty.to_owned()));
    let body = snap::raw::Encoder::new().compress_vec(&[0x0a, 0xff]).unwrap();
    let push = "/loki/api/v1/push";
    for (method, target, headers, body, status, text) in [
        ("POST", push, &[][..], b"{}".to_vec(), 400, "snappy: corrupt input\n"),
        (
            "POST",
            push,
            &[("content-type", "application/x-protobuf")],
            b"\xff\xff".to_vec(),
            400,
            "snappy: corrupt input\n",
        ),
        (
            "POST",
            push,
            &[("content-encoding", "zstd")],
            Vec::new(),
            400,
            "Content-Encoding \"zstd\" not supported\n",
        ),
        ("POST", push, &[], body, 400, "unexpected EOF\n"),
        ("GET", push, &[], Vec::new(), 404, "404 page not found\n"),
        ("POST", "/loki/api/v1/pusj", &[], Vec::new(), 404, "404 page not found\n"),
    ] {
        assert_eq!(bench.ask(method, target, headers, body), (status, text.to_owned()));
    }
    assert_eq!(bench.held(r#"{app="good"}"#), (0, 0));
}

#[test]
fn a_push_that_is_large_once_decoded_cannot_be_handed_on() {
    let mut bench = Bench::new(Settings { max_line_size: 8 << 20, ..Settings::raised() });
    let (status, text) = bench.push(vec![stream("{a=\"b\"}", vec![entry(0, "x".repeat(4 << 20))])]);
    let words =
        "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (";
    assert!(
        status == 500 && text.starts_with(words) && text.ends_with(" vs. 4194304)\n"),
        "{text}"
    );
}

#[test]
fn rates_and_the_number_of_streams_are_limited_with_429() {
    let one = |app: &str, count: usize| {
        stream(
            &format!("{{app=\"{app}\"}}"),
            (0..count).map(|_| entry(0, "x".repeat(990))).collect(),
        )
    };
    let rate = Settings { ingestion_rate_mb: 0.3, ingestion_burst_size_mb: 0.01, ..bare() };
    let (status, text) = Bench::new(rate).push(vec![one("a", 100)]);
    let wanted = "ingestion rate limit exceeded for user fake (limit: 314572 bytes/sec) while attempting to ingest '100' lines totaling '99000' bytes, reduce log volume or ";
    assert!(status == 429 && text.starts_with(wanted), "{text}");

    let rate = Settings {
        per_stream_rate_limit: 51_200.0,
        per_stream_rate_limit_burst: 51_200.0,
        ..bare()
    };
    let mut bench = Bench::new(rate);
    let (status, text) = bench.push(vec![one("p", 200)]);
    let wanted = "ignored, reason: 'Per stream rate limit exceeded (limit: 50KB/sec) while attempting to ingest for stream '{app=\"p\"}' totaling 990B, ";
    let end = "user 'fake', total ignored: 200 out of 200 for stream: {app=\"p\"}\n";
    assert!(status == 429 && text.contains(wanted) && text.ends_with(end), "{text}");
    assert_eq!((bench.held("{app=\"p\"}"), text.matches("entry with").count()), ((0, 0), 10));

    let mut bench = Bench::new(Settings { max_streams: 3, ..bare() });
    for app in ["s1", "s2", "s3"] {
        assert_eq!(bench.push(vec![one(app, 1)]).0, 204);
    }
    let (status, text) = bench.push(vec![one("s4", 1)]);
    let wanted = "maximum active stream limit exceeded when trying to create stream {app=\"s4\"}, reduce the number of active streams ";
    assert!(status == 429 && text.starts_with(wanted), "{text}");
    assert_eq!(bench.push(vec![one("s3", 1)]).0, 204, "streams that exist go on");
}

#[test]
fn a_repeat_is_hidden_in_a_log_query_and_counted_in_a_metric_until_its_stream_is_split() {
    let lines: Vec<_> = (0..3000).map(|n| entry(n, format!("{n:0100}"))).collect();
    let mut bench = Bench::new(bare());
    for _ in 0..3 {
        assert_eq!(bench.push(vec![stream("{a=\"b\"}", lines.clone())]).0, 204);
    }
    assert_eq!(bench.held("{a=\"b\"}"), (3000, 9000));
    let mut other = lines[0].clone();
    other.metadata = vec![Pair { name: "a-b.c".to_owned(), value: "x".to_owned() }];
    bench.push(vec![stream("{a=\"b\"}", vec![other])]);
    assert_eq!(bench.held("{a=\"b\"}"), (3001, 9001), "other metadata make another entry");
    let mut bench = Bench::new(Settings { shard_streams: true, ..bare() });
    for _ in 0..3 {
        bench.push(vec![stream("{a=\"b\"}", lines[..100].to_vec())]);
    }
    assert_eq!(bench.held("{a=\"b\"}"), (200, 300), "in two parts of the stream");
}

#[test]
fn lines_that_are_not_utf_8_are_shown_with_a_mark_and_metadata_among_the_labels() {
    let mut bench = Bench::new(bare());
    let mut odd = entry(0, b"a\xff\xfeb".to_vec());
    odd.metadata = vec![Pair { name: "a-b.c".to_owned(), value: "x".to_owned() }];
    assert_eq!(bench.push(vec![stream("{a=\"b\"}", vec![odd])]).0, 204);
    let target = format!(
        "/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&start={}&end={}",
        now() - HOUR,
        now()
    );
    let answer: Value =
        serde_json::from_str(&bench.ask("GET", &target, &[], Vec::new()).1).unwrap();
    let found = &answer["data"]["result"][0];
    assert_eq!(
        (&found["stream"]["a_b_c"], &found["values"][0][1]),
        (&"x".into(), &"a\u{fffd}\u{fffd}b".into())
    );
}

#[test]
fn tenants_are_named_properly_and_do_not_see_each_other() {
    let mut bench = Bench::new(Settings { auth_enabled: true, ..bare() });
    let long = "t".repeat(151);
    for (tenant, status, text) in [
        ("", 401, "no org id\n"),
        ("a|b", 400, "multiple org IDs present\n"),
        ("a b", 400, "tenant ID 'a b' contains unsupported character ' '\n"),
        ("a/b", 400, "tenant ID 'a/b' contains unsupported character '/'\n"),
        ("..", 400, "tenant ID is '.' or '..'\n"),
        (&long, 400, "tenant ID is too long: max 150 characters\n"),
    ] {
        let found =
            bench.ask("POST", "/loki/api/v1/push", &[("x-scope-orgid", tenant)], Vec::new());
        assert_eq!(found, (status, text.to_owned()));
    }
    let push = Push { streams: vec![stream("{a=\"b\"}", vec![entry(0, "x")])] };
    let body = snap::raw::Encoder::new().compress_vec(&push.encode_to_vec()).unwrap();
    let target = format!(
        "/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&start={}&end={}",
        now() - HOUR,
        now()
    );
    assert_eq!(bench.ask("POST", "/loki/api/v1/push", &[("x-scope-orgid", "one")], body).0, 204);
    for (tenant, seen) in [("one", true), ("two", false)] {
        let (_, text) = bench.ask("GET", &target, &[("x-scope-orgid", tenant)], Vec::new());
        assert_eq!(text.contains("\"values\""), seen, "{tenant}");
    }
}

#[test]
fn questions_have_limits_too() {
    let mut bench = Bench::new(bare());
    let day = 24 * HOUR;
    for (start, limit, words) in [
        (now() - HOUR, 5001, "max entries limit per query exceeded"),
        (now() - 31 * day, 10, "the query time range exceeds the limit"),
    ] {
        let target = format!(
            "/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&start={start}&end={}&limit={limit}",
            now()
        );
        let (status, text) = bench.ask("GET", &target, &[], Vec::new());
        assert!(status == 400 && text.starts_with(words), "{text}");
    }
}
