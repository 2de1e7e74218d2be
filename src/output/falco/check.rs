//! The `check` of a Falco output. It sends no event: Falco refuses a `GET` in words of its own.

use ::http::Method;
use bytes::Bytes;

use super::{Falco, verdict};
use crate::output::finding::Finding;
use crate::output::{Verdict, stranger};

/// Runs the check.
pub(in crate::output) async fn check(falco: &Falco) -> Vec<Finding> {
    let reached = reach(falco).await;
    if reached.is_failure() {
        return vec![reached];
    }
    vec![
        reached,
        Finding::warn(
            "Falco acknowledges what it has queued, and knows no repeats: one body may come twice after a kill, and what stands in its \
             queue when it dies is lost",
            "nothing to do if single repeated alerts are fine; `resend_window` repeats more of them rather than missing one",
        ),
    ]
}

async fn reach(falco: &Falco) -> Finding {
    let response = match falco.ask(Method::GET, Vec::new(), Bytes::new()).await {
        Ok(response) => response,
        Err(failure) => return failure.finding("Falco runs with the plugin k8saudit"),
    };
    if verdict::is_falco(&response) {
        return Finding::ok("Falco's plugin k8saudit answers at this URL");
    }
    let answer = stranger::shown(&response);
    match verdict::judge(&response) {
        Verdict::Retry { .. } => {
            Finding::fail(format!("takes no events now: {answer}"), "see Falco's own log")
        }
        Verdict::Stop { hint, .. } => Finding::fail(format!("refuses events: {answer}"), hint),
        _ => Finding::fail(
            format!("this may not be Falco: it answered {answer}"),
            stranger::way_out(&response, "Falco", ""),
        ),
    }
}
