//! Loads a policy from its text. It refuses everything that `pkg/apis/audit/validation` of k8s.io/apiserver refuses.

use super::findings::{Findings, list, nearest};
use super::kinds::{TypedKinds, resources};
use super::rule::{Glob, Group, Kinds, Names, RequestPattern, ResourcePattern, Rule};
use super::table::{Words, YamlTable};
use super::yaml::{self, Node, Value};
use super::{Level, Policy, Stages, lint, shadow};

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

/// A rule as it is written.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) line: u64,
    pub(super) place: String,
    pub(super) level: Level,
    pub(super) users: Words,
    pub(super) groups: Words,
    pub(super) verbs: Words,
    pub(super) namespaces: Words,
    pub(super) kinds: Vec<TypedKinds>,
    pub(super) urls: Words,
    pub(super) omit_stages: Stages,
    pub(super) omit_managed_fields: Option<bool>,
}

/// The policy as the API server would read it (`None` if it would refuse it), and the errors and warnings about it.
pub(super) fn policy(text: &str) -> (Option<Policy>, Findings) {
    let mut findings = Findings::default();
    let read = match yaml::read(text) {
        Ok(node) => read(&node, &mut findings),
        Err((line, what)) => {
            findings.error(line, "", what);
            None
        }
    };
    (read.filter(|_| findings.readable()), findings)
}

fn read(node: &Node, findings: &mut Findings) -> Option<Policy> {
    let top = YamlTable::open(node, String::new(), POLICY, findings)?;
    header(&top, findings);
    let omit_stages = stages(&top, findings);
    let omit_managed_fields = flag(&top, findings).unwrap_or_default();
    let rules = top.need("rules", "rules: [{level: Metadata}]", findings)?;
    let typed: Vec<Typed> = match &rules.value {
        Value::List(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| rule(item, index, findings))
            .collect(),
        Value::List(_) => {
            findings.error(
                rules.line,
                "rules",
                "holds no rule: add one such as `- level: Metadata`",
            );
            return None;
        }
        other => {
            findings.error(
                rules.line,
                "rules",
                format!("is {}, where a list of rules is expected", other.kind()),
            );
            return None;
        }
    };
    lint::policy(&top, omit_stages, &typed, findings);
    let build = |typed: &Typed| Rule {
        level: typed.level,
        users: Names::new(&typed.users.texts()),
        groups: Names::new(&typed.groups.texts()),
        verbs: Names::new(&typed.verbs.texts()),
        what: what(typed),
        omit_stages: typed.omit_stages.and(omit_stages),
        omit_managed_fields: typed.omit_managed_fields.unwrap_or(omit_managed_fields),
    };
    let rules: Vec<Rule> = typed.iter().map(build).collect();
    // A rule with a mistyped key may seem to shadow all rules after it, so this check waits until there are no
    // errors.
    if findings.errors.is_empty() {
        shadow::check(&typed, &rules, findings);
    }
    Some(Policy { rules, omit_stages, omit_managed_fields, warnings: Vec::new() })
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
                findings.error(node.line, key, what);
            }
            other => {
                findings.error(node.line, key, format!("is {}: write `{wanted}`", other.kind()));
            }
        }
    }
    if let Some(node) = top.get("metadata")
        && !matches!(node.value, Value::Map(_) | Value::Null)
    {
        findings.error(node.line, "metadata", format!("is {}: remove it", node.value.kind()));
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
    lint::rule(&typed, findings);
    Some(typed)
}

fn level(table: &YamlTable<'_>, findings: &mut Findings) -> Level {
    let names = Level::ALL.map(Level::name);
    let Some(node) = table.need("level", "level: Metadata", findings) else { return Level::None };
    let Value::Text(text) = &node.value else {
        let what = format!("is {}: write one of {}", node.value.kind(), list(&names));
        findings.error(node.line, &table.at("level"), what);
        return Level::None;
    };
    Level::parse(text).unwrap_or_else(|| {
        findings.error(node.line, &table.at("level"), unknown_word(text, &names));
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
            findings.error(word.line, &word.place, unknown_word(&word.text, &Stages::NAMES));
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
            findings.error(node.line, &table.at("omitManagedFields"), what);
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
        findings.error(url.line, &url.place, what);
    }
    let resources = !typed.kinds.is_empty() || !typed.namespaces.is_empty();
    if resources && !typed.urls.is_empty() {
        let what = "cannot stand beside `resources` or `namespaces`: make two rules";
        findings.error(typed.urls.line, &typed.urls.place, what);
    }
}

fn what(typed: &Typed) -> RequestPattern {
    if !typed.namespaces.is_empty() || !typed.kinds.is_empty() {
        let kinds = typed.kinds.iter().map(|typed| Kinds {
            group: Group::new(&typed.group),
            any_of: typed.kinds.texts().into_iter().map(ResourcePattern::new).collect(),
            names: Names::new(&typed.names.texts()),
        });
        RequestPattern::Resources(Names::new(&typed.namespaces.texts()), kinds.collect())
    } else if typed.urls.is_empty() {
        RequestPattern::Anything
    } else {
        RequestPattern::Paths(typed.urls.texts().into_iter().map(Glob::new).collect())
    }
}
