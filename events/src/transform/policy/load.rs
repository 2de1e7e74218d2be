//! Reads a policy from its text. It refuses everything that `pkg/apis/audit/validation` of k8s.io/apiserver refuses.

use super::findings::{Findings, list, nearest};
use super::kinds::resources;
use super::stages::Stages;
use super::table::YamlTable;
use super::typed::{Typed, TypedPolicy};
use super::yaml::{self, Node, Value};
use crate::transform::level::Level;

const POLICY: &[&str] =
    &["apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields"];
const RULE: &[&str] = &[
    "level",
    "users",
    "userGroups",
    "verbs",
    "resources",
    "namespaces",
    "nonResourceURLs",
    "omitStages",
    "omitManagedFields",
];

/// Reads a policy; `None` if the text holds none.
pub(super) fn policy(text: &str, findings: &mut Findings) -> Option<TypedPolicy> {
    match yaml::read(text) {
        Ok(node) => read(&node, findings),
        Err((line, what)) => {
            findings.error((line, ""), what);
            None
        }
    }
}

fn read(node: &Node, findings: &mut Findings) -> Option<TypedPolicy> {
    let top = YamlTable::open(node, String::new(), POLICY, findings)?;
    header(&top, findings);
    let omit_stages = stages(&top, findings);
    let omit_managed_fields = flag(&top, findings).unwrap_or_default();
    let rules = top.need("rules", "rules: [{level: Metadata}]", findings)?;
    let rules = match &rules.value {
        Value::List(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| rule(item, index, findings))
            .collect(),
        Value::List(_) => {
            findings
                .error((rules.line, "rules"), "holds no rule: add one such as `- level: Metadata`");
            return None;
        }
        other => {
            findings.error(
                (rules.line, "rules"),
                format!("is {}, where a list of rules is expected", other.kind()),
            );
            return None;
        }
    };
    let omit_line = top.get("omitStages").map_or(top.line, |node| node.line);
    Some(TypedPolicy { line: top.line, omit_line, omit_stages, omit_managed_fields, rules })
}

/// Checks `apiVersion`, `kind` and `metadata`.
fn header(top: &YamlTable<'_>, findings: &mut Findings) {
    for (key, wanted) in [("apiVersion", "audit.k8s.io/v1"), ("kind", "Policy")] {
        let Some(node) = top.need(key, &format!("{key}: {wanted}"), findings) else { continue };
        match &node.value {
            Value::Text(text) if text == wanted => {}
            Value::Text(text) => {
                let what = format!(
                    "is `{}`, and only `{wanted}` is read, by the API server too",
                    text.escape_debug()
                );
                findings.error((node.line, key), what);
            }
            other => {
                findings.error((node.line, key), format!("is {}: write `{wanted}`", other.kind()));
            }
        }
    }
    if let Some(node) = top.get("metadata")
        && !matches!(node.value, Value::Map(_) | Value::Null)
    {
        findings.error((node.line, "metadata"), format!("is {}: remove it", node.value.kind()));
    }
}

fn rule(node: &Node, index: usize, findings: &mut Findings) -> Option<Typed> {
    let table = YamlTable::open(node, format!("rules[{index}]"), RULE, findings)?;
    let typed = Typed {
        line: table.line,
        level: level(&table, findings),
        users: table.bound("users", findings),
        groups: table.bound("userGroups", findings),
        verbs: table.bound("verbs", findings),
        namespaces: table.bound("namespaces", findings),
        kinds: resources(&table, findings),
        urls: table.bound("nonResourceURLs", findings),
        omit_stages: stages(&table, findings),
        omit_managed_fields: flag(&table, findings),
        place: table.place,
    };
    urls(&typed, findings);
    Some(typed)
}

fn level(table: &YamlTable<'_>, findings: &mut Findings) -> Level {
    let names = Level::ALL.map(Level::name);
    let Some(node) = table.need("level", "level: Metadata", findings) else { return Level::None };
    let Value::Text(text) = &node.value else {
        let what = format!("is {}: write one of {}", node.value.kind(), list(&names));
        findings.error((node.line, &table.at("level")), what);
        return Level::None;
    };
    Level::parse(text).unwrap_or_else(|| {
        findings.error((node.line, &table.at("level")), unknown_word(text, &names));
        Level::None
    })
}

fn unknown_word(text: &str, known: &[&str]) -> String {
    let way_out = match nearest(text, known) {
        Some(near) if near.eq_ignore_ascii_case(text) => format!("write `{near}`, case matters"),
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", list(known)),
    };
    format!("`{}` is none: {way_out}", text.escape_debug())
}

fn stages(table: &YamlTable<'_>, findings: &mut Findings) -> Stages {
    let words = table.words("omitStages", findings);
    words.iter().fold(Stages::default(), |stages, word| {
        let stage = Stages::of(&word.text);
        if stage == Stages::default() {
            findings.error(word, unknown_word(&word.text, &Stages::NAMES));
        }
        stages.and(stage)
    })
}

fn flag(table: &YamlTable<'_>, findings: &mut Findings) -> Option<bool> {
    let node = table.get("omitManagedFields")?;
    match &node.value {
        Value::Bool(value) => Some(*value),
        Value::Null => None,
        other => {
            let what = format!("is {}: write `true` or `false`, without quotes", other.kind());
            findings.error((node.line, &table.at("omitManagedFields")), what);
            None
        }
    }
}

fn urls(typed: &Typed, findings: &mut Findings) {
    for url in typed.urls.iter().filter(|url| url.text != "*") {
        let what = if !url.text.starts_with('/') {
            "does not begin with `/`"
        } else if url.text.strip_suffix('*').unwrap_or(&url.text).contains('*') {
            "has a `*` elsewhere than at its end"
        } else {
            continue;
        };
        let what = format!(
            "`{}` {what}: write a path such as `/version`, or the beginning of some, `/healthz*`",
            url.text.escape_debug()
        );
        findings.error(url, what);
    }
    let resources = !typed.kinds.is_empty() || !typed.namespaces.is_empty();
    if resources && !typed.urls.is_empty() {
        let what = "cannot stand beside `resources` or `namespaces`: make two rules";
        findings.error(&typed.urls, what);
    }
}
