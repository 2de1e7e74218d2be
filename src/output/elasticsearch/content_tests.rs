use super::super::tests::{batch, configured, log, picks};
use super::*;
use crate::config::Compression;

const EVENT: &str = r#"{"kind":"Event","auditID":"a","stage":"Panic","requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:22.612771Z"}"#;

fn document(event: &str) -> Value {
    json!({ "kubernetes": { "audit": serde_json::from_str::<Value>(event).unwrap() } })
}

/// Which of the lines are found among the documents.
fn found(lines: &[&str], documents: &[Value]) -> Vec<bool> {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    let batch = batch(&lines);
    let records = (0..lines.len()).map(|index| batch.record(index)).collect();
    let mut wanted = Wanted::new(records, vec![false; lines.len()]);
    for document in documents {
        wanted.put(document);
    }
    wanted.found
}

#[test]
fn each_document_stands_for_one_event() {
    let other = EVENT.replace("Panic", "ResponseComplete");
    let documents = [document(EVENT), serde_json::from_str(&other).unwrap()];
    assert_eq!(found(&[EVENT, EVENT, &other], &documents), [true, false, true]);
    let thrice = [document(EVENT), document(EVENT), document(EVENT)];
    assert_eq!(found(&[EVENT, EVENT, &other], &thrice), [true, true, false]);
}

#[test]
fn what_is_no_event_of_ours_is_passed_over() {
    let odd =
        [json!(null), json!({"auditID": 7}), json!({"kubernetes": []}), json!({"stage": "x"})];
    assert_eq!(found(&[EVENT, "no event"], &odd), [false, false]);
    // The safe form leaves out an invalid time.
    let untimed = EVENT.replace("2026-11-21T06:25:22.612771Z", "noon");
    let stored = json!({"auditID": "a", "stage": "Panic", "requestReceivedTimestamp": "2026-11-21T06:25:22.533537Z"});
    assert_eq!(found(&[&untimed], &[stored]), [true]);
}

#[test]
fn the_remains_of_an_event_do_not_stand_for_it() {
    let mut batch = batch(&[EVENT.as_bytes()]);
    for (whole, expected) in
        [(RecordKind::Event, true), (RecordKind::Torn, false), (RecordKind::Gap, false)]
    {
        batch.events[0].whole = whole;
        let position = crate::event::Position { whole, ..batch.position(0) };
        assert_eq!(is_whole(&position.id()), expected);
        assert_eq!(audit_id(batch.record(0)).is_some(), expected);
    }
    assert!(is_whole("of another agent") && is_whole(""));
}

#[test]
fn a_question_is_halved_until_nothing_is_left_to_halve_and_every_moment_is_asked_for_once() {
    let mut open = vec![Part { ids: 0..3, times: 10..21, untimed: true }];
    let mut last = Vec::new();
    while let Some(part) = open.pop() {
        let shown = (part.ids.clone(), part.times.clone(), part.untimed, part.is_last());
        match part.halves() {
            Some(halves) => open.extend(halves),
            None => last.push(shown),
        }
    }
    assert!(last.iter().all(|(ids, times, _, is_last)| ids.len() == 1
        && times.end - times.start == 1
        && *is_last));
    assert_eq!(last.len(), 3 * 11);
    assert_eq!(last.iter().filter(|(.., untimed, _)| *untimed).count(), 3);
}

/// A server whose answer depends on the path.
async fn server(caps: &'static str, searches: &'static [&'static str]) -> Elasticsearch {
    use axum::Router;
    use axum::http::Uri;
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let asked = std::sync::Arc::new(asked);
    let answer = move |uri: Uri| {
        let path = uri.path().to_owned();
        let next = path
            .ends_with("_search")
            .then(|| asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        async move {
            match next {
                Some(at) => searches[at.min(searches.len() - 1)],
                None if path.ends_with("_field_caps") => caps,
                None => r#"{"_shards":{"failed":0}}"#,
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    Elasticsearch::new(&configured(&[url], Compression::None), log(), None, &[]).unwrap()
}

const NONE: &str = r#"{"timed_out":false,"_shards":{"failed":0},"hits":{"total":{"value":0}}}"#;
const ONE: &str = r#"{"timed_out":false,"_shards":{"failed":0},"hits":{"total":{"value":1},"hits":[{"_id":"x","_source":{"kubernetes":{"audit":{"auditID":"a","stage":"Panic","requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:22.612771Z"}}}}]}}"#;
const FAILED: &str = r#"{"timed_out":false,"_shards":{"failed":1},"hits":{"total":{"value":0}}}"#;
const KEYWORD: &str = r#"{"fields":{"kubernetes.audit.auditID":{"keyword":{"searchable":true}}}}"#;
const TEXT: &str = r#"{"fields":{"auditID":{"text":{"searchable":true}}}}"#;

#[tokio::test]
async fn an_event_under_another_id_is_found_and_nothing_is_missing_while_that_is_not_sure() {
    let cases: [(&str, &[&str], &str); 6] = [
        (KEYWORD, &[NONE, ONE], "Found([true, false])"),
        (KEYWORD, &[NONE, NONE], "Found([false, false])"),
        (KEYWORD, &[NONE, FAILED], "Retry"),
        (TEXT, &[NONE, ONE], "Unavailable"),
        ("{}", &[NONE, NONE], "Found([false, false])"),
        (KEYWORD, &[FAILED], "Retry"),
    ];
    for (caps, searches, expected) in cases {
        let store = server(caps, searches).await;
        let mut batch = batch(&[EVENT, EVENT].map(str::as_bytes));
        batch.by_content = true;
        let found = store.look_up("x", &batch, &picks(2), true).await;
        assert!(format!("{found:?}").starts_with(expected), "{searches:?}: {found:?}");
    }
}
