//! What to change on a node so that its API server sends its events to a webhook.

use super::node::Distribution;

/// The steps, for people. `kubeconfig` is a file on this machine; `init --print-policy` prints the policy that they
/// mention. `None`: the distribution is not known.
pub(crate) fn webhook_steps(distribution: Option<Distribution>, kubeconfig: &str) -> String {
    let (directory, flags, restart) = match distribution {
        Some(Distribution::Rke2) => (
            "/etc/rancher/rke2",
            "Add to /etc/rancher/rke2/config.yaml:\n   kube-apiserver-arg:",
            "systemctl restart rke2-server",
        ),
        Some(Distribution::K3s) => (
            "/etc/rancher/k3s",
            "Add to /etc/rancher/k3s/config.yaml:\n   kube-apiserver-arg:",
            "systemctl restart k3s",
        ),
        Some(Distribution::Kubeadm | Distribution::Process | Distribution::Known(_)) | None => (
            "/etc/kubernetes",
            "Add to the command of kube-apiserver, for kubeadm in /etc/kubernetes/manifests/kube-apiserver.yaml:",
            "In a static pod, mount both files as hostPath volumes (type File, read-only). The kubelet then restarts the server.",
        ),
    };
    let dashes = if flags.ends_with("kube-apiserver-arg:") { "" } else { "--" };
    let flags_of = |name: &str, value: &str| format!("   - {dashes}{name}={value}\n");
    let (policy, config) =
        (format!("{directory}/audit-policy.yaml"), format!("{directory}/audit-webhook.yaml"));
    let flag_lines: String = [
        ("audit-policy-file", &*policy),
        ("audit-webhook-config-file", &*config),
        // Ten batches of 400 events in a second are all that the default lets through.
        ("audit-webhook-batch-throttle-qps", "100"),
        ("audit-webhook-batch-throttle-burst", "150"),
        ("audit-webhook-batch-max-wait", "5s"),
    ]
    .into_iter()
    .map(|(name, value)| flags_of(name, value))
    .collect();
    format!(
        "\
On each control-plane node:
1. Save a policy, unless there is one, and the kubeconfig, which holds a private key:
   auditrail init --print-policy >{policy}
   install -m 0600 {kubeconfig} {config}
2. {flags}
{flag_lines}   The throttle is raised since by default the server drops what is more than 4,000 events a second. Events leave
   after five seconds instead of thirty. Leave audit-webhook-truncate-enabled off: events of any length are taken.
3. {restart}
Where the server can write a log too, let it (audit-log-path): the webhook is best effort. What it cannot send within
80 seconds, the server drops."
    )
}
