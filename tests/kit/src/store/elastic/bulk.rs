//! `_bulk`, with a result for each item, and the requests for single documents.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::http::{Answer, Request};
use super::document::{Operation, Place, blocked, parse, place};
use super::error::Error;
use super::indices::Change;
use super::security::{Caller, WRITE};
use super::{Busy, Elastic};

const ID: usize = 512;

/// One action with its document.
struct Item<'a> {
    operation: Operation,
    target: String,
    id: String,
    document: &'a [u8],
}

pub(super) fn bulk(
    store: &mut Elastic,
    caller: &Caller,
    target: Option<&str>,
    request: &Request,
) -> Result<Answer, Error> {
    let empty = || Error::whole(400, "parse_exception", "request body is required");
    let body = request.unzipped().map_err(|_| empty())?;
    if body.is_empty() {
        return Err(empty());
    }
    if body.last() != Some(&b'\n') {
        return Err(Error::illegal("The bulk request must be terminated by a newline [\\n]"));
    }
    let items = items(&body, target)?;
    check_ids(&items)?;
    caller.may_write_at_all()?;
    let busy = store.busy.pop_front();
    match busy {
        Some(Busy::Coordinating) => {
            let reason = "rejected execution of TimedRunnable{original=org.elasticsearch.action.bulk.TransportAbstractBulkAction$1}";
            return Err(Error::whole(429, "es_rejected_execution_exception", reason));
        }
        Some(Busy::Pressure) => {
            let reason = "rejected execution of coordinating operation [coordinating_and_primary_bytes=17688, replica_bytes=0, all_bytes=17688, coordinating_operation_bytes=17688, max_coordinating_bytes=32768]";
            return Err(Error::whole(429, "es_rejected_execution_exception", reason));
        }
        Some(Busy::Shard) | None => (),
    }
    let pipeline = request.parameter("pipeline");
    let mut answers = Vec::new();
    let mut batch = Batch::default();
    for (number, item) in items.iter().enumerate() {
        let answer = if let Some(pipeline) = pipeline {
            Err(Error::illegal(format!("pipeline with id [{pipeline}] does not exist")))
        } else if busy.is_some() && number % 2 == 1 {
            let reason = "rejected execution of org.elasticsearch.action.support.replication.TransportWriteAction$1 on EsThreadPoolExecutor[name = n1/write, queue capacity = 1]";
            Err(Error::whole(429, "es_rejected_execution_exception", reason))
        } else {
            batch.take(store, caller, item)
        };
        answers.push(shown(item, answer, pipeline.is_some()));
    }
    store.indices.change(batch.changes);
    if request.parameter("refresh").is_some() {
        super::search::show(store);
    }
    let errors = answers.iter().any(|answer| {
        answer.as_object().into_iter().flatten().any(|(_, one)| one.get("error").is_some())
    });
    Ok(Answer::json(200, &json!({"took": 3, "errors": errors, "items": answers})))
}

/// The changes that one request makes, and the `(index, id)` pairs that it uses: a later item of a request conflicts
/// with an earlier one of the same id.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    taken: HashSet<(String, String)>,
}

impl Batch {
    /// Validates one item and adds its change. Returns the index it was routed to and the status of the item: 201 for a
    /// new document, 200 for an existing one, 404 for a delete that finds nothing.
    fn take(
        &mut self,
        store: &mut Elastic,
        caller: &Caller,
        item: &Item<'_>,
    ) -> Result<(String, u16), Error> {
        let Item { operation, target, id, document } = item;
        let right = match operation {
            Operation::Create => WRITE,
            Operation::Index => &["index", "write", "all"],
            Operation::Delete => &["delete", "write", "all"],
        };
        caller.may(target, right, "indices:data/write/bulk[s]")?;
        let (indices, auto) = (&mut store.indices, store.settings.auto_create);
        let index = match place(indices, target, *operation, auto)? {
            Place::Index(index) => index,
            Place::New { stream } => {
                caller.may(
                    target,
                    &["auto_configure", "create_index", "manage", "all"],
                    "indices:admin/auto_create",
                )?;
                let (name, template) =
                    (target.clone(), indices.template(target).cloned().unwrap_or_default());
                let change = if stream {
                    Change::Stream { name, template }
                } else {
                    Change::Index { name, template }
                };
                indices.change(vec![change]);
                let stream = indices.streams.get(target);
                stream.map_or(target.clone(), |stream| stream.indices[0].clone())
            }
        };
        let here = &indices.all[&index];
        blocked(here, &index)?;
        let key = (index.clone(), id.clone());
        let known = here.documents.contains_key(id) || self.taken.contains(&key);
        if *operation == Operation::Delete {
            self.changes.push(Change::Delete { index: index.clone(), id: id.clone() });
            return Ok((index, if known { 200 } else { 404 }));
        }
        let source = parse(here, indices.streams.contains_key(target), id, document)?.to_owned();
        if known && *operation == Operation::Create {
            let reason =
                format!("[{id}]: version conflict, document already exists (current version [1])");
            return Err(Error::whole(409, "version_conflict_engine_exception", reason));
        }
        self.taken.insert(key);
        self.changes.push(Change::Write { index: index.clone(), id: id.clone(), source });
        Ok((index, if known { 200 } else { 201 }))
    }
}

fn shown(item: &Item<'_>, answer: Result<(String, u16), Error>, automatic: bool) -> Value {
    let name = match item.operation {
        Operation::Create => "create",
        Operation::Index => "index",
        Operation::Delete => "delete",
    };
    let (target, id) = (&item.target, &item.id);
    let inner = match answer {
        Ok((index, status)) => {
            let result = if status == 201 { "created" } else { "updated" };
            json!({"_index": index, "_id": id, "_version": 1, "result": result, "_seq_no": 0, "_primary_term": 1, "status": status,
                "_shards": {"total": 2, "successful": 1, "failed": 0}})
        }
        Err(error) => {
            let whole = error.item();
            // An item that was refused before it reached an index shows no id.
            let kind = whole["type"].as_str().unwrap_or_default();
            let id = match kind {
                _ if automatic => json!("auto-generated"),
                "index_closed_exception" | "index_not_found_exception" => Value::Null,
                _ => json!(id),
            };
            json!({"_index": target, "_id": id, "status": error.status, "error": whole})
        }
    };
    json!({ name: inner })
}

fn items<'a>(body: &'a [u8], target: Option<&str>) -> Result<Vec<Item<'a>>, Error> {
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut items = Vec::new();
    while let Some(line) = lines.next() {
        let number = items.len() * 2 + 1;
        let malformed = |_| {
            let reason = format!(
                "[{number}:1] Malformed action/metadata line [{number}], expected START_OBJECT"
            );
            Error::whole(400, "x_content_parse_exception", reason)
        };
        let action: serde_json::Map<String, Value> =
            serde_json::from_slice(line).map_err(malformed)?;
        let (name, what) = action
            .iter()
            .next()
            .ok_or_else(|| Error::illegal("Malformed action/metadata line, found no action"))?;
        let operation = match name.as_str() {
            "create" => Operation::Create,
            "index" => Operation::Index,
            "delete" => Operation::Delete,
            other => {
                let reason = format!(
                    "Malformed action/metadata line [{number}], expected field [create], [delete], [index] or [update] but found [{other}]"
                );
                return Err(Error::illegal(reason));
            }
        };
        let text = |key: &str| what[key].as_str().map(str::to_owned);
        let target = text("_index").or(target.map(str::to_owned)).unwrap_or_default();
        let id = text("_id").unwrap_or_else(|| format!("generated-{number}"));
        let document =
            if operation == Operation::Delete { &[][..] } else { lines.next().unwrap_or_default() };
        items.push(Item { operation, target, id, document });
    }
    Ok(items)
}

fn check_ids(items: &[Item<'_>]) -> Result<(), Error> {
    let Some(long) = items.iter().find(|item| item.id.len() > ID) else { return Ok(()) };
    let (id, length) = (&long.id, long.id.len());
    let reason = format!(
        "Validation Failed: 1: id [{id}] is too long, must be no longer than {ID} bytes but was: {length};"
    );
    Err(Error::whole(400, "action_request_validation_exception", reason))
}

/// `PUT TARGET/_create/ID`
pub(super) fn create(
    store: &mut Elastic,
    caller: &Caller,
    target: &str,
    id: &str,
    request: &Request,
) -> Result<Answer, Error> {
    let body = request.unzipped().map_err(|_| Error::illegal("not gzip"))?;
    let item = Item {
        operation: Operation::Create,
        target: target.to_owned(),
        id: id.to_owned(),
        document: &body,
    };
    let mut batch = Batch::default();
    let (index, status) = batch.take(store, caller, &item)?;
    store.indices.change(batch.changes);
    Ok(Answer::json(status, &json!({"_index": index, "_id": id, "result": "created"})))
}

/// `DELETE INDEX/_doc/ID`
pub(super) fn delete(store: &mut Elastic, index: &str, id: &str) -> Result<Answer, Error> {
    let known = store.indices.all.get(index).ok_or_else(|| Error::no_index(index))?;
    if !known.documents.contains_key(id) {
        return Ok(Answer::json(404, &json!({"_index": index, "_id": id, "result": "not_found"})));
    }
    store.indices.change(vec![Change::Delete { index: index.to_owned(), id: id.to_owned() }]);
    Ok(Answer::json(200, &json!({"_index": index, "_id": id, "result": "deleted"})))
}
