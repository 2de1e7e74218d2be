//! What an answer to `_bulk` means: one table for Elasticsearch, `OpenSearch` and `VictoriaLogs`.
//!
//! Two questions decide. *Was it stored?* If nobody can say, it is looked up before it is sent again. *Whose fault is
//! it?* An event's content leads to the safe form and then to a dead letter; the configuration's, here or on the
//! server, stops the pipeline. Unknown refusals of a document count as content: otherwise one odd event could stop
//! everything; where every document is refused so, the pipeline's circuit stops it. Reasons may quote the event, so they are compared from their beginning only.

use std::time::Duration;

use serde::Deserialize;

use crate::output::http::excerpt;
use crate::output::{Answer, Reason, Verdict};

/// Most bytes that are read of an answer to so many documents. One that reaches it was cut: fewer are sent next time.
pub(in crate::output) fn most(documents: u64) -> usize {
    usize::try_from((1 << 20) + documents * 512).unwrap_or(usize::MAX)
}

pub(super) const CREDENTIALS: &str = "check api_key_file, basic_auth or bearer_token_file: the server does not know these credentials";
const RIGHTS: &str = "give these credentials create_doc (and auto_configure) on the target, and read and maintenance for look-ups";

/// The part of a bulk answer that `filter_path` lets through.
#[derive(Deserialize)]
struct Bulk {
    items: Vec<Item>,
}

/// One key, the operation. `VictoriaLogs` answers with the same shape.
#[derive(Deserialize)]
struct Item {
    #[serde(alias = "index")]
    create: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    status: u16,
    error: Option<Error>,
    /// `used` where the document was refused and put aside (Elasticsearch 8.19 and later, where a data stream has that).
    failure_store: Option<String>,
}

/// Why something was refused, as Elasticsearch and `OpenSearch` put it.
#[derive(Default, Deserialize)]
pub(super) struct Error {
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    reason: Option<String>,
    caused_by: Option<Box<Error>>,
}

impl Error {
    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    /// For people: capped, on one line.
    fn shown(&self) -> String {
        let cause = self
            .caused_by
            .as_ref()
            .map(|cause| format!(": {}", cause.reason()))
            .unwrap_or_default();
        excerpt(format!("{}: {}{cause}", self.kind, self.reason()).as_bytes())
    }
}

/// The error of a whole request, where the body is one.
pub(super) fn error_of(body: &[u8]) -> Option<Error> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Error,
    }
    serde_json::from_slice::<Refusal>(body).ok().map(|refusal| refusal.error)
}

/// What an answer says, for people.
pub(super) fn said(body: &[u8]) -> String {
    error_of(body).as_ref().map_or_else(|| excerpt(body), Error::shown)
}

/// The verdicts on what was sent. `safe` says for each document whether it was in safe form.
pub(super) fn judge(
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    safe: &[bool],
) -> Answer {
    if (200..300).contains(&status) {
        items(body, safe)
    } else {
        Answer::Whole(whole(status, retry_after, body))
    }
}

fn items(body: &[u8], safe: &[bool]) -> Answer {
    if body.trim_ascii().is_empty() {
        let answer = "an empty answer: a document was not understood or is too large".to_owned();
        // VictoriaLogs: what stood before the bad document is stored, the rest is not.
        return Answer::Whole(if safe == [false] {
            Verdict::Safe { answer }
        } else {
            Verdict::Split { answer }
        });
    }
    let most = most(safe.len() as u64);
    if body.len() >= most {
        let answer = format!("an answer longer than {most} bytes");
        return Answer::Whole(Verdict::Split { answer });
    }
    let bulk = match serde_json::from_slice::<Bulk>(body) {
        Ok(bulk) if bulk.items.len() == safe.len() => bulk,
        Ok(bulk) => {
            let answer =
                format!("{} items in the answer to {} documents", bulk.items.len(), safe.len());
            return Answer::Whole(Verdict::Doubt { reason: Reason::BadAnswer, answer });
        }
        Err(_) => {
            return Answer::Whole(Verdict::Doubt {
                reason: Reason::BadAnswer,
                answer: excerpt(body),
            });
        }
    };
    let items = bulk.items.iter().zip(safe);
    Answer::Each(items.map(|(item, &safe)| one(&item.create, safe)).collect())
}

fn one(outcome: &Outcome, safe: bool) -> Verdict {
    let nothing = Error::default();
    let error = outcome.error.as_ref().unwrap_or(&nothing);
    let answer = || format!("{} {}", outcome.status, error.shown());
    match (outcome.status, error.kind.as_str()) {
        (200..300, _) if outcome.failure_store.as_deref() == Some("used") => {
            let answer = format!("{} put into the failure store", outcome.status);
            if safe { Verdict::Refuse { answer } } else { Verdict::Safe { answer } }
        }
        (200..300, _) => Verdict::Delivered,
        // By this event, or by another document: an id can be computed, and two machines can make the same.
        (409, _) => Verdict::Taken { answer: answer() },
        (429 | 403, "cluster_block_exception") => stop(answer(), block_hint(error.reason())),
        (429, _) => Verdict::Retry { after: None, reason: Reason::Throttled, answer: answer() },
        (401, _) => stop(answer(), CREDENTIALS),
        (403, _) => stop(answer(), RIGHTS),
        (404, _) => stop(
            answer(),
            "the target does not exist and may not be created: create it, or allow it in action.auto_create_index",
        ),
        (400, kind) => match configuration(kind, error.reason()) {
            Some(hint) => stop(answer(), hint),
            None if safe => Verdict::Refuse { answer: answer() },
            None => Verdict::Safe { answer: answer() },
        },
        (413, _) => Verdict::TooLarge { answer: answer() },
        // It may have reached the primary shard.
        (500.., _) => Verdict::Doubt { reason: Reason::ServerError, answer: answer() },
        // No server is known to answer so for a document; its content is the likeliest cause.
        _ if safe => Verdict::Refuse { answer: answer() },
        _ => Verdict::Safe { answer: answer() },
    }
}

/// The refusals with status 400 that would meet every document alike.
fn configuration(kind: &str, reason: &str) -> Option<&'static str> {
    match kind {
        "index_closed_exception" => Some("the index is closed: open it, or name another target"),
        "invalid_index_name_exception" => {
            Some("no index can have this name: correct data_stream or index")
        }
        "illegal_argument_exception"
            if reason.starts_with("only write ops with an op_type of create") =>
        {
            Some(
                "something between here and the server changes the operation; data streams take create only",
            )
        }
        "illegal_argument_exception" if reason.starts_with("pipeline with id [") => {
            Some("create the ingest pipeline, or take it out of `query` and of the index settings")
        }
        "illegal_argument_exception"
            if reason.starts_with("no write index is defined for alias") =>
        {
            Some("give the alias a write index")
        }
        "illegal_argument_exception"
            if reason.starts_with("index template [")
                || reason.starts_with("data stream timestamp field") =>
        {
            Some("mend the index template that matches the target")
        }
        _ => None,
    }
}

fn block_hint(reason: &str) -> &'static str {
    if reason.contains("disk usage exceeded flood-stage") {
        "the cluster's disk is full: free space or add nodes; the block goes by itself once there is room"
    } else if reason.contains("read-only") {
        "the index or cluster is read-only: remove the block (index.blocks.*)"
    } else {
        "the index is blocked for writing: remove the block (index.blocks.write), or name another target"
    }
}

/// Is the request alone above the bound on bytes being indexed at once? Then no wait helps. The server's words are
/// `rejected execution of coordinating operation [… coordinating_operation_bytes=60001302, max_coordinating_bytes=51897958]`,
/// in `OpenSearch` and before Elasticsearch 8.19 with `max_coordinating_and_primary_bytes`.
fn never_fits(reason: &str) -> bool {
    let number = |name: &str| {
        let (_, rest) = reason.split_once(name)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    let most =
        number("max_coordinating_bytes=").or_else(|| number("max_coordinating_and_primary_bytes="));
    number("coordinating_operation_bytes=").zip(most).is_some_and(|(asked, most)| asked > most)
}

fn stop(answer: String, hint: &str) -> Verdict {
    Verdict::Stop { answer, hint: hint.to_owned() }
}

/// An answer that is about the request as a whole.
fn whole(status: u16, after: Option<Duration>, body: &[u8]) -> Verdict {
    let error = error_of(body);
    let kind = error.as_ref().map_or("", |error| error.kind.as_str());
    let reason = error.as_ref().map_or("", Error::reason);
    let said = error.as_ref().map_or_else(|| excerpt(body), Error::shown);
    let answer = format!("{status} {said}").trim_end().to_owned();
    match (status, kind) {
        (429 | 403, "cluster_block_exception") => stop(answer, block_hint(reason)),
        (429, _) if never_fits(reason) => Verdict::TooLarge { answer },
        (429, _) => Verdict::Retry { after, reason: Reason::Throttled, answer },
        (413, _) => Verdict::TooLarge { answer },
        // Blocks are looked at before anything is done: no master yet, state not recovered.
        (
            503,
            "cluster_block_exception"
            | "master_not_discovered_exception"
            | "cluster_manager_not_discovered_exception",
        ) => Verdict::Retry { after, reason: Reason::ServerError, answer },
        // The runner of OpenSearch without ingest nodes answers so.
        (500, "illegal_state_exception") if reason.starts_with("There are no ingest nodes") => {
            stop(
                answer,
                "a pipeline is configured but no node has the ingest role: add the role, or take the pipeline out",
            )
        }
        // Also 502 and 504: a proxy may have handed the request on before it gave up.
        (408 | 500.., _) => Verdict::Doubt { reason: Reason::ServerError, answer },
        (401, _) => stop(answer, CREDENTIALS),
        (403, _) => stop(answer, RIGHTS),
        (404 | 405, _) => {
            stop(answer, "nothing takes bulk requests there: check the path of the endpoint")
        }
        (407, _) => stop(answer, "the proxy wants credentials: put them into the URL of `proxy`"),
        (406 | 415, _) => stop(
            answer,
            "the server does not take this content type: check what stands between, and `headers`",
        ),
        (300..400, _) => stop(
            answer,
            "the endpoint redirects, and redirects are not followed: name the final URL",
        ),
        (400, kind) => match configuration(kind, reason) {
            Some(hint) => stop(answer, hint),
            None => stop(
                answer,
                "the whole request was refused: check `query`, `headers` and what stands between",
            ),
        },
        _ => stop(answer, "check the endpoint"),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
