//! Checks the Helm chart as far as that needs no Helm: its documents, its schema, its copies of other files, and the
//! configurations that it renders. `tests/helm/check.sh` renders it, `tests/backends/chart.rs` asks an API server.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kit::process::{Running, built_binary, log_to};
use kit::{free_port, wait_for};
use rustix::process::geteuid;

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
    let known = read("src/discovery/known_paths.rs");
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
            let missing = copies.join(path.file_name().unwrap());
            let is_there = root().join(&missing).is_file();
            assert!(
                !text.contains(mark) || is_there,
                "{}: run etc/helm/render.sh",
                missing.display()
            );
        }
    }
}

/// On Talos the log and its directory (0700) belong to another user than root. The capabilities of the preset are enough
/// to read the log and to keep it with hard links. Without `FOWNER` there are no links.
#[test]
fn the_capabilities_of_the_talos_preset_keep_a_log_of_another_user() {
    let has_setpriv = Command::new("setpriv").arg("--version").output().is_ok();
    if !geteuid().is_root() || !has_setpriv {
        eprintln!("NOT TESTED: root and setpriv are needed to run with few capabilities");
        return;
    }
    let overlay = "etc/kubernetes/overlays/talos";
    let pod = read(format!("{overlay}/auditrail.yaml"));
    let capabilities: Vec<_> = pod
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "add:")
        .skip(1)
        .map_while(|line| line.strip_prefix("- "))
        .map(|name| format!("+{}", name.to_ascii_lowercase()))
        .collect();
    let without: Vec<_> = capabilities.iter().filter(|name| *name != "+fowner").cloned().collect();
    for (capabilities, links) in [(capabilities, 1), (without, 0)] {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("audit/kube");
        fs::create_dir_all(&logs).unwrap();
        let log = logs.join("kube-apiserver.log");
        fs::copy(root().join("etc/recorded/audit/audit.log"), &log).unwrap();
        for (path, mode) in [(&log, 0o600), (&logs, 0o700)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            chown(path, Some(65534), Some(65534)).unwrap();
        }
        // Nothing listens at the output's address, so the links stay.
        let config = read(format!("{overlay}/auditrail.toml"))
            .replace("/var/log/audit", dir.path().join("audit").to_str().unwrap())
            .replace("http://loki-gateway.loki.svc", &format!("http://127.0.0.1:{}", free_port()))
            .replace("0.0.0.0:9885", "off")
            .replace("hold = { ", "hold = { min_free = \"1%\", ");
        let state = dir.path().join("state");
        let config = format!(
            "state_dir = \"{}\"\ndisk = {{ min_free = \"1%\" }}\n{config}",
            state.display()
        );
        let path = dir.path().join("auditrail.toml");
        fs::write(&path, config).unwrap();
        let said = dir.path().join("said");
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--bounding-set=-all,{}", capabilities.join(",")))
            .arg("--inh-caps=-all")
            .arg(built_binary())
            .args(["run", "-c"])
            .arg(&path)
            .env("NODE_NAME", "cp-1");
        let _running = Running::spawn(log_to(&mut command, &said));
        wait_for("the agent to try the output", Duration::from_secs(20), || {
            let text = fs::read_to_string(&said).unwrap();
            if text.contains("output does not take events") { Ok(()) } else { Err(text) }
        });
        let hold = dir.path().join("audit/.auditrail-hold");
        let found = fs::read_dir(hold).unwrap().count();
        assert_eq!(found, links, "{capabilities:?}: {}", fs::read_to_string(&said).unwrap());
    }
}
