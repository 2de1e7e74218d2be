//! The steps after which the API server of a node sends its events to a webhook.

use super::node::Distribution;

/// The steps, for people. `kubeconfig` is a file on this machine; `init --print-policy` prints the policy that they
/// mention. `None`: the distribution is not known.
pub(crate) fn webhook_steps(distribution: Option<Distribution>, kubeconfig: &str) -> String {
    let (directory, place, dashes, restart) = match distribution {
        Some(Distribution::Rke2) => (
            "/etc/rancher/rke2",
            "Add to /etc/rancher/rke2/config.yaml:\n   kube-apiserver-arg:",
            "",
            "systemctl restart rke2-server",
        ),
        Some(Distribution::K3s) => (
            "/etc/rancher/k3s",
            "Add to /etc/rancher/k3s/config.yaml:\n   kube-apiserver-arg:",
            "",
            "systemctl restart k3s",
        ),
        Some(Distribution::Kubeadm | Distribution::Process | Distribution::Known(_)) | None => (
            "/etc/kubernetes",
            "Add to the command of kube-apiserver, for kubeadm in /etc/kubernetes/manifests/kube-apiserver.yaml:",
            "--",
            "In a static pod, mount both files as hostPath volumes (type File, read-only). The kubelet then restarts the server.",
        ),
    };
    let (policy, config) =
        (format!("{directory}/audit-policy.yaml"), format!("{directory}/audit-webhook.yaml"));
    format!(
        "\
On each control-plane node:
1. Save a policy, unless there is one, and the kubeconfig, which holds a private key:
   auditrail init --print-policy >{policy}
   install -m 0600 {kubeconfig} {config}
2. {place}
   - {dashes}audit-policy-file={policy}
   - {dashes}audit-webhook-config-file={config}
   - {dashes}audit-webhook-batch-throttle-qps=100
   - {dashes}audit-webhook-batch-throttle-burst=150
   - {dashes}audit-webhook-batch-max-wait=5s
   The throttle is raised since by default the server drops what is more than 4,000 events a second. Events leave
   after five seconds instead of thirty. Leave audit-webhook-truncate-enabled off: events of any length are taken.
3. {restart}
If the server can write a log, set audit-log-path too: the server drops events that it cannot send to the webhook within
80 seconds."
    )
}
