//! A real kube-apiserver on a real etcd, and kubectl to make requests to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::corpus::read;
use crate::servers::{Process, built, source};
use kit::events::{Expected, expected};
use kit::http::{self, Answer};
use kit::{free_port, wait_for};

/// Password of the administrator, in a server that lives for seconds on loopback.
const TOKEN: &str = "only-for-tests";

pub(crate) struct ApiServer {
    server: Process,
    _etcd: Process,
    dir: TempDir,
    port: u16,
    client: OnceLock<http::Client>,
}

impl ApiServer {
    /// Starts a server that audits everything with bodies, rotates its log at 1 MB and compresses it, and keeps all
    /// backups.
    pub(crate) fn start() -> Self {
        Self::keeping(1000, |_| ()).0
    }

    /// The same with this number of backups. Calls `before` with the log's folder before the first event, and returns
    /// its result too.
    pub(crate) fn keeping<T>(backups: usize, before: impl FnOnce(&Path) -> T) -> (Self, T) {
        let dir = TempDir::new().unwrap();
        let folder = dir.path().join("audit");
        fs::create_dir(&folder).unwrap();
        let made = before(&folder);
        (Self::serve(dir, backups, &[]), made)
    }

    /// A server that also sends its events to a webhook at this port of loopback, in batches of a second.
    pub(crate) fn with_webhook(port: u16) -> Self {
        Self::with_webhook_user(&format!("server: \"http://127.0.0.1:{port}/audit\""), "")
    }

    /// The same for what the kubeconfig says of the cluster and of the user, as members of a YAML mapping.
    pub(crate) fn with_webhook_user(cluster: &str, user: &str) -> Self {
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             clusters: [{{name: a, cluster: {{{cluster}}}}}]\n\
             users: [{{name: a, user: {{{user}}}}}]\n\
             contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n"
        );
        // A batch is given up after some 80 seconds under the defaults; here it is tried again sooner and as often.
        let flags = [
            "--audit-webhook-batch-max-wait=1s",
            "--audit-webhook-batch-throttle-qps=100",
            "--audit-webhook-initial-backoff=4s",
        ];
        Self::with_webhook_config(&kubeconfig, &flags)
    }

    /// The same with this kubeconfig and these flags.
    pub(crate) fn with_webhook_config(kubeconfig: &str, flags: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("audit")).unwrap();
        fs::write(dir.path().join("webhook.yaml"), kubeconfig).unwrap();
        let config = ["--audit-webhook-config-file=webhook.yaml"];
        Self::serve(dir, 1000, &[&config, flags].concat())
    }

    fn serve(dir: TempDir, backups: usize, flags: &[&str]) -> Self {
        let (etcd, store) = start_etcd(dir.path());
        let port = free_port();
        let key = dir.path().join("sa.key");
        let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output();
        success(&made.unwrap()).unwrap();
        fs::write(dir.path().join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n"))
            .unwrap();
        let mut command = Command::new(built("bin/kube-apiserver"));
        command.current_dir(dir.path()).args([
            &format!("--etcd-servers={store}"),
            &format!("--secure-port={port}"),
            &format!("--audit-policy-file={}", source("kubernetes/policy.yaml").display()),
            "--bind-address=127.0.0.1",
            "--cert-dir=pki",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=sa.key",
            "--service-account-signing-key-file=sa.key",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--token-auth-file=tokens.csv",
            "--audit-log-path=audit/audit.log",
            "--audit-log-maxsize=1",
            &format!("--audit-log-maxbackup={backups}"),
            "--audit-log-compress",
        ]);
        command.args(flags);
        let server = Process::start("kube-apiserver", &mut command, dir.path());
        let mut started = Self { server, _etcd: etcd, dir, port, client: OnceLock::new() };
        wait_for("kube-apiserver to be ready", Duration::from_secs(90), || {
            started.server.alive()?;
            started.kubectl(&["get", "--raw", "/readyz"])
        });
        started
    }

    /// Runs kubectl as the administrator; `Err` with its output if it fails.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new(built("bin/kubectl"))
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .arg(format!("--server=https://127.0.0.1:{}", self.port))
            .arg(format!("--token={TOKEN}"))
            .args(["--certificate-authority=pki/apiserver.crt", "--request-timeout=20s"])
            .args(args)
            .stdin(Stdio::null())
            .output();
        success(&output.unwrap())
    }

    /// Sends one raw HTTP request as the administrator, also such as kubectl would never send.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let pem = fs::read(self.dir.path().join("pki/apiserver.crt")).unwrap();
        let client = self.client.get_or_init(|| http::trusting(&pem));
        let bearer = format!("Bearer {TOKEN}");
        let headers = [&[("Authorization", bearer.as_str())], headers].concat();
        let url = format!("https://127.0.0.1:{}{path}", self.port);
        http::send_by(client, method, &url, &headers, body.into()).unwrap()
    }

    /// Writes a kubeconfig with the administrator's access, for other programs, and returns its path.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let path = self.dir.path().join("kubeconfig");
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: 'https://127.0.0.1:{}', certificate-authority: {}}}}}]\n\
             users: [{{name: admin, user: {{token: {TOKEN}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]\n",
            self.port,
            self.dir.path().join("pki/apiserver.crt").display()
        );
        fs::write(&path, config).unwrap();
        path
    }

    /// Kills the server, so that its log grows no more. The log remains.
    pub(crate) fn stop(&mut self) {
        self.server.kill();
    }

    /// How many events the server says that it could not send to its webhook.
    pub(crate) fn lost(&self) -> usize {
        let log = fs::read_to_string(self.dir.path().join("kube-apiserver.log")).unwrap();
        let mut lost = 0;
        for line in log.lines().filter(|line| line.contains("Error in audit plugin")) {
            let count = line.split("affecting ").nth(1).and_then(|rest| rest.split(' ').next());
            lost += count.and_then(|count| count.parse::<usize>().ok()).unwrap();
        }
        lost
    }

    /// Ends the server with SIGTERM: it first sends what it still has to its webhook.
    pub(crate) fn end(&mut self) {
        self.server.end(Duration::from_mins(2));
    }

    /// Writes a file to the folder in which kubectl runs.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// The folder in which kubectl runs.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.dir.path().join("audit/audit.log")
    }

    /// `apiserver_audit_event_total`: how many audit events the server says that it has made.
    pub(crate) fn counted(&self) -> Result<usize, String> {
        let metrics = self.kubectl(&["get", "--raw", "/metrics"])?;
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("apiserver_audit_event_total "));
        line.and_then(|count| count.parse().ok()).ok_or_else(|| "no such metric".to_owned())
    }

    /// Every event in the log and its backups; `Err` if a file cannot be read, as while the server renames files.
    pub(crate) fn logged(&self) -> Result<Vec<Expected>, String> {
        let folder = self.dir.path().join("audit");
        let files: BTreeSet<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let mut events = Vec::new();
        for file in &files {
            // While its plain file exists, a `.gz` is still being written.
            if !files.contains(&file.with_extension("")) {
                events.extend(expected(&read(file).map_err(|error| error.to_string())?));
            }
        }
        Ok(events)
    }

    /// Every event in the log, once the server's counter equals their number before and after they are read.
    pub(crate) fn logged_and_counted(&self) -> Vec<Expected> {
        wait_for("as many events in the log as the server counts", Duration::from_mins(1), || {
            let before = self.counted()?;
            let logged = self.logged()?;
            match (before, logged.len(), self.counted()?) {
                (a, b, c) if a == b && b == c => Ok(logged),
                found => Err(format!("counted, logged, counted: {found:?}")),
            }
        })
    }
}

fn start_etcd(dir: &Path) -> (Process, String) {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let (clients, peers) = (url(free_port()), url(free_port()));
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(dir.join("etcd"));
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--unsafe-no-fsync"]);
    (Process::start("etcd", &mut command, dir), clients)
}

fn success(output: &Output) -> Result<String, String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
