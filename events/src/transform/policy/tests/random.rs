//! Random policies and random requests from small vocabularies, so that matches happen. Each event that the server
//! would write, in both formats, is decided here and by the API server's evaluator, and the decisions are compared.
//!
//! Two cases do not occur here because an event does not show them: a user with neither name nor groups looks like no
//! user, and a URI without a path looks like one for `/`.

use std::env;

use serde_json::{Value, json};

use super::each_record;
use super::evaluator::{Answer, Decided, Evaluator, RequestTarget};
use crate::transform::policy::{Policy, Stages, request, shadow, uri};

const ROUNDS: u64 = 45;
const POLICIES: usize = 10;
const REQUESTS: usize = 250;

/// Elements of lists; one that is listed more often is chosen more often.
const USERS: &[&str] =
    &["alice", "bob", "system:node:n1", "system:serviceaccount:a:b", "q\"<é>\u{2028}", "*"];
const GROUPS: &[&str] = &["system:masters", "system:authenticated", "dev", "a,b", "g\\\"x"];
const VERBS: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "proxy",
    "post",
    "head",
    "options",
    "",
    "connect",
    "GET",
];
const METHODS: &[&str] = &[
    "GET", "GET", "GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "DELETE", "HEAD",
    "OPTIONS", "CONNECT", "TRACE", "LIST", "get",
];
const API: &[&str] = &["", "", "apps", "batch", "example.com"];
const RULE_GROUPS: &[&str] = &["", "", "apps", "batch", "example.com", "*"];
const RESOURCES: &[&str] = &[
    "pods",
    "pods",
    "deployments",
    "configmaps",
    "namespaces",
    "nodes",
    "status",
    "proxy",
    "watch",
    "*",
];
const SUBRESOURCES: &[&str] = &["status", "log", "scale", "finalize", "proxy", "*", "exec"];
const KINDS: &[&str] = &[
    "pods",
    "*",
    "pods/*",
    "*/status",
    "pods/log",
    "deployments",
    "deployments/scale",
    "namespaces",
    "namespaces/status",
    "*/scale",
    "nodes",
    "nodes/*",
    "configmaps",
    "namespaces/finalize",
    "status",
    "proxy",
];
const NAMESPACES: &[&str] = &["", "a", "b", "kube-system", "status"];
const NAMES: &[&str] = &["", "x", "y", "a", "x y", "ü", "."];
const PATHS: &[&str] = &[
    "/",
    "/healthz",
    "/healthz/etcd",
    "/livez",
    "/version",
    "/api",
    "/api/",
    "/api/v1",
    "/apis/apps/v1",
    "/apis",
    "/metrics",
    "//api/v1",
    "*",
    "/openapi/v2",
    "/api/v1//",
    "/health%7a",
    "/x%2Fy",
    "/%ff",
    "http://h/version",
    "/apis/apps",
];
const URLS: &[&str] = &[
    "*",
    "/healthz",
    "/healthz*",
    "/api*",
    "/apis/*",
    "/",
    "/*",
    "/version",
    "/x/y",
    "/api/v1",
    "/livez*",
];
const QUERIES: &[&str] = &[
    "",
    "",
    "",
    "?watch=true",
    "?watch=0",
    "?fieldSelector=metadata.name%3Dx",
    "?fieldSelector=metadata.name=y&watch=1",
    "?fieldSelector=spec.nodeName=a,metadata.name=x",
    "?fieldSelector=metadata.name=y,metadata.name=x",
    "?fieldSelector=metadata.name!=x",
    "?fieldSelector=metadata.name=x,bad",
    "?fieldSelector=metadata.name=x&limit=a",
    "?fieldSelector=metadata.name=x&limit=5&timeoutSeconds=7",
    "?fieldSelector=metadata.name=x%20y",
    "?fieldSelector=metadata.name=x+y",
    "?fieldSelector=metadata.name=x;y",
    "?fieldSelector=metadata.name=a%2Fb",
    "?fieldSelector=metadata.name=.",
    "?fieldSelector=metadata.name==x&labelSelector=a%3Db",
    "?fieldSelector=metadata.name=x&labelSelector=%3D%3D",
    "?fieldSelector=metadata.name=x%",
    "?dryRun=All&x=<>&y='\"",
    "?fieldSelector=metadata.name%3D%C3%BC",
    "?fieldSelector=metadata.name%3D%5C%5C",
    "?fieldSelector=%00&watch",
    "?fieldSelector=",
    "?fieldSelector=metadata.name=&watch=False",
    "?watch=FALSE&fieldSelector=metadata.name=x,",
];
const STAGES: &[&str] = &["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
const LEVELS: &[&str] = &["None", "Metadata", "Request", "RequestResponse"];

/// `SplitMix64`, which gives the same numbers everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    /// True once in `sides` times.
    pub(super) fn once_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    pub(super) fn pick<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.roll(words.len())]
    }

    fn some(&mut self, words: &[&str]) -> Value {
        (0..=self.roll(3)).map(|_| self.pick(words)).collect()
    }
}

#[test]
fn random_requests_are_judged_as_the_api_server_judges_them() {
    let Some(mut evaluator) = Evaluator::start() else { return };
    let seed = env::var("AUDITRAIL_POLICY_SEED").map_or(5, |text| text.parse().unwrap());
    let (mut pairs, mut matched, mut legacy) = (0, 0, 0);
    for round in 0..ROUNDS {
        let mut dice = Dice(seed * ROUNDS + round);
        let texts: Vec<String> = (0..POLICIES).map(|_| policy(&mut dice)).collect();
        evaluator.load(&texts);
        let read = |text: &String| {
            let (policy, findings) = Policy::read(text);
            policy.unwrap_or_else(|| panic!("{findings:?}\n{text}"))
        };
        let policies: Vec<Policy> = texts.iter().map(read).collect();
        let requests: Vec<Value> = (0..REQUESTS).map(|_| request(&mut dice)).collect();
        for (request, answer) in requests.iter().zip(evaluator.ask(&requests)) {
            // The server answers 500 before it audits the request.
            if answer.refused.is_some() {
                continue;
            }
            let stage = dice.pick(STAGES);
            let event = answer.event.replacen("ResponseComplete", stage, 1);
            let text = answer.legacy.replacen("ResponseComplete", stage, 1);
            for ((policy, source), theirs) in policies.iter().zip(&texts).zip(&answer.decisions) {
                compare(policy, &event, stage, theirs, &format!("{source}\n{request}"));
                if !name_is_lost(&answer) {
                    compare(policy, &text, stage, theirs, &format!("{source}\n{request}"));
                    legacy += 1;
                }
                matched += usize::from(theirs.level != "None");
                pairs += 1;
            }
        }
    }
    println!("{pairs} pairs, {matched} of them not None; {legacy} in the text format too");
    assert!(pairs > 100_000 && matched > pairs / 5, "{pairs} pairs, {matched} matched");
}

fn compare(policy: &Policy, line: &str, stage: &str, theirs: &Decided, shown: &str) {
    let omitted = theirs.omit_stages.iter().flatten().any(|name| name == stage);
    let mut seen = 0;
    each_record(line.as_bytes(), |record| {
        let ours = policy.decide(record);
        assert_eq!(
            (ours.level.name(), ours.stage_omitted, ours.omit_managed_fields),
            (&*theirs.level, omitted, theirs.omit_managed_fields),
            "{line}\n{shown}"
        );
        let path = request::path(record).unwrap();
        let request = request::PolicyRequest::new(record, &path);
        if let Some(at) = policy.rules.iter().position(|rule| rule.matches(&request)) {
            let by = policy.rules[..at].iter().find(|rule| shadow::covers(rule, &policy.rules[at]));
            assert_eq!(by, None, "said to be never reached: rules[{at}]\n{line}\n{shown}");
        }
        seen += 1;
    });
    assert_eq!(seen, 1, "{line}");
}

/// The one known difference, in the text format only (`selector.rs`): if the server cannot parse the label selector
/// of a list, the policy sees no name, although the field selector gives one. Such a request fails with 400.
fn name_is_lost(answer: &Answer) -> bool {
    let target = answer.target.as_ref();
    answer.legacy.contains("labelSelector=%3D%3D")
        && target.is_some_and(|target| target.name.is_empty())
}

pub(super) fn policy(dice: &mut Dice) -> String {
    let rules: Vec<Value> = (0..=dice.roll(6)).map(|_| rule(dice)).collect();
    let mut policy = json!({ "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules });
    if dice.once_in(3) {
        policy["omitStages"] = dice.some(STAGES);
    }
    if dice.once_in(2) {
        policy["omitManagedFields"] = dice.once_in(2).into();
    }
    policy.to_string()
}

fn rule(dice: &mut Dice) -> Value {
    let mut rule = json!({ "level": dice.pick(LEVELS) });
    for (key, words) in
        [("users", USERS), ("userGroups", GROUPS), ("verbs", VERBS), ("omitStages", STAGES)]
    {
        if dice.once_in(4) {
            rule[key] = dice.some(words);
        }
    }
    if dice.once_in(2) {
        rule["omitManagedFields"] = dice.once_in(2).into();
    }
    if dice.once_in(4) {
        rule["nonResourceURLs"] = dice.some(URLS);
        return rule;
    }
    if dice.once_in(3) {
        rule["namespaces"] = dice.some(NAMESPACES);
    }
    if !dice.once_in(3) {
        rule["resources"] = (0..=dice.roll(2)).map(|_| kinds(dice)).collect();
    }
    rule
}

fn kinds(dice: &mut Dice) -> Value {
    let mut entry = json!({ "group": dice.pick(RULE_GROUPS) });
    if !dice.once_in(4) {
        entry["resources"] = dice.some(KINDS);
        if dice.once_in(3) {
            entry["resourceNames"] = dice.some(NAMES);
        }
    }
    entry
}

fn request(dice: &mut Dice) -> Value {
    let path = if dice.once_in(4) { dice.pick(PATHS).to_owned() } else { resource(dice) };
    let groups: Value = (0..dice.roll(3)).map(|_| dice.pick(GROUPS)).collect();
    let user = (!dice.once_in(6)).then(|| json!({ "name": dice.pick(USERS), "groups": groups }));
    json!({
        "method": dice.pick(METHODS),
        "uri": path + dice.pick(QUERIES),
        "user": user,
        "namespace": dice.pick(NAMESPACES),
        "name": dice.pick(NAMES),
        "event": true,
    })
}

fn resource(dice: &mut Dice) -> String {
    let mut path = match dice.pick(API) {
        "" => "/api/v1".to_owned(),
        group => format!("/apis/{group}/v1"),
    };
    if dice.once_in(8) {
        path += dice.pick(&["/watch", "/proxy"]);
    }
    if dice.once_in(2) {
        path += "/namespaces";
        if !dice.once_in(8) {
            path += &escaped(dice, NAMESPACES);
        }
    }
    for (chance, words) in [(9, RESOURCES), (6, NAMES), (5, SUBRESOURCES), (1, NAMES)] {
        // Each part requires the one before it.
        if dice.roll(10) >= chance {
            break;
        }
        path += &escaped(dice, words);
    }
    if dice.once_in(12) {
        path += dice.pick(&["/", "//", "/more", "%2fmore"]);
    }
    path
}

/// A segment, sometimes with more percent escapes than it needs.
fn escaped(dice: &mut Dice, words: &[&str]) -> String {
    let all = dice.once_in(10);
    let escape = |byte: u8| {
        if all || !byte.is_ascii_alphanumeric() && !b"-.:*".contains(&byte) {
            format!("%{byte:02X}")
        } else {
            char::from(byte).to_string()
        }
    };
    std::iter::once("/".to_owned()).chain(dice.pick(words).bytes().map(escape)).collect()
}

/// The parsed target, in the form of the evaluator's answer.
pub(super) fn readable(target: uri::RequestTarget<'_>) -> RequestTarget {
    let text = |bytes: uri::Text<'_>| String::from_utf8_lossy(&bytes).into_owned();
    RequestTarget {
        api_group: text(target.group),
        resource: text(target.resource),
        subresource: text(target.subresource),
        namespace: text(target.namespace),
        name: text(target.name),
    }
}

#[test]
fn stages_have_the_names_that_the_server_gives_them() {
    assert_eq!(STAGES, Stages::NAMES);
}
