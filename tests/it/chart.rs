//! Checks the Helm chart as far as that needs no Helm: its documents, its schema, its copies of other files, and the
//! configurations that it renders. `tests/helm/check.sh` renders it, `tests/backends/chart.rs` asks an API server.

use std::fs;
use std::path::Path;

use crate::command::root;
use crate::docs::accepted;
use crate::sources::{files, read};

const CHART: &str = "etc/helm/auditrail";

/// The keys of values.yaml as paths, such as `image.tag`, without the examples in its comments.
fn keys() -> Vec<String> {
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut found = Vec::new();
    for line in read(format!("{CHART}/values.yaml")).lines() {
        let indent = line.len() - line.trim_start().len();
        let Some((key, _)) = line.trim_start().split_once(':') else { continue };
        if !key.chars().all(|c| c.is_ascii_alphanumeric()) {
            continue;
        }
        above.retain(|(outer, _)| *outer < indent);
        above.push((indent, key.to_owned()));
        let path: Vec<_> = above.iter().map(|(_, key)| key.as_str()).collect();
        found.push(path.join("."));
    }
    found
}

/// Values that are examples of Kubernetes' own objects, whose members the chart does not define.
fn is_kubernetes_own(key: &str) -> bool {
    ["networkPolicy.from.", "networkPolicy.dns.", "networkPolicy.egress.", "resources.requests."]
        .iter()
        .chain(&["resources.limits.", "dashboards.labels."])
        .any(|object| key.starts_with(object))
}

#[test]
fn every_value_of_the_chart_is_in_its_readme_and_in_its_schema() {
    let readme = read(format!("{CHART}/README.md"));
    let schema: serde_json::Value =
        serde_json::from_str(&read(format!("{CHART}/values.schema.json"))).unwrap();
    let keys = keys();
    assert!(keys.len() > 60, "{keys:?}");
    for key in keys.iter().filter(|key| !is_kubernetes_own(key)) {
        let mut known = &schema;
        for part in key.split('.') {
            known = &known["properties"][part];
        }
        assert!(!known.is_null(), "the schema has no {key}");
        // A row names a key, or the object that the key belongs to. An object needs no row if its keys have some.
        let parent = key.rsplit_once('.').map_or(key.as_str(), |(parent, _)| parent);
        let mut rows = [key.as_str(), parent].into_iter().map(|key| format!("| `{key}` |"));
        let named = rows.any(|row| readme.contains(&row));
        let is_object = keys.iter().any(|other| other.starts_with(&format!("{key}.")));
        assert!(named || is_object, "the README has no row for {key}");
    }
    for row in readme.lines().filter_map(|line| line.strip_prefix("| `")) {
        let key = row.split('`').next().unwrap();
        let known = keys.iter().any(|other| other == key);
        let distribution = is_distribution(key);
        assert!(known || distribution, "the README explains {key}, which is no value");
    }
}

fn is_distribution(key: &str) -> bool {
    read(format!("{CHART}/presets.yaml")).contains(&format!("\n{key}:\n"))
}

/// `additionalProperties` is set wherever the chart itself defines the members, so that a misspelt key is an error.
#[test]
fn the_schema_refuses_unknown_keys_wherever_the_chart_defines_them() {
    fn visit(place: &str, schema: &serde_json::Value) {
        if let Some(properties) = schema["properties"].as_object() {
            let open = place == "/config" || place.starts_with("/config/");
            assert!(open || schema["additionalProperties"] == false, "{place} is open");
            for (key, inner) in properties {
                visit(&format!("{place}/{key}"), inner);
            }
        }
    }
    visit("", &serde_json::from_str(&read(format!("{CHART}/values.schema.json"))).unwrap());
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = read(format!("{CHART}/Chart.yaml"));
    for key in ["version", "appVersion"] {
        let wanted = format!("\n{key}: {}\n", env!("CARGO_PKG_VERSION"));
        assert!(chart.contains(&wanted), "Chart.yaml: {wanted}");
    }
}

/// The configuration in each rendered manifest, as the agent in the pod would read it.
#[test]
fn every_configuration_that_the_chart_renders_is_accepted() {
    let manifests = files("tests/helm/snapshots", "yaml");
    assert_eq!(manifests.len(), 7, "a snapshot for each distribution, and the full one");
    for path in manifests {
        let text = read(&path);
        let embedded = text.split("auditrail.toml: |\n").nth(1).unwrap();
        let lines = embedded.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
        accepted(&path.display().to_string(), &lines.collect::<Vec<_>>().join("\n"));
    }
}

/// The agent names the paths of these logs when an operator's path does not exist.
#[test]
fn every_preset_of_the_chart_follows_a_log_that_the_agent_knows() {
    let known = read("src/input/scan/known_paths.rs");
    let presets = read(format!("{CHART}/presets.yaml"));
    let logs: Vec<_> = presets.lines().filter_map(|line| line.strip_prefix("  log: ")).collect();
    assert_eq!(logs.len(), 6);
    for log in logs {
        assert!(known.contains(&format!("(\"{log}\",")), "{log}");
    }
}

/// A packaged chart cannot reach files outside of its folder, so it has copies of the alert rules and the dashboards.
#[test]
fn the_copies_in_the_chart_are_equal_to_their_sources() {
    for (source, copy, extension, mark) in [
        ("etc/prometheus", "files/prometheus", "yaml", "\ngroups:"),
        ("etc/grafana", "files/dashboards", "json", "\"panels\""),
    ] {
        let copies = Path::new(CHART).join(copy);
        let list = |folder: &Path| -> Vec<_> {
            let Ok(entries) = fs::read_dir(root().join(folder)) else { return Vec::new() };
            let paths = entries.map(|entry| entry.unwrap().path());
            paths.filter(|path| path.extension().is_some_and(|other| other == extension)).collect()
        };
        for path in list(&copies) {
            let original = Path::new(source).join(path.file_name().unwrap());
            assert_eq!(read(&path), read(original), "run etc/helm/render.sh");
        }
        for path in list(Path::new(source)) {
            let text = format!("\n{}", read(&path));
            let copied = copies.join(path.file_name().unwrap());
            let is_there = root().join(&copied).is_file();
            assert!(
                !text.contains(mark) || is_there,
                "{}: run etc/helm/render.sh",
                copied.display()
            );
        }
    }
}
