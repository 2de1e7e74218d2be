//! Who may send to the receiver of the webhook: certificates and credentials, and their exchange while it serves.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Version;
use kit::ca::{Ca, put};
use kit::process::Running;
use kit::{free_port, http as plain, process, tables, wait_for};
use tempfile::TempDir;

use crate::command::{auditrail, finish};
use crate::https_sender::HttpsSender;
use crate::webhook::{Receiver, SOON, event, list};

/// The files of a receiver.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new(ca: &Ca, clients: Option<&Ca>) -> Self {
        let files = Self { dir: TempDir::new().unwrap() };
        files.put(ca);
        if let Some(clients) = clients {
            files.write("clients.crt", &clients.pem);
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        put(self.dir.path(), name, text);
    }

    /// Gives the receiver a new certificate of this authority.
    fn put(&self, ca: &Ca) {
        let (certificate, key) = ca.issue("receiver");
        self.write("tls.key", &key);
        self.write("tls.crt", &certificate);
    }

    /// The keys of the input.
    fn keys(&self, more: &str) -> String {
        let client = self.path("clients.crt");
        let client = if client.try_exists().unwrap() {
            format!(", client_ca_file = '{}'", client.display())
        } else {
            String::new()
        };
        format!(
            "spool = {{ min_free = \"1MiB\" }}\ntls = {{ cert_file = '{}', key_file = '{}'{client} }}\n{more}",
            self.path("tls.crt").display(),
            self.path("tls.key").display()
        )
    }
}

fn one(number: usize) -> Vec<u8> {
    list([event(number, 10).as_str()].into_iter())
}

fn start(keys: &str) -> Receiver {
    Receiver::start(keys, &tables::archive(Path::new("OUT")))
}

/// The senders in the commit lines of the spool.
fn senders(receiver: &Receiver) -> Vec<String> {
    let directory = receiver.agent.state_dir().join("spool/hook");
    let text = fs::read_to_string(directory.join("spool.log")).unwrap();
    let commits = text.lines().filter_map(|line| line.strip_prefix("#auditrail commit "));
    let sender = |line: &str| {
        let commit: serde_json::Value =
            serde_json::from_str(line.split_once(' ').unwrap().1).unwrap();
        commit["sender"].as_str().unwrap().to_owned()
    };
    commits.map(sender).collect()
}

#[test]
fn a_receiver_with_tls_takes_http_1_and_http_2_and_nothing_plain() {
    let (ca, stranger) = (Ca::new("ca"), Ca::new("stranger"));
    let files = Files::new(&ca, None);
    let receiver = start(&files.keys(""));
    let mut numbers = 0..;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let sender = HttpsSender::new(receiver.port, version, &[&ca.pem], None);
        // A body of more than a window, and many at once.
        let long = list([event(numbers.next().unwrap(), 3 << 20).as_str()].into_iter());
        assert_eq!(sender.send(None, &long), Ok((200, None)));
        let many: Vec<_> = numbers.by_ref().take(300).map(one).collect();
        for answer in sender.send_at_once(&many) {
            assert_eq!(answer, Ok((200, None)));
        }
    }
    let wrong = HttpsSender::new(receiver.port, Version::HTTP_2, &[&stranger.pem], None);
    assert!(wrong.send(None, &one(9999)).is_err());
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    assert!(plain::send("POST", &url, &[], one(9999)).is_err());
    assert_eq!(receiver.wait_delivered(602).len(), 602);
    let log = fs::read_to_string(receiver.agent.log()).unwrap();
    assert!(log.contains("no TLS connection"), "{log}");
}

#[test]
fn only_a_certificate_of_the_clients_ca_lets_a_sender_in_and_names_it() {
    let (ca, clients, stranger) = (Ca::new("ca"), Ca::new("clients"), Ca::new("stranger"));
    let files = Files::new(&ca, Some(&clients));
    let receiver = start(&files.keys(""));
    let (right, wrong) = (clients.issue("kube-apiserver-a"), stranger.issue("kube-apiserver-a"));
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for refused in [None, Some(&wrong)] {
            let sender = HttpsSender::new(receiver.port, version, &[&ca.pem], refused);
            let answer = sender.send(None, &one(1));
            assert!(answer.is_err(), "{answer:?}");
        }
        let sender = HttpsSender::new(receiver.port, version, &[&ca.pem], Some(&right));
        assert_eq!(sender.send(None, &one(2)), Ok((200, None)));
    }
    receiver.wait_delivered(1);
    assert_eq!(senders(&receiver), ["kube-apiserver-a"]);
}

#[test]
fn missing_and_wrong_credentials_are_refused_and_right_ones_are_taken() {
    let ca = Ca::new("ca");
    let files = Files::new(&ca, None);
    let token = format!("bearer_token_file = '{}'", files.path("token").display());
    let basic = format!(
        "basic_auth = {{ username = \"api\", password_file = '{}' }}",
        files.path("password").display()
    );
    for (keys, wrong, right, other, challenge, sent_by) in [
        (token, "Bearer x", "Bearer t0ken", "Bearer second", "Bearer", "127.0.0.1"),
        (
            basic,
            "Basic YXBpOng=",
            "Basic YXBpOmh1bnRlcjI=",
            "Basic YXBpOnNlY29uZA==",
            "Basic realm=\"auditrail\"",
            "api",
        ),
    ] {
        files.write("token", "t0ken\n");
        files.write("password", "hunter2\n");
        let receiver = start(&files.keys(&keys));
        let sender = HttpsSender::new(receiver.port, Version::HTTP_2, &[&ca.pem], None);
        let refused = Ok((401, Some(challenge.to_owned())));
        assert_eq!(sender.send(None, &one(1)), refused);
        assert_eq!(sender.send(Some(wrong), &one(1)), refused);
        assert_eq!(sender.send(Some(right), &one(2)), Ok((200, None)));
        receiver.wait_delivered(1);
        assert_eq!(senders(&receiver), [sent_by]);
        assert_eq!(receiver.agent.count("auditrail_webhook_requests_total", &[("code", "401")]), 2);
        // The secret is exchanged.
        files.write("token", "second");
        files.write("password", "second");
        wait_for("the new secret", SOON, || match sender.send(Some(other), &one(3)) {
            Ok((200, _)) => Ok(()),
            answer => Err(format!("{answer:?}")),
        });
        assert_eq!(sender.send(Some(right), &one(1)), refused);
        let log = fs::read_to_string(receiver.agent.log()).unwrap();
        assert!(log.contains("wrong credentials") && !log.contains("hunter2"), "{log}");
        assert!(!log.contains("t0ken"), "{log}");
    }
}

#[test]
fn certificates_and_cas_are_exchanged_under_load_without_a_failed_request() {
    let old = (Ca::new("old"), Ca::new("old clients"));
    let new = (Ca::new("new"), Ca::new("new clients"));
    let files = Files::new(&old.0, Some(&old.1));
    files.write("clients.crt", &format!("{}{}", old.1.pem, new.1.pem));
    let receiver = start(&files.keys(""));
    let (done, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = |client: &Ca, version| {
        let own = client.issue("kube-apiserver");
        let sender =
            HttpsSender::new(receiver.port, version, &[&old.0.pem, &new.0.pem], Some(&own));
        while !done.load(Relaxed) {
            let event = sent.fetch_add(1, Relaxed);
            assert_eq!(sender.send(None, &one(event)), Ok((200, None)), "{version:?}");
            thread::sleep(Duration::from_millis(2));
        }
    };
    thread::scope(|scope| {
        for client in [&old.1, &new.1] {
            for version in [Version::HTTP_11, Version::HTTP_11, Version::HTTP_2] {
                scope.spawn(move || load(client, version));
            }
        }
        for exchange in 0..4 {
            thread::sleep(Duration::from_millis(1300));
            files.put(if exchange % 2 == 0 { &new.0 } else { &old.0 });
            thread::sleep(Duration::from_millis(1300));
            files.write("clients.crt", &format!("{}{}", new.1.pem, old.1.pem));
        }
        done.store(true, Relaxed);
    });
    let sent = sent.into_inner();
    assert!(sent > 500, "{sent} requests are no load");
    assert_eq!(receiver.wait_delivered(sent).len(), sent);
    let log = fs::read_to_string(receiver.agent.log()).unwrap();
    assert!(log.matches("were read again").count() >= 4, "{log}");

    // From now on only the new CA counts.
    files.write("clients.crt", &new.1.pem);
    let answer = |client: &Ca, number| {
        let own = client.issue("kube-apiserver");
        let trusted = [&*old.0.pem, &*new.0.pem];
        HttpsSender::new(receiver.port, Version::HTTP_2, &trusted, Some(&own))
            .send(None, &one(number))
    };
    wait_for("the old CA to count no more", SOON, || match answer(&old.1, sent) {
        Err(_) => Ok(()),
        answer => Err(format!("{answer:?}")),
    });
    // What cannot be used leaves what holds in force, and is told.
    files.write("tls.crt", "no certificate");
    wait_for("the finding", SOON, || {
        let status = receiver.agent.command(&["status"]).1;
        if status.contains("no certificate can be read") { Ok(()) } else { Err(status) }
    });
    assert_eq!(answer(&new.1, sent + 1), Ok((200, None)));
}

#[test]
fn a_connection_of_a_removed_ca_ends_in_both_versions() {
    let (ca, old, new) = (Ca::new("ca"), Ca::new("old clients"), Ca::new("new clients"));
    let files = Files::new(&ca, Some(&old));
    let receiver = start(&files.keys(""));
    let own = old.issue("kube-apiserver");
    let senders = [Version::HTTP_11, Version::HTTP_2]
        .map(|version| HttpsSender::new(receiver.port, version, &[&ca.pem], Some(&own)));
    for sender in &senders {
        assert_eq!(sender.send(None, &one(1)), Ok((200, None)));
    }
    files.write("clients.crt", &new.pem);
    for sender in &senders {
        wait_for("the connection to end", SOON, || match sender.send(None, &one(1)) {
            Err(_) => Ok(()),
            answer => Err(format!("{answer:?}")),
        });
    }
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let ca = Ca::new("ca");
    let files = Files::new(&ca, Some(&ca));
    let refused = |hint: &str| {
        let dir = TempDir::new().unwrap();
        let config = dir.path().join("auditrail.toml");
        let input = format!(
            "state_dir = '{}'\n[server]\nlisten = \"off\"\n[inputs.hook]\ntype = \"webhook\"\nlisten = \"127.0.0.1:{}\"\n{}\n[outputs.o]\ntype = \"file\"\npath = \"-\"\n",
            dir.path().display(),
            free_port(),
            files.keys("")
        );
        fs::write(&config, input).unwrap();
        let out = process::run(&config).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains("inputs.hook"), "{said}");
        assert!(said.contains(hint), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
        let check = finish(auditrail().arg("check").arg("-c").arg(&config));
        assert!(check.stdout.contains(hint) && check.code == Some(1), "{}", check.stdout);
    };
    files.write("tls.key", &ca.issue("other").1);
    refused("`tls.cert_file` and `tls.key_file` must belong together");
    files.write("tls.key", "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n");
    refused("RSA, ECDSA or Ed25519 key, not encrypted");
    files.put(&ca);
    files.write("clients.crt", "");
    refused("with BEGIN CERTIFICATE lines");
    fs::remove_file(files.path("clients.crt")).unwrap();
    fs::remove_file(files.path("tls.crt")).unwrap();
    refused("make the file readable by the agent's user");
}

#[test]
fn init_sets_up_a_receiver_for_the_api_server_that_has_its_kubeconfig() {
    let (dir, port) = (TempDir::new().unwrap(), free_port());
    let (config, out) = (dir.path().join("etc/auditrail.toml"), dir.path().join("out.ndjson"));
    let init = |more: &[&str]| {
        let mut command = auditrail();
        command.args(["init", "--root"]).arg(dir.path()).arg("--config").arg(&config);
        finish(command.arg("--file").arg(&out).args(more))
    };
    let webhook = format!("--webhook=127.0.0.1:{port}");
    let ran = init(&[&webhook]);
    // Whether the check at its end is content depends on the disk of the machine.
    assert!(ran.stderr.contains("wrote "), "{}{}", ran.stdout, ran.stderr);
    for said in ["audit-webhook-config-file=", "audit-policy-file=", "batch-throttle-qps=100"] {
        assert!(ran.stdout.contains(said) || ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    let kubeconfig = dir.path().join("etc/webhook/kubeconfig");
    for private in [&kubeconfig, &dir.path().join("etc/webhook/tls.key")] {
        assert_eq!(fs::metadata(private).unwrap().mode() & 0o777, 0o600, "{}", private.display());
    }
    let text = fs::read_to_string(&kubeconfig).unwrap();
    assert!(text.contains(&format!("server: https://127.0.0.1:{port}/\n")), "{text}");
    let data = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
        String::from_utf8(STANDARD.decode(line.trim_start_matches(": ")).unwrap()).unwrap()
    };
    let trusted = data("certificate-authority-data");
    let own = (data("client-certificate-data"), data("client-key-data"));
    let state = format!("state_dir = '{}'\n", dir.path().join("state").display());
    let written = fs::read_to_string(&config).unwrap() + "[server]\nlisten = \"off\"\n";
    fs::write(
        &config,
        state + &written.replace("# spool = {", "spool = { min_free = \"1MiB\" } # {"),
    )
    .unwrap();
    let mut command = process::run(&config);
    let running = Running::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let sender = HttpsSender::new(port, Version::HTTP_2, &[&trusted], Some(&own));
    wait_for("the receiver", SOON, || match sender.send(None, &one(1)) {
        Ok((200, None)) => Ok(()),
        answer => Err(format!("{answer:?}")),
    });
    let stranger = HttpsSender::new(port, Version::HTTP_2, &[&trusted], None);
    assert!(stranger.send(None, &one(2)).is_err());
    wait_for("the event", SOON, || match fs::read_to_string(&out).unwrap_or_default() {
        text if text.lines().count() == 1 => Ok(()),
        text => Err(text),
    });
    assert!(running.stop().success());
    assert_eq!(init(&[&webhook]).code, Some(1), "there is a configuration");
    let wrong = init(&["--webhook=here", "--force"]);
    assert!(wrong.stderr.contains("such as 10.0.0.5:9886"), "{}", wrong.stderr);
}
