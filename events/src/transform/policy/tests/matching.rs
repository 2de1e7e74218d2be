//! Tests of the matching of rules, one special case after the other, and of what is read from an event.

use proptest::prelude::*;

use super::{Decision, Level, decisions, level, parse};

/// A request for a resource, as the API server writes it. `target` is the contents of `objectRef`.
fn event(verb: &str, uri: &str, target: &str) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"i","stage":"ResponseComplete","requestURI":"{uri}","verb":"{verb}","user":{{"username":"alice","groups":["dev","system:authenticated"]}},"impersonatedUser":{{"username":"root","groups":["system:masters"]}},"objectRef":{{{target}}}}}"#
    )
}

/// A request that is not for a resource.
fn path(uri: &str) -> String {
    event("get", uri, "").replace(r#","objectRef":{}"#, "")
}

fn pod_log() -> String {
    let target =
        r#""resource":"pods","namespace":"a","name":"x","apiVersion":"v1","subresource":"log""#;
    event("get", "/api/v1/namespaces/a/pods/x/log", target)
}

fn pod() -> String {
    let target = r#""resource":"pods","namespace":"a","name":"x","apiVersion":"v1""#;
    event("get", "/api/v1/namespaces/a/pods/x", target)
}

fn create(name: &str) -> String {
    let target =
        format!(r#""resource":"secrets","namespace":"a","name":"{name}","apiVersion":"v1""#);
    event("create", "/api/v1/namespaces/a/secrets?fieldSelector=metadata.name=x", &target)
}

#[track_caller]
fn matches(rule: &str, line: &str) {
    assert_eq!(level(&format!("[{{level: Request, {rule}}}]"), line), Level::Request, "{rule}");
}

#[track_caller]
fn misses(rule: &str, line: &str) {
    assert_eq!(level(&format!("[{{level: Request, {rule}}}]"), line), Level::None, "{rule}");
}

#[test]
fn the_first_rule_that_matches_decides_and_without_one_nothing_is_kept() {
    let rules = "[{level: Request, verbs: [list]}, {level: Metadata, users: [alice]}, {level: RequestResponse}]";
    assert_eq!(level(rules, &pod()), Level::Metadata);
    misses("verbs: [list]", &pod());
}

#[test]
fn all_fields_of_a_rule_must_match() {
    matches(
        "users: [bob, alice], userGroups: [ops, dev], verbs: [list, get], namespaces: [a]",
        &pod(),
    );
    misses("users: [bob], userGroups: [dev]", &pod());
    misses("users: [alice], userGroups: [ops]", &pod());
    misses("users: [alice], verbs: [list]", &pod());
}

#[test]
fn an_impersonated_user_is_not_the_one_who_asks() {
    misses("users: [root]", &pod());
    misses("userGroups: ['system:masters']", &pod());
}

#[test]
fn nobody_is_matched_by_no_rule_with_users_or_groups() {
    let nobody = pod().replace(r#""username":"alice","groups":["dev","system:authenticated"]"#, "");
    assert!(nobody.contains(r#""user":{}"#));
    misses("users: [alice]", &nobody);
    misses("users: ['']", &nobody);
    misses("userGroups: ['system:authenticated']", &nobody);
    matches("verbs: [get]", &nobody);
}

#[test]
fn a_resource_is_not_its_subresource_but_a_star_behind_the_slash_is_both() {
    let kind = |kind: &str| format!("resources: [{{group: '', resources: ['{kind}']}}]");
    matches(&kind("pods"), &pod());
    misses(&kind("pods"), &pod_log());
    matches(&kind("pods/log"), &pod_log());
    misses(&kind("pods/log"), &pod());
    matches(&kind("*/log"), &pod_log());
    misses(&kind("*/log"), &pod());
    for star in ["*", "pods/*"] {
        matches(&kind(star), &pod());
        matches(&kind(star), &pod_log());
    }
    misses(&kind("services/*"), &pod());
}

#[test]
fn the_policy_that_ships_keeps_the_bodies_of_secrets_out() {
    let text = include_str!("../../../../../etc/kubernetes/audit-policy.yaml");
    let policy = super::Policy::parse(text, std::path::Path::new("audit-policy.yaml")).unwrap();
    let level = |line: &str| super::decisions(&policy, line)[0].level;
    let review =
        r#""resource":"tokenreviews","apiGroup":"authentication.k8s.io","apiVersion":"v1""#;
    let token = r#""resource":"serviceaccounts","namespace":"a","name":"x","apiVersion":"v1","subresource":"token""#;
    let config = r#""resource":"configmaps","namespace":"a","name":"x","apiVersion":"v1""#;
    for line in [
        create("x"),
        event("create", "/api/v1/namespaces/a/serviceaccounts/x/token", token),
        event("create", "/apis/authentication.k8s.io/v1/tokenreviews", review),
        event("update", "/api/v1/namespaces/a/configmaps/x", config),
    ] {
        assert_eq!(level(&line), Level::Metadata, "{line}");
    }
    let pod = r#""resource":"pods","namespace":"a","name":"x","apiVersion":"v1""#;
    assert_eq!(level(&event("create", "/api/v1/namespaces/a/pods", pod)), Level::Request);
}

/// As in kube-apiserver since 1.36.
#[test]
fn a_star_as_group_is_every_group_and_of_each_only_what_is_named() {
    let target = r#""resource":"deployments","name":"x","apiGroup":"apps","apiVersion":"v1","subresource":"scale""#;
    let scale = event("get", "/apis/apps/v1/namespaces/a/deployments/x/scale", target);
    for rest in ["", ", resources: ['*']", ", resources: ['*/scale', '*/log']"] {
        let rule = format!("resources: [{{group: '*'{rest}}}]");
        matches(&rule, &scale);
        matches(&rule, &pod_log());
        misses(&rule, &path("/healthz"));
    }
    matches("resources: [{group: '*', resources: [deployments/scale]}]", &scale);
    misses("resources: [{group: '*', resources: [deployments/scale]}]", &pod());
    matches("resources: [{group: '*', resources: [pods], resourceNames: [x]}]", &pod());
    misses("resources: [{group: '*', resources: [pods], resourceNames: [z]}]", &pod());
    misses("namespaces: [b], resources: [{group: '*'}]", &pod());
}

#[test]
fn a_group_is_matched_exactly_and_without_resources_it_is_all_of_it() {
    matches("resources: [{group: ''}]", &pod_log());
    matches("resources: [{resources: [pods]}]", &pod());
    misses("resources: [{group: apps}]", &pod());
    let target = r#""resource":"deployments","name":"x","apiGroup":"apps","apiVersion":"v1""#;
    let deployment = event("get", "/apis/apps/v1/deployments/x", target);
    matches("resources: [{group: batch}, {group: apps, resources: [deployments]}]", &deployment);
    misses("resources: [{group: '', resources: [deployments]}]", &deployment);
    // As very old releases wrote it.
    let alpha = r#""resource":"deployments","name":"x","apiVersion":"apps/v1""#;
    matches("resources: [{group: apps}]", &event("get", "/apis/apps/v1/deployments/x", alpha));
}

#[test]
fn a_create_has_no_name_though_the_event_has_one() {
    let named = "resources: [{group: '', resources: [secrets], resourceNames: [x]}]";
    misses(named, &create("x"));
    matches("resources: [{group: '', resources: [secrets], resourceNames: ['']}]", &create("x"));
    let update = create("x").replace("create", "update").replace("secrets?", "secrets/x?");
    matches(named, &update);
}

#[test]
fn a_list_has_the_name_that_its_field_selector_asks_for() {
    let target = r#""resource":"secrets","namespace":"a","name":"x","apiVersion":"v1""#;
    let uri = r"/api/v1/namespaces/a/secrets?limit=5\u0026fieldSelector=metadata.name%3Dx";
    matches("resources: [{resources: [secrets], resourceNames: [x]}]", &event("list", uri, target));
}

#[test]
fn no_namespace_is_matched_by_the_empty_name_and_only_for_resources() {
    let node =
        event("get", "/api/v1/nodes/n", r#""resource":"nodes","name":"n","apiVersion":"v1""#);
    matches("namespaces: ['']", &node);
    misses("namespaces: ['']", &pod());
    misses("namespaces: ['']", &path("/healthz"));
    // When a namespace is created, the body names it and the URL does not.
    let target = r#""resource":"namespaces","namespace":"a","name":"a","apiVersion":"v1""#;
    matches("namespaces: ['']", &event("create", "/api/v1/namespaces", target));
    matches("namespaces: [a]", &event("delete", "/api/v1/namespaces/a", target));
}

#[test]
fn paths_are_matched_decoded_and_without_their_query() {
    matches("nonResourceURLs: ['/healthz']", &path("/health%7A?verbose=true"));
    misses("nonResourceURLs: ['/healthz']", &path("/healthz/etcd"));
    matches("nonResourceURLs: ['/healthz*']", &path("/healthz/etcd"));
    matches("nonResourceURLs: ['/healthz*']", &path("/healthz"));
    misses("nonResourceURLs: ['/healthz/*']", &path("/healthz"));
    matches("nonResourceURLs: ['*']", &path("/"));
    misses("nonResourceURLs: ['*']", &pod());
    misses("resources: [{group: ''}]", &path("/api/v1"));
}

#[test]
fn text_is_compared_with_its_escapes_undone() {
    let odd = pod().replace("alice", r"a\u003cb\u003e\u2028\\c");
    matches(r#"users: ["a<b>\u2028\\c"]"#, &odd);
    matches(r"userGroups: [a&b]", &pod().replace("dev", r"a\u0026b"));
    let name = r#""resource":"secrets","name":"a b","apiVersion":"v1""#;
    let update = event("update", "/api/v1/secrets/a%20b", name);
    matches("resources: [{resources: [secrets], resourceNames: ['a b']}]", &update);
}

#[test]
fn stages_of_policy_and_rule_are_put_together_and_managed_fields_follow_the_rule() {
    let policy = parse(
        "omitStages: [RequestReceived]\nomitManagedFields: true\nrules:\n- {level: Metadata, verbs: [get], omitStages: [Panic], omitManagedFields: false}\n- {level: Request, verbs: [list]}\n",
    );
    let at = |verb: &str, stage: &str| {
        let line =
            pod().replace(r#""get""#, &format!(r#""{verb}""#)).replace("ResponseComplete", stage);
        decisions(&policy, &line)[0]
    };
    for (stage, omitted) in
        [("RequestReceived", true), ("Panic", true), ("ResponseComplete", false)]
    {
        let expected =
            Decision { level: Level::Metadata, stage_omitted: omitted, omit_managed_fields: false };
        assert_eq!(at("get", stage), expected);
    }
    let expected =
        Decision { level: Level::Request, stage_omitted: false, omit_managed_fields: true };
    assert_eq!(at("list", "Panic"), expected);
    // No rule matches, so the policy's own settings apply.
    let expected = Decision { level: Level::None, stage_omitted: true, omit_managed_fields: true };
    assert_eq!(at("watch", "RequestReceived"), expected);
}

#[test]
fn a_line_of_the_text_format_is_judged_by_its_uri() {
    let line = |method: &str, uri: &str| {
        format!(
            r#"2017-03-21T03:57:09.1Z AUDIT: id="c" stage="ResponseComplete" ip="::1" method="{method}" user="alice" groups="\"dev\"" as="root" asgroups="\"system:masters\"" user-agent="groups=\"x\"" namespace="b" uri="{uri}" response="200""#
        )
    };
    let list = line("list", "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dx");
    matches(
        "users: [alice], userGroups: [dev], namespaces: [a], resources: [{resources: [pods], resourceNames: [x]}]",
        &list,
    );
    misses("userGroups: ['system:masters']", &list);
    misses("namespaces: [b]", &list);
    matches("nonResourceURLs: ['/api*']", &line("get", "/api?x"));
}

#[test]
fn what_is_no_event_is_left_alone() {
    let policy = parse("rules: [{level: None}]");
    let torn = &pod()[..100];
    for line in [torn, "what is this", r#"{"kind":"Gap"}"#, "{}", ""] {
        assert_eq!(decisions(&policy, line), [Decision::KEEP], "{line}");
    }
    assert_eq!(decisions(&policy, &format!("{torn}{}", pod())).len(), 2);
}

proptest! {
    #[test]
    fn no_line_causes_a_panic(line in any::<Vec<u8>>(), uri in any::<String>(), verb in "create|list|update|") {
        let policy = parse("rules: [{level: Metadata, userGroups: [x], namespaces: [a]}, {level: None, resources: [{resources: [pods], resourceNames: [x]}]}]");
        super::each_record(&line, |record| { policy.decide(record); });
        let uri = serde_json::to_string(&format!("/api/v1{uri}")).unwrap();
        decisions(&policy, &event(&verb, &uri[1..uri.len() - 1], &String::from_utf8_lossy(&line)));
        decisions(&policy, &format!("2017-03-21T03:57:09Z AUDIT: method=\"{verb}\" uri={uri} groups={uri}"));
    }
}
