//! A control plane: kube-apiserver, etcd, the DaemonSet controller and the scheduler are real. Helm, which is real
//! too, installs the chart.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::free_port;
use serde_json::Value;

use crate::apiserver::ApiServer;
use crate::pod::must;
use crate::servers::{Process, built};

/// The namespace of the chart.
pub(super) const NAMESPACE: &str = "auditrail";
/// The name of the only node.
pub(super) const NODE: &str = "cp-1";

pub(super) struct ControlPlane {
    pub(super) server: ApiServer,
    _others: [Process; 2],
}

impl ControlPlane {
    pub(super) fn start() -> Self {
        let server = ApiServer::start();
        let kubeconfig = server.kubeconfig();
        let other = |name: &'static str, arguments: &[&str]| {
            let mut command = Command::new(built(&format!("bin/{name}")));
            command
                .current_dir(server.dir())
                .arg(format!("--kubeconfig={}", kubeconfig.display()))
                .arg(format!("--secure-port={}", free_port()))
                .arg(format!("--cert-dir={name}"))
                .args(["--bind-address=127.0.0.1", "--leader-elect=false"])
                .args(["--authentication-skip-lookup=true"])
                .args(arguments);
            Process::start(name, &mut command, server.dir())
        };
        let others = [
            other("kube-controller-manager", &["--controllers=daemonset-controller"]),
            other("kube-scheduler", &[]),
        ];
        let control_plane = Self { server, _others: others };
        control_plane.server.kubectl(&["create", "namespace", NAMESPACE]).unwrap();
        control_plane.add_node();
        control_plane
    }

    /// Registers the node as its kubelet would: a control-plane node that is ready.
    fn add_node(&self) {
        let node = format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: {NODE}, labels: {{kubernetes.io/os: linux, \
             node-role.kubernetes.io/control-plane: ''}}}}\n"
        );
        self.server.write("node.yaml", &node);
        self.server.kubectl(&["create", "-f", "node.yaml"]).unwrap();
        let room = r#"{"cpu":"2","memory":"8Gi","pods":"20"}"#;
        let status = format!(
            r#"{{"status":{{"capacity":{room},"allocatable":{room},"conditions":[{{"type":"Ready","status":"True","reason":"KubeletReady"}}]}}}}"#
        );
        self.patch(&format!("/api/v1/nodes/{NODE}/status"), &status);
        // A new node has the taint `not-ready` too, which another controller would take away now.
        let taint = r#"{"key":"node-role.kubernetes.io/control-plane","effect":"NoSchedule"}"#;
        self.patch(
            &format!("/api/v1/nodes/{NODE}"),
            &format!(r#"{{"spec":{{"taints":[{taint}]}}}}"#),
        );
    }

    /// An object of the API.
    pub(super) fn get(&self, path: &str) -> Result<Value, String> {
        let answer = self.server.ask("GET", path, &[], "");
        if answer.status == 200 { answer.json() } else { Err(answer.text()) }
    }

    /// Changes an object by a JSON merge patch.
    pub(super) fn patch(&self, path: &str, change: &str) {
        let headers = [("Content-Type", "application/merge-patch+json")];
        let answer = self.server.ask("PATCH", path, &headers, change);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }

    /// Runs Helm with the chart, its values, and this tag of the image.
    pub(super) fn helm(&self, action: &str, chart: &Path, values: &str, tag: &str) {
        self.server.write("values.yaml", values);
        let mut command = Command::new(helm().unwrap());
        command
            .current_dir(self.server.dir())
            .env("HOME", self.server.dir())
            .arg("--kubeconfig=kubeconfig")
            .args([action, "auditrail"])
            .arg(chart)
            .arg(format!("--namespace={NAMESPACE}"))
            .args(["--values=values.yaml", &format!("--set-string=image.tag={tag}")]);
        must(&mut command);
    }

    /// The image that the DaemonSet asks for, once every pod that it wants is of its newest version, and ready.
    pub(super) fn rolled_out(&self) -> Result<String, String> {
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/auditrail");
        let set = self.get(&path)?;
        let status = &set["status"];
        let wanted = status["desiredNumberScheduled"].as_u64().unwrap_or(0);
        let same = |name: &str| status[name].as_u64() == Some(wanted);
        let seen = status["observedGeneration"] == set["metadata"]["generation"];
        if !seen || wanted == 0 || !same("updatedNumberScheduled") || !same("numberAvailable") {
            return Err(status.to_string());
        }
        let image = &set["spec"]["template"]["spec"]["containers"][0]["image"];
        Ok(image.as_str().unwrap().to_owned())
    }
}

/// Helm, as `go install` or the path has it.
pub(super) fn helm() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let gopath = Command::new("go").args(["env", "GOPATH"]).output().ok()?;
    let gopath = String::from_utf8(gopath.stdout).ok()?;
    let installed = Path::new(gopath.trim()).join("bin");
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    folders.push(installed);
    folders.into_iter().map(|folder| folder.join("helm")).find(|file| file.is_file())
}
