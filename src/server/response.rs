//! The form of every answer over HTTP: its headers.

use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn answer(status: StatusCode, kind: &'static str, body: String) -> Response {
    // The page runs and loads nothing; this policy makes the browser enforce that.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, policy),
        // A client that asks again must connect again, and queues behind those who wait.
        (CONNECTION, "close"),
    ];
    (status, headers, body).into_response()
}
