//! Index templates, data streams, settings, and the preflight requests of `check` and replay.

use serde_json::{Map, Value, json};

use super::super::http::{Answer, Request};
use super::Elastic;
use super::error::{Error, unparsable};
use super::indices::Change;
use super::security::{self, Caller};

const MONITOR: &[&str] = &["monitor", "manage", "all"];

pub(super) fn admin(
    store: &mut Elastic,
    caller: &Caller,
    method: &str,
    parts: &[&str],
    request: &Request,
) -> Result<Answer, Error> {
    let body = || serde_json::from_slice::<Value>(&request.body).map_err(unparsable);
    let done = || Ok(Answer::json(200, &json!({"acknowledged": true})));
    match (method, parts) {
        ("GET" | "HEAD", []) => {
            caller.may_in_cluster(MONITOR, "cluster:monitor/main")?;
            Ok(Answer::json(200, &root()))
        }
        // Readiness of the stand-in, for the tests; not an API of Elasticsearch.
        ("GET", ["ready"]) => Ok(Answer::empty(200)),
        ("GET", ["_cluster", "health"]) => Ok(Answer::json(
            200,
            &json!({"cluster_name": "ci", "status": "yellow", "timed_out": false}),
        )),
        ("GET", ["_cat", "allocation"]) => {
            caller.may_in_cluster(MONITOR, "cluster:monitor/state")?;
            Ok(Answer::json(200, &json!([{"node": "n1", "disk.percent": "10"}])))
        }
        ("GET", ["_index_template", ..]) => templates(store, caller, parts.get(1).copied()),
        ("PUT" | "POST", ["_index_template", name]) => {
            caller.may_in_cluster(
                &["manage_index_templates", "manage", "all"],
                "indices:admin/index_template/put",
            )?;
            let change = Change::Template { name: (*name).to_owned(), body: body()? };
            store.indices.change(vec![change]);
            done()
        }
        ("GET", ["_data_stream", name]) => stream(store, caller, name),
        ("GET", [target, "_settings"]) => settings(store, caller, target),
        ("PUT", [target, "_settings"]) => {
            let changes = blocks(store, target, &body()?)?;
            store.indices.change(changes);
            done()
        }
        ("POST", [target, "_close"]) => {
            let indices = store.indices.resolve(target, false)?;
            let changes = indices
                .into_iter()
                .map(|index| Change::Closed { index: index.to_owned() })
                .collect();
            store.indices.change(changes);
            done()
        }
        ("POST", [target, "_rollover"]) => rollover(store, target),
        ("POST", ["_security", "api_key"]) if store.settings.secure => {
            security::make_key(store, request)
        }
        ("POST" | "GET", ["_security", "user", "_has_privileges"]) if store.settings.secure => {
            Ok(security::has_privileges(caller, request))
        }
        ("PUT", [name]) if !name.starts_with('_') => {
            let template =
                json!({"template": if request.body.is_empty() { json!({}) } else { body()? }});
            store.indices.change(vec![Change::Index { name: (*name).to_owned(), template }]);
            done()
        }
        _ => Err(Error::no_handler(&request.path, method)),
    }
}

fn root() -> Value {
    json!({
        "name": "n1", "cluster_name": "ci", "cluster_uuid": "c0mmOnLy4teStsAAAAAAAA", "tagline": "You Know, for Search",
        "version": {
            "number": "8.19.21", "build_flavor": "default", "build_type": "unknown", "build_snapshot": false, "lucene_version": "9.12.2",
            "minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0",
        },
    })
}

fn templates(store: &Elastic, caller: &Caller, name: Option<&str>) -> Result<Answer, Error> {
    caller.may_in_cluster(
        &["manage_index_templates", "monitor", "manage", "all"],
        "indices:admin/index_template/get",
    )?;
    let all =
        store.indices.templates.iter().filter(|(known, _)| name.is_none_or(|name| name == *known));
    let list: Vec<_> =
        all.map(|(name, body)| json!({"name": name, "index_template": body})).collect();
    if let Some(name) = name.filter(|_| list.is_empty()) {
        let reason = format!("index template matching [{name}] not found");
        return Err(Error::whole(404, "resource_not_found_exception", reason));
    }
    Ok(Answer::json(200, &json!({"index_templates": list})))
}

fn stream(store: &Elastic, caller: &Caller, name: &str) -> Result<Answer, Error> {
    caller.may(name, &["view_index_metadata", "manage", "all"], "indices:admin/data_stream/get")?;
    let stream = store.indices.streams.get(name).ok_or_else(|| Error::no_index(name))?;
    let indices: Vec<_> = stream.indices.iter().map(|index| json!({"index_name": index})).collect();
    let shown = json!({"name": name, "timestamp_field": {"name": "@timestamp"}, "indices": indices, "generation": stream.indices.len(),
        "status": "YELLOW", "template": "logs", "failure_store": {"enabled": false, "indices": []}});
    Ok(Answer::json(200, &json!({"data_streams": [shown]})))
}

fn settings(store: &Elastic, caller: &Caller, target: &str) -> Result<Answer, Error> {
    caller.may(
        target,
        &["view_index_metadata", "manage", "all"],
        "indices:monitor/settings/get",
    )?;
    let mut all = Map::new();
    for name in store.indices.resolve(target, false)? {
        let blocks: Map<_, _> = store.indices.all[name]
            .blocks
            .iter()
            .map(|block| (block.clone(), json!("true")))
            .collect();
        all.insert(name.to_owned(), json!({"settings": {"index": {"blocks": blocks}}}));
    }
    Ok(Answer::json(200, &Value::Object(all)))
}

fn blocks(store: &Elastic, target: &str, body: &Value) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for index in store.indices.resolve(target, false)? {
        for (name, value) in body.as_object().into_iter().flatten() {
            let Some(block) = name.strip_prefix("index.blocks.") else {
                return Err(Error::illegal(format!("unknown setting [{name}]")));
            };
            let (index, block) = (index.to_owned(), block.to_owned());
            changes.push(Change::Block { index, block, on: *value == true });
        }
    }
    Ok(changes)
}

fn rollover(store: &mut Elastic, target: &str) -> Result<Answer, Error> {
    let stream = store.indices.streams.get(target).ok_or_else(|| Error::no_index(target))?;
    let old = stream.indices.last().cloned();
    store.indices.change(vec![Change::Rollover { stream: target.to_owned() }]);
    let new = store.indices.streams[target].indices.last();
    Ok(Answer::json(
        200,
        &json!({"acknowledged": true, "shards_acknowledged": true, "rolled_over": true, "dry_run": false,
        "old_index": old, "new_index": new, "conditions": {}}),
    ))
}
