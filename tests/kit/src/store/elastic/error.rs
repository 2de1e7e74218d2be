//! Errors of the server, for a whole request or for one item of a bulk.

use serde_json::{Value, json};

use super::super::http::Answer;

#[derive(Clone, Debug)]
pub(super) struct Error {
    pub(super) status: u16,
    kind: &'static str,
    pub(super) reason: String,
    /// The body, where it does not have the usual form.
    body: Option<Value>,
}

impl Error {
    pub(super) fn whole(status: u16, kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status, kind, reason: reason.into(), body: None }
    }

    pub(super) fn illegal(reason: impl Into<String>) -> Self {
        Self::whole(400, "illegal_argument_exception", reason)
    }

    pub(super) fn parsing(reason: impl Into<String>) -> Self {
        Self::whole(400, "document_parsing_exception", reason)
    }

    pub(super) fn no_index(name: &str) -> Self {
        Self::whole(404, "index_not_found_exception", format!("no such index [{name}]"))
    }

    pub(super) fn not_supported(kind: &str) -> Self {
        let error = format!("Content-Type header [{kind}] is not supported");
        let body = Some(json!({"error": error, "status": 406}));
        Self { body, ..Self::whole(406, "", error) }
    }

    pub(super) fn no_handler(uri: &str, method: &str) -> Self {
        let error = format!("no handler found for uri [{uri}] and method [{method}]");
        Self { body: Some(json!({"error": error})), ..Self::whole(400, "", error) }
    }

    /// The error in the form that an item of a bulk has.
    pub(super) fn item(&self) -> Value {
        json!({"type": self.kind, "reason": self.reason})
    }

    pub(super) fn answer(self) -> Answer {
        let cause = self.item();
        let mut error = cause.clone();
        error["root_cause"] = json!([cause]);
        let body = self.body.unwrap_or_else(|| json!({"error": error, "status": self.status}));
        let mut answer = Answer::json(self.status, &body);
        if self.status == 401 {
            for scheme in ["Basic realm=\"security\", charset=\"UTF-8\"", "ApiKey"] {
                answer.headers.push(("www-authenticate", scheme.to_owned()));
            }
        }
        answer
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn unparsable(error: serde_json::Error) -> Error {
    Error::whole(400, "x_content_parse_exception", error.to_string())
}
