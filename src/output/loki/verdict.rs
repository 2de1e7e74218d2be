//! What an answer to a push means: one table, from the answers of Loki 1.6 to 3.7 and of `VictoriaLogs`. It says, for
//! instance, whether a 429 (rate limit, throttled) leads to a retry or to a look-up. The pipeline then waits: see
//! `pipeline/backoff.rs`.
//!
//! Only a 204 with an empty body counts as delivered. Only Loki's own words refuse an event; the words of a proxy, a
//! sign-in page or a firewall stop the output (`stranger.rs`). After a 400 in unknown words the push is halved, so that
//! the other events get through, and the event that remains waits for the operator.
//!
//! Loki stores the good lines of a push that it answers with 400, and may have stored some before a 500. The agent
//! looks up the events of such a push before it sends any of them again.

use super::urls::PUSH;
use crate::event::RetryReason;
use crate::output::http::{Response, excerpt};
use crate::output::{Verdict, stranger};

const LABELS: &str = "change `labels` of this output, or Loki's limits on label names and values";
const TENANT: &str = "set `tenant`, or the credentials that the gateway turns into one";
const METADATA: &str =
    "set `limits_config.allow_structured_metadata: true` in Loki, or `metadata = []` here";
const PATH: &str =
    "check `endpoint`: a base URL, to which /loki/api/v1/push is added, or the full push URL";
const RIGHTS: &str =
    "check basic_auth or bearer_token_file, and that they may write to this tenant";
const BODY: &str = "something between here and Loki changes the body, or this is no Loki: check `endpoint` and `proxy`";
const BLOCKED: &str = "Loki's administrator has blocked ingestion for this tenant: see `block_ingestion_until` in Loki's limits";
pub(in crate::output) const AHEAD: &str = "the time of these events is ahead of the store's clock: check the clock of this node (NTP) and the store's; \
     they are sent again until the store takes them";

/// Loki's answer to a push without streams.
const NO_STREAMS: &str = "error at least one valid stream is required for ingestion";

/// How Loki's answer begins if it refuses some lines of a push, and what else it contains. The first match counts.
const REFUSALS: [(&str, &str, RefusalKind); 7] = [
    ("max entry size", "bytes exceeded for stream", RefusalKind::Content),
    ("stream '", "has structured metadata too large", RefusalKind::Content),
    ("stream '", "has too many structured metadata labels", RefusalKind::Content),
    ("entry with timestamp ", "entry too far behind", RefusalKind::Range),
    ("entry with timestamp ", "entry out of order", RefusalKind::Range),
    ("entry for stream '", "has timestamp too old", RefusalKind::Range),
    ("entry for stream '", "has timestamp too new", RefusalKind::Ahead),
];

/// Parts of a 400 answer, anywhere in it, that show a wrong configuration of the agent or of Loki; each with the hint.
const SETUP: [(&str, &str); 15] = [
    ("allow_structured_metadata", METADATA),
    ("couldn't parse labels", LABELS),
    ("rror parsing labels", LABELS),
    ("label names; limit", LABELS),
    ("label value too long", LABELS),
    ("label name too long", LABELS),
    ("duplicate label name", LABELS),
    ("at least one label pair", LABELS),
    ("missing required labels", LABELS),
    ("ingestion blocked for user", BLOCKED),
    ("org ID", TENANT),
    ("tenant ID", TENANT),
    ("snappy: corrupt", BODY),
    ("unexpected EOF", BODY),
    ("Content-Encoding", BODY),
];

#[derive(Clone, Copy)]
enum RefusalKind {
    /// Loki refuses some lines for their content and stores the others.
    Content,
    /// Loki refuses some lines for their time and stores the others.
    Range,
    /// The same for lines ahead of Loki's clock, which it will take later.
    Ahead,
}

/// The verdict on a push.
pub(super) fn judge(response: &Response) -> Verdict {
    let Response { status, retry_after: after, body, .. } = response;
    let (status, after) = (*status, *after);
    let answer = || stranger::shown(response);
    let retry = |reason| Verdict::Retry { after, reason, answer: answer() };
    let doubt = |reason| Verdict::Doubt { reason, answer: answer() };
    let stop = |hint: &str| Verdict::Stop { answer: answer(), hint: hint.to_owned() };
    let says = |what: &str| memchr::memmem::find(body, what.as_bytes()).is_some();
    match status {
        204 if body.is_empty() => Verdict::Delivered,
        // Loki answers a tenant whose ingestion is blocked with status 260 by default.
        200..=299 if begins(response, "ingestion blocked for user") => stop(BLOCKED),
        200..=299 => strange(response),
        // Without stream sharding, the rate limit of a stream accepts the lines that fit and ignores the others.
        429 if says("Per stream rate limit") && !all_ignored(body) => doubt(RetryReason::Throttled),
        429 => retry(RetryReason::Throttled),
        400 => refused(response),
        401 if says("org id") => stop(TENANT),
        401 | 403 if !stranger::is_page(response) => stop(RIGHTS),
        408 => doubt(RetryReason::Timeout),
        413 => {
            Verdict::TooLarge { own: begins(response, "request body too large"), answer: answer() }
        }
        // gRPC between distributor and ingester accepts 4 MiB; with several ingesters some may have stored their part.
        500 if says("larger than max") => {
            Verdict::Split { own: begins(response, "rpc error: "), answer: answer() }
        }
        // A gateway timed out: the request that it forwarded may still be in flight.
        502 | 504 => doubt(RetryReason::Timeout),
        500..=599 => doubt(RetryReason::ServerError),
        422 if begins(response, NO_STREAMS) => stop(PATH),
        ..200 | 600.. => strange(response),
        _ => Verdict::Stop { answer: answer(), hint: stranger::way_out(response, "Loki", PUSH) },
    }
}

/// Whether the answer to a push without streams is in Loki's own words.
pub(super) fn refuses_nothing(response: &Response) -> bool {
    response.status == 422 && begins(response, NO_STREAMS)
}

/// Whether the answer to a push without streams is like that of Loki, of `VictoriaLogs` or of an old Loki.
pub(super) fn takes_nothing(response: &Response) -> bool {
    let quiet = response.body.is_empty() || is_plain(response);
    matches!(response.status, 204 | 422) && quiet
        || response.status == 400 && is_plain(response) && !stranger::wants_tls(response)
}

/// Whether a push that cannot be decoded was refused by a server that decodes pushes; `VictoriaLogs` does that too.
pub(super) fn refuses_garbage(response: &Response) -> bool {
    response.status == 400
        && (begins(response, "snappy: corrupt input")
            || begins(response, "cannot read Loki protobuf data"))
}

fn refused(response: &Response) -> Verdict {
    let answer = stranger::shown(response);
    let says = |what: &str| memchr::memmem::find(&response.body, what.as_bytes()).is_some();
    if !is_plain(response) {
        return strange(response);
    }
    if let Some((_, hint)) = SETUP.iter().find(|(part, _)| says(part)) {
        return Verdict::Stop { answer, hint: (*hint).to_owned() };
    }
    let known = REFUSALS.iter().find(|(start, part, _)| begins(response, start) && says(part));
    match known.map(|(_, _, kind)| *kind) {
        Some(RefusalKind::Content) => Verdict::Split { own: true, answer },
        Some(RefusalKind::Range) => Verdict::OutOfRange { answer },
        Some(RefusalKind::Ahead) => Verdict::Wait { answer, hint: AHEAD.to_owned() },
        None if stranger::wants_tls(response) => strange(response),
        None => Verdict::Split { own: false, answer },
    }
}

/// Probably not an answer of Loki, so nobody knows whether the push was processed.
fn strange(response: &Response) -> Verdict {
    let hint = stranger::way_out(response, "Loki", PUSH);
    Verdict::Stranger { answer: stranger::shown(response), hint }
}

/// Whether the answer is plain text and not empty, as Loki's refusals are.
fn is_plain(response: &Response) -> bool {
    response.may_be("text/plain")
        && !stranger::is_page(response)
        && !response.body.trim_ascii().is_empty()
}

/// Whether the answer is plain text that begins with `what`, whatever the case of the letters. Some Loki versions wrap
/// their words: `rpc error: code = Code(400) desc = …`, `3 errors like: …`.
fn begins(response: &Response, what: &str) -> bool {
    let text = excerpt(&response.body);
    let fits =
        |text: &str| text.get(..what.len()).is_some_and(|start| start.eq_ignore_ascii_case(what));
    let unwrapped = text.strip_prefix("rpc error: code = Code(").and_then(|rest| {
        let (_, rest) = rest.split_once(") desc = ")?;
        Some(rest)
    });
    let counted = text
        .split_once(" errors like: ")
        .filter(|(count, _)| !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()));
    is_plain(response)
        && (fits(&text)
            || unwrapped.is_some_and(fits)
            || counted.is_some_and(|(_, rest)| fits(rest)))
}

/// Whether `total ignored: 200 out of 200` says that Loki stored no line.
fn all_ignored(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let Some((_, counts)) = text.rsplit_once("total ignored: ") else { return false };
    let number = |text: &str| {
        text.split(|char: char| !char.is_ascii_digit())
            .next()
            .and_then(|digits| digits.parse::<u64>().ok())
    };
    match counts.split_once(" out of ") {
        Some((ignored, all)) => number(ignored).is_some_and(|ignored| Some(ignored) == number(all)),
        None => false,
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
