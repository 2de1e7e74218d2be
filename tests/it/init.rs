//! `init` finds the audit log of a node that is laid out like kubeadm, RKE2 or K3s, and writes a configuration that
//! works. Where the API server writes none, it says what to change.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kit::events::Maker;
use kit::{FakeStore, LogWriter, free_port, wait_for};
use rustix::process::Signal;

use crate::command::{Ran, auditrail, finish, run};

const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n";
const SILENT: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n";

/// As kubeadm writes it, cut to what matters here. The log is mounted from another directory of the host.
const KUBEADM: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=10.0.0.1
    - --audit-log-maxbackup=10
    - --audit-log-path=/var/log/audit/audit.log
    - --audit-policy-file=/etc/kubernetes/audit-policy.yaml
    image: registry.k8s.io/kube-apiserver:v1.36.0
    name: kube-apiserver
    volumeMounts:
    - {mountPath: /var/log, name: other}
    - {mountPath: /var/log/audit, name: audit-log}
    - {mountPath: /etc/kubernetes/audit-policy.yaml, name: audit-policy, readOnly: true}
  volumes:
  - {hostPath: {path: /srv/other}, name: other}
  - {hostPath: {path: /var/log/kubernetes/audit, type: DirectoryOrCreate}, name: audit-log}
  - {hostPath: {path: /etc/kubernetes/policies/audit.yaml, type: File}, name: audit-policy}
";

const RKE2: &str = "\
apiVersion: v1
kind: Pod
spec:
  containers:
  - args: [--audit-log-path=/data/rke2/server/logs/audit.log, --audit-policy-file=/etc/rancher/rke2/audit-policy.yaml]
    command: [kube-apiserver]
    name: kube-apiserver
    volumeMounts: [{mountPath: /data/rke2/server/logs, name: dir0}]
  volumes: [{hostPath: {path: /data/rke2/server/logs}, name: dir0}]
";

/// A node's files below a directory of their own.
struct Node {
    dir: tempfile::TempDir,
}

impl Node {
    fn new(files: &[(&str, &str)]) -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        for (path, text) in files {
            let place = node.place(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        node
    }

    fn place(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    fn config(&self) -> PathBuf {
        self.place("/etc/auditrail/auditrail.toml")
    }

    fn init(&self, more: &[&str]) -> Ran {
        let mut command = auditrail();
        command.args(["init", "--root"]).arg(self.dir.path()).arg("--config").arg(self.config());
        finish(command.args(more))
    }

    /// The log in the configuration that `init` wrote.
    fn log(&self) -> PathBuf {
        let text = fs::read_to_string(self.config()).unwrap();
        let line = text.lines().find(|line| line.starts_with("path = ")).unwrap();
        serde_json::from_str::<String>(line.trim_start_matches("path = ")).unwrap().into()
    }
}

/// `init` with a file as the destination; returns the log that it found.
#[track_caller]
fn found(files: &[(&str, &str)]) -> String {
    let node = Node::new(files);
    let out = node.place("/out/events.ndjson");
    let ran = node.init(&["--file", out.to_str().unwrap()]);
    assert!(ran.stderr.contains("found "), "{}", ran.stderr);
    let log = node.log();
    format!("/{}", log.strip_prefix(node.dir.path()).unwrap_or(Path::new("?")).display())
}

#[test]
fn the_log_is_found_on_each_kind_of_node() {
    let policy = ("/etc/kubernetes/policies/audit.yaml", POLICY);
    let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    assert_eq!(found(&[(manifest, KUBEADM), policy]), "/var/log/kubernetes/audit/audit.log");
    let manifest = "/data/rke2/agent/pod-manifests/kube-apiserver.yaml";
    let config = ("/etc/rancher/rke2/config.yaml", "data-dir: /data/rke2\n");
    let policy = ("/etc/rancher/rke2/audit-policy.yaml", POLICY);
    assert_eq!(found(&[config, (manifest, RKE2), policy]), "/data/rke2/server/logs/audit.log");
    // Before its first start RKE2 has no manifest.
    assert_eq!(found(&[config, policy]), "/data/rke2/server/logs/audit.log");
    let arguments =
        "kube-apiserver-arg:\n- audit-log-path=/a/audit.log\n- audit-policy-file=/p.yaml\n";
    let k3s = [("/etc/rancher/k3s/config.yaml", arguments), ("/p.yaml", POLICY)];
    assert_eq!(found(&k3s), "/a/audit.log");
    let more = [
        k3s[0],
        ("/etc/rancher/k3s/config.yaml.d/9.yaml", "kube-apiserver-arg+: audit-log-path=/b.log\n"),
    ];
    assert_eq!(found(&more), "/b.log");
    let unit = "ExecStart=/usr/local/bin/k3s \\\n    server \\\n\t'--kube-apiserver-arg=audit-log-path=/c.log' \\\n";
    let unit = [("/etc/systemd/system/k3s.service", unit), ("/etc/rancher/k3s/k3s.yaml", "")];
    assert_eq!(found(&unit), "/c.log");
    let process = "/usr/local/bin/kube-apiserver\0--audit-log-path\0/d.log\0--v=2\0";
    assert_eq!(found(&[("/proc/17/cmdline", process), ("/proc/self/cmdline", "x")]), "/d.log");
    assert_eq!(
        found(&[("/var/log/audit/kube/kube-apiserver.log", "")]),
        "/var/log/audit/kube/kube-apiserver.log"
    );
}

#[test]
fn a_file_that_cannot_be_parsed_is_not_believed_and_the_next_source_is_asked() {
    let known = ("/var/log/audit/kube/kube-apiserver.log", "");
    let pod = |spec: &str| format!("spec: {{containers: [{{command: {spec}}}]}}");
    for manifest in [
        "{{{ --audit-log-path=/a",
        "--audit-log-path=/a",
        "[spec, --audit-log-path=/a]",
        &"a: ".repeat(1 << 19),
    ] {
        assert_eq!(
            found(&[("/etc/kubernetes/manifests/kube-apiserver.yaml", manifest), known]),
            known.0
        );
        assert_eq!(found(&[("/etc/rancher/k3s/config.yaml", manifest), known]), known.0);
    }
    // An API server whose flags cannot be read writes no log that could be named.
    let node =
        Node::new(&[("/etc/kubernetes/manifests/kube-apiserver.yaml", &pod("{a: b}")), known]);
    let ran = node.init(&["--file", "/nonexistent/out"]).expect(1);
    assert!(ran.stderr.contains("no --audit-log-path is set"), "{}", ran.stderr);
}

#[test]
fn a_server_that_writes_nothing_is_answered_with_what_to_change_on_that_distribution() {
    let silent = |files: &[(&str, &str)], says: &[&str], written| {
        let node = Node::new(files);
        let out = node.place("/out");
        let ran = node.init(&["--file", out.to_str().unwrap()]);
        assert!(written || ran.code == Some(1), "{}", ran.stderr);
        for word in says {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
        assert_eq!(node.config().try_exists().unwrap(), written);
    };
    let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    let off = KUBEADM.replace("    - --audit-log-path=/var/log/audit/audit.log\n", "");
    let kubeadm = [
        "no --audit-log-path is set",
        "--audit-log-path=/var/log/kubernetes/audit/audit.log",
        "init --print-policy",
    ];
    silent(&[(manifest, &off)], &kubeadm, false);
    let stdout = KUBEADM.replace("/var/log/audit/audit.log", "-");
    silent(&[(manifest, &stdout)], &["to standard output"], false);
    let k3s =
        ["no --audit-log-path is set", "/etc/rancher/k3s/config.yaml", "systemctl restart k3s"];
    silent(&[("/etc/rancher/k3s/k3s.yaml", "")], &k3s, false);
    let rke2 = [
        ("/data/rke2/agent/pod-manifests/kube-apiserver.yaml", RKE2),
        ("/etc/rancher/rke2/config.yaml", "data-dir: /data/rke2\n"),
        ("/etc/rancher/rke2/audit-policy.yaml", SILENT),
        ("/data/rke2/server/logs/audit.log", ""),
    ];
    // The log is there, so the configuration is written all the same.
    let says = [
        "all rules of the audit policy /etc/rancher/rke2/audit-policy.yaml have level None",
        "rke2-server",
    ];
    silent(&rke2, &says, true);
    let node = Node::new(&[]);
    let ran = node.init(&["--file", "/nonexistent/out"]).expect(1);
    assert!(ran.stderr.contains("this node shows no API server"), "{}", ran.stderr);
}

#[test]
fn what_init_wrote_delivers_the_first_event_within_ten_seconds_of_run() {
    for kind in ["--loki", "--elasticsearch", "--opensearch"] {
        let store = FakeStore::new();
        let node = Node::new(&[
            ("/etc/kubernetes/manifests/kube-apiserver.yaml", KUBEADM),
            ("/etc/kubernetes/policies/audit.yaml", POLICY),
            ("/var/log/kubernetes/audit/audit.log", ""),
        ]);
        let mut maker = Maker::from_ago(jiff::SignedDuration::from_mins(1));
        let mut log = LogWriter::new(node.place("/var/log/kubernetes/audit/audit.log"));
        log.append(format!("{}\n", maker.event(300).line).as_bytes());
        let ran = node.init(&[kind, &store.url, "--cluster", "a$b\"c"]);
        let config = fs::read_to_string(node.config()).unwrap();
        assert!(
            ran.stdout.contains("is accepted"),
            "{kind}: {}{}\n{config}",
            ran.stdout,
            ran.stderr
        );
        // In a place of its own, since the tests share this machine.
        let own = format!(
            "state_dir = \"{}\"\ndisk = {{ min_free = \"1%\" }}\n{config}\n[server]\nlisten = \"127.0.0.1:{}\"\n",
            node.place("/state").display(),
            free_port()
        );
        fs::write(node.config(), own).unwrap();
        let begun = Instant::now();
        let mut process =
            auditrail().arg("run").arg("--config").arg(node.config()).spawn().unwrap();
        wait_for("the first event", Duration::from_secs(10), || match store.documents().len() {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        });
        assert!(begun.elapsed() < Duration::from_secs(10));
        let id = rustix::process::Pid::from_child(&process);
        rustix::process::kill_process(id, Signal::TERM).unwrap();
        process.wait().unwrap();
    }
}

#[test]
fn a_configuration_that_is_there_stays_unless_it_is_to_be_replaced() {
    let node = Node::new(&[
        ("/etc/auditrail/auditrail.toml", "mine"),
        ("/var/log/audit/kube/kube-apiserver.log", ""),
    ]);
    let out = node.place("/out");
    let to = ["--file", out.to_str().unwrap()];
    let refused = node.init(&to).expect(1);
    assert!(refused.stderr.contains("is there already"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(node.config()).unwrap(), "mine");
    node.init(&[&to[..], &["--force"]].concat());
    assert!(fs::read_to_string(node.config()).unwrap().contains("[outputs.events]"));
}

/// A package installs a configuration that has comments only, so that package managers know the file.
#[test]
fn a_configuration_that_sets_nothing_is_replaced() {
    let packaged = include_str!("../../etc/release/configuration");
    let node = Node::new(&[
        ("/etc/auditrail/auditrail.toml", packaged),
        ("/var/log/audit/kube/kube-apiserver.log", ""),
    ]);
    let out = node.place("/out");
    node.init(&["--file", out.to_str().unwrap()]);
    assert!(fs::read_to_string(node.config()).unwrap().contains("[outputs.events]"));
}

#[test]
fn without_a_terminal_the_destination_has_to_be_named() {
    let node = Node::new(&[("/var/log/audit/kube/kube-apiserver.log", "")]);
    let refused = node.init(&[]).expect(1);
    assert!(
        refused.stderr.contains("Add --loki, --elasticsearch, --opensearch or --falco"),
        "{}",
        refused.stderr
    );
    assert!(!node.config().try_exists().unwrap());
    let both = node.init(&["--loki", "http://a", "--file", "/b"]).expect(2);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
}

#[test]
fn the_policy_that_it_prints_is_the_one_that_ships() {
    let policy =
        fs::read_to_string(crate::command::root().join("etc/kubernetes/audit-policy.yaml"));
    assert_eq!(run(&["init", "--print-policy"]).expect(0).stdout, policy.unwrap());
}
