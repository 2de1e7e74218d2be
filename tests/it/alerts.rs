//! The alert rules in `etc/prometheus`: each has a paragraph in the runbook, a test that promtool runs, and metrics that
//! exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::command::root;
use crate::docs::check_metrics;
use crate::prometheus::promtool;
use crate::sources::{blocks, read, spans};

const RULES: &str = "etc/prometheus/auditrail.rules.yaml";
/// Its tests are `tests/backends/heartbeats.rs`, as those of the rules for Elasticsearch and OpenSearch.
const LOKI: &str = "etc/loki/auditrail.rules.yaml";
const TESTS: &str = "etc/prometheus/auditrail.rules.test.yaml";
const RUNBOOK: &str = "docs/runbook.md";

/// The names of all alerts, in the order of the file; one that has two severities stands there twice.
fn alerts(rules: &str) -> Vec<&str> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

/// The text after each mark, up to the next one of these characters.
fn after<'a>(text: &'a str, mark: &'a str, until: &'a [char]) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).map(move |rest| rest.split(until).next().unwrap())
}

#[test]
fn every_alert_has_a_paragraph_in_the_runbook_and_every_paragraph_its_alert() {
    let (rules, runbook) = (read(RULES), read(RUNBOOK));
    let in_loki = read(LOKI);
    let mut alerts = [alerts(&rules), self::alerts(&in_loki)].concat();
    alerts.dedup();
    let paragraphs: Vec<_> = runbook.split("\n### ").skip(1).collect();
    let names: Vec<_> = paragraphs.iter().map(|text| text.lines().next().unwrap()).collect();
    assert_eq!(names, alerts, "in this order");
    for paragraph in paragraphs {
        let text = paragraph.split("\n## ").next().unwrap();
        assert!(spans(text).len() > 1 || text.contains("]("), "nothing to look at: {text}");
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_where_its_paragraph_is() {
    let rules = read(RULES) + &read(LOKI);
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let severe = ["critical", "warning"]
            .iter()
            .any(|severity| rule.contains(&format!("labels: {{severity: {severity}}}\n")));
        assert!(severe, "{name} has no severity");
        let url = format!("runbook_url: {RUNBOOK}#{}\n", name.to_lowercase());
        assert!(rule.contains(&url), "{name} names no paragraph");
        for annotation in ["summary: ", "description: "] {
            let text = after(rule, annotation, &['\n']).next();
            assert!(text.is_some_and(|text| text.ends_with('.')), "{name}: {annotation}{text:?}");
        }
    }
}

#[test]
fn every_metric_of_an_alert_is_exposed_and_every_finding_has_an_alert() {
    let rules = read(RULES);
    assert!(check_metrics(Path::new(RULES), &rules) > 20);
    assert!(check_metrics(Path::new(TESTS), &read(TESTS)) > 100);
    let exposed = read("src/telemetry/metrics.txt");
    let all: BTreeSet<_> = after(&exposed, "finding=\"", &['"']).collect();
    let named: BTreeSet<_> = after(&rules, "finding=~\"", &['"'])
        .chain(after(&rules, "finding=\"", &['"']))
        .flat_map(|list| list.split('|'))
        .collect();
    assert_eq!(named, all);
}

#[test]
fn every_alert_fires_in_a_test_at_each_of_its_severities() {
    let (rules, tests) = (read(RULES), read(TESTS));
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let severity = after(rule, "severity: ", &['}']).next().unwrap();
        let fired = format!("{{alertname=\"{name}\",severity=\"{severity}\"");
        assert!(tests.contains(&fired), "no test shows {fired}");
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    for arguments in [["check", "rules", RULES], ["test", "rules", TESTS]] {
        let [first, second, file] = arguments;
        let file = root().join(file);
        promtool(&[first, second, file.to_str().unwrap()], "");
    }
}

#[test]
fn prometheus_accepts_the_configuration_in_the_documents() {
    let page = read("docs/operating.md");
    let config = blocks(&page, &["yaml"]).into_iter().find(|block| block.contains("rule_files"));
    let config = config.expect("docs/operating.md shows how to load the rules");
    let rules = root().join(RULES);
    let config = config.replace("/etc/prometheus/auditrail.rules.yaml", rules.to_str().unwrap());
    // Debian's build knows nothing of Kubernetes.
    let discovery = config.lines().find(|line| line.contains("kubernetes_sd_configs")).unwrap();
    let config = config.replace(discovery, "    static_configs: [{targets: [\"127.0.0.1:9885\"]}]");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    if let Some(said) = promtool(&["check", "config", file.to_str().unwrap()], "") {
        assert!(said.contains("1 rule files found"), "{said}");
    }
}
