//! What an answer to a push means: one table, from what Loki 3.7 was seen to answer.
//!
//! Loki stores the good lines of a push that it answers with 400, and may have stored some before a 500: such a push
//! is looked up before anything of it is sent again.

use std::time::Duration;

use crate::output::http::excerpt;
use crate::output::{Reason, Verdict};

const LABELS: &str = "change `labels` of this output, or Loki's limits on label names and values";
const TENANT: &str = "set `tenant`, or the credentials that the gateway turns into one";
const METADATA: &str =
    "set `limits_config.allow_structured_metadata: true` in Loki, or `metadata = []` here";
const PATH: &str =
    "check `endpoint`: a base URL, to which /loki/api/v1/push is added, or the full push URL";
const RIGHTS: &str =
    "check basic_auth or bearer_token_file, and that they may write to this tenant";
const BODY: &str = "something between here and Loki changes the body, or this is no Loki: check `endpoint` and `proxy`";

/// What part of a body says which kind of refusal it is. The first match counts.
const REFUSALS: [(&str, Kind); 18] = [
    ("max entry size", Kind::Content),
    ("structured metadata too large", Kind::Content),
    ("too many structured metadata labels", Kind::Content),
    ("too far behind", Kind::Range),
    ("timestamp too old", Kind::Range),
    ("timestamp too new", Kind::Range),
    ("allow_structured_metadata", Kind::Setup(METADATA)),
    ("couldn't parse labels", Kind::Setup(LABELS)),
    ("label names; limit", Kind::Setup(LABELS)),
    ("label value too long", Kind::Setup(LABELS)),
    ("label name too long", Kind::Setup(LABELS)),
    ("duplicate label name", Kind::Setup(LABELS)),
    ("at least one label pair", Kind::Setup(LABELS)),
    ("org ID", Kind::Setup(TENANT)),
    ("tenant ID", Kind::Setup(TENANT)),
    ("snappy: corrupt", Kind::Setup(BODY)),
    ("unexpected EOF", Kind::Setup(BODY)),
    ("Content-Encoding", Kind::Setup(BODY)),
];

#[derive(Clone, Copy)]
enum Kind {
    /// Of some lines; the others are stored.
    Content,
    /// Of some lines, for their time; the others are stored.
    Range,
    /// Of the configuration; the hint says what to do.
    Setup(&'static str),
}

/// The verdict on a push.
pub(super) fn judge(status: u16, after: Option<Duration>, body: &[u8]) -> Verdict {
    let answer = || format!("{status} {}", excerpt(body));
    let retry = |reason| Verdict::Retry { after, reason, answer: answer() };
    let doubt = |reason| Verdict::Doubt { reason, answer: answer() };
    let stop = |hint: &str| Verdict::Stop { answer: answer(), hint: hint.to_owned() };
    let says = |what: &str| memchr::memmem::find(body, what.as_bytes()).is_some();
    match status {
        200..=299 => Verdict::Delivered,
        // Without stream sharding a rate limit of the stream takes the lines that fit.
        429 if says("Per stream rate limit") && !all_ignored(body) => doubt(Reason::Throttled),
        429 => retry(Reason::Throttled),
        400 => refused(body, answer()),
        401 => stop(if says("org id") { TENANT } else { RIGHTS }),
        403 | 407 => stop(RIGHTS),
        408 => doubt(Reason::Timeout),
        413 => Verdict::TooLarge { answer: answer() },
        // gRPC between distributor and ingester takes 4 MiB; with several ingesters some may have taken their part.
        500 if says("larger than max") => Verdict::Split { answer: answer() },
        // A gateway gave up waiting: what it forwarded may still be under way.
        502 | 504 => doubt(Reason::Timeout),
        500..=599 => doubt(Reason::ServerError),
        _ => stop(PATH),
    }
}

fn refused(body: &[u8], answer: String) -> Verdict {
    let kind =
        REFUSALS.iter().find(|(part, _)| memchr::memmem::find(body, part.as_bytes()).is_some());
    match kind.map(|(_, kind)| *kind) {
        Some(Kind::Setup(hint)) => Verdict::Stop { answer, hint: hint.to_owned() },
        Some(Kind::Range) => Verdict::OutOfRange { answer },
        // What is not known is taken for content: it is found by halving, and one odd line stops nothing.
        Some(Kind::Content) | None => Verdict::Split { answer },
    }
}

/// Whether `total ignored: 200 out of 200` says that no line was stored.
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
