//! Writes configurations for tests: as JSON that becomes TOML, and at random.

use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Map, Value, json};
use toml_writer::{ToTomlKey as _, ToTomlValue as _, TomlStringBuilder};

/// A value of TOML on one line; null does not exist there.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => TomlStringBuilder::new(text).as_basic().to_toml_value(),
        Value::Array(all) => {
            format!("[{}]", all.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                format!("{} = {}", key.to_toml_key(), inline(value))
            };
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A URL without what may be a secret; the room of the outputs has the function that is used.
pub(super) fn shown_url(url: &str) -> String {
    url.split('?').next().unwrap().replace("S3CRET", "***")
}

/// A document of TOML.
pub(super) fn toml(document: &Value) -> String {
    let members = document.as_object().unwrap().iter();
    let line =
        |(key, value): (&String, &Value)| format!("{} = {}", key.to_toml_key(), inline(value));
    members.map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// The smallest configuration with this output.
pub(super) fn with_output(output: Value) -> Value {
    let mut document = json!({"inputs": {"a": {"type": "file", "path": "/l/audit.log"}}});
    document["outputs"]["o"] = output;
    document
}

/// Any text that stays as it is when it is read: with each dollar sign doubled.
fn text() -> impl Strategy<Value = Value> {
    "[a-z \"'\\\\#é$]{0,8}[a-z]".prop_map(|text| text.replace('$', "$$").into())
}

/// Some of these keys, each with one of its values.
fn some(keys: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Map<String, Value>> {
    let count = keys.len();
    subsequence(keys, 0..=count)
        .prop_flat_map(|keys| {
            let (names, values): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
            values.prop_map(move |values| {
                names.iter().map(|&name| name.to_owned()).zip(values).collect()
            })
        })
        .boxed()
}

/// One of these values.
fn of(values: Value) -> BoxedStrategy<Value> {
    let Value::Array(values) = values else { panic!("no list: {values}") };
    proptest::sample::select(values).boxed()
}

/// A table with some of these keys.
fn table(keys: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    some(keys).prop_map(Value::Object).boxed()
}

fn transform() -> BoxedStrategy<Value> {
    let rule = (text(), text()).prop_map(
        |(key, group)| json!({"key": key, "group": group, "resources": ["secrets", "configmaps"]}),
    );
    let rules = prop::collection::vec(rule, 0..3).prop_map(Value::from).boxed();
    let redact = table(vec![
        ("config_maps", of(json!(["pattern", "all", "off"]))),
        ("user_extra", of(json!([[], ["a$$b", "c"]]))),
        ("pseudonymise_users", of(json!([true, false]))),
        ("proxy_paths", of(json!([true, false]))),
        ("rules", rules.clone()),
        ("keep", rules),
    ]);
    let hashed =
        of(json!([{"mode": "hash"}, {"mode": "hash", "key_file": "/k"}, {"mode": "mask"}]));
    table(vec![
        ("policy_file", of(json!(["", "/p.yaml"]))),
        ("where", prop_oneof![text(), Just("a\t\u{7f}\n${X:-b}".into())].boxed()),
        ("redact", prop_oneof![of(json!(["default", "off"])), redact, hashed].boxed()),
        ("omit_managed_fields", of(json!([true, false]))),
        ("max_event_bytes", of(json!(["off", "5MB", 5000]))),
        ("omit_stages", of(json!([[], ["RequestReceived", "Panic"]]))),
    ])
}

/// The keys that every output has.
fn delivery() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    vec![
        ("inputs", of(json!([["a"], ["b"]]))),
        ("max_bytes_per_second", of(json!(["off", "5MiB", 2048]))),
        ("transform", transform()),
        ("retry", of(json!([{}, {"min": "2m"}, {"min": "1s", "max": "59m1s"}, {"max": "700ms"}]))),
        ("batch", of(json!([{}, {"max_bytes": "2MB"}, {"max_events": 7, "max_age": "1ms"}]))),
    ]
}

fn http() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    let headers =
        of(json!([{}, {"AccountID": "7", "X-Token": {"file": "/keys/token"}}, {"X": "s3cret"}]));
    let mut keys = delivery();
    keys.extend([
        ("in_flight", of(json!([1, 64]))),
        ("timeout", of(json!(["100ms", "10m", "1m1ms"]))),
        ("proxy", of(json!(["http://10.0.0.1:3128", "https://proxy"]))),
        ("tls", of(json!([{}, {"ca_file": "/ca"}, {"cert_file": "/c", "key_file": "/k"}]))),
        ("headers", headers),
    ]);
    keys
}

fn output() -> BoxedStrategy<Value> {
    let mut loki = http();
    loki.extend([
        ("tenant", of(json!(["", "team-a", "a.(b)'*!"]))),
        ("labels", text().prop_map(|value| json!({"job": "x", "other": value})).boxed()),
        ("metadata", of(json!([[], ["verb", "request_uri"]]))),
        ("stream_per_hour", of(json!([true, false]))),
        ("bearer_token", of(json!(["s3cret", "s3cret$$"]))),
    ]);
    let mut elastic = http();
    elastic.extend([
        ("layout", of(json!(["elastic", "flat"]))),
        ("compression", of(json!(["gzip", "none"]))),
        ("setup_template", of(json!(["auto", "never"]))),
        ("query", of(json!([{}, {"_msg_field": "event.original", "token": "s3cret"}]))),
        ("index", of(json!(["audit-%Y.%m.%d-%H", "audit"]))),
        ("api_key_file", of(json!(["/keys/es"]))),
    ]);
    let mut falco = http();
    falco.retain(|(key, _)| *key != "in_flight");
    falco.extend([
        ("resend_window", of(json!(["off", "1m", "10m"]))),
        ("bearer_token", of(json!(["s3cret"]))),
    ]);
    let mut file = delivery();
    file.push(("rotate", of(json!([{}, {"max_bytes": "1MB"}, {"max_files": 3}]))));
    let with = |base: Value| {
        move |mut more: Map<String, Value>| {
            more.extend(base.as_object().unwrap().clone());
            Value::Object(more)
        }
    };
    let hosts =
        json!({"type": "elasticsearch", "endpoints": ["https://es-1", "http://es-2:9200/p"]});
    prop_oneof![
        some(loki).prop_map(with(
            json!({"type": "loki", "endpoint": "https://h/S3cr3t/loki/api/v1/push?a=b"})
        )),
        some(elastic).prop_map(with(hosts)),
        some(falco)
            .prop_map(with(json!({"type": "falco", "endpoint": "https://h/S3cr3t/k8s-audit?a=b"}))),
        some(file).prop_map(with(json!({"type": "file", "path": "/out/{input}.ndjson"}))),
    ]
    .boxed()
}

/// A configuration that is accepted, with any of the keys.
pub(super) fn configuration() -> BoxedStrategy<Value> {
    let input = some(vec![
        ("start_at", of(json!(["beginning", "current_file", "end", "1h30m"]))),
        ("max_line_bytes", of(json!(["3MiB", 5000, "1GiB"]))),
        ("rescan", of(json!(["100ms", "10m"]))),
        ("hold", of(json!([{}, {"max_bytes": 0}, {"dir": "/l/a/hold"}, {"min_free": "5GB"}]))),
        ("backups", of(json!(["old/audit-*", ["/other/x-[0-9]", "..audit*"]]))),
    ]);
    let top = some(vec![
        ("node", text().boxed()),
        ("cluster", text().boxed()),
        ("state_dir", of(json!(["/var/lib/a$$b", "/s \"é\""]))),
        ("disk", of(json!([{}, {"max_bytes": 10_000_000}, {"min_free": "5 %"}]))),
        ("checkpoint_interval", of(json!(["10ms", "1m"]))),
        ("drain_timeout", of(json!(["0s", "10m"]))),
        ("unready_after", of(json!(["off", "1s", "7d"]))),
        ("heartbeat", of(json!(["off", "5m", "1h"]))),
        (
            "server",
            of(json!([{}, {"listen": "off"}, {"listen": "[::1]:1", "allowed_hosts": [".a.org"]}])),
        ),
        ("transform", transform()),
    ]);
    let spool = of(json!([{}, {"max_bytes": "2MiB"}, {"min_free": "0%", "compression": "none"}]));
    let webhook = some(vec![
        ("listen", of(json!(["127.0.0.1:1", "[::1]:9886", "localhost:9886"]))),
        ("insecure_listen", of(json!([true, false]))),
        (
            "tls",
            of(json!([
                {"cert_file": "/c", "key_file": "/k"},
                {"cert_file": "/c", "key_file": "/k", "client_ca_file": "/ca"},
            ])),
        ),
        ("max_line_bytes", of(json!(["3MiB", 5000]))),
        ("spool", spool),
    ]);
    (top, input, webhook, output())
        .prop_map(|(mut top, mut input, mut webhook, output)| {
            input.insert("type".into(), "file".into());
            webhook.insert("type".into(), "webhook".into());
            let mut other = input.clone();
            input.insert("path".into(), "/l/a[1]/audit.log".into());
            other.insert("path".into(), "/l/b/audit.log".into());
            top.insert("inputs".into(), json!({"a": input, "b": other, "c": webhook}));
            top.insert("outputs".into(), json!({"o": output}));
            Value::Object(top)
        })
        .boxed()
}
