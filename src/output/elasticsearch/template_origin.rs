//! Who made the installed template with our name: this version, an earlier one, or the operator.
//!
//! A template of an earlier version is replaced. A template that somebody edited since, or wrote by hand, is never
//! replaced. This file holds the templates of all versions; a template counts as made by auditrail only if it equals
//! one of them.
//!
//! A change to `etc/elasticsearch-template.json` must raise its `version` and add a copy of the previous version to
//! [`EARLIER`].

use serde_json::{Map, Value};

use super::flavour::Flavour;
use super::template_body::{TEMPLATE, made_of};
use crate::config::{Layout, Target};

/// The templates of earlier versions.
const EARLIER: [&str; 2] = [include_str!("template-1.json"), include_str!("template-2.json")];

/// Who made a template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    ThisVersion,
    EarlierVersion,
    /// Judged by its version number only: this version does not know the templates of later ones.
    LaterVersion,
    Operator,
}

/// Who made `installed`, which is a template as a server returns it.
pub(super) fn origin(installed: &Value, target: &Target) -> Origin {
    let installed = normal(installed.clone());
    // Compare with every layout and server: the configuration may have changed since.
    let is = |source: &str| {
        let flavours = [
            Flavour::Elasticsearch { version: String::new() },
            Flavour::OpenSearch { version: String::new() },
        ];
        flavours.iter().any(|flavour| {
            [Layout::Elastic, Layout::Flat]
                .iter()
                .any(|layout| normal(made_of(source, *layout, target, flavour)) == installed)
        })
    };
    if is(TEMPLATE) {
        return Origin::ThisVersion;
    }
    if EARLIER.into_iter().any(is) {
        return Origin::EarlierVersion;
    }
    let version = |template: &Value| template["version"].as_i64();
    let current = serde_json::from_str::<Value>(TEMPLATE).ok().as_ref().and_then(version);
    if version(&installed) > current { Origin::LaterVersion } else { Origin::Operator }
}

/// A template without the parts that a server adds or writes in another way.
fn normal(mut template: Value) -> Value {
    if let Some(settings) = template.pointer_mut("/template/settings") {
        let mut flat = Map::new();
        flatten("", settings, &mut flat);
        *settings = flat.into();
    }
    // A server may write out the defaults of a data stream.
    if let Some(stream) = template.get_mut("data_stream").and_then(Value::as_object_mut) {
        stream.retain(|name, value| {
            *value != Value::Bool(false)
                && !(name == "timestamp_field" && value["name"] == "@timestamp")
        });
    }
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    if let Some(top) = template.as_object_mut() {
        let dated =
            |name: &str| name.starts_with("created_date") || name.starts_with("modified_date");
        top.retain(|name, value| !dated(name) && (name == "data_stream" || !empty(value)));
    }
    if let Some(inner) = template.get_mut("template").and_then(Value::as_object_mut) {
        inner.retain(|_, value| !empty(value));
    }
    template
}

/// Settings under their full names, as text: `index.` may be missing, and nested objects may stand for dots.
fn flatten(name: &str, value: &Value, flat: &mut Map<String, Value>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(&format!("{name}{dot}{member}"), value, flat);
            }
        }
        value => {
            let name = name.strip_prefix("index.").unwrap_or(name);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            flat.insert(name.to_owned(), text.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The answer of `OpenSearch` 3 to `GET _index_template/NAME` after version 0.1.0 has installed its template.
    const SAMPLE: &str = include_str!("../../../tests/data/state-0.1.0/index-template.json");

    fn target() -> Target {
        Target::DataStream("logs-kubernetes.audit_logs-default".to_owned())
    }

    fn sample() -> Value {
        let answer: Value = serde_json::from_str(SAMPLE).unwrap();
        answer["index_templates"][0]["index_template"].clone()
    }

    #[track_caller]
    fn check(edit: impl FnOnce(&mut Value), expected: Origin) {
        let mut template = sample();
        edit(&mut template);
        assert_eq!(origin(&template, &target()), expected, "{template}");
    }

    #[test]
    fn the_template_of_an_earlier_version_is_known_as_a_server_shows_it() {
        check(|_| {}, Origin::EarlierVersion);
        check(|template| template["modified_date"] = "2026-11-26".into(), Origin::EarlierVersion);
        check(
            |template| {
                template["template"]["settings"] =
                    json!({"index.mapping.ignore_malformed": "true"});
            },
            Origin::EarlierVersion,
        );
    }

    #[test]
    fn a_template_that_somebody_edited_or_wrote_is_the_operators() {
        let edits: [fn(&mut Value); 8] = [
            |template| template["priority"] = 300.into(),
            |template| template["version"] = 7.into(),
            |template| template["composed_of"] = json!(["retention"]),
            |template| template["data_stream"]["hidden"] = true.into(),
            |template| template["template"]["settings"]["index"]["number_of_shards"] = 3.into(),
            |template| template["template"]["aliases"] = json!({"audit": {}}),
            |template| {
                template["template"]["mappings"]["properties"]["labels"] =
                    json!({"type": "keyword"});
            },
            |template| template["template"]["mappings"]["dynamic"] = "strict".into(),
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            let later = number == 1;
            check(edit, if later { Origin::LaterVersion } else { Origin::Operator });
        }
        check(|template| *template = json!({}), Origin::Operator);
    }

    #[test]
    fn what_this_version_makes_is_its_own_in_every_layout_and_for_every_server() {
        for target in [target(), Target::Index("audit-%Y".to_owned())] {
            for layout in [Layout::Elastic, Layout::Flat] {
                for flavour in [
                    Flavour::Elasticsearch { version: String::new() },
                    Flavour::OpenSearch { version: String::new() },
                ] {
                    let now = made_of(TEMPLATE, layout, &target, &flavour);
                    assert_eq!(origin(&now, &target), Origin::ThisVersion);
                    for earlier in EARLIER {
                        let before = made_of(earlier, layout, &target, &flavour);
                        assert_eq!(origin(&before, &target), Origin::EarlierVersion);
                    }
                }
            }
        }
    }

    #[test]
    fn each_version_of_the_template_has_a_number_of_its_own() {
        let mut numbers: Vec<_> = EARLIER
            .into_iter()
            .chain([TEMPLATE])
            .map(|text| serde_json::from_str::<Value>(text).unwrap()["version"].as_i64().unwrap())
            .collect();
        let expected: Vec<_> = (1..).take(numbers.len()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, expected);
    }
}
