//! Liveness and readiness probes: the agent answers them under a flood of idle or slow connections to its port and its
//! socket (denial of service). Its pages show no word of a back end's answer to strangers.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;

use crate::command::{Place, recorded, root, run};
use kit::agent::Agent;
use kit::{http, tail, wait_for};

/// A client that holds idle and slow connections of every kind and reconnects when one is closed.
struct Attacker {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<usize>>,
}

/// What a connection of the attacker sends first, and what it sends twice a second after that.
type Way = (&'static [u8], &'static [u8]);

const WAYS: [Way; 5] = [
    (b"", b""),
    (b"G", b""),
    (b"GET /livez HTTP/1.1\r\nHost: agent\r\nX-Slow: ", b"a"),
    // The client never reads the answers.
    (
        b"GET /metrics HTTP/1.1\r\nHost: agent\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: agent\r\n\r\n",
    ),
    // A TLS client.
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""),
];

impl Attacker {
    /// Holds `each` connections of each of the [`WAYS`].
    fn start(port: u16, each: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = WAYS.map(|way| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || hold(port, each, way, &stop))
        });
        Self { stop, threads: threads.into() }
    }

    /// Stops the attack. Returns how many connections it made in all.
    fn end(self) -> usize {
        self.stop.store(true, Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    }
}

fn hold(port: u16, each: usize, (first, then): Way, stop: &AtomicBool) -> usize {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let (mut held, mut made) = (Vec::new(), 0);
    while !stop.load(Relaxed) {
        while held.len() < each {
            let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1))
            else {
                break;
            };
            stream.set_nonblocking(true).unwrap();
            if stream.write_all(first).is_ok() {
                held.push(stream);
                made += 1;
            }
        }
        // Drop a connection that the agent closed: a write fails, or a peek reads the end. Unread answers come before
        // that end and hide it.
        held.retain_mut(|stream| {
            let full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
            let writes = stream.write_all(then).map_or_else(|error| full(&error), |()| true);
            writes && stream.peek(&mut [0]).map_or_else(|error| full(&error), |bytes| bytes > 0)
        });
        thread::sleep(Duration::from_millis(500));
    }
    made
}

/// Sends one request on a new connection, as the kubelet and a scraper do. (The agent may close a connection that a
/// client keeps idle in favour of a new one.)
fn asked(port: u16, page: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!("GET {page} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn every_probe_is_answered_while_one_client_holds_hundreds_of_silent_slow_and_unread_connections() {
    let place = Place::following_recorded();
    let running = place.start();
    place.wait_for_bytes(recorded().len());
    let attacker = Attacker::start(place.port, 150);
    thread::sleep(Duration::from_secs(1));
    let state = place.state_dir();
    for _ in 0..40 {
        for page in ["/livez", "/metrics"] {
            let answer = asked(place.port, page).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{page}: {answer}");
        }
        let probe = run(&["probe", "live", "--timeout", "10s", "--state", state.to_str().unwrap()]);
        assert_eq!(probe.expect(0).stdout, "ok\n");
        thread::sleep(Duration::from_millis(100));
    }
    let made = attacker.end();
    assert!(made > 150 * WAYS.len(), "no connection was closed: {made}");
    let (status, said) = running.end(Signal::TERM);
    assert!(status.success(), "{said}");
    assert!(said.lines().count() < 30, "a flood fills the log:\n{said}");
}

/// With few file descriptors the agent can hold few connections, and `accept` may fail with EMFILE.
#[test]
fn a_flood_is_survived_where_descriptors_are_few_and_events_arrive_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (log, out) = (dir.path().join("audit.log"), dir.path().join("out.ndjson"));
    fs::write(&log, recorded()).unwrap();
    let tables = format!(
        "[inputs.api]\ntype = \"file\"\npath = \"{}\"\nhold = {{ max_bytes = 0 }}\n\
         [outputs.archive]\ntype = \"file\"\npath = \"{}\"\n",
        log.display(),
        out.display()
    );
    let agent = Agent::start_limited((64, 64), dir.path(), &tables);
    let attacker = Attacker::start(agent.port(), 40);
    thread::sleep(Duration::from_secs(1));
    fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(&recorded()).unwrap();
    for _ in 0..20 {
        let answer = asked(agent.port(), "/livez").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(agent.probe(&["live", "--timeout", "10s"]), (Some(0), "ok\n".into()));
        thread::sleep(Duration::from_millis(100));
    }
    wait_for("every event to arrive", Duration::from_secs(30), || {
        let found = fs::metadata(&out).map_or(0, |meta| meta.len());
        if found == 2 * recorded().len() as u64 { Ok(()) } else { Err(found.to_string()) }
    });
    attacker.end();
    let said = tail(&dir.path().join("agent.log"), 200);
    assert!(said.lines().count() < 30, "a flood fills the log:\n{said}");
}

#[test]
fn two_hundred_idle_local_connections_keep_neither_status_nor_a_probe_from_an_answer() {
    let place = Place::following_recorded();
    let _running = place.start();
    let socket = place.state_dir().join("agent.sock");
    let idle: Vec<_> = (0..200).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    // Clients that send a long, unfinished request must not delay requests that can be answered at once.
    let mut slow: Vec<_> = (0..20).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(&[b'['; 5000]).unwrap();
    }
    place.ask(&["status"]).expect(0);
    for what in ["live", "ready"] {
        assert_eq!(place.ask(&["probe", what]).expect(0).stdout, "ok\n");
    }
    drop((idle, slow));
}

#[test]
fn a_probe_says_what_is_wrong_and_needs_no_configuration_but_the_place_of_the_state() {
    let place = Place::following_recorded();
    let missing = place.path("audit.log");
    place.configure("cp-1", &missing, place.port);
    let state = place.state_dir();
    let state = state.to_str().unwrap();
    let dead = place.ask(&["probe", "live"]).expect(1);
    assert!(dead.stdout.starts_with("no agent runs with the state directory /"), "{}", dead.stdout);
    let running = place.start();
    assert_eq!(place.ask(&["probe", "live"]).expect(0).stdout, "ok\n");
    let red = wait_for("the log to be missed", Duration::from_secs(10), || {
        let red = place.ask(&["probe", "ready"]);
        if red.code == Some(1) { Ok(red.stdout) } else { Err(red.stdout) }
    });
    assert!(red.contains("audit.log") && red.starts_with("input recorded: "), "{red}");

    // A broken configuration file does not affect the running agent, which keeps the configuration that it read.
    let text = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), format!("{text}\nzebra = [[[")).unwrap();
    place.ask(&["check"]).expect(2);
    assert_eq!(place.ask(&["probe", "live"]).expect(0).stdout, "ok\n");
    fs::write(place.config(), "[[[").unwrap();
    let broken = place.ask(&["probe", "live"]).expect(2);
    assert!(
        broken.stderr.contains("not TOML") && broken.stderr.contains("--state"),
        "{}",
        broken.stderr
    );
    assert_eq!(run(&["probe", "live", "--state", state]).expect(0).stdout, "ok\n");
    for wrong in [
        &["probe", "lively", "--state", state][..],
        &["probe", "--state", state],
        &["probe", "live", "--state", state, "--timeout", "2h"],
        &["probe", "live", "-c", "/not/there.toml"],
    ] {
        run(wrong).expect(2);
    }
    // `probe` does not wait longer than its time-out for a stopped agent.
    running.signal(Signal::STOP);
    let stuck = run(&["probe", "live", "--state", state, "--timeout", "200ms"]).expect(1);
    assert_eq!(stuck.stdout, "the agent does not answer within 200ms\n");
    running.signal(Signal::CONT);
}

/// Starts a server that gives this answer to every request, and returns its port.
fn hostile(answer: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
            let _ = stream.read(&mut vec![0; 65536]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// Runs an agent whose back end gives this answer. Returns every page, and what the agent says over its socket.
fn pages_with(answer: String, kind: &str) -> (Vec<(String, String)>, String) {
    let place = Place::following_recorded();
    let port = hostile(answer);
    let endpoint = match kind {
        "loki" => format!("endpoint = \"http://127.0.0.1:{port}\""),
        _ => format!("endpoints = [\"http://127.0.0.1:{port}\"]\nsetup_template = \"never\""),
    };
    let log = root().join("etc/recorded/audit/audit.log");
    let text = format!(
        "node = \"cp-1\"\nstate_dir = \"{}\"\ndisk = {{ min_free = \"1%\" }}\nunready_after = \"1s\"\n\
         [server]\nlisten = \"127.0.0.1:{}\"\n\
         [inputs.recorded]\ntype = \"file\"\npath = \"{}\"\nhold = {{ max_bytes = 0 }}\n\
         [outputs.store]\ntype = \"{kind}\"\n{endpoint}\nretry = {{ min = \"20ms\", max = \"200ms\" }}\n",
        place.state_dir().display(),
        place.port,
        log.display()
    );
    fs::write(place.config(), text).unwrap();
    let _running = place.start();
    wait_for("/readyz to be red", Duration::from_secs(20), || {
        let answer = http::get(&place.url("/readyz"))?;
        if answer.status == 503 { Ok(()) } else { Err(answer.text()) }
    });
    let pages = ["/", "/status", "/readyz", "/readyz?verbose", "/livez", "/metrics", "/nothing"];
    let page = |path: &&str| {
        let body = http::get(&place.url(path)).unwrap().body;
        ((*path).to_owned(), String::from_utf8(body).unwrap())
    };
    let pages = pages.iter().map(page).collect();
    (pages, place.ask(&["probe", "ready"]).expect(1).stdout + &place.ask(&["status"]).stdout)
}

#[test]
fn no_page_shows_a_word_of_a_hostile_answer_and_the_socket_shows_what_the_answer_says() {
    // Each of these words is in the answer and nowhere else.
    let words = ["c2VjcmV0OnB3", "sid-4711", "k3y-in-url", "alert(1)", "mirrored", "evil.example"];
    let body = "<script>alert(1)</script> mirrored Authorization: Basic c2VjcmV0OnB3 Cookie: sid-4711 \
                https://evil.example/?apikey=k3y-in-url";
    for (status, headers, class) in [
        ("401 Unauthorized", "", "HTTP 401"),
        ("503 Service Unavailable", "Content-Type: application/json\r\n", "HTTP 503"),
        ("200 OK", "Set-Cookie: sid-4711\r\n", "HTTP 200"),
        ("302 Found", "Location: https://evil.example/mirrored?apikey=k3y-in-url\r\n", "HTTP 302"),
        ("308 Permanent Redirect", "Location: /mirrored/sid-4711\r\n", "HTTP 308"),
    ] {
        for kind in ["loki", "elasticsearch"] {
            let answer = format!(
                "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let (pages, local) = pages_with(answer, kind);
            for (path, text) in &pages {
                for word in words {
                    assert!(!text.contains(word), "{kind} {status} {path}: {word} in\n{text}");
                }
                let tells = ["/", "/status", "/readyz", "/readyz?verbose"].contains(&path.as_str());
                assert!(
                    !tells || text.contains(class),
                    "{kind} {status} {path}: no {class} in\n{text}"
                );
            }
            assert!(local.contains("mirrored"), "{kind} {status}: {local}");
        }
    }
}

#[test]
fn a_name_in_allowed_hosts_reaches_the_pages_and_another_does_not() {
    let place = Place::following_recorded();
    let text = fs::read_to_string(place.config()).unwrap();
    let listed = "[server]\nallowed_hosts = [\"audit.example.org\", \".ops.example.org\"]\n";
    fs::write(place.config(), text.replace("[server]\n", listed)).unwrap();
    let _running = place.start();
    for (host, status) in [
        ("audit.example.org", 200),
        ("a.ops.example.org:9885", 200),
        ("cp-1", 200),
        ("evil.example.org", 421),
    ] {
        let answer =
            http::send("GET", &place.url("/status"), &[("Host", host)], Vec::new()).unwrap();
        assert_eq!(answer.status, status, "{host}: {}", answer.text());
    }
}

/// The probes in the manifest agree with the image: the binary is at the path that they name, and the command accepts
/// their flags.
#[test]
fn the_probes_of_the_daemonset_run() {
    let manifest = fs::read_to_string(root().join("etc/kubernetes/daemonset.yaml")).unwrap();
    let image = fs::read_to_string(root().join("etc/release/image.sh")).unwrap();
    let commands: Vec<Vec<&str>> = manifest
        .split("exec:\n              command:\n")
        .skip(1)
        .map(|list| list.lines().map_while(|line| line.trim().strip_prefix("- ")).collect())
        .collect();
    assert_eq!(commands.len(), 3, "start, live, ready");
    for command in &commands {
        assert!(image.contains(&format!("\nentrypoint={}\n", command[0])), "{command:?}");
        assert!(Path::new(command[0]).is_absolute());
        // An agent may or may not run on this machine: 0 or 1. Exit code 2 would mean a wrong command line.
        let ran = run(&command[1..]);
        assert!(matches!(ran.code, Some(0 | 1)), "{command:?}: {}", ran.stderr);
    }
    assert!(commands.iter().any(|command| command.contains(&"ready")));
    assert!(!manifest.contains("httpGet"), "a client on the network can keep the kubelet waiting");
}
