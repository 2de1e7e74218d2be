//! The index template for a layout, a target and a server, derived from `etc/elasticsearch-template.json`, which is the
//! template for a data stream in Elastic's layout.

use serde_json::{Map, Value};

use super::flavour::Flavour;
use super::target::scope;
use crate::config::{Layout, Target};

pub(super) const TEMPLATE: &str = include_str!("../../../etc/elasticsearch-template.json");

/// The template for a layout, a target and a server.
pub(super) fn made(layout: Layout, target: &Target, flavour: &Flavour) -> Value {
    made_of(TEMPLATE, layout, target, flavour)
}

/// The same from the template file of another version.
pub(super) fn made_of(source: &str, layout: Layout, target: &Target, flavour: &Flavour) -> Value {
    let mut template: Value = serde_json::from_str(source).unwrap_or_default();
    template["index_patterns"] = Value::from(vec![scope(target)]);
    if let (Target::Index(_), Some(top)) = (target, template.as_object_mut()) {
        top.remove("data_stream");
    }
    let properties = template["template"]["mappings"]["properties"].take();
    let mut properties = if layout == Layout::Flat { flat(&properties) } else { properties };
    if matches!(flavour, Flavour::OpenSearch { .. }) {
        rename_flattened(&mut properties);
    }
    template["template"]["mappings"]["properties"] = properties;
    template
}

/// The flat layout: the event's fields at the top, annotations under the names that the API server gave them.
fn flat(elastic: &Value) -> Value {
    let mut top = elastic["kubernetes"]["properties"]["audit"]["properties"].clone();
    if let Some(annotations) = top["annotations"]["properties"].as_object_mut() {
        let named = std::mem::take(annotations).into_iter();
        *annotations =
            named.map(|(name, value)| (name.replace('_', "."), value)).collect::<Map<_, _>>();
    }
    top["@timestamp"] = elastic["@timestamp"].clone();
    for name in ["cluster", "node"] {
        top[name] = elastic["host"]["properties"]["name"].clone();
    }
    top["event"]["properties"]["original"] = elastic["event"]["properties"]["original"].clone();
    top
}

/// `OpenSearch` has the same type under another name.
fn rename_flattened(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(rename_flattened),
        Value::String(text) if text == "flattened" => "flat_object".clone_into(text),
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_follows_layout_target_and_server() {
        let index = Target::Index("audit-%Y.%m".to_owned());
        let open = Flavour::OpenSearch { version: "2.19.1".to_owned() };
        let flat = made(Layout::Flat, &index, &open);
        let mapped = &flat["template"]["mappings"]["properties"];
        assert_eq!(flat["index_patterns"], serde_json::json!(["audit-*.*"]));
        assert!(flat.get("data_stream").is_none());
        assert_eq!(mapped["user"]["properties"]["extra"]["type"], "flat_object");
        assert_eq!(
            mapped["annotations"]["properties"]["authorization.k8s.io/decision"]["type"],
            "keyword"
        );
        let stream = Target::DataStream("logs-a-b".to_owned());
        let elastic =
            made(Layout::Elastic, &stream, &Flavour::Elasticsearch { version: String::new() });
        assert!(elastic["data_stream"].is_object() && elastic["priority"] == 200);
        assert_eq!(
            elastic["template"]["mappings"]["properties"]["source"]["properties"]["ip"]["type"],
            "ip"
        );
        assert_eq!(elastic["template"]["mappings"]["dynamic"], false);
    }
}
