//! Makes a real API server write secrets into its log, and reads that log.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::markers::Planted;
use super::requests::{ADDRESSES, CUSTOM, DEFINITIONS, OBJECTS, READS, Request, SECRETS};
use crate::apiserver::ApiServer;
use kit::http::Answer;
use kit::wait_for;

/// Sends all requests that make the server log a secret.
pub(super) fn plant(cluster: &ApiServer, planted: &mut Planted) {
    let run = |args: &[&str]| cluster.kubectl(args).unwrap();
    run(&["create", "namespace", "leaks"]);
    run(&["create", "serviceaccount", "default", "--namespace=leaks"]);
    for (path, body) in DEFINITIONS {
        let answer = cluster.ask("POST", path, &[JSON], body);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    for request in SECRETS.iter().chain(OBJECTS).chain(ADDRESSES) {
        let answer = send(cluster, planted, request);
        assert!(answer.status != 401, "{}: {}", request.1, answer.text());
    }
    helm(cluster, planted);
    applied(cluster, planted);
    token(cluster, planted);
    certificate(cluster, planted);
    let command = "PGPASSWORD=§M psql -c 'select 1'";
    let command = planted.plant("exec / attach", "kubectl exec", command);
    cluster.kubectl(&["-n", "leaks", "exec", "web", "--", "sh", "-c", &command]).unwrap_err();
    for request in CUSTOM {
        custom(cluster, planted, request);
    }
    for (method, path, accept) in READS {
        let answer = cluster.ask(method, &absolute(path), &[("Accept", accept)], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/namespaces/leaks/{path}") }
}

fn send(cluster: &ApiServer, planted: &mut Planted, request: &Request) -> Answer {
    let (place, how, method, path, body) = request;
    let text = planted.plant(place, how, &format!("{path}\n{body}"));
    ask(cluster, method, &text)
}

fn ask(cluster: &ApiServer, method: &str, text: &str) -> Answer {
    let (path, body) = text.split_once('\n').unwrap();
    let (method, kind) = match method {
        "MERGE" => ("PATCH", "application/merge-patch+json"),
        "STRATEGIC" => ("PATCH", "application/strategic-merge-patch+json"),
        "JSON" => ("PATCH", "application/json-patch+json"),
        "APPLY" => ("PATCH", "application/apply-patch+yaml"),
        method => (method, "application/json"),
    };
    if method == "GET" {
        // For a GET this column holds headers instead of a body.
        let headers: Vec<_> = body.split("; ").filter_map(|line| line.split_once(": ")).collect();
        return cluster.ask(method, &absolute(path), &headers, "");
    }
    cluster.ask(method, &absolute(path), &[("Content-Type", kind)], body)
}

/// Retries a request until the server has what it needs, such as its definition.
fn custom(cluster: &ApiServer, planted: &mut Planted, request: &Request) {
    let (place, how, method, path, body) = request;
    let text = planted.plant(place, how, &format!("{path}\n{body}"));
    let wanted = match *how {
        "refused by a schema" | "a policy's annotation and refusal" => 422,
        "a status" => 200,
        _ => 201,
    };
    wait_for(how, Duration::from_secs(30), || {
        let answer = ask(cluster, method, &text);
        if answer.status == 201 && wanted != 201 {
            let name = "configmaps/judged";
            cluster.ask("DELETE", &absolute(name), &[], "");
        }
        if answer.status == wanted { Ok(()) } else { Err(answer.text()) }
    });
}

/// A release as Helm stores it: values as JSON, gzipped, base64-encoded, in a Secret.
fn helm(cluster: &ApiServer, planted: &mut Planted) {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(br#"{"name":"web","chart":{"values":{"password":"a secret"}}}"#).unwrap();
    let release = BASE64_STANDARD.encode(gzip.finish().unwrap());
    planted.made("Helm release Secrets", "a release", release[20..60].to_owned());
    let body = format!(
        r#"{{"metadata":{{"name":"sh.helm.release.v1.web.v1"}},"type":"helm.sh/release.v1","stringData":{{"release":"{release}"}}}}"#
    );
    assert_eq!(cluster.ask("POST", &absolute("secrets"), &[JSON], &body).status, 201);
}

/// Manifests that kubectl applies, and other traces of kubectl.
fn applied(cluster: &ApiServer, planted: &mut Planted) {
    let place = "any object";
    let manifests = [
        (
            "kubectl apply of a Secret",
            "secrets",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: mine, namespace: leaks}\nstringData: {k: §M}\n",
        ),
        (
            "kubectl apply of a Deployment",
            "deployments",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: mine, namespace: leaks}\nspec:\n  selector: {matchLabels: {a: c}}\n  \
             template:\n    metadata: {labels: {a: c}}\n    spec: {containers: [{name: a, image: x, env: [{name: DB_PASSWORD, value: §M}]}]}\n",
        ),
    ];
    for (how, resource, manifest) in manifests {
        let manifest = planted.plant(place, how, manifest);
        for round in ["one", "two"] {
            let labelled = manifest.replace(
                "namespace: leaks",
                &format!("namespace: leaks, labels: {{round: {round}}}"),
            );
            cluster.write("manifest.yaml", &labelled);
            cluster.kubectl(&["apply", "-f", "manifest.yaml"]).unwrap();
        }
        cluster.kubectl(&["-n", "leaks", "get", resource]).unwrap();
        cluster.kubectl(&["-n", "leaks", "get", resource, "-o", "json"]).unwrap();
    }
    let secret =
        planted.plant("Secret create/update", "kubectl create secret", "--from-literal=k=§M");
    cluster.kubectl(&["-n", "leaks", "create", "secret", "generic", "made", &secret]).unwrap();
}

/// A token that the server itself makes.
fn token(cluster: &ApiServer, planted: &mut Planted) {
    let token = cluster.kubectl(&["-n", "leaks", "create", "token", "default"]).unwrap();
    let place = "ServiceAccount `token` subresource";
    let parts: Vec<_> = token.trim().split('.').collect();
    planted.made(place, "a token's claims", parts[1][20..80].to_owned());
    planted.made(place, "a token's signature", parts[2][20..80].to_owned());
}

/// A certificate signing request by a user with `extra` fields, which the server copies into the request.
fn certificate(cluster: &ApiServer, planted: &mut Planted) {
    let made = Command::new("openssl")
        .args(["req", "-new", "-key", "sa.key", "-subj", "/CN=jane"])
        .current_dir(cluster.dir())
        .output()
        .unwrap();
    let request = BASE64_STANDARD.encode(&made.stdout);
    let body = format!(
        r#"{{"metadata":{{"name":"jane"}},"spec":{{"request":"{request}","signerName":"example.com/none","usages":["client auth"]}}}}"#
    );
    let extra = planted.plant("CSR", "extra of a CSR", "§M");
    let headers = [
        JSON,
        ("Impersonate-User", "jane"),
        ("Impersonate-Group", "system:masters"),
        ("Impersonate-Extra-Session", &extra),
    ];
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let answer = cluster.ask("POST", path, &headers, &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// All that the server wrote, from the oldest backup to the live log.
pub(super) fn log(folder: &Path) -> Vec<u8> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    // If the server was killed while it compressed a backup, both files exist.
    let plain = files.clone();
    files.retain(|file| !plain.contains(&file.with_extension("")));
    files.iter().flat_map(|file| crate::corpus::read(file).unwrap()).collect()
}
