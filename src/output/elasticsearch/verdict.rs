//! What an answer to `_bulk` means: one table for Elasticsearch, `OpenSearch` and `VictoriaLogs`, from a 201 over a
//! 409 (duplicate) to a 429 (throttled).
//!
//! Three questions decide. *Does the answer come from the store?* Only a 200 with one item per document, in order, with
//! its id, does; `VictoriaLogs` returns no ids and is recognised by its header. *Was the event stored?* If nobody
//! knows, it is in doubt and looked up before it is sent again. *Whose fault is it?* For the event's content the agent
//! sends the safe form, and if that is refused too, the event becomes a dead letter. A wrong configuration of the agent
//! or the server stops the output. A refusal in unknown words may be either: the document is sent in safe form, and if
//! that is refused too, it waits for the operator. Reasons may quote the event, so they are compared from their
//! beginning only.

use std::borrow::Cow;

use serde::Deserialize;

use crate::event::RetryReason;
use crate::output::http::{Response, excerpt};
use crate::output::{Answer, Verdict, stranger};

/// Most bytes that are read of an answer to so many documents. A longer answer is cut off: fewer documents are sent
/// next.
pub(in crate::output) fn most(documents: u64) -> usize {
    usize::try_from((1 << 20) + documents * 512).unwrap_or(usize::MAX)
}

pub(super) const CREDENTIALS: &str = "check api_key_file, basic_auth or bearer_token_file: the server does not know these credentials";
const RIGHTS: &str = "give these credentials create_doc (and auto_configure) on the target, and read and maintenance for look-ups";

const GZIP: &str = "the server was given the gzip body as if it were text: what stands between does not take gzip; set compression = \"none\"";
const UNKNOWN: &str = "this refusal may not be about the event: see the server's log; to store the events as dead letters, \
     run `auditrail dead-letters set-aside`";

/// A document of the request.
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) fallback: bool,
}

/// The part of a bulk answer that `filter_path` lets through.
#[derive(Deserialize)]
struct Bulk<'a> {
    #[expect(dead_code, reason = "it has to be there")]
    errors: bool,
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

/// One item of a bulk answer; its one key is the requested operation.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    create: Outcome<'a>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    status: u16,
    /// `VictoriaLogs` leaves it out; it is null if there is no index to create the document in.
    #[serde(borrow, default, rename = "_id")]
    id: Option<Cow<'a, str>>,
    error: Option<Error>,
    /// `used` if the store refused the document and put it into the failure store (Elasticsearch 8.19 and later, if the
    /// data stream has one).
    failure_store: Option<String>,
}

/// The reason for a refusal, as Elasticsearch and `OpenSearch` return it.
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

    /// The error for people: shortened, on one line.
    fn shown(&self) -> String {
        let cause = self
            .caused_by
            .as_ref()
            .map(|cause| format!(": {}", cause.reason()))
            .unwrap_or_default();
        excerpt(format!("{}: {}{cause}", self.kind, self.reason()).as_bytes())
    }
}

/// The error of a whole request, if the body is one.
pub(super) fn error_of(body: &[u8]) -> Option<Error> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Error,
    }
    serde_json::from_slice::<Refusal>(body).ok().map(|refusal| refusal.error)
}

/// The error or the beginning of an answer, for people.
pub(super) fn said(body: &[u8]) -> String {
    error_of(body).as_ref().map_or_else(|| excerpt(body), Error::shown)
}

/// The verdicts on the documents of a request.
pub(super) fn judge(response: &Response, sent: &[Sent]) -> Answer {
    if response.status == 200 {
        items(response, sent)
    } else {
        Answer::Whole(whole(response, sent))
    }
}

/// Whether the store names itself in a header, as `VictoriaLogs` and Elasticsearch do. Such a store need not return the
/// ids.
fn names_itself(response: &Response) -> bool {
    response.product.as_deref() == Some("Elasticsearch")
}

fn items(response: &Response, sent: &[Sent]) -> Answer {
    let body = &response.body;
    if body.trim_ascii().is_empty() && names_itself(response) {
        let answer = "an empty answer: a document was not understood or is too large".to_owned();
        return Answer::Whole(undecoded(answer, sent));
    }
    let most = most(sent.len() as u64);
    if body.len() >= most {
        let answer = format!("an answer longer than {most} bytes");
        return Answer::Whole(Verdict::Split { own: false, answer });
    }
    let doubt = |answer| Answer::Whole(Verdict::Doubt { reason: RetryReason::BadAnswer, answer });
    let bulk = match serde_json::from_slice::<Bulk>(body) {
        Ok(bulk) => bulk,
        // The answer may be the store's, cut off.
        Err(error) if error.is_eof() && body.trim_ascii_start().starts_with(b"{") => {
            return doubt(excerpt(body));
        }
        Err(_) => return Answer::Whole(strange(response)),
    };
    if bulk.items.len() != sent.len() {
        let (items, documents) = (bulk.items.len(), sent.len());
        return doubt(format!("{items} items in the answer to {documents} documents"));
    }
    let items = bulk.items.iter().map(|item| &item.create).zip(sent);
    let is_about = |(item, sent): (&Outcome, &Sent)| match &item.id {
        Some(id) => *id == sent.id,
        None => item.status >= 300 && item.error.is_some() || names_itself(response),
    };
    if !items.clone().all(is_about) {
        return doubt("the answer is about other documents than were sent".to_owned());
    }
    Answer::Each(items.map(|(item, sent)| one(item, sent.fallback)).collect())
}

/// `VictoriaLogs` could not parse a document: it stored those before it, and none from there on.
fn undecoded(answer: String, sent: &[Sent]) -> Verdict {
    match sent {
        [Sent { fallback: false, .. }] => Verdict::UseFallbackForm { answer },
        _ => Verdict::Split { own: true, answer },
    }
}

/// Not an answer of a store that takes bulk requests, so nobody knows whether the request was processed.
fn strange(response: &Response) -> Verdict {
    let hint = way_out(response);
    Verdict::Stranger { answer: stranger::shown(response), hint }
}

fn way_out(response: &Response) -> String {
    stranger::way_out(response, "Elasticsearch", "/_bulk")
}

fn one(outcome: &Outcome, fallback: bool) -> Verdict {
    let nothing = Error::default();
    let error = outcome.error.as_ref().unwrap_or(&nothing);
    let answer = || format!("{} {}", outcome.status, error.shown());
    match (outcome.status, error.kind.as_str()) {
        (200..300, _) if outcome.failure_store.as_deref() == Some("used") => {
            let answer = format!("{} put into the failure store", outcome.status);
            if fallback { Verdict::Refuse { answer } } else { Verdict::UseFallbackForm { answer } }
        }
        (200..300, _) => Verdict::Delivered,
        // The id is taken by this event or by another document: ids can be computed, and two machines can make the
        // same.
        (409, _) => Verdict::Taken { answer: answer() },
        (429 | 403, "cluster_block_exception") => stop(answer(), block_hint(error.reason())),
        (429, _) => {
            Verdict::Retry { after: None, reason: RetryReason::Throttled, answer: answer() }
        }
        (401, _) => stop(answer(), CREDENTIALS),
        (403, _) => stop(answer(), RIGHTS),
        (404, _) => stop(
            answer(),
            "the target does not exist and may not be created: create it, or allow it in action.auto_create_index",
        ),
        (413, _) => Verdict::TooLarge { own: true, answer: answer() },
        // The document may have reached the primary shard.
        (500.., _) => Verdict::Doubt { reason: RetryReason::ServerError, answer: answer() },
        (_, kind) => match configuration(kind, error.reason()) {
            Some(hint) => stop(answer(), hint),
            None if !fallback => Verdict::UseFallbackForm { answer: answer() },
            None if outcome.status == 400 && is_content(kind, error.reason()) => {
                Verdict::Refuse { answer: answer() }
            }
            None => stop(answer(), UNKNOWN),
        },
    }
}

/// Whether a refusal with status 400 is about the content of the document.
fn is_content(kind: &str, reason: &str) -> bool {
    match kind {
        "document_parsing_exception"
        | "mapper_parsing_exception"
        | "mapper_exception"
        | "strict_dynamic_mapping_exception"
        | "parsing_exception"
        | "x_content_parse_exception"
        | "json_parse_exception"
        | "json_e_o_f_exception"
        | "number_format_exception"
        | "date_time_parse_exception"
        | "max_bytes_length_exceeded_exception"
        | "fail_processor_exception"
        | "script_exception" => true,
        "illegal_argument_exception" => [
            "Limit of ",
            "Document contains at least one immense term",
            "mapper [",
            "object mapping for [",
            "can't merge a ",
            "Could not dynamically add mapping",
            "failed to parse",
            "field [",
            "Duplicate field",
            "Numeric value",
        ]
        .iter()
        .any(|start| reason.starts_with(start)),
        _ => false,
    }
}

/// The hint for a refusal, mostly with status 400, that would meet every document alike.
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
        "illegal_argument_exception" if reason.starts_with("Document ID is not supported") => Some(
            "this store takes no documents under ids of ours (Amazon OpenSearch Serverless, collections of type time series): use a \
             collection of type search, or another store",
        ),
        "validation_exception" | "illegal_argument_exception"
            if reason.contains("this action would add [") =>
        {
            Some(
                "the cluster has no shard left for a new index: delete old indices, raise cluster.max_shards_per_node, or use a data stream",
            )
        }
        "illegal_argument_exception"
            if reason.starts_with("index template [")
                || reason.starts_with("data stream timestamp field") =>
        {
            Some("correct the index template that matches the target")
        }
        _ => None,
    }
}

fn block_hint(reason: &str) -> &'static str {
    if reason.contains("disk usage exceeded flood-stage") {
        "the cluster's disk is full: free space or add nodes; the server removes the block once there is room"
    } else if reason.contains("read-only") {
        "the index or cluster is read-only: remove the block (index.blocks.*)"
    } else {
        "the index is blocked for writing: remove the block (index.blocks.write), or name another target"
    }
}

/// Whether the request by itself exceeds the server's limit for bytes being indexed at once: then no back-off helps.
/// The server's words are `rejected execution of coordinating operation [… coordinating_operation_bytes=60001302,
/// max_coordinating_bytes=51897958]`; `OpenSearch`, and Elasticsearch before 8.19, write
/// `max_coordinating_and_primary_bytes`.
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

/// The verdict on the request as a whole.
fn whole(response: &Response, sent: &[Sent]) -> Verdict {
    let Response { status, retry_after: after, body, .. } = response;
    let (status, after) = (*status, *after);
    let error = error_of(body);
    let kind = error.as_ref().map_or("", |error| error.kind.as_str());
    let reason = error.as_ref().map_or("", Error::reason);
    let own = !kind.is_empty();
    let said = error.as_ref().map_or_else(|| excerpt(body), Error::shown);
    let answer = format!("{status} {said}").trim_end().to_owned();
    match (status, kind) {
        (200..300 | ..200 | 600.., _) => strange(response),
        (429 | 403, "cluster_block_exception") => stop(answer, block_hint(reason)),
        (429, _) if never_fits(reason) => Verdict::TooLarge { own, answer },
        (429, _) => Verdict::Retry { after, reason: RetryReason::Throttled, answer },
        // Elasticsearch and OpenSearch send this status without a body; proxies send a page or a sentence.
        (413, _) => {
            let bare = body.trim_ascii().is_empty() && response.content_type.is_empty();
            Verdict::TooLarge { own: own || bare, answer }
        }
        // The server checks blocks before it processes anything: no master yet, state not recovered.
        (
            503,
            "cluster_block_exception"
            | "master_not_discovered_exception"
            | "cluster_manager_not_discovered_exception",
        ) => Verdict::Retry { after, reason: RetryReason::ServerError, answer },
        // OpenSearch's answer if no node has the ingest role.
        (500, "illegal_state_exception") if reason.starts_with("There are no ingest nodes") => {
            stop(
                answer,
                "a pipeline is configured but no node has the ingest role: add the role, or take the pipeline out",
            )
        }
        // Also 502 and 504: a proxy may have forwarded the request before it gave up.
        (408 | 500.., _) => Verdict::Doubt { reason: RetryReason::ServerError, answer },
        (400, "") if names_itself(response) && said.starts_with("cannot decode log message #") => {
            undecoded(answer, sent)
        }
        (401, _) if !stranger::is_page(response) => stop(answer, CREDENTIALS),
        (403, _) if own => stop(answer, RIGHTS),
        (406 | 415, _) => stop(
            answer,
            "the server does not take this content type: check what stands between, and `headers`",
        ),
        (404 | 405, _) if own => {
            stop(answer, "nothing takes bulk requests there: check the path of the endpoint")
        }
        (400, _) if own && reason.contains("CTRL-CHAR") => stop(answer, GZIP),
        (400, kind) if own => stop(
            answer,
            configuration(kind, reason).unwrap_or(
                "the whole request was refused: check `query`, `headers` and what stands between",
            ),
        ),
        _ => Verdict::Stop { answer, hint: way_out(response) },
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
