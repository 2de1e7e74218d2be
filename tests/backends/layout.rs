//! The files of a node that say where its API server writes the audit log, as each distribution lays them out.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Request\n";

/// What `kubeadm` writes, cut to what matters here.
const KUBEADM: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
  - command:
    - kube-apiserver
    - --audit-log-path=/var/log/kubernetes/audit/audit.log
    - --audit-policy-file=/etc/kubernetes/audit-policy.yaml
    - --audit-log-maxbackup=10
    - --audit-log-maxsize=100
    name: kube-apiserver
    volumeMounts:
    - {mountPath: /var/log/kubernetes/audit, name: audit-log}
    - {mountPath: /etc/kubernetes/audit-policy.yaml, name: audit-policy}
  volumes:
  - {hostPath: {path: /var/log/kubernetes/audit, type: DirectoryOrCreate}, name: audit-log}
  - {hostPath: {path: /etc/kubernetes/audit-policy.yaml, type: File}, name: audit-policy}
";

const RKE2: &str = "\
apiVersion: v1
kind: Pod
spec:
  containers:
  - args:
    - --audit-log-path=/var/lib/rancher/rke2/server/logs/audit.log
    - --audit-policy-file=/etc/rancher/rke2/audit-policy.yaml
    command: [kube-apiserver]
    name: kube-apiserver
    volumeMounts: [{mountPath: /var/lib/rancher/rke2/server/logs, name: dir0}]
  volumes: [{hostPath: {path: /var/lib/rancher/rke2/server/logs}, name: dir0}]
";

const K3S: &str = "\
kube-apiserver-arg:
- audit-log-path=/var/lib/rancher/k3s/server/logs/audit.log
- audit-policy-file=/var/lib/rancher/k3s/server/audit.yaml
";

/// The distribution that a node looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    Kubeadm,
    Rke2,
    K3s,
}

impl Layout {
    pub(crate) const ALL: [Self; 3] = [Self::Kubeadm, Self::Rke2, Self::K3s];

    /// Writes the files below the root directory of a node.
    pub(crate) fn write(self, root: &Path) {
        for (path, text) in self.files() {
            let path = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// Paths in the container, and the text of each.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Kubeadm => &[
                ("/etc/kubernetes/manifests/kube-apiserver.yaml", KUBEADM),
                ("/etc/kubernetes/audit-policy.yaml", POLICY),
            ],
            Self::Rke2 => &[
                ("/etc/rancher/rke2/config.yaml", "write-kubeconfig-mode: \"0600\"\n"),
                ("/etc/rancher/rke2/audit-policy.yaml", POLICY),
                ("/var/lib/rancher/rke2/agent/pod-manifests/kube-apiserver.yaml", RKE2),
            ],
            Self::K3s => &[
                ("/etc/rancher/k3s/config.yaml", K3S),
                ("/var/lib/rancher/k3s/server/audit.yaml", POLICY),
            ],
        }
    }

    /// The path of the audit log in the container.
    pub(crate) fn log(self) -> &'static str {
        match self {
            Self::Kubeadm => "/var/log/kubernetes/audit/audit.log",
            Self::Rke2 => "/var/lib/rancher/rke2/server/logs/audit.log",
            Self::K3s => "/var/lib/rancher/k3s/server/logs/audit.log",
        }
    }
}

/// Takes the usual port of the status page, where `init` leaves it: the containers share the network of the machine.
pub(crate) fn usual_port() -> MutexGuard<'static, ()> {
    static PORT: Mutex<()> = Mutex::new(());
    PORT.lock().unwrap_or_else(PoisonError::into_inner)
}
