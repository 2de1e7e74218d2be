//! Where distributions put the audit log: the hint for an operator whose `path` does not exist.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

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

/// Where kubeadm keeps the API server's flags.
const MANIFEST: &str = "etc/kubernetes/manifests/kube-apiserver.yaml";
/// The most bytes read of a manifest; a real one has some kilobytes.
const MANIFEST_MAX: u64 = 1 << 20;
const FLAG: &str = "--audit-log-path=";

/// The hint for a log that does not exist. `root` is `/`.
pub(crate) fn hint(root: &Path, configured: &Path) -> String {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let manifest = manifest(&below(MANIFEST));
    let flag = manifest.as_deref().and_then(flag);
    let named = flag.map(|path| (path, "the API server's own manifest"));
    let found = named
        .into_iter()
        .chain(KNOWN.iter().copied())
        .find(|(path, _)| Path::new(path) != configured && below(path).is_file());
    if let Some((path, whose)) = found {
        return format!("there is a log at {path} ({whose}): set `path = \"{path}\"`");
    }
    if manifest.is_some() && flag.is_none() {
        return format!(
            "/{MANIFEST} sets no --audit-log-path: switch the audit log of the API server on"
        );
    }
    "set `path` to the file that --audit-log-path of kube-apiserver names on this host, and in a pod mount its directory, \
     not the file alone"
        .into()
}

fn manifest(path: &Path) -> Option<String> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(MANIFEST_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The path that a manifest sets. `-` is standard output, which cannot be followed.
fn flag(manifest: &str) -> Option<&str> {
    let after = manifest.split(FLAG).nth(1)?;
    after.split(['\n', '"', '\'', ' ', ',']).next().filter(|path| path.starts_with('/'))
}

#[cfg(test)]
mod tests {
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
        let manifest = "    - --audit-log-path=/srv/audit/api.log\n    - --audit-log-maxage=30\n";
        let files = [(MANIFEST, manifest), ("/srv/audit/api.log", ""), (KNOWN[0].0, "")];
        let (_dir, root) = place(&files);
        let hint = hint(&root, Path::new("/var/log/nowhere.log"));
        assert!(hint.contains("set `path = \"/srv/audit/api.log\"`"), "{hint}");
    }

    #[test]
    fn a_server_without_the_flag_writes_no_log_wherever_one_looks() {
        let (_dir, root) = place(&[(MANIFEST, "    - --secure-port=6443\n")]);
        let found = hint(&root, Path::new("/var/log/nowhere.log"));
        assert!(found.contains("sets no --audit-log-path"), "{found}");
        let (_dir, root) = place(&[]);
        let found = hint(&root, Path::new("/var/log/nowhere.log"));
        assert!(found.contains("set `path` to the file that --audit-log-path"), "{found}");
    }
}
