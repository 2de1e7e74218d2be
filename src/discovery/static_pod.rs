//! The manifest of an API server that the kubelet runs as a static pod.

use std::path::Path;

use serde_json::Value;

use super::files::Tree;
use super::flags::ApiServerFlags;

/// A manifest, as JSON.
pub(super) struct StaticPod(Value);

impl StaticPod {
    /// Where kubeadm puts the manifest.
    pub(super) const KUBEADM: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    /// Where RKE2 puts it, below its data directory.
    pub(super) const RKE2: &str = "agent/pod-manifests/kube-apiserver.yaml";

    pub(super) fn read(tree: &Tree, path: impl AsRef<Path>) -> Option<Self> {
        tree.yaml(path).filter(Value::is_object).map(Self)
    }

    /// The flags of the container that runs kube-apiserver: the one of that name, or the first one. Their paths are those
    /// of the host.
    pub(super) fn flags(&self) -> ApiServerFlags {
        let container = self.container();
        let words = ["command", "args"].into_iter().filter_map(|key| container?[key].as_array());
        let ApiServerFlags { log, policy } =
            ApiServerFlags::of(words.flatten().filter_map(Value::as_str));
        ApiServerFlags {
            log: log.and_then(|path| if path == "-" { Some(path) } else { self.on_host(&path) }),
            policy: policy.and_then(|path| self.on_host(&path)),
        }
    }

    fn container(&self) -> Option<&Value> {
        let all = self.0["spec"]["containers"].as_array()?;
        all.iter().find(|one| one["name"] == "kube-apiserver").or(all.first())
    }

    /// The path on the host of a path in the container. Without a volume there, the path itself: RKE2 mounts each
    /// directory where it is.
    fn on_host(&self, path: &str) -> Option<String> {
        if !path.starts_with('/') {
            return None;
        }
        let volumes = self.0["spec"]["volumes"].as_array();
        let host = |name: &Value| {
            let volume = volumes?.iter().find(|volume| volume["name"] == *name)?;
            volume["hostPath"]["path"].as_str()
        };
        let mounts = self.container().and_then(|one| one["volumeMounts"].as_array());
        let candidates = mounts.into_iter().flatten().filter_map(|mount| {
            let inside = mount["mountPath"].as_str()?.trim_end_matches('/');
            let rest = path.strip_prefix(inside)?;
            (rest.is_empty() || rest.starts_with('/'))
                .then_some((inside.len(), format!("{}{rest}", host(&mount["name"])?)))
        });
        // The deepest mount is the one that shows.
        let deepest = candidates.max_by_key(|(depth, _)| *depth);
        Some(deepest.map_or_else(|| path.to_owned(), |(_, path)| path))
    }
}
