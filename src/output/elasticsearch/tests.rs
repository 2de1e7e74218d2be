//! Batches made by hand, and what the pipeline sees if a server misbehaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};

use super::*;
use crate::config::{Auth, Http, Layout, SetupTemplate, Target, Tls};
use crate::event::{
    Event, Fields, Fingerprint, Form, RecordKind, RetryReason, Span, TransformStats, rfc3339,
};
use crate::json::{blank, members};

pub(super) const RECORDED: &str = include_str!("../../../tests/data/audit-events.ndjson");

/// The lines as one batch; their fields are found by name.
pub(in crate::output) fn batch(lines: &[&[u8]]) -> Batch {
    let mut bytes = Vec::new();
    let mut events = Vec::new();
    for line in lines {
        let start = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(line);
        let fields = fields(line);
        let time = Some(fields.stage_time)
            .and_then(|at| rfc3339(&line[at.start as usize..at.end as usize]))
            .unwrap_or(0);
        let line = Span { start, end: u32::try_from(bytes.len()).unwrap() };
        let form =
            if bytes[start as usize..].starts_with(b"{") { Form::Json } else { Form::Unreadable };
        events.push(Event {
            offset: u64::from(start),
            whole: RecordKind::Event,
            form,
            line,
            time,
            fields,
            depth: deepest(&bytes[start as usize..]),
        });
        bytes.push(b'\n');
    }
    let end = bytes.len() as u64;
    let (generation, earlier) = (Fingerprint([7; 16]), Vec::new());
    Batch { generation, earlier, start: 0, end, bytes, events, passed: TransformStats::default() }
}

fn deepest(line: &[u8]) -> u32 {
    let mut depth = 0_i64;
    let most = line.iter().map(|byte| {
        depth += i64::from(matches!(byte, b'{' | b'[')) - i64::from(matches!(byte, b'}' | b']'));
        depth
    });
    u32::try_from(most.max().unwrap_or(0).max(0)).unwrap()
}

fn fields(line: &[u8]) -> Fields {
    let mut fields = Fields::default();
    members(line, blank(line, 0), |name, value| {
        let place = match name {
            b"level" => &mut fields.level,
            b"auditID" => &mut fields.audit_id,
            b"stage" => &mut fields.stage,
            b"requestURI" => &mut fields.request_uri,
            b"verb" => &mut fields.verb,
            b"user" => &mut fields.user,
            b"impersonatedUser" => &mut fields.impersonated_user,
            b"sourceIPs" => &mut fields.source_ips,
            b"userAgent" => &mut fields.user_agent,
            b"objectRef" => &mut fields.object_ref,
            b"responseStatus" => &mut fields.response_status,
            b"requestObject" => &mut fields.request_object,
            b"responseObject" => &mut fields.response_object,
            b"requestReceivedTimestamp" => &mut fields.received,
            b"stageTimestamp" => &mut fields.stage_time,
            b"annotations" => &mut fields.annotations,
            _ => return,
        };
        *place = value.at;
        members(line, value.at.start as usize, |inner, value| match (name, inner) {
            (b"user", b"username") => fields.username = value.at,
            (b"objectRef", b"resource") => fields.resource = value.at,
            (b"objectRef", b"subresource") => fields.subresource = value.at,
            (b"objectRef", b"namespace") => fields.namespace = value.at,
            (b"objectRef", b"name") => fields.name = value.at,
            (b"responseStatus", b"code") => fields.code = value.at,
            _ => (),
        });
    });
    fields
}

pub(in crate::output) fn picks(count: usize) -> Vec<EventRef> {
    (0..count).map(|event| EventRef::new(u32::try_from(event).unwrap())).collect()
}

pub(in crate::output) fn configured(
    endpoints: &[String],
    compression: Compression,
) -> config::Elasticsearch {
    config::Elasticsearch {
        http: Http {
            tls: Tls::default(),
            auth: Auth::None,
            timeout: Duration::from_secs(2),
            proxy: None,
            headers: Vec::new(),
        },
        endpoints: endpoints.to_vec(),
        target: Target::DataStream("logs-kubernetes.audit_logs-default".to_owned()),
        layout: Layout::Elastic,
        compression,
        query: Vec::new(),
        setup_template: SetupTemplate::Never,
    }
}

pub(in crate::output) fn log() -> LogName {
    LogName { cluster: None, node: "cp-1".to_owned(), input: "api".to_owned() }
}

/// A server that gives every request the same answer, and a counter of its requests.
async fn server(status: u16, body: &'static str) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let answer = move |_: Uri| {
        counter.fetch_add(1, Ordering::SeqCst);
        let named = [("x-elastic-product", "Elasticsearch")];
        async move { (StatusCode::from_u16(status).unwrap(), named, body) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (url, asked)
}

/// An address where no server listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

const STORED: &str = r#"{"errors":false,"items":[{"create":{"status":201}}]}"#;

async fn sent(endpoints: &[String]) -> (Elasticsearch, Answer) {
    let store =
        Elasticsearch::new(&configured(endpoints, Compression::Gzip), log(), None, &[]).unwrap();
    let answer = store.send(&batch(&[b"{}"]), &picks(1)).await;
    (store, answer)
}

#[tokio::test]
async fn the_next_endpoint_takes_over_at_once_where_nothing_was_sent() {
    let (good, asked) = server(200, STORED).await;
    let (store, answer) = sent(&[nobody().await, good]).await;
    assert_eq!(answer, Answer::Each(vec![Verdict::Delivered]));
    store.send(&batch(&[b"{}"]), &picks(1)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_of_5xx_leaves_doubt_and_the_next_request_goes_elsewhere() {
    let (bad, asked_bad) = server(502, "bad gateway").await;
    let (good, asked_good) = server(200, STORED).await;
    let (store, answer) = sent(&[bad, good]).await;
    assert!(
        matches!(answer, Answer::Whole(Verdict::Doubt { reason: RetryReason::ServerError, .. })),
        "{answer:?}"
    );
    let answer = store.send(&batch(&[b"{}"]), &picks(1)).await;
    assert_eq!(answer, Answer::Each(vec![Verdict::Delivered]));
    assert_eq!((asked_bad.load(Ordering::SeqCst), asked_good.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn with_no_endpoint_up_each_is_tried_once_and_nothing_is_in_doubt() {
    let (_, answer) = sent(&[nobody().await, nobody().await]).await;
    assert!(
        matches!(answer, Answer::Whole(Verdict::Retry { reason: RetryReason::Connect, .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_look_up_tells_missing_index_from_missing_interface() {
    let cases = [
        (
            404,
            r#"{"error":{"type":"index_not_found_exception","reason":"no such index [x]"},"status":404}"#,
            "Ok([false])",
        ),
        // No store answers at the moment, so what it holds is as unknown as before.
        (404, "404 page not found", "Err(Retry"),
        (403, "<html>Request blocked", "Err(Retry"),
        (302, "", "Err(Retry"),
        (200, "<html>Sign in", "Err(Retry"),
        (200, "{}", "Err(Retry"),
        (403, r#"{"error":{"type":"security_exception"},"status":403}"#, "Err(Unavailable"),
        (429, "", "Err(Retry"),
        (503, "", "Err(Retry"),
        (200, "", "Err(Unavailable"),
        (200, r#"{"_shards":{"failed":1}}"#, "Err(Retry"),
    ];
    for (status, body, expected) in cases {
        let (url, _) = server(status, body).await;
        let store =
            Elasticsearch::new(&configured(&[url], Compression::None), log(), None, &[]).unwrap();
        let found = look_up(&store, "x", &batch(&[b"{}"]), &picks(1), true).await;
        assert!(format!("{found:?}").starts_with(expected), "{status} {body}: {found:?}");
    }
}
