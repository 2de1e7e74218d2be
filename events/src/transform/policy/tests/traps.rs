//! Tests of the errors about policies that cannot be intended, and of the warnings about odd ones.

use std::path::Path;

use proptest::prelude::*;

use super::{HEAD, Policy};

/// Checks that a policy, given without the two lines of the header, is refused with exactly these messages, each
/// after its line number.
#[track_caller]
pub(super) fn refused(body: &str, expected: &[&str]) {
    whole(&format!("{HEAD}{body}"), expected);
}

#[track_caller]
fn whole(text: &str, expected: &[&str]) {
    let error = match Policy::parse(text, Path::new("p.yaml")) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    };
    let said: Vec<&str> = error.lines().map(|line| line.strip_prefix("p.yaml:").unwrap()).collect();
    assert_eq!(said, expected, "\n{text}");
}

/// Checks that a policy is accepted with these warnings.
#[track_caller]
pub(super) fn warned(body: &str, expected: &[&str]) {
    let policy = super::parse(body);
    let said: Vec<&str> =
        policy.warnings().iter().map(|line| line.strip_prefix("p.yaml:").unwrap()).collect();
    assert_eq!(said, expected, "\n{body}");
}

/// Checks one rule, given without its level.
#[track_caller]
fn rule_refused(rule: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|text| format!("3: rules[0].{text}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    refused(&format!("rules: [{{level: Metadata, {rule}}}]"), &expected);
}

#[track_caller]
fn rule_warned(rule: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|text| format!("3: rules[0].{text}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    warned(&format!("rules: [{{level: Metadata, {rule}}}]"), &expected);
}

const KEYS: &str = "`level`, `users`, `userGroups`, `verbs`, `resources`, `namespaces`, `nonResourceURLs`, `omitStages`, `omitManagedFields`";

#[test]
fn a_key_with_a_typing_mistake_does_not_let_a_rule_match_everybody() {
    refused(
        "rules:\n- level: None\n  user: [bob]\n- level: Metadata\n  groups: [x]\n  omitstages: [Panic]\n  who: me\n",
        &[
            "5: rules[0]: unknown key `user`, which the API server passes over: did you mean `users`?",
            "7: rules[1]: unknown key `groups`, which the API server passes over: did you mean `userGroups`?",
            "8: rules[1]: unknown key `omitstages`, which the API server passes over: write `omitStages`, case matters",
            &format!(
                "9: rules[1]: unknown key `who`, which the API server passes over: known are {KEYS}"
            ),
        ],
    );
    // As in a Role.
    rule_refused(
        "resources: [{apiGroups: [''], resources: [pods]}, pods]",
        &[
            "resources[0]: unknown key `apiGroups`, which the API server passes over: did you mean `group`?",
            "resources[1]: is a text: write `- {group: \"\", resources: [\"pods\"]}`, with the group of `pods`",
        ],
    );
}

#[test]
fn a_file_that_is_no_policy_is_refused_with_what_it_lacks() {
    whole(
        "apiversion: audit.k8s.io/v1\nkind: Policy\nRules: []\n",
        &[
            "1: unknown key `apiversion`, which the API server passes over: write `apiVersion`, case matters",
            "3: unknown key `Rules`, which the API server passes over: write `rules`, case matters",
        ],
    );
    whole(
        "apiVersion: audit.k8s.io/v1beta1\nkind: PolicyList\nrules: [{level: None}]\n",
        &[
            "1: apiVersion: is `audit.k8s.io/v1beta1`, and only `audit.k8s.io/v1` is read, by the API server too",
            "2: kind: is `PolicyList`, and only `Policy` is read, by the API server too",
        ],
    );
    whole("", &["1: the file is empty: a policy begins with `apiVersion: audit.k8s.io/v1`"]);
    whole("a: [\n", &["1: not YAML: unclosed bracket '['"]);
    whole(
        "[]",
        &[
            "1: the file is a list, where keys are expected: `apiVersion`, `kind`, `metadata`, `rules`, `omitStages`, `omitManagedFields`",
        ],
    );
    whole(
        "kind: Policy",
        &[
            "1: `apiVersion` is missing: write a line such as `apiVersion: audit.k8s.io/v1`",
            "1: `rules` is missing: write a line such as `rules: [{level: Metadata}]`",
        ],
    );
    refused("rules: []\n", &["3: rules: holds no rule: add one such as `- level: Metadata`"]);
    refused(
        "rules:\n",
        &["3: `rules` is empty: write a line such as `rules: [{level: Metadata}]`"],
    );
    refused(
        "kind: Policy\nrules: [{level: None}]\n",
        &["3: `kind` is given twice: put both into one"],
    );
    refused(
        "rules: [{level: None}]\n---\nrules: [{level: Metadata}]\n",
        &[
            "5: a second document, which the API server would not read: remove what stands behind `---`",
        ],
    );
    let deep = "[".repeat(10_000);
    whole(&deep, &["1: not YAML: recursion limit exceeded"]);
}

#[test]
fn a_level_or_stage_that_is_none_is_refused_with_the_nearest() {
    refused(
        "rules:\n- level: metadata\n- level: Requests\n- level: Body\n- {}\n- level: 1\n",
        &[
            "4: rules[0].level: `metadata` is none: write `Metadata`, case matters",
            "5: rules[1].level: `Requests` is none: did you mean `Request`?",
            "6: rules[2].level: `Body` is none: known are `None`, `Metadata`, `Request`, `RequestResponse`",
            "7: rules[3]: `level` is missing: write a line such as `level: Metadata`",
            "8: rules[4].level: is the number 1: write one of `None`, `Metadata`, `Request`, `RequestResponse`",
        ],
    );
    refused(
        "omitStages: [requestReceived, Foo]\nomitManagedFields: 'true'\nrules: [{level: Metadata, omitStages: Panic}]\n",
        &[
            "3: omitStages[0]: `requestReceived` is none: write `RequestReceived`, case matters",
            "3: omitStages[1]: `Foo` is none: known are `RequestReceived`, `ResponseStarted`, `ResponseComplete`, `Panic`",
            "4: omitManagedFields: is a text: write `true` or `false`, without quotes",
            "5: rules[0].omitStages: is a text, where a list is expected: write `omitStages: [\"…\"]`",
        ],
    );
}

#[test]
fn a_list_left_empty_does_not_match_everything_in_silence() {
    rule_refused(
        "users: , namespaces: [1, true, ~, ' a']",
        &[
            "users: is empty, so it sets no bound: name what is meant, or remove the key",
            "namespaces[0]: is the number 1, where a text is expected: put it in quotes",
            "namespaces[1]: is the boolean true, where a text is expected: put it in quotes",
            "namespaces[2]: is nothing, which the API server reads as `\"\"`: write that, or remove it",
            "namespaces[3]: ` a` has blanks around it, and nothing is called that: remove them",
        ],
    );
    rule_warned(
        "verbs: [], resources: [{group: , resources: [secrets, secrets]}]",
        &[
            "verbs: is an empty list, so it sets no bound: remove it if that is meant",
            "resources[0].group: is empty, which is the core group: write `\"\"`",
            "resources[0].resources[1]: `secrets` is listed twice: once is enough",
        ],
    );
}

#[test]
fn a_star_where_there_is_no_wildcard_is_refused() {
    rule_refused(
        "users: ['system:serviceaccount:*'], userGroups: ['*'], namespaces: ['kube-*'], verbs: ['*']",
        &[
            "users[0]: `system:serviceaccount:*` is taken as it stands, there is no wildcard here: name the users one by one, or use `userGroups`",
            "userGroups[0]: `*` is taken as it stands, there is no wildcard here: name the groups one by one",
            "namespaces[0]: `kube-*` is taken as it stands, there is no wildcard here: name the namespaces one by one, or leave the key out for all",
            "verbs[0]: `*` is taken as it stands, there is no wildcard here: leave `verbs` out for all of them",
        ],
    );
    rule_refused(
        "resources: [{resources: [pods], resourceNames: ['web-*']}]",
        &[
            "resources[0].resourceNames[0]: `web-*` is taken as it stands, there is no wildcard here: name the objects one by one",
        ],
    );
}

#[test]
fn verbs_that_no_request_has_are_told() {
    rule_refused(
        "verbs: [GET]",
        &["verbs[0]: `GET` is none, verbs are in lower case: write `get`"],
    );
    let known = "`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `proxy`";
    rule_refused(
        "verbs: [post, exec], namespaces: [a]",
        &[&format!(
            "verbs: no request for a resource has such a verb, so that the rule can never match: known are {known}"
        )],
    );
    rule_warned(
        "verbs: [get, connct]",
        &["verbs[1]: `connct` is no verb: did you mean `connect`?"],
    );
    rule_warned(
        "verbs: [get, creat], namespaces: [a]",
        &["verbs[1]: `creat` is no verb: did you mean `create`?"],
    );
    rule_warned("verbs: [get, post], nonResourceURLs: [/x]", &[]);
}

#[test]
fn a_group_is_a_name_and_not_a_pattern_or_a_version() {
    rule_refused(
        "resources: [{group: '*.k8s.io'}, {group: '  '}, {group: apps/v1}, {group: Apps}, {group: core}]",
        &[
            "resources[0].group: `*.k8s.io` is no group: `*` stands for every group, never for a part of a name: name the groups one by one",
            "resources[1].group: `  ` is no group: write `\"\"` for the core group",
            "resources[2].group: `apps/v1` is no group: leave the version out, as in `apps` or `rbac.authorization.k8s.io`",
            "resources[3].group: `Apps` is no group: a group is written in lower case, as in `apps` or `rbac.authorization.k8s.io`",
            "resources[4].group: `core` is no group: write `\"\"` for the core group",
        ],
    );
    rule_warned("resources: [{group: '*', resources: [pods, widgets]}, {group: '*'}]", &[]);
    rule_warned(
        "resources: [{group: app}, {group: example.com, resources: [pods]}]",
        &["resources[0].group: `app` is no group that Kubernetes has: did you mean `apps`?"],
    );
}

#[test]
fn resources_that_can_never_match_are_refused() {
    let place = "resources[0].resources";
    rule_refused(
        "resources: [{resources: ['*/*', '', 'pods/', '/log', 'a/b/c', 'pod*', 'pods/l*', Pods]}]",
        &[
            &format!("{place}[0]: `*/*` matches nothing: write `*`"),
            &format!("{place}[1]: `` matches nothing: leave `resources` out for all of the group"),
            &format!(
                "{place}[2]: `pods/` matches nothing: write a resource, or a resource and its subresource as in `pods/log`"
            ),
            &format!(
                "{place}[3]: `/log` matches nothing: write a resource, or a resource and its subresource as in `pods/log`"
            ),
            &format!(
                "{place}[4]: `a/b/c` matches nothing: write a resource, or a resource and its subresource as in `pods/log`"
            ),
            &format!(
                "{place}[5]: `pod*` matches nothing: `*` stands for a whole resource or subresource, never for a part of its name"
            ),
            &format!(
                "{place}[6]: `pods/l*` matches nothing: `*` stands for a whole resource or subresource, never for a part of its name"
            ),
            &format!(
                "{place}[7]: `Pods` is no resource: names of resources are in lower case and plural, as in `pods`"
            ),
        ],
    );
    rule_refused(
        "resources: [{resourceNames: [a]}]",
        &[
            "resources[0].resourceNames: needs `resources` beside it: name the resources whose names these are",
        ],
    );
    rule_refused(
        "verbs: [deletecollection], resources: [{resources: [pods], resourceNames: [a]}]",
        &[
            "resources[0].resourceNames: no `deletecollection` is about a name, so that this can never match: remove `resourceNames`",
        ],
    );
}

#[test]
fn resources_that_may_be_meant_otherwise_are_warned_of() {
    rule_warned(
        "resources: [{resources: ['pods/*', deployments, pod, newthings]}, {group: apps, resources: [pods]}]",
        &[
            "resources[0].resources[0]: `pods/*` matches `pods` itself too: if that is meant, add it, else name the subresources",
            "resources[0].resources[1]: `deployments` is no resource of the core group: it is in `apps`",
            "resources[0].resources[2]: `pod` is no resource of the core group: did you mean `pods`?",
            "resources[1].resources[0]: `pods` is no resource of the group `apps`: it is in the core group, `\"\"`",
        ],
    );
    rule_warned(
        "verbs: [create], resources: [{resources: [pods], resourceNames: [a]}]",
        &[
            "resources[0].resourceNames: only count where the URL has a name: a create has none, a list or watch only by `fieldSelector=metadata.name=…`",
        ],
    );
    rule_warned(
        "users: ['system:masters'], userGroups: ['system:serviceaccount:a:b']",
        &[
            "users[0]: `system:masters` is a group: put it into `userGroups`",
            "userGroups[0]: `system:serviceaccount:a:b` is a user: put it into `users`",
        ],
    );
}

#[test]
fn paths_begin_with_a_slash_and_are_not_those_of_resources() {
    let way_out = "write a path such as `/version`, or the beginning of some, `/healthz*`";
    rule_refused(
        "nonResourceURLs: [healthz, '/a*b', '', '/x**', 'é'], namespaces: [a]",
        &[
            &format!("nonResourceURLs[0]: `healthz` does not begin with `/`: {way_out}"),
            &format!("nonResourceURLs[1]: `/a*b` has a `*` elsewhere than at its end: {way_out}"),
            &format!("nonResourceURLs[2]: `` does not begin with `/`: {way_out}"),
            &format!("nonResourceURLs[3]: `/x**` has a `*` elsewhere than at its end: {way_out}"),
            &format!("nonResourceURLs[4]: `é` does not begin with `/`: {way_out}"),
            "nonResourceURLs: cannot stand beside `resources` or `namespaces`: make two rules",
        ],
    );
    rule_refused(
        "nonResourceURLs: [/api/v1/pods, '/apis/apps/v1/d*', /apis/apps/v1]",
        &[
            "nonResourceURLs[0]: `/api/v1/pods` is the path of a resource, which `nonResourceURLs` never match: use `resources`",
            "nonResourceURLs[1]: `/apis/apps/v1/d*` is the path of a resource, which `nonResourceURLs` never match: use `resources`",
        ],
    );
    rule_warned(
        "nonResourceURLs: ['/api*', '/api/v1/*', '/version?x']",
        &[
            "nonResourceURLs[1]: `/api/v1/*` matches discovery alone, and no resource: use `resources` for those",
            "nonResourceURLs[2]: `/version?x` holds a query, and only the path is looked at: leave out what follows `?`",
        ],
    );
}

#[test]
fn a_policy_that_keeps_nothing_or_no_refused_login_is_told() {
    warned(
        "rules: [{level: None}]",
        &["1: rules: have no level but `None`, so that no event is kept"],
    );
    refused(
        "omitStages: [RequestReceived, ResponseStarted, ResponseComplete, Panic]\nrules: [{level: Metadata}]",
        &["3: omitStages: names every stage, so that nothing is kept: leave some out"],
    );
    warned(
        "omitStages: [RequestReceived, ResponseStarted]\nrules: [{level: Metadata, omitStages: [Panic, ResponseComplete]}]",
        &[
            "3: omitStages: drops every refused login: such a request has the stage `ResponseStarted` alone; leave it out of the list",
            "4: rules[0]: omits every stage: write `level: None`",
        ],
    );
}

proptest! {
    #[test]
    fn no_text_causes_a_panic(text in any::<String>(), yaml in "[-a-z{}\\[\\]:, \n\"'*&!|>#~%@`]{0,80}") {
        for text in [&text, &yaml, &format!("{HEAD}rules:\n- {yaml}"), &format!("{HEAD}rules: [{{level: None, users: [{text}]}}]")] {
            let _ = Policy::parse(text, Path::new("p.yaml"));
        }
    }
}
