//! Finds traps: things that the API server accepts silently although they do not do what they seem to do.
//!
//! It reports an error if something certainly never matches, or matches more than is written, and a warning if it may
//! be intended.

use super::findings::{Findings, list, nearest};
use super::known::{GROUPS, elsewhere};
use super::stages::Stages;
use super::table::{TypedWord, TypedWords};
use super::typed::{Typed, TypedKinds, TypedPolicy};
use crate::transform::level::Level;

/// All verbs for resources; `""` is an HTTP method without a verb, such as OPTIONS.
const VERBS: &[&str] = &[
    "",
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "proxy",
];

/// The usual verbs for other requests: HTTP methods in lower case.
const METHODS: &[&str] =
    &["get", "head", "post", "put", "patch", "delete", "options", "connect", "trace"];

/// Checks a policy and each of its rules.
pub(super) fn policy(policy: &TypedPolicy, findings: &mut Findings) {
    let &TypedPolicy { omit_line: line, omit_stages: omitted, ref rules, .. } = policy;
    for one in rules {
        rule(one, findings);
    }
    if omitted == Stages::ALL {
        findings.trap(
            (line, "omitStages"),
            "names every stage, so that nothing is kept: leave some out",
        );
    } else if omitted.has(Stages::of("ResponseStarted")) {
        let what = "drops every refused login: such a request has the stage `ResponseStarted` alone; leave it out of the list";
        findings.warn((line, "omitStages"), what);
    }
    if rules.iter().all(|rule| rule.level == Level::None) {
        findings.warn((policy.line, "rules"), "have no level but `None`, so that no event is kept");
    }
    for rule in rules {
        if rule.level > Level::None && rule.omit_stages.and(omitted) == Stages::ALL {
            findings.warn(rule, "omits every stage: write `level: None`");
        }
    }
}

/// Checks one rule by itself.
fn rule(rule: &Typed, findings: &mut Findings) {
    for (words, way_out) in [
        (&rule.users, "name the users one by one, or use `userGroups`"),
        (&rule.groups, "name the groups one by one"),
        (&rule.namespaces, "name the namespaces one by one, or leave the key out for all"),
    ] {
        for word in words.iter().filter(|word| word.text.contains('*')) {
            trap_star(word, way_out, findings);
        }
    }
    who(rule, findings);
    verbs(rule, findings);
    for entry in &rule.kinds {
        kinds(entry, findings);
        names(entry, &rule.verbs, findings);
    }
    for url in rule.urls.iter() {
        path(url, findings);
    }
}

fn trap_star(word: &TypedWord, way_out: &str, findings: &mut Findings) {
    let what = format!(
        "`{}` is taken as it stands, there is no wildcard here: {way_out}",
        word.text.escape_debug()
    );
    findings.trap(word, what);
}

/// Finds groups among the users, and users among the groups.
fn who(rule: &Typed, findings: &mut Findings) {
    const GROUPS: &[&str] = &[
        "system:masters",
        "system:nodes",
        "system:authenticated",
        "system:unauthenticated",
        "system:serviceaccounts",
        "system:monitoring",
    ];
    let is_group =
        |text: &str| GROUPS.contains(&text) || text.starts_with("system:serviceaccounts:");
    let is_user =
        |text: &str| text.starts_with("system:serviceaccount:") || text.starts_with("system:node:");
    for word in rule.users.iter().filter(|word| is_group(&word.text)) {
        findings.warn(word, format!("`{}` is a group: put it into `userGroups`", word.text));
    }
    for word in rule.groups.iter().filter(|word| is_user(&word.text)) {
        findings
            .warn(word, format!("`{}` is a user: put it into `users`", word.text.escape_debug()));
    }
}

fn verbs(rule: &Typed, findings: &mut Findings) {
    let resources = !rule.kinds.is_empty() || !rule.namespaces.is_empty();
    let mut dead = 0;
    for verb in rule.verbs.iter() {
        let text = verb.text.as_str();
        let known = VERBS.contains(&text) || !resources && METHODS.contains(&text);
        let shown = text.escape_debug();
        if text.contains('*') {
            trap_star(verb, "leave `verbs` out for all of them", findings);
        } else if text.chars().any(|char| char.is_ascii_uppercase()) {
            let what = format!(
                "`{shown}` is none, verbs are in lower case: write `{}`",
                text.to_ascii_lowercase()
            );
            findings.trap(verb, what);
        } else if !known {
            dead += usize::from(resources);
            let way_out = match nearest(text, if resources { VERBS } else { METHODS }) {
                Some(near) => format!("did you mean `{near}`?"),
                None if resources => format!("known are {}", list(&VERBS[1..])),
                None => format!("known are {}", list(METHODS)),
            };
            findings.warn(verb, format!("`{shown}` is no verb: {way_out}"));
        }
    }
    if dead > 0 && dead == rule.verbs.list.len() {
        let what = format!(
            "no request for a resource has such a verb, so that the rule can never match: known are {}",
            list(&VERBS[1..])
        );
        findings.trap(&rule.verbs, what);
    }
}

fn kinds(entry: &TypedKinds, findings: &mut Findings) {
    let group = entry.group.as_str();
    if matches!(group, "core" | "v1" | "api") {
        let what = format!("`{group}` is no group: write `\"\"` for the core group");
        return findings.trap((entry.line, &format!("{}.group", entry.place)), what);
    }
    let known = GROUPS.iter().find(|(known, _)| *known == group).map(|(_, resources)| *resources);
    if known.is_none() && !group.contains('.') && !matches!(group, "*" | "extensions") {
        let names: Vec<&str> =
            GROUPS.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        let near = nearest(group, &names)
            .map_or(String::new(), |near| format!(": did you mean `{near}`?"));
        findings.warn(
            (entry.line, &format!("{}.group", entry.place)),
            format!("`{group}` is no group that Kubernetes has{near}"),
        );
    }
    for kind in entry.kinds.iter() {
        let text = kind.text.as_str();
        let resource = text.split('/').next().unwrap_or_default();
        if text.chars().any(|char| char.is_ascii_uppercase()) {
            let what = format!(
                "`{}` is no resource: names of resources are in lower case and plural, as in `pods`",
                text.escape_debug()
            );
            findings.trap(kind, what);
            continue;
        }
        if text.ends_with("/*") && !entry.kinds.texts().contains(&resource) {
            let what = format!(
                "`{text}` matches `{resource}` itself too: if that is meant, add it, else name the subresources"
            );
            findings.warn(kind, what);
        }
        let Some(resources) =
            known.filter(|resources| resource != "*" && !resources.contains(&resource))
        else {
            continue;
        };
        let way_out = match (elsewhere(resource), nearest(resource, resources)) {
            (Some(""), _) => "it is in the core group, `\"\"`".to_owned(),
            (Some(other), _) => format!("it is in `{other}`"),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            // The resource may be newer than this list.
            (None, None) => continue,
        };
        let here = match group {
            "" => "the core group".to_owned(),
            group => format!("the group `{group}`"),
        };
        findings.warn(kind, format!("`{resource}` is no resource of {here}: {way_out}"));
    }
}

/// Finds `resourceNames` that requests with these verbs do not have.
fn names(entry: &TypedKinds, verbs: &TypedWords, findings: &mut Findings) {
    for word in entry.names.iter().filter(|word| word.text.contains('*')) {
        trap_star(word, "name the objects one by one", findings);
    }
    if entry.names.is_empty() || verbs.is_empty() {
        return;
    }
    let only = |these: &[&str]| verbs.iter().all(|verb| these.contains(&verb.text.as_str()));
    if only(&["deletecollection"]) && !entry.names.texts().contains(&"") {
        let what = "no `deletecollection` is about a name, so that this can never match: remove `resourceNames`";
        findings.trap(&entry.names, what);
    } else if only(&["create", "list", "watch", "deletecollection"]) {
        let what = "only count where the URL has a name: a create has none, a list or watch only by `fieldSelector=metadata.name=…`";
        findings.warn(&entry.names, what);
    }
}

/// Finds paths of resources; rules with paths never match requests for resources.
fn path(url: &TypedWord, findings: &mut Findings) {
    let text = url.text.as_str();
    let fixed = text.trim_end_matches('*');
    let segments: Vec<&str> = fixed.trim_matches('/').split('/').collect();
    let resource = match segments.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => {
            rest.iter().any(|segment| !segment.is_empty())
        }
        _ => false,
    };
    if resource {
        let what = format!(
            "`{}` is the path of a resource, which `nonResourceURLs` never match: use `resources`",
            text.escape_debug()
        );
        findings.trap(url, what);
    } else if text.ends_with("/*") && matches!(segments.as_slice(), ["api", _] | ["apis", _, _]) {
        let what = format!(
            "`{}` matches discovery alone, and no resource: use `resources` for those",
            text.escape_debug()
        );
        findings.warn(url, what);
    } else if fixed.contains('?') {
        let what = format!(
            "`{}` holds a query, and only the path is looked at: leave out what follows `?`",
            text.escape_debug()
        );
        findings.warn(url, what);
    }
}
