//! The routes: `/metrics`, `/livez`, `/readyz`, `/status`, and the page at `/`. Each answers GET and HEAD.
//!
//! Clients are not authenticated, so every page shows the public view: only the status code of a back end's answer.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::accept;
use super::hosts::{self, Hosts};
use super::page::{POLICY, PageData, document, fragment};
use super::response::{self, TEXT, answer};
use crate::telemetry::{Telemetry, Time};

#[derive(Clone)]
struct RouteState {
    telemetry: Telemetry,
    unready_after: Duration,
}

pub(super) fn router(telemetry: Telemetry, unready_after: Duration, hosts: Hosts) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .method_not_allowed_fallback(|| async {
            answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".into())
        })
        .fallback(|| async {
            let paths = "not found: there are / /metrics /livez /readyz /status\n";
            answer(StatusCode::NOT_FOUND, TEXT, paths.into())
        })
        .with_state(RouteState { telemetry, unready_after })
        .layer(from_fn_with_state(hosts, hosts::check))
}

/// `?fragment` is the part that changes, which the page's script asks for.
async fn page(State(asked): State<RouteState>, uri: Uri) -> Response {
    let now = Time::now();
    let snapshot = asked.telemetry.public_snapshot(now, asked.unready_after);
    let data = PageData { snapshot: &snapshot, hour: &asked.telemetry.last_hour(now) };
    let html = if has_key(&uri, "fragment") { fragment(&data) } else { document(&data) };
    response::page(&POLICY, html)
}

/// Whether the query of a URL has a key that begins like this.
fn has_key(uri: &Uri, name: &str) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|key| key.starts_with(name)))
}

async fn metrics(State(asked): State<RouteState>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = accept::format(accepted);
    let body = asked.telemetry.metrics(format, Time::now(), asked.unready_after);
    ([(VARY, "accept")], answer(StatusCode::OK, format.content_type(), body)).into_response()
}

async fn status(State(asked): State<RouteState>) -> Response {
    let snapshot = asked.telemetry.public_snapshot(Time::now(), asked.unready_after);
    match serde_json::to_string_pretty(&snapshot) {
        Ok(body) => answer(StatusCode::OK, "application/json", body + "\n"),
        Err(error) => failed(&error),
    }
}

/// Fails only if the agent itself is stuck; whatever it waits for belongs to `/readyz`.
async fn livez(State(asked): State<RouteState>) -> Response {
    let stuck = asked.telemetry.liveness(Instant::now());
    if stuck.is_empty() {
        return answer(StatusCode::OK, TEXT, "ok\n".into());
    }
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, stuck.join("\n") + "\n")
}

/// `?verbose` adds the verdict and lists every check, as the API server's own `/readyz` does.
async fn readyz(State(asked): State<RouteState>, uri: Uri) -> Response {
    let now = Time::now();
    let checks = asked.telemetry.public_checks(now, asked.unready_after);
    let verbose = has_key(&uri, "verbose");
    let mut body = String::new();
    if verbose {
        let _ = writeln!(body, "trail {}", asked.telemetry.verdict_of(&checks, now));
    }
    for check in &checks {
        // Writing to a String cannot fail.
        let _ = match &check.problem {
            Some(problem) if verbose => writeln!(body, "[-]{}: {problem}", check.name),
            Some(problem) => writeln!(body, "{problem}"),
            None if verbose => writeln!(body, "[+]{} ok{}", check.name, check.note),
            None => Ok(()),
        };
        for warning in check.warnings.iter().filter(|_| verbose) {
            let _ = writeln!(body, "[!]{}: {warning}", check.name);
        }
    }
    if checks.iter().any(|check| check.problem.is_some()) {
        return answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, body);
    }
    answer(StatusCode::OK, TEXT, body + "ok\n")
}

fn failed(error: &dyn std::error::Error) -> Response {
    answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n"))
}
