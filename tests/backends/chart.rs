//! The Helm chart and the manifests rendered from it, against a real API server.
//!
//! `tests/helm/check.sh` proves that Helm renders exactly the snapshots. Here the server says, in a strict dry run, that
//! it would accept them: every field exists and has the right type. The server knows the kinds of the Prometheus
//! operator, OpenShift and the Helm controller by `tests/helm/crds`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kit::wait_for;

use crate::apiserver::ApiServer;
use crate::servers::{Server, have};

const DISTRIBUTIONS: [&str; 6] = ["kubeadm", "rke2", "k3s", "talos", "openshift", "kubespray"];

fn at(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// A server that knows every kind that the chart renders. A dry run creates no namespace, so it has the one that the
/// objects belong to.
fn cluster() -> ApiServer {
    let cluster = ApiServer::start();
    cluster.kubectl(&["create", "namespace", "auditrail"]).unwrap();
    cluster.kubectl(&["apply", "-f", &at("tests/helm/crds")]).unwrap();
    cluster
        .kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=15s"])
        .unwrap();
    let kinds = ["podmonitors", "prometheusrules", "securitycontextconstraints", "helmcharts"];
    wait_for("the kinds of the chart", Duration::from_secs(30), || {
        let known = cluster.kubectl(&["api-resources"])?;
        if kinds.iter().all(|kind| known.contains(kind)) { Ok(()) } else { Err(known) }
    });
    cluster
}

/// What the server says that it would do; `Err` if it refuses.
fn dry_run(cluster: &ApiServer, what: &[&str]) -> Result<String, String> {
    cluster.kubectl(&[&["apply", "--dry-run=server", "--validate=strict"], what].concat())
}

#[test]
fn a_real_api_server_accepts_every_preset_of_the_chart_and_what_is_rendered_from_it() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let cluster = cluster();
    for distribution in DISTRIBUTIONS {
        for place in [
            ["-f", &at(&format!("tests/helm/snapshots/{distribution}.yaml"))],
            ["-k", &at(&format!("etc/kubernetes/overlays/{distribution}"))],
        ] {
            let answer = dry_run(&cluster, &place).unwrap();
            let accepted = "daemonset.apps/auditrail created (server dry run)";
            assert!(answer.contains(accepted), "{place:?}: {answer}");
            let constrained = answer.contains("securitycontextconstraints");
            assert_eq!(constrained, distribution == "openshift", "{place:?}: {answer}");
        }
    }
    for distribution in ["rke2", "k3s"] {
        let path = at(&format!("etc/kubernetes/drop-in/{distribution}.yaml"));
        let answer = dry_run(&cluster, &["-f", &path]).unwrap();
        assert!(answer.contains("helmchart.helm.cattle.io/auditrail created"), "{answer}");
    }
    let policy = at("etc/kubernetes/networkpolicy.yaml");
    let answer = dry_run(&cluster, &["-f", &policy]).unwrap();
    assert!(answer.contains("networkpolicy.networking.k8s.io/auditrail created"), "{answer}");
}

/// Every object that the chart can render, and a wrong field in each of them.
#[test]
fn a_real_api_server_accepts_the_whole_chart_and_refuses_a_wrong_field_in_any_object() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let cluster = cluster();
    let path = PathBuf::from(at("tests/helm/snapshots/full.yaml"));
    let answer = dry_run(&cluster, &["-f", path.to_str().unwrap()]).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let documents: Vec<_> = whole.split("---\n").filter(|text| !text.trim().is_empty()).collect();
    assert!(documents.len() >= 10, "{answer}");
    assert_eq!(answer.lines().count(), documents.len(), "{answer}");
    for document in documents {
        let wrong = format!("{document}\nnoSuchField: 1\n");
        cluster.write("wrong.yaml", &wrong);
        let wrong = cluster.dir().join("wrong.yaml");
        refused(&cluster, &wrong, "noSuchField");
    }
    for (right, wrong) in [
        (
            "readOnlyRootFilesystem: true\n            runAsGroup",
            "readOnlyRoot: true\n            runAsGroup",
        ),
        ("podMetricsEndpoints:", "podMetricsEndpoint:"),
        ("scrapeTimeout:", "scrapeTime:"),
        ("seccompProfiles:", "seccomp:"),
        ("alert: AuditrailDown", "alarm: AuditrailDown"),
    ] {
        assert!(whole.contains(right), "{right}");
        cluster.write("wrong.yaml", &whole.replace(right, wrong));
        let name = wrong.trim_start().split(':').next().unwrap();
        refused(&cluster, &cluster.dir().join("wrong.yaml"), name);
    }
}

/// The alert rules as the chart wraps them. The snapshots hold rules of their own.
#[test]
fn a_real_api_server_accepts_the_alert_rules_in_the_chart() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let cluster = cluster();
    let mut count = 0;
    for entry in fs::read_dir(at("etc/helm/auditrail/files/prometheus")).unwrap() {
        let rules = fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut object = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n\
            metadata: { name: auditrail, namespace: auditrail }\nspec:\n"
            .to_owned();
        for line in rules.lines() {
            object.extend(["  ", line, "\n"]);
        }
        cluster.write("rules.yaml", &object);
        let path = cluster.dir().join("rules.yaml");
        dry_run(&cluster, &["-f", path.to_str().unwrap()]).unwrap();
        count += 1;
    }
    assert!(count > 0);
}

fn refused(cluster: &ApiServer, path: &Path, field: &str) {
    let error = dry_run(cluster, &["-f", path.to_str().unwrap()]).unwrap_err();
    assert!(error.contains(field), "{field}: {error}");
}
