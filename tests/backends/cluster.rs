//! End to end: a real API server, its audit log, the agent, and both back ends.

use std::fmt::Write;
use std::time::Duration;

use tempfile::TempDir;

use crate::apiserver::ApiServer;
use crate::elastic::{self, Elastic};
use crate::loki::{self, Loki};
use crate::servers::{Server, have, unique};
use kit::agent::Agent;
use kit::tables;

/// Every event that kube-apiserver counts in `apiserver_audit_event_total` arrives exactly once. Meanwhile kubectl
/// keeps the server busy, the server rotates its log every megabyte and compresses it, and the agent is killed once.
#[test]
fn every_event_that_a_real_api_server_counts_is_found_exactly_once() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let (loki, elastic) = (Loki::raised(), Elastic::users_or_shared());
    let mut cluster = ApiServer::start();
    let dir = TempDir::new().unwrap();
    let stream = &unique(elastic::OWN, "logs-kubernetes.audit_logs-cluster");
    let (job, selector) = loki::job("cluster");
    let config = tables::input("apiserver", &cluster.audit_log())
        + &tables::loki(&loki.url(), &job, "timeout = \"2s\"")
        + &tables::elasticsearch(&elastic.url(), stream, "timeout = \"2s\"");
    let mut agent = Agent::start(dir.path(), &config);

    busy(&cluster, "first");
    agent.kill();
    busy(&cluster, "second");
    agent.resume();
    busy(&cluster, "third");
    let events = cluster.logged_and_counted();
    cluster.stop();
    let all = cluster.logged().unwrap();
    assert!(events.len() > 1000, "only {} events: kubectl did not do its part", events.len());

    loki.wait_count(&selector, &all, Duration::from_mins(1));
    elastic.wait_count(stream, all.len(), Duration::from_mins(1));
    agent.stop_done();
    loki.assert_holds(&selector, &all);
    elastic.assert_holds(stream, &all);
}

/// Makes a few hundred requests: create, list, patch and delete, also of one large object.
pub(crate) fn busy(cluster: &ApiServer, namespace: &str) {
    let run = |args: &[&str]| cluster.kubectl(args).unwrap();
    run(&["create", "namespace", namespace]);
    let mut objects = String::new();
    for n in 0..60 {
        let padding = "x".repeat(if n == 30 { 250_000 } else { 4000 });
        write!(
            objects,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-{n}, namespace: {namespace}}}\ndata: {{pad: {padding}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: secret-{n}, namespace: {namespace}}}\nstringData: {{pad: {padding}}}\n---\n"
        )
        .unwrap();
    }
    cluster.write("objects.yaml", &objects);
    run(&["create", "-f", "objects.yaml"]);
    run(&["get", "configmaps,secrets", "--all-namespaces"]);
    for n in 0..5 {
        let patch = format!("{{\"data\":{{\"more\":\"{n}\"}}}}");
        run(&["-n", namespace, "patch", "configmap", "map-1", "-p", &patch]);
        // A refusal is an event too.
        cluster.kubectl(&["-n", namespace, "get", "configmap", "no-such-map"]).unwrap_err();
    }
    run(&["delete", "-f", "objects.yaml", "--wait=false"]);
    run(&["delete", "namespace", namespace, "--wait=false"]);
}

/// A real API server accepts the manifests that `docs/install-daemonset.md` tells a user to apply on RKE2, K3s or
/// kubeadm, down to each field name.
#[test]
fn the_daemonset_and_the_job_are_accepted_by_a_real_api_server() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let cluster = ApiServer::start();
    // A dry run creates no namespace, so the test creates the one that the objects belong to.
    cluster.kubectl(&["create", "namespace", "auditrail"]).unwrap();
    for (manifest, object) in [
        ("daemonset.yaml", "daemonset.apps/auditrail"),
        ("replay-job.yaml", "job.batch/auditrail-replay-cp-1"),
    ] {
        let path = format!("{}/etc/kubernetes/{manifest}", env!("CARGO_MANIFEST_DIR"));
        let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", &path];
        let answer = cluster.kubectl(&apply).unwrap();
        assert!(answer.contains(&format!("{object} created (server dry run)")), "{answer}");
    }
}
