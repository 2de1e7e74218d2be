//! The form of every answer over HTTP: its headers.

use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn answer(status: StatusCode, kind: &'static str, body: String) -> Response {
    // No answer but the page runs or applies anything; `page` puts its own policy in place of this one.
    let policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, policy),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // A client that asks again must connect again, and queues behind those who wait.
        (CONNECTION, "close"),
    ];
    (status, headers, body).into_response()
}

/// An answer in HTML that the browser treats as this policy says.
pub(super) fn page(policy: &str, body: String) -> Response {
    let mut page = answer(StatusCode::OK, "text/html; charset=utf-8", body);
    // The policy is ASCII; without it the strict one of every answer stays.
    if let Ok(policy) = HeaderValue::from_str(policy) {
        page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    page
}
