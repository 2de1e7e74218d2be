//! Tests against small servers that hold events in memory and page through them as Loki and Elasticsearch do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::*;
use crate::config::{self, Auth, Compression, Http, Layout, SetupTemplate, Target, Tls};
use crate::event::LogName;
use crate::output::{Elasticsearch, Loki, Output};

const HOUR: i64 = 3_600_000;

fn http() -> Http {
    Http {
        tls: Tls::default(),
        auth: Auth::None,
        timeout: Duration::from_secs(5),
        proxy: None,
        headers: Vec::new(),
    }
}

type Answer = (StatusCode, String);

/// Starts a server on loopback that answers with `answer`.
async fn serve(answer: impl Fn(Uri, Value) -> Answer + Clone + Send + Sync + 'static) -> String {
    let handle = move |_: Method, uri: Uri, body: Bytes| {
        let answer = answer.clone();
        async move { answer(uri, serde_json::from_slice(&body).unwrap_or_default()) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(handle);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn log() -> LogName {
    LogName { cluster: None, node: "n".to_owned(), input: "i".to_owned() }
}

fn loki(endpoint: String) -> Output {
    let config = config::Loki::plain(http(), endpoint);
    Output::Loki(Box::new(Loki::new(&config, &log()).unwrap()))
}

fn elasticsearch(endpoint: String) -> Output {
    let config = config::Elasticsearch {
        http: http(),
        endpoints: vec![endpoint],
        target: Target::DataStream("logs-a-b".to_owned()),
        layout: Layout::Elastic,
        compression: Compression::None,
        query: Vec::new(),
        setup_template: SetupTemplate::Never,
    };
    Output::Elasticsearch(Box::new(Elasticsearch::new(&config, log(), None, &[]).unwrap()))
}

/// All events that a store shows, in the order of their arrival.
async fn all(output: &Output, until: i64) -> Result<Vec<Stored>, StoreError> {
    let stretches = [Stretch { since: 0, until: until / 2 }, Stretch { since: until / 2, until }];
    let digest = Digest::default();
    let store = output.queryable().unwrap();
    let store = Store::new(store, &digest, &stretches, &[output.scope()], 500);
    let mut store = store.patient(Duration::from_millis(400));
    let mut all = Vec::new();
    while let Some(millis) = store.peek().await? {
        while let Some(stored) = store.next(millis).await? {
            all.push(stored);
        }
    }
    assert!(all.is_sorted_by_key(|stored| stored.millis));
    Ok(all)
}

fn different(all: &[Stored]) -> usize {
    all.iter().map(|stored| stored.place).collect::<HashSet<_>>().len()
}

fn query(uri: &Uri) -> HashMap<String, String> {
    let url = url::Url::parse(&format!("http://x{uri}")).unwrap();
    url.query_pairs().into_owned().collect()
}

/// A Loki with limits on lines, bytes and the time range of a query.
fn as_loki(entries: &[(i64, String)], uri: &Uri) -> Answer {
    let query = query(uri);
    let number = |name: &str| query[name].parse::<i64>().unwrap();
    let (start, end, limit) = (number("start"), number("end"), number("limit"));
    if end - start > 10 * HOUR * MILLI {
        let text = "the query time range exceeds the limit (query length: 24h, limit: 10h)";
        return (StatusCode::BAD_REQUEST, text.to_owned());
    }
    if limit > 5000 {
        let text = "max entries limit per query exceeded, limit > max_entries_limit (6000 > 5000)";
        return (StatusCode::BAD_REQUEST, text.to_owned());
    }
    let within = entries.iter().filter(|(time, _)| (start..end).contains(time));
    let page: Vec<_> = within.take(usize::try_from(limit).unwrap()).collect();
    if page.iter().map(|(_, line)| line.len()).sum::<usize>() > 100_000 {
        let text = "grpc: received message larger than max (5 vs. 4)".to_owned();
        return (StatusCode::INTERNAL_SERVER_ERROR, text);
    }
    let values: Vec<_> = page.iter().map(|(time, line)| json!([time.to_string(), line])).collect();
    let result = json!([{"stream": {"job": "a"}, "values": values}]);
    let data = json!({"resultType": "streams", "result": result});
    (StatusCode::OK, json!({"status": "success", "data": data}).to_string())
}

#[tokio::test]
async fn loki_is_read_whole_whatever_its_limits_are_and_however_long_nothing_happened() {
    let mut entries: Vec<(i64, String)> = Vec::new();
    for at in 0..4000_i64 {
        let crowd = if at == 777 { 700 } else { 1 };
        let size = if at % 500 == 0 { 30_000 } else { 50 };
        let line = |n| format!("{{\"auditID\":\"{at}-{n}\",\"pad\":\"{}\"}}", "x".repeat(size));
        entries.extend((0..crowd).map(|n| (at * 1_500_000, line(n))));
    }
    // A hundred hours later.
    entries.push((100 * HOUR * MILLI, "the last".to_owned()));
    let held = Arc::new(entries);
    let (busy, store) = (Arc::new(Mutex::new(0)), Arc::clone(&held));
    let url = serve(move |uri, _| {
        let mut busy = busy.lock().unwrap();
        *busy += 1;
        if *busy % 7 == 3 {
            return (StatusCode::TOO_MANY_REQUESTS, "too many".to_owned());
        }
        as_loki(&store, &uri)
    })
    .await;
    let found = all(&loki(url), 101 * HOUR).await.unwrap();
    assert_eq!(different(&found), held.len());
    assert!(found.iter().all(|stored| !stored.gap));
}

#[tokio::test]
async fn copies_in_one_answer_are_two_and_one_copy_in_two_answers_is_one() {
    let entries: Vec<_> = (0..40).map(|at| (at / 4, format!("line {}", at / 2))).collect();
    let url = serve(move |uri, _| as_loki(&entries, &uri)).await;
    let found = all(&loki(url), HOUR).await.unwrap();
    assert_eq!(different(&found), 40);
}

#[tokio::test]
async fn a_store_that_stays_busy_or_says_no_ends_it_with_the_reason() {
    let url = serve(|_, _| (StatusCode::SERVICE_UNAVAILABLE, "resting".to_owned())).await;
    for output in [loki(url.clone()), elasticsearch(url)] {
        let error = all(&output, HOUR).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Patience { answer, .. } if answer.contains("503 resting")),
            "{error}"
        );
    }
    let no = r#"{"error":{"type":"security_exception","reason":"no"},"status":403}"#;
    let url = serve(move |_, _| (StatusCode::FORBIDDEN, no.to_owned())).await;
    let error = all(&elasticsearch(url), HOUR).await.unwrap_err().to_string();
    assert!(error.starts_with("the store cannot be asked: 403 security_exception"), "{error}");
    // A firewall's page says nothing about the content of the store.
    let url = serve(|_, _| (StatusCode::FORBIDDEN, "<html>no</html>".to_owned())).await;
    let error = all(&elasticsearch(url), HOUR).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Patience { answer, .. } if answer.contains("a firewall or proxy")),
        "{error}"
    );
    let url = serve(|_, _| (StatusCode::OK, r#"{"version":{"number":"8.9.0"}}"#.to_owned())).await;
    let error = all(&elasticsearch(url), HOUR).await.unwrap_err().to_string();
    assert!(error.contains("VictoriaLogs"), "{error}");
}

/// Documents by index, id and time.
type Documents = Vec<(&'static str, String, i64, String)>;

/// An Elasticsearch with two backing indices. Fields that the agent does not query are left out.
fn as_elasticsearch(
    documents: &Documents,
    scrolls: &Mutex<BTreeMap<String, (usize, usize)>>,
    uri: &Uri,
    body: &Value,
) -> Answer {
    let answer = |hits: Vec<Value>, scroll: &str| {
        let text = json!({
            "_scroll_id": scroll, "timed_out": false, "_shards": {"failed": 0}, "hits": {"hits": hits},
        });
        (StatusCode::OK, text.to_string())
    };
    let hit = |(index, id, time, source): &(&str, String, i64, String)| {
        let source: Value = serde_json::from_str(source).unwrap();
        json!({"_index": index, "_id": id, "sort": [time], "_source": source})
    };
    if uri.path() == "/_search/scroll" {
        let mut scrolls = scrolls.lock().unwrap();
        let (at, size) = scrolls.get_mut(body["scroll_id"].as_str().unwrap()).unwrap();
        let page = documents.iter().filter(|one| one.2 == 500).skip(*at).take(*size);
        *at += *size;
        return answer(page.map(hit).collect(), body["scroll_id"].as_str().unwrap());
    }
    if !uri.path().ends_with("/_search") {
        let caps = json!({"fields": {"host.name": {"keyword": {"searchable": true}}}});
        return (StatusCode::OK, caps.to_string());
    }
    let filter = &body["query"]["bool"]["filter"];
    let range = &filter[0]["range"]["@timestamp"];
    let (from, until) = (range["gte"].as_i64().unwrap(), range["lt"].as_i64().unwrap());
    let size = usize::try_from(body["size"].as_u64().unwrap()).unwrap();
    assert!(size <= 10_000 && filter[1]["match_phrase"]["host.name"] == "n");
    let within = documents.iter().filter(|one| (from..until).contains(&one.2));
    let page: Vec<_> = within.take(size).map(hit).collect();
    if query(uri).contains_key("scroll") {
        assert_eq!((from, until), (500, 501));
        scrolls.lock().unwrap().insert("a".to_owned(), (size, size));
        return answer(page, "a");
    }
    answer(page, "")
}

#[tokio::test]
async fn elasticsearch_is_read_whole_with_more_in_a_millisecond_than_a_page_holds() {
    let source = |node: &str, id: usize| {
        format!(
            r#"{{"host":{{"name":"{node}"}},"kubernetes":{{"audit":{{"kind":"Event","auditID":"{id}"}}}}}}"#
        )
    };
    let mut documents: Documents = Vec::new();
    for at in 0..3000 {
        documents.push(("one", format!("id-{at}"), i64::try_from(at).unwrap(), source("n", at)));
    }
    for at in 0..12_000 {
        documents.push(("one", format!("crowd-{at}"), 500, source("n", at)));
    }
    // The same id in another backing index, and a document that another node sent.
    documents.push(("two", "id-7".to_owned(), 7, source("n", 7)));
    documents.push(("two", "other".to_owned(), 8, source("m", 8)));
    documents.sort_by_key(|one| one.2);
    let wanted = documents.len() - 1;
    let (documents, scrolls) = (Arc::new(documents), Arc::<Mutex<_>>::default());
    let url = serve(move |uri, body| as_elasticsearch(&documents, &scrolls, &uri, &body)).await;
    let found = all(&elasticsearch(url), HOUR).await.unwrap();
    assert_eq!(different(&found), wanted);
}
