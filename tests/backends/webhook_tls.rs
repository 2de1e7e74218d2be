//! A real API server that sends its webhook over TLS, with each kind of credentials.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::apiserver::ApiServer;
use crate::servers::{Server, have};
use crate::webhook::traffic;
use kit::agent::Agent;
use kit::ca::{Ca, put};
use kit::events::{assert_exactly_once, expected};
use kit::process::{self, Running};
use kit::{free_port, tables, wait_for};

/// The certificates of a receiver and of its senders, in files.
struct Pki<'a> {
    dir: &'a Path,
    ca: Ca,
    clients: Ca,
    strangers: Ca,
}

/// A way of authentication: the keys of the input, and the users of kubeconfigs.
struct AuthenticationWay {
    keys: String,
    right: String,
    wrong: String,
    /// Who sent, as the commit lines say.
    sender: &'static str,
}

impl<'a> Pki<'a> {
    fn new(dir: &'a Path) -> Self {
        let [ca, clients, strangers] = ["receiver", "clients", "strangers"].map(Ca::new);
        Self { dir, ca, clients, strangers }
    }

    /// Puts a file into the place of another one; returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        put(self.dir, name, text).display().to_string()
    }

    /// Gives the receiver a new certificate. Returns the keys of its `tls` table.
    fn receiver(&self) -> String {
        let (certificate, key) = self.ca.issue("receiver");
        let (certificate, key) = (self.file("tls.crt", &certificate), self.file("tls.key", &key));
        format!("cert_file = '{certificate}', key_file = '{key}'")
    }

    /// A user of a kubeconfig with a certificate.
    fn user(&self, ca: &Ca, name: &str) -> String {
        let (certificate, key) = ca.issue("kube-apiserver");
        let certificate = self.file(&format!("{name}.crt"), &certificate);
        let key = self.file(&format!("{name}.key"), &key);
        format!("client-certificate: \"{certificate}\", client-key: \"{key}\"")
    }

    fn ways(&self) -> [AuthenticationWay; 3] {
        let tls = self.receiver();
        let known = self.file("clients.crt", &self.clients.pem);
        let (token, password) = (self.file("token", "t0ken"), self.file("password", "hunter2"));
        let basic = format!("basic_auth = {{ username = \"api\", password_file = '{password}' }}");
        [
            AuthenticationWay {
                keys: format!("tls = {{ {tls}, client_ca_file = '{known}' }}"),
                right: self.user(&self.clients, "right"),
                wrong: self.user(&self.strangers, "wrong"),
                sender: "kube-apiserver",
            },
            AuthenticationWay {
                keys: format!("tls = {{ {tls} }}\nbearer_token_file = '{token}'"),
                right: "token: t0ken".into(),
                wrong: "token: other".into(),
                sender: "127.0.0.1",
            },
            AuthenticationWay {
                keys: format!("tls = {{ {tls} }}\n{basic}"),
                right: "username: api, password: hunter2".into(),
                wrong: "username: api, password: other".into(),
                sender: "api",
            },
        ]
    }
}

/// An agent with one receiver.
struct OneReceiver<'a> {
    pki: &'a Pki<'a>,
    dir: TempDir,
    agent: Agent,
    /// What the kubeconfig says of the cluster.
    cluster: String,
}

impl<'a> OneReceiver<'a> {
    fn start(pki: &'a Pki<'a>, way: &AuthenticationWay) -> Self {
        let (dir, port) = (TempDir::new().unwrap(), free_port());
        let mut config = String::new();
        writeln!(config, "[inputs.hook]\ntype = \"webhook\"\nlisten = \"127.0.0.1:{port}\"")
            .unwrap();
        writeln!(config, "spool = {{ min_free = \"1MiB\" }}\n{}", way.keys).unwrap();
        config += &tables::archive(&dir.path().join("out.ndjson"));
        let agent = Agent::start(dir.path(), &config);
        let trusted = pki.file("receiver.crt", &pki.ca.pem);
        let cluster = format!(
            "server: \"https://127.0.0.1:{port}/audit\", certificate-authority: \"{trusted}\""
        );
        Self { pki, dir, agent, cluster }
    }

    fn arrived(&self) -> Vec<String> {
        let text = fs::read(self.dir.path().join("out.ndjson")).unwrap_or_default();
        expected(&text).into_iter().map(|event| event.line).collect()
    }

    /// An API server with this user is refused, and nothing arrives.
    fn refuses(&self, user: &str) {
        let refusals = || {
            let log = fs::read_to_string(self.agent.log()).unwrap();
            let answered = self.agent.count("auditrail_webhook_requests_total", &[("code", "401")]);
            answered + u64::from(log.contains("no TLS connection"))
        };
        let before = self.agent.count("auditrail_webhook_requests_total", &[("code", "401")]);
        let _server = ApiServer::with_webhook_user(&self.cluster, user);
        wait_for("a refusal", Duration::from_mins(1), || match refusals() {
            count if count > before => Ok(()),
            count => Err(format!("{count} refusals")),
        });
        // It sends what it has each second.
        thread::sleep(Duration::from_secs(5));
        assert_eq!(self.arrived(), [""; 0], "{user}");
    }

    /// All events of an API server with this user arrive once, though the receiver's certificate is exchanged meanwhile.
    fn takes(&self, user: &str) {
        let mut server = ApiServer::with_webhook_user(&self.cluster, user);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| traffic(&server, 0, &done));
            for _ in 0..3 {
                thread::sleep(Duration::from_millis(1500));
                self.pki.receiver();
            }
            done.store(true, Relaxed);
        });
        thread::sleep(Duration::from_secs(3));
        server.end();
        let logged = server.logged().unwrap().into_iter().map(|event| event.line);
        let logged: Vec<_> = logged.collect();
        let lost = server.lost();
        println!("{} events, of which the server says that it lost {lost}", logged.len());
        wait_for("its events", Duration::from_mins(1), || match self.arrived().len() {
            count if count + lost >= logged.len() => Ok(()),
            count => Err(format!("{count} of {}", logged.len())),
        });
        let sent = self.arrived();
        let known: HashSet<_> = sent.iter().cloned().collect();
        let expected = logged.into_iter().filter(|line| known.contains(line));
        assert_exactly_once("hook", sent.clone(), expected);
        let log = fs::read_to_string(self.agent.log()).unwrap();
        assert!(log.contains("were read again"), "{log}");
    }

    /// Whether the spool names this sender.
    fn names(&self, sender: &str) -> bool {
        let files = fs::read_dir(self.agent.state_dir().join("spool/hook")).unwrap();
        let text = |file| fs::read_to_string(file).unwrap_or_default();
        let mut texts = files.map(|file| text(file.unwrap().path()));
        texts.any(|text| text.contains(&format!("\"sender\":\"{sender}\"")))
    }
}

#[test]
fn each_kind_of_credentials_lets_the_right_api_server_in_and_no_other() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let pki = Pki::new(dir.path());
    for way in pki.ways() {
        let mut receiver = OneReceiver::start(&pki, &way);
        receiver.refuses(&way.wrong);
        receiver.refuses("");
        receiver.takes(&way.right);
        assert!(receiver.names(way.sender), "{}", way.sender);
        receiver.agent.stop_done();
    }
}

/// A new user runs `init --webhook`, starts the agent, and gives the API server the file and the flags that `init` says.
#[test]
fn what_init_writes_and_says_is_all_that_a_real_api_server_needs() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let (dir, port) = (TempDir::new().unwrap(), free_port());
    let (config, out) = (dir.path().join("auditrail.toml"), dir.path().join("out.ndjson"));
    let mut init = Command::new(process::binary());
    init.args(["init", &format!("--webhook=127.0.0.1:{port}"), "--root"]).arg(dir.path());
    let ran = init.arg("--config").arg(&config).arg("--file").arg(&out).output().unwrap();
    let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
    let flags: Vec<_> = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .filter(|flag| flag.starts_with("--audit-webhook") && !flag.contains("config-file"))
        .collect();
    assert!(flags.len() >= 3, "{said}");
    let kubeconfig = fs::read_to_string(dir.path().join("webhook/kubeconfig")).unwrap();
    // The machine of the test decides about these.
    let written = fs::read_to_string(&config).unwrap();
    let own = format!("state_dir = '{}'\n", dir.path().join("state").display());
    let written = written.replace("# spool = {", "spool = { min_free = \"1MiB\" } # {");
    fs::write(&config, format!("{own}{written}[server]\nlisten = \"off\"\n")).unwrap();
    let mut command = process::run(&config);
    let log = dir.path().join("agent.log");
    let agent = Running::spawn(process::log_to(&mut command, &log));
    let mut server = ApiServer::with_webhook_config(&kubeconfig, &flags);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| traffic(&server, 0, &done));
        thread::sleep(Duration::from_secs(3));
        done.store(true, Relaxed);
    });
    thread::sleep(Duration::from_secs(7));
    server.end();
    let logged = server.logged().unwrap().len() - server.lost();
    wait_for("the events", Duration::from_mins(1), || {
        match expected(&fs::read(&out).unwrap_or_default()).len() {
            count if count >= logged => Ok(()),
            count => Err(format!("{count} of {logged}: {}", fs::read_to_string(&log).unwrap())),
        }
    });
    assert!(agent.stop().success());
}
