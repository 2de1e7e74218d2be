//! What to change on a node whose API server writes no audit log.

use super::node::{AuditLog, Distribution, Node, PolicyState};

/// How to get an audit log from this API server; `None` if it writes one.
pub(crate) fn advice(node: &Node) -> Option<String> {
    let problem = match (&node.log, &node.policy) {
        (AuditLog::File(_), PolicyState::Writes | PolicyState::Unknown) => return None,
        (AuditLog::File(_), PolicyState::Missing) => {
            "no --audit-policy-file is set, so the API server writes nothing".to_owned()
        }
        (AuditLog::File(_), PolicyState::Silent(path)) => format!(
            "all rules of the audit policy {} have level None, so the API server writes nothing",
            path.display()
        ),
        (AuditLog::Off, _) => {
            "no --audit-log-path is set, so the API server writes no audit log".to_owned()
        }
        (AuditLog::Stdout, _) => {
            "the API server writes its audit log to standard output, among its other messages"
                .to_owned()
        }
    };
    Some(format!("{problem}\n\n{}", steps(node.distribution)))
}

/// The steps, for people. `init --print-policy` prints the policy that they mention.
fn steps(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Rke2 => {
            "\
On each server:
1. Save a policy:
   auditrail init --print-policy >/etc/rancher/rke2/audit-policy.yaml
2. Remove `audit-log-path` from `kube-apiserver-arg` in /etc/rancher/rke2/config.yaml, if it is there. RKE2 then writes
   /var/lib/rancher/rke2/server/logs/audit.log
3. systemctl restart rke2-server"
        }
        Distribution::K3s => {
            "\
On each server:
1. Save a policy:
   auditrail init --print-policy >/var/lib/rancher/k3s/server/audit.yaml
   mkdir -m 700 -p /var/lib/rancher/k3s/server/logs
2. Add to /etc/rancher/k3s/config.yaml:
   kube-apiserver-arg:
     - audit-log-path=/var/lib/rancher/k3s/server/logs/audit.log
     - audit-policy-file=/var/lib/rancher/k3s/server/audit.yaml
     - audit-log-maxsize=100
     - audit-log-maxbackup=10
     - audit-log-maxage=30
3. systemctl restart k3s"
        }
        Distribution::Kubeadm | Distribution::Process | Distribution::Known(_) => {
            "\
On each control-plane node:
1. Save a policy:
   auditrail init --print-policy >/etc/kubernetes/audit-policy.yaml
   mkdir -p /var/log/kubernetes/audit
2. Add to the command of kube-apiserver, for kubeadm in /etc/kubernetes/manifests/kube-apiserver.yaml:
   - --audit-policy-file=/etc/kubernetes/audit-policy.yaml
   - --audit-log-path=/var/log/kubernetes/audit/audit.log
   - --audit-log-maxsize=100
   - --audit-log-maxbackup=10
   - --audit-log-maxage=30
   - --audit-log-compress=true
3. In a static pod, mount both as hostPath volumes: the policy (type File, read-only), and the directory
   /var/log/kubernetes/audit (type DirectoryOrCreate), never the log file alone. The kubelet then restarts the server.
   kubeadm keeps the change if it is in its ClusterConfiguration too: etc/kubernetes/README.md shows it."
        }
    }
}
