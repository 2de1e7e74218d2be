//! What is known about the API server of this node, and where it was found.

use std::fmt;
use std::path::{Path, PathBuf};

use super::files::Tree;
use super::flags::ApiServerFlags;
use super::known_paths;
use super::rancher::{RancherConfig, arguments};
use super::static_pod::StaticPod;

/// Who set up the API server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Distribution {
    /// kubeadm, or another tool that writes a static pod to the same place.
    Kubeadm,
    Rke2,
    K3s,
    /// An API server whose flags only its process shows.
    Process,
    /// Only a log is known; the name says who puts it there.
    Known(&'static str),
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kubeadm => "an API server in a static pod, as kubeadm sets it up",
            Self::Rke2 => "RKE2",
            Self::K3s => "K3s",
            Self::Process => "a running API server",
            Self::Known(whose) => whose,
        })
    }
}

/// Where the API server writes its audit log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AuditLog {
    /// The path on the host.
    File(PathBuf),
    /// `--audit-log-path=-`.
    Stdout,
    /// It writes none.
    Off,
}

/// Whether the audit policy lets the API server write anything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum PolicyState {
    /// It cannot be read, or its place is not known.
    Unknown,
    /// No policy is set. The API server writes nothing then (`BuildPolicyRuleEvaluator` in
    /// `k8s.io/apiserver/pkg/server/options/audit.go`).
    Missing,
    /// All its rules have level None.
    Silent(PathBuf),
    Writes,
}

/// The API server of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Node {
    pub(crate) distribution: Distribution,
    /// The file or process that says so.
    pub(crate) source: String,
    pub(crate) log: AuditLog,
    pub(crate) policy: PolicyState,
}

/// Looks for the API server of the node whose files are below `root`. `None` if nothing shows one.
pub(crate) fn look(root: &Path) -> Option<Node> {
    let tree = Tree::new(root);
    rke2(&tree)
        .or_else(|| k3s(&tree))
        .or_else(|| kubeadm(&tree))
        .or_else(|| process(&tree))
        .or_else(|| known(&tree))
}

fn rke2(tree: &Tree) -> Option<Node> {
    let config = RancherConfig::read(tree, "rke2");
    let data = config.data_dir.as_deref().unwrap_or("/var/lib/rancher/rke2").to_owned();
    let manifest = format!("{data}/{}", StaticPod::RKE2);
    if let Some(pod) = StaticPod::read(tree, &manifest) {
        return Some(node(tree, Distribution::Rke2, manifest, pod.flags()));
    }
    // The kubeconfig is on servers only.
    if !tree.is_file("/etc/rancher/rke2/rke2.yaml") && !config.exists {
        return None;
    }
    let usual = || format!("{data}/server/logs/audit.log");
    let policy = || "/etc/rancher/rke2/audit-policy.yaml".to_owned();
    let flags = ApiServerFlags {
        log: Some(config.flags.log.unwrap_or_else(usual)),
        policy: Some(config.flags.policy.unwrap_or_else(policy)),
    };
    Some(node(tree, Distribution::Rke2, "/etc/rancher/rke2".to_owned(), flags))
}

fn k3s(tree: &Tree) -> Option<Node> {
    let config = RancherConfig::read(tree, "k3s");
    if !tree.is_file("/etc/rancher/k3s/k3s.yaml") && config.flags.log.is_none() {
        return None;
    }
    Some(node(tree, Distribution::K3s, "/etc/rancher/k3s".to_owned(), config.flags))
}

fn kubeadm(tree: &Tree) -> Option<Node> {
    let flags = StaticPod::read(tree, StaticPod::KUBEADM)?.flags();
    Some(node(tree, Distribution::Kubeadm, StaticPod::KUBEADM.to_owned(), flags))
}

/// An API server that runs as a process of the host, or inside K3s.
fn process(tree: &Tree) -> Option<Node> {
    let mut ids =
        tree.names("/proc").into_iter().filter(|id| id.bytes().all(|b| b.is_ascii_digit()));
    ids.find_map(|id| {
        let line = tree.text(format!("/proc/{id}/cmdline"))?;
        let words: Vec<_> = line.split(['\0', ' ']).collect();
        let program = words.first()?.rsplit('/').next()?;
        let (distribution, flags) = match program {
            "kube-apiserver" => (Distribution::Process, ApiServerFlags::of(words)),
            "k3s" | "k3s-server" if program != "k3s" || words.contains(&"server") => {
                let arguments = arguments(words);
                let flags = ApiServerFlags::of(arguments.iter().map(String::as_str));
                (Distribution::K3s, flags)
            }
            _ => return None,
        };
        Some(node(tree, distribution, format!("process {id}"), flags))
    })
}

fn known(tree: &Tree) -> Option<Node> {
    let (path, whose) = known_paths::log(tree, None)?;
    Some(Node {
        distribution: Distribution::Known(whose),
        source: path.to_owned(),
        log: AuditLog::File(tree.place(path)),
        policy: PolicyState::Unknown,
    })
}

/// The node of an API server with these flags, whose paths are those of the host.
fn node(tree: &Tree, distribution: Distribution, source: String, flags: ApiServerFlags) -> Node {
    let policy = policy_state(tree, flags.policy.as_deref());
    let log = match flags.log {
        None => AuditLog::Off,
        Some(path) if path == "-" => AuditLog::Stdout,
        Some(path) => AuditLog::File(tree.place(path)),
    };
    Node { distribution, source, log, policy }
}

fn policy_state(tree: &Tree, path: Option<&str>) -> PolicyState {
    let Some(path) = path else { return PolicyState::Missing };
    let Some(policy) = tree.yaml(path) else { return PolicyState::Unknown };
    let Some(rules) = policy["rules"].as_array() else { return PolicyState::Unknown };
    // Where no rule matches, nothing is written either.
    if rules.iter().all(|rule| rule["level"] == "None") {
        PolicyState::Silent(path.into())
    } else {
        PolicyState::Writes
    }
}
