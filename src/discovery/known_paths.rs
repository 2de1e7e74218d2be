//! Where distributions put the audit log, and the hint for an operator whose `path` does not exist.

use std::path::Path;

use super::files::Tree;
use super::static_pod::StaticPod;

/// Path of a log, and the distribution or tool that puts it there.
const KNOWN: &[(&str, &str)] = &[
    ("/var/log/kubernetes/audit/audit.log", "kubeadm, as the Kubernetes documentation has it"),
    ("/var/log/kubernetes/audit.log", "kubeadm"),
    ("/var/log/kubernetes/kube-apiserver-audit.log", "kubeadm"),
    ("/var/lib/rancher/rke2/server/logs/audit.log", "RKE2"),
    ("/var/lib/rancher/k3s/server/logs/audit.log", "K3s"),
    ("/var/log/kube-audit/audit-log.json", "RKE1"),
    ("/var/log/kube-apiserver/audit.log", "OpenShift"),
    ("/var/log/kubernetes/api-audit.log", "EKS Anywhere"),
    ("/var/log/audit/kube/kube-apiserver.log", "Talos"),
    ("/var/log/audit/kube-apiserver-audit.log", "Kubespray"),
    ("/var/log/kubernetes/audit/kube-apiserver-audit.log", "Kubespray"),
    ("/var/log/apiserver/audit.log", "minikube"),
];

/// The first of these logs that is there, other than `but`, and who puts it there.
pub(super) fn log(tree: &Tree, but: Option<&Path>) -> Option<(&'static str, &'static str)> {
    KNOWN.iter().copied().find(|(path, _)| Some(Path::new(path)) != but && tree.is_file(path))
}

/// The hint for a log that does not exist. `root` is `/`.
pub(crate) fn hint(root: &Path, configured: &Path) -> String {
    let tree = Tree::new(root);
    let flags = StaticPod::read(&tree, StaticPod::KUBEADM).map(|pod| pod.flags());
    let writes_none = flags.as_ref().is_some_and(|flags| flags.log.is_none());
    let named = flags.and_then(|flags| flags.log);
    let named = named.filter(|log| Path::new(log) != configured && tree.is_file(log));
    let listed = || log(&tree, Some(configured)).map(|(path, whose)| (path.to_owned(), whose));
    let found = named.map(|path| (path, "the API server's own manifest")).or_else(listed);
    if let Some((path, whose)) = found {
        return format!("there is a log at {path} ({whose}): set `path = \"{path}\"`");
    }
    if writes_none {
        return format!(
            "{} sets no --audit-log-path: switch the audit log of the API server on, as `auditrail init` explains",
            StaticPod::KUBEADM
        );
    }
    "set `path` to the file that --audit-log-path of kube-apiserver names on this host, and in a pod mount its directory, \
     not the file alone"
        .into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn place(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        for (path, text) in files {
            let path = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (dir, root)
    }

    #[test]
    fn a_wrong_path_is_answered_with_the_log_that_is_there() {
        for (path, whose) in KNOWN {
            let (_dir, root) = place(&[(path, "")]);
            let hint = hint(&root, Path::new("/var/log/nowhere.log"));
            assert!(hint.contains(&format!("there is a log at {path} ({whose})")), "{hint}");
        }
    }

    #[test]
    fn the_path_in_the_manifest_is_believed_before_any_list() {
        let manifest = "spec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --audit-log-path=/srv/audit/api.log\n";
        let files = [(StaticPod::KUBEADM, manifest), ("/srv/audit/api.log", ""), (KNOWN[0].0, "")];
        let (_dir, root) = place(&files);
        let hint = hint(&root, Path::new("/var/log/nowhere.log"));
        assert!(hint.contains("set `path = \"/srv/audit/api.log\"`"), "{hint}");
    }

    #[test]
    fn a_server_without_the_flag_writes_no_log_wherever_one_looks() {
        let (_dir, root) = place(&[(
            StaticPod::KUBEADM,
            "spec:\n  containers:\n  - command: [kube-apiserver, --secure-port=6443]\n",
        )]);
        let found = hint(&root, Path::new("/var/log/nowhere.log"));
        assert!(found.contains("sets no --audit-log-path"), "{found}");
        let (_dir, root) = place(&[]);
        let found = hint(&root, Path::new("/var/log/nowhere.log"));
        assert!(found.contains("set `path` to the file that --audit-log-path"), "{found}");
    }
}
