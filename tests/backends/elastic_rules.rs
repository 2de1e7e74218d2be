//! The fields that Elastic's prebuilt Kubernetes detection rules use: the test queries each of them in a real server,
//! in the same way as the rules, with default redaction. It also tests that the agent upgrades the index template,
//! which makes the fields searchable, where an earlier version installed it.
//!
//! Not available are the values of `cloud.*` and `event.type`, which no audit event contains. `event.original` is
//! written in safe form only. All of these fields are mapped, since ES|QL and EQL refuse a rule with an unmapped field.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::elastic::Elastic;
use crate::servers::{Server, have};
use kit::agent::Agent;
use kit::tables;

const LIMIT: Duration = Duration::from_mins(1);
const STREAM: &str = "logs-kubernetes.audit_logs-rules";
const TEMPLATE: &str = "/_index_template/auditrail-logs-kubernetes.audit_logs-rules";
/// The template of version 0.1.0 as a server returned it, for another data stream.
const EARLIER: &str = include_str!("../data/state-0.1.0/index-template.json");

/// An event that is a pod, a service and a role binding at once, so that it has every field that any rule uses.
fn event() -> String {
    let body = json!({
        "kind": "Pod",
        "metadata": {"name": "debug-7"},
        "spec": {
            "type": "NodePort",
            "serviceAccountName": "daemon-set-controller",
            "hostPID": true,
            "hostIPC": true,
            "hostNetwork": true,
            "restartPolicy": "Never",
            "securityContext": {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "seccompProfile": {"type": "Unconfined"}},
            "volumes": [{"name": "host", "hostPath": {"path": "/var/run/crio/crio.sock", "type": "Socket"}}],
            "containers": [{
                "name": "shell",
                "image": "alpine",
                "command": ["chroot", "/host"],
                "volumeMounts": [{"name": "host", "mountPath": "/host"}],
                "securityContext": {
                    "privileged": true,
                    "allowPrivilegeEscalation": true,
                    "runAsUser": 0,
                    "procMount": "Unmasked",
                    "capabilities": {"add": ["BPF", "SYS_PTRACE"]},
                    "seccompProfile": {"type": "Unconfined"},
                },
            }],
        },
        "rules": [{"apiGroups": ["*"], "resources": ["secrets"], "verbs": ["escalate"]}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    });
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
        "auditID": "f3d6b3a2-0f9e-4a7b-9d0c-6a1f6a9d4c11", "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/payments/pods/debug-7/ephemeralcontainers", "verb": "create",
        "user": {
            "username": "system:serviceaccount:payments:deployer", "uid": "0a5e", "groups": ["system:serviceaccounts", "system:masters"],
            "extra": {"authentication.kubernetes.io/pod-name": ["deployer-0"]},
        },
        "impersonatedUser": {"username": "system:kube-controller-manager", "groups": ["system:authenticated"]},
        "sourceIPs": ["203.0.113.77", "10.4.0.9"], "userAgent": "curl/8.5.0",
        "objectRef": {"resource": "pods", "namespace": "payments", "name": "debug-7", "apiVersion": "v1", "subresource": "ephemeralcontainers"},
        "responseStatus": {"metadata": {}, "status": "Failure", "message": "forbidden by policy", "reason": "Forbidden", "code": 403},
        "requestObject": body, "responseObject": body,
        "requestReceivedTimestamp": "2026-11-21T06:25:22.533537Z", "stageTimestamp": "2026-11-21T06:25:22.612771Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"x\""},
    });
    format!("{event}\n")
}

fn term(field: &str, value: impl Into<Value>) -> Value {
    json!({"term": {field: value.into()}})
}

fn wildcard(field: &str, pattern: &str) -> Value {
    json!({"wildcard": {field: {"value": pattern}}})
}

/// The queries of the rules for fields outside of the audit event.
fn common() -> Vec<Value> {
    let mut all: Vec<_> = [
        ("data_stream.type", "logs"),
        ("data_stream.dataset", "kubernetes.audit_logs"),
        ("data_stream.namespace", "rules"),
        ("event.kind", "event"),
        ("event.dataset", "kubernetes.audit_logs"),
        ("event.action", "create"),
        ("event.outcome", "success"),
        ("user.name", "system:serviceaccount:payments:deployer"),
        ("user.id", "0a5e"),
        ("user_agent.original", "curl/8.5.0"),
        ("source.ip", "203.0.113.77"),
        ("source.ip", "10.4.0.9"),
        ("source.ip", "10.4.0.0/16"),
        ("client.ip", "203.0.113.77"),
        ("related.ip", "203.0.113.77"),
        ("related.ip", "10.4.0.9"),
        ("related.user", "system:serviceaccount:payments:deployer"),
        ("orchestrator.cluster.name", "test"),
        ("orchestrator.namespace", "payments"),
        ("orchestrator.resource.name", "debug-7"),
        ("orchestrator.resource.type", "pods"),
        ("agent.type", "auditrail"),
        ("agent.version", env!("CARGO_PKG_VERSION")),
        ("input.type", "file"),
    ]
    .map(|(field, value)| term(field, value))
    .into();
    all.extend([
        wildcard("user.name", "system:serviceaccount:*"),
        wildcard("user_agent.original", "*curl*"),
        wildcard("log.file.path", "/*/audit.log"),
        json!({"exists": {"field": "source.ip"}}),
        json!({"terms": {"user_agent.original": ["wget", "curl/8.5.0"]}}),
        // Rules search the documents that were ingested since their last run.
        json!({"range": {"event.ingested": {"gte": "now-9m", "lte": "now+1m"}}}),
    ]);
    all
}

/// The queries of the rules for fields of the audit event.
fn audit() -> Vec<Value> {
    let strings = [
        ("level", "RequestResponse"),
        ("stage", "ResponseComplete"),
        ("verb", "create"),
        ("requestURI", "/api/v1/namespaces/payments/pods/debug-7/ephemeralcontainers"),
        ("userAgent", "curl/8.5.0"),
        ("user.username", "system:serviceaccount:payments:deployer"),
        ("user.groups", "system:masters"),
        ("user.groups.keyword", "system:serviceaccounts"),
        ("user.extra.authentication.kubernetes.io/pod-name", "deployer-0"),
        ("impersonatedUser.username", "system:kube-controller-manager"),
        ("impersonatedUser.groups", "system:authenticated"),
        ("sourceIPs", "203.0.113.77"),
        ("sourceIPs.keyword", "10.4.0.9"),
        ("objectRef.resource", "pods"),
        ("objectRef.subresource", "ephemeralcontainers"),
        ("objectRef.namespace", "payments"),
        ("objectRef.name", "debug-7"),
        ("annotations.authorization_k8s_io/decision", "allow"),
        ("responseStatus.reason", "Forbidden"),
        ("requestObject.spec.type", "NodePort"),
        ("requestObject.spec.serviceAccountName", "daemon-set-controller"),
        ("requestObject.roleRef.apiGroup", "rbac.authorization.k8s.io"),
    ];
    let bodies = [
        ("roleRef.name", "cluster-admin"),
        ("roleRef.kind", "ClusterRole"),
        ("rules.resources", "secrets"),
        ("rules.verbs", "escalate"),
        ("spec.restartPolicy", "Never"),
        ("spec.securityContext.seccompProfile.type", "Unconfined"),
        ("spec.volumes.hostPath.path", "/var/run/crio/crio.sock"),
        ("spec.containers.name", "shell"),
        ("spec.containers.image", "alpine"),
        ("spec.containers.image.keyword", "alpine"),
        ("spec.containers.command", "chroot"),
        ("spec.containers.volumeMounts.mountPath", "/host"),
        ("spec.containers.securityContext.procMount", "Unmasked"),
        ("spec.containers.securityContext.capabilities.add", "SYS_PTRACE"),
        ("spec.containers.securityContext.seccompProfile.type", "Unconfined"),
    ];
    let flags = ["hostPID", "hostIPC", "hostNetwork"].map(|flag| format!("spec.{flag}"));
    let of_container = ["privileged", "allowPrivilegeEscalation"];
    let of_container = of_container.map(|flag| format!("spec.containers.securityContext.{flag}"));
    let name = |field: &str| format!("kubernetes.audit.{field}");
    let mut all: Vec<_> = strings.iter().map(|(field, value)| term(&name(field), *value)).collect();
    for object in ["requestObject", "responseObject"] {
        let name = |field: &str| name(&format!("{object}.{field}"));
        all.extend(bodies.iter().map(|(field, value)| term(&name(field), *value)));
        all.extend(flags.iter().chain(&of_container).map(|field| term(&name(field), true)));
        all.push(term(&name("spec.containers.securityContext.runAsUser"), 0));
        let verbs = term(&name("rules.verbs"), "escalate");
        all.push(json!({"nested": {"path": name("rules"), "query": verbs}}));
        all.push(wildcard(&name("spec.containers.image"), "alp*"));
        all.push(json!({"exists": {"field": name("spec.containers.image")}}));
    }
    all.extend([
        term(&name("responseStatus.code"), 403),
        json!({"range": {name("responseStatus.code"): {"gte": 400}}}),
        json!({"match_phrase": {name("responseStatus.message"): "forbidden by"}}),
        wildcard(&name("requestURI"), "/api/v1/namespaces/*/pods/*/ephemeralcontainers*"),
        json!({"terms": {name("verb"): ["create", "update"]}}),
    ]);
    all
}

#[test]
fn every_field_of_elastics_rules_answers_in_opensearch_2() {
    check(Server::OpenSearch2);
}

#[test]
fn every_field_of_elastics_rules_answers_in_opensearch_3() {
    check(Server::OpenSearch3);
}

fn check(server: Server) {
    if !have(&[server]) {
        return;
    }
    let elastic = Elastic::open_search(server, &[]);
    let dir = TempDir::new().unwrap();
    deliver(&elastic, &dir);
    let found = |query: &Value| {
        let body = json!({"query": query, "size": 0, "track_total_hits": true});
        let answer = elastic.ask("POST", &format!("/{STREAM}/_search"), &body.to_string());
        answer.map(|answer| answer["hits"]["total"]["value"].as_u64().unwrap())
    };
    let missed: Vec<_> = common()
        .into_iter()
        .chain(audit())
        .map(|query| (found(&query), query))
        .filter(|(found, _)| *found != Ok(1))
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
    // Control: one query for each kind of field that must find nothing.
    for query in [
        term("kubernetes.audit.requestObject.roleRef.name", "view"),
        term("kubernetes.audit.user.extra.authentication.kubernetes.io/pod-name", "deployer-1"),
        term("source.ip", "10.5.0.0/16"),
        json!({"range": {"event.ingested": {"lt": "now-9m"}}}),
    ] {
        assert_eq!(found(&query), Ok(0), "{query}");
    }
    let unfilled = ["event.original", "event.type", "cloud.account.id", "cloud.region"];
    let path = format!("/{STREAM}/_field_caps?fields={}", unfilled.join(","));
    let mapped = elastic.ask("GET", &path, "").unwrap();
    for field in unfilled {
        assert!(mapped["fields"][field].is_object(), "{field}: {mapped}");
    }
    upgrade(&elastic, &dir);
}

/// Starts the agent on the log with the event, and waits until the event is stored.
fn deliver(elastic: &Elastic, dir: &TempDir) {
    fs::write(dir.path().join("audit.log"), event()).unwrap();
    let config = tables::input("apiserver", &dir.path().join("audit.log"))
        + &tables::elasticsearch(&elastic.url(), STREAM, "transform = { redact = \"default\" }");
    let mut agent = Agent::start(dir.path(), &config);
    elastic.wait_count(STREAM, 1, LIMIT);
    agent.stop_done();
}

/// The upgrade, on a server where version 0.1.0 has installed its template.
fn upgrade(elastic: &Elastic, dir: &TempDir) {
    let installed = || {
        let answer = elastic.ask("GET", TEMPLATE, "").unwrap();
        answer["index_templates"][0]["index_template"].clone()
    };
    let fresh = installed();
    assert_eq!(fresh["version"], 3);
    let again = || {
        elastic.ask("DELETE", &format!("/_data_stream/{STREAM}"), "").unwrap();
        fs::remove_dir_all(dir.path().join("state")).unwrap();
        deliver(elastic, dir);
        installed()
    };
    let mut earlier = serde_json::from_str::<Value>(EARLIER).unwrap();
    let mut earlier = earlier["index_templates"][0]["index_template"].take();
    earlier["index_patterns"] = json!([STREAM]);
    elastic.ask("PUT", TEMPLATE, &earlier.to_string()).unwrap();
    assert_eq!(again(), fresh, "upgraded in place");
    assert_eq!(again(), fresh, "left as it is");

    earlier["template"]["mappings"]["properties"]["team"] = json!({"type": "keyword"});
    elastic.ask("PUT", TEMPLATE, &earlier.to_string()).unwrap();
    let edited = installed();
    assert_eq!(again(), edited, "the operator's");
}
