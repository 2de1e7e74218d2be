//! Compares the JSON Schema with the code that reads a configuration: the same keys, defaults, words and bounds.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kit::schema::JsonSchema;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Config, SCHEMA, SecretDisplay};
use super::written::{configuration, shown_url, toml, with_output};
use super::{parse, toml_files};

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn valid(schema: &JsonSchema, text: &str) -> Result<(), String> {
    schema.validate(&toml::from_str(text).unwrap())
}

fn accepted(document: &Value) -> Result<Config, String> {
    let read = Config::parse(&toml(document), Path::new("f"), &|_| None);
    read.map_err(|error| error.to_string())
}

/// A table of the configuration: the definition in the schema, its place, and a configuration that has it.
fn tables() -> Vec<(&'static str, &'static str, Value)> {
    let loki = json!({"type": "loki", "endpoint": "https://h:3100"});
    let elastic = json!({"type": "elasticsearch", "endpoints": ["https://h:9200"]});
    let falco = json!({"type": "falco", "endpoint": "https://h:9765/k8s-audit"});
    let file = json!({"type": "file", "path": "/out"});
    let with = |output: &Value, key: &str, value: Value| {
        let mut output = output.clone();
        output[key] = value;
        with_output(output)
    };
    let input = |key: &str| {
        let mut document = with_output(file.clone());
        document["inputs"]["a"][key] = json!({});
        document
    };
    let mut webhook = with_output(loki.clone());
    let tls = json!({"cert_file": "/c", "key_file": "/k"});
    webhook["inputs"]["w"] = json!({"type": "webhook", "spool": {}, "tls": tls});
    let mut named = webhook.clone();
    named["inputs"]["w"]["basic_auth"] = json!({"username": "u", "password": "p"});
    let redact = json!({"redact": {}});
    let rules = json!({"redact": {"rules": [{"key": "x"}]}});
    vec![
        ("", "", with_output(loki.clone())),
        ("/properties/disk", "/disk", with_output(loki.clone())),
        ("/properties/server", "/server", with_output(loki.clone())),
        ("/$defs/file_input", "/inputs/a", with_output(loki.clone())),
        ("/$defs/file_input/properties/hold", "/inputs/a/hold", input("hold")),
        ("/$defs/webhook_input", "/inputs/w", webhook.clone()),
        ("/$defs/webhook_input/properties/spool", "/inputs/w/spool", webhook.clone()),
        ("/$defs/webhook_input/properties/tls", "/inputs/w/tls", webhook),
        ("/$defs/webhook_input/properties/basic_auth", "/inputs/w/basic_auth", named),
        ("/$defs/loki", "/outputs/o", with_output(loki.clone())),
        ("/$defs/loki/properties/batch", "/outputs/o/batch", with_output(loki.clone())),
        ("/$defs/loki/properties/retry", "/outputs/o/retry", with_output(loki.clone())),
        ("/$defs/loki/properties/tls", "/outputs/o/tls", with_output(loki.clone())),
        (
            "/$defs/loki/properties/basic_auth",
            "/outputs/o/basic_auth",
            with(&loki, "basic_auth", json!({"username": "u", "password": "p"})),
        ),
        ("/$defs/elasticsearch", "/outputs/o", with_output(elastic.clone())),
        ("/$defs/elasticsearch/properties/batch", "/outputs/o/batch", with_output(elastic)),
        ("/$defs/falco", "/outputs/o", with_output(falco.clone())),
        ("/$defs/falco/properties/batch", "/outputs/o/batch", with_output(falco)),
        ("/$defs/file_output", "/outputs/o", with_output(file.clone())),
        (
            "/$defs/file_output/properties/rotate",
            "/outputs/o/rotate",
            with(&file, "rotate", json!({})),
        ),
        (
            "/$defs/header_file",
            "/outputs/o/headers/X",
            with(&loki, "headers", json!({"X": {"file": "/t"}})),
        ),
        ("/$defs/transform", "/outputs/o/transform", with(&file, "transform", json!({}))),
        ("/$defs/redact", "/outputs/o/transform/redact", with(&file, "transform", redact)),
        ("/$defs/rule", "/outputs/o/transform/redact/rules/0", with(&file, "transform", rules)),
    ]
}

/// Sets a key of the table at `place`, which is made if it is missing.
fn set(document: &Value, place: &str, key: &str, value: Value) -> Value {
    let mut document = document.clone();
    let mut table = &mut document;
    for part in place.split('/').skip(1) {
        table = match table {
            Value::Array(all) => &mut all[part.parse::<usize>().unwrap()],
            other => &mut other[part],
        };
    }
    table[key] = value;
    // A client certificate and its key stand beside each other, and so do the key of a hash and its mode.
    match key {
        "cert_file" => table["key_file"] = "/k".into(),
        "key_file" if place.ends_with("tls") => table["cert_file"] = "/c".into(),
        "key_file" => table["mode"] = "hash".into(),
        "password_file" => table.as_object_mut().map_or((), |table| drop(table.remove("password"))),
        _ => {}
    }
    document
}

/// The properties of a definition.
fn properties(schema: &Value, definition: &str) -> Vec<(String, Value)> {
    let table = schema.pointer(definition).unwrap();
    assert_eq!(table["additionalProperties"], false, "{definition}");
    table["properties"].as_object().unwrap().clone().into_iter().collect()
}

#[test]
fn the_schema_has_exactly_the_keys_that_are_read() {
    let schema = schema();
    for (definition, place, document) in tables() {
        let typo = set(&document, place, "qqqq", 1.into());
        let error = accepted(&typo).unwrap_err();
        let (_, known) = error.split_once("known are ").unwrap_or_else(|| panic!("{error}"));
        let known: BTreeSet<_> = known.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let described = properties(&schema, definition).into_iter().map(|(key, _)| key).collect();
        assert_eq!(known, described, "{definition}");
    }
}

#[test]
fn each_table_of_the_schema_is_compared_with_the_code() {
    fn below(value: &Value, at: &str, found: &mut BTreeSet<String>) {
        if value["additionalProperties"] == false {
            found.insert(at.to_owned());
        }
        let members = value.as_object().into_iter().flatten();
        members.for_each(|(key, value)| below(value, &format!("{at}/{key}"), found));
    }
    let mut found = BTreeSet::new();
    below(&schema(), "", &mut found);
    // Tables of HTTP and of delivery are in more than one definition, with the same content.
    let schema = schema();
    let compared: Vec<_> = tables().into_iter().map(|(at, _, _)| at).collect();
    found.retain(|at| !compared.contains(&at.as_str()));
    for at in found {
        let same = |other: &&&str| schema.pointer(other) == schema.pointer(&at);
        assert!(compared.iter().any(|other| same(&other)), "{at} is compared with nothing");
    }
}

#[test]
fn each_default_in_the_schema_is_the_one_that_is_in_force() {
    let schema = schema();
    let mut count = 0;
    for (definition, place, document) in tables() {
        let without = accepted(&document).unwrap().to_toml(SecretDisplay::Whole);
        for (key, property) in properties(&schema, definition) {
            let Some(default) = property.get("default") else { continue };
            let with = accepted(&set(&document, place, &key, default.clone())).unwrap();
            assert_eq!(with.to_toml(SecretDisplay::Whole), without, "{definition} {key}");
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

/// The alternatives of a property, or itself.
fn forms(schema: &Value, property: &Value) -> Vec<Value> {
    let property = match property["$ref"].as_str() {
        Some(at) => schema.pointer(at.trim_start_matches('#')).unwrap(),
        None => property,
    };
    match property["anyOf"].as_array() {
        Some(all) if property["type"].is_null() => {
            all.iter().flat_map(|one| forms(schema, one)).collect()
        }
        _ => vec![property.clone()],
    }
}

#[test]
fn words_and_bounds_in_the_schema_are_those_that_are_accepted() {
    let schema = schema();
    let validator = JsonSchema::new(schema.clone());
    let mut count = 0;
    for (definition, place, document) in tables() {
        for (key, property) in properties(&schema, definition) {
            let try_it = |value: Value, fits: bool| {
                let document = set(&document, place, &key, value.clone());
                let read = accepted(&document);
                assert_eq!(read.is_ok(), fits, "{definition} {key} = {value}: {:?}", read.err());
                let found = valid(&validator, &toml(&document));
                assert_eq!(found.is_ok(), fits, "{definition} {key} = {value}: {found:?}");
            };
            for form in forms(&schema, &property) {
                for word in form["enum"].as_array().into_iter().flatten() {
                    try_it(word.clone(), true);
                    count += 1;
                }
                let bounds = (form["minimum"].as_i64(), form["maximum"].as_i64());
                if let (Some(least), Some(most)) = bounds {
                    for (value, fits) in
                        [(least - 1, false), (least, true), (most, true), (most + 1, false)]
                    {
                        try_it(value.into(), fits);
                    }
                    count += 1;
                }
            }
            // No key takes a list of lists, or a date.
            try_it(json!([[]]), false);
            try_it(1.5.into(), false);
        }
    }
    assert!(count > 25, "{count}");
}

#[test]
fn each_configuration_that_ships_is_valid_by_the_schema() {
    let validator = JsonSchema::new(schema());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<_> = toml_files(&root.join("etc"))
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for page in pages.chain([root.join("README.md")]) {
        let text = fs::read_to_string(page).unwrap();
        let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        texts.extend(blocks.map(str::to_owned));
    }
    assert!(texts.len() > 15, "{}", texts.len());
    for text in texts {
        valid(&validator, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn what_the_reader_refuses_the_schema_refuses_too() {
    let validator = JsonSchema::new(schema());
    let loki = json!({"type": "loki", "endpoint": "https://h:3100"});
    let elastic = json!({"type": "elasticsearch", "endpoints": ["https://h:9200"]});
    for (base, key, value) in [
        (&loki, "type", json!("lokki")),
        (&loki, "endpoint", json!("loki:3100")),
        (&loki, "endpoint", json!("https://u:p@h")),
        (&loki, "tenant", json!("a b")),
        (&loki, "labels", json!({"node": "x"})),
        (&loki, "labels", json!({"1a": "x"})),
        (&loki, "labels", json!({"a": ""})),
        (&loki, "metadata", json!(["level"])),
        (&loki, "metadata", json!(["verb", "verb"])),
        (&loki, "timeout", json!("5")),
        (&loki, "timeout", json!(5)),
        (&loki, "batch", json!({"max_bytes": "1mb"})),
        (&loki, "headers", json!({"X-Scope-OrgID": "x"})),
        (&loki, "headers", json!({"a b": "x"})),
        (&loki, "bearer_token_file", json!("token")),
        (&loki, "api_key", json!("x")),
        (&loki, "path", json!("/x")),
        (&loki, "tls", json!({"cert_file": "/c"})),
        (&loki, "basic_auth", json!({"username": "u"})),
        (&loki, "basic_auth", json!({"username": "u", "password": "p", "password_file": "/p"})),
        (&loki, "inputs", json!([])),
        (&loki, "transform", json!({"redact": {"key_file": "/k"}})),
        (&loki, "transform", json!({"redact": {"rules": [{}]}})),
        (&elastic, "endpoints", json!([])),
        (&elastic, "endpoints", json!(["https://h?a=b"])),
        (&elastic, "index", json!("Audit")),
        (&elastic, "index", json!("audit-%d.%y")),
        (&elastic, "data_stream", json!("-x")),
        (&elastic, "query", json!({"filter_path": "x"})),
    ] {
        let mut output = base.clone();
        output[key] = value;
        let document = with_output(output);
        assert!(accepted(&document).is_err(), "the reader accepts {document}");
        assert!(valid(&validator, &toml(&document)).is_err(), "the schema accepts {document}");
    }
    let mut twice = elastic.clone();
    (twice["index"], twice["data_stream"]) = ("a".into(), "a-b-c".into());
    let mut credentials = loki.clone();
    (credentials["bearer_token"], credentials["bearer_token_file"]) = ("a".into(), "/a".into());
    for output in [twice, credentials, json!({})] {
        let document = with_output(output);
        assert!(accepted(&document).is_err(), "the reader accepts {document}");
        assert!(valid(&validator, &toml(&document)).is_err(), "the schema accepts {document}");
    }
}

#[test]
fn a_variable_may_stand_for_any_text() {
    let output = json!({"type": "loki", "endpoint": "${URL:-http://h}", "tenant": "${T:-a}",
        "timeout": "${W:-5s}", "batch": {"max_bytes": "${SIZE:-1MiB}"}, "metadata": ["${F:-verb}"],
        "transform": {"redact": {"mode": "${M:-mask}"}, "policy_file": "${P:-/p}"}});
    let mut document = with_output(output);
    document["disk"] = json!({"min_free": "${FREE:-5%}"});
    accepted(&document).unwrap();
    valid(&JsonSchema::new(schema()), &toml(&document)).unwrap();
}

proptest! {
    #[test]
    fn any_configuration_and_what_is_printed_of_it_are_valid_by_the_schema(document in configuration()) {
        let validator = JsonSchema::new(schema());
        let text = toml(&document);
        let printed = parse(&text).to_toml(SecretDisplay::Hidden(shown_url));
        prop_assert_eq!(valid(&validator, &text), Ok(()));
        prop_assert_eq!(valid(&validator, &printed), Ok(()));
    }
}
