//! The table of Falco's answers: `source.go` of the plugin k8saudit (falcosecurity/plugins), as of 0.18.
//!
//! Falco never answers what its parser says of a body. It refuses a body before it reads events in it: a wrong method,
//! a wrong media type, too many bytes. So after a refusal nothing of the body was taken.

use crate::event::RetryReason;
use crate::output::http::Response;
use crate::output::{Verdict, stranger};

const PATH: &str = "Falco does not listen at this path: write the address and the path that `open_params` of the plugin k8saudit gives, such as \
    http://HOST:9765/k8s-audit";
const MEDIA_TYPE: &str =
    "a proxy in front of Falco changes the header Content-Type: let it pass as it is";

/// What an answer means for all events of a request.
pub(super) fn judge(response: &Response) -> Verdict {
    let answer = || stranger::shown(response);
    let retry = |reason| Verdict::Retry { after: response.retry_after, reason, answer: answer() };
    match response.status {
        200 if response.body.is_empty() => Verdict::Delivered,
        400 if stranger::wants_tls(response) || stranger::is_page(response) => stop(response),
        400 if says(response, "wrong Content Type") => {
            Verdict::Stop { answer: answer(), hint: MEDIA_TYPE.to_owned() }
        }
        400 => Verdict::TooLarge { own: says(response, "bad request: "), answer: answer() },
        404 => Verdict::Stop { answer: answer(), hint: PATH.to_owned() },
        413 => Verdict::TooLarge { own: false, answer: answer() },
        408 => retry(RetryReason::Timeout),
        429 => retry(RetryReason::Throttled),
        500..=599 => retry(RetryReason::ServerError),
        _ => stop(response),
    }
}

/// Whether this is Falco's answer to a method that it does not take.
pub(super) fn is_falco(response: &Response) -> bool {
    response.status == 405 && says(response, "GET method not allowed")
}

/// Something other than Falco answered. It stops the output; nobody can be asked what became of the body.
pub(super) fn stop(response: &Response) -> Verdict {
    let hint = match response.status {
        405 => PATH.to_owned(),
        _ => stranger::way_out(response, "Falco", ""),
    };
    Verdict::Stop { answer: stranger::shown(response), hint }
}

/// Whether the answer begins with these words, as Go's `http.Error` writes them.
fn says(response: &Response, words: &str) -> bool {
    response.may_be("text/plain") && response.body.trim_ascii_start().starts_with(words.as_bytes())
}
