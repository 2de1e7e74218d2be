//! Network faults: links that drop packets, are slow, or lose a connection silently (half-open connections, black
//! holes). Unlike in other tests, no connection is closed or refused. The peer just falls silent, and the agent has to
//! notice by its own time-outs.
//!
//! Each test runs itself again in a network namespace of its own. There `nft` drops real packets of the loopback
//! interface, and `tc` limits its rate. The network of the machine is not touched, and the namespace ends with its last
//! process.

use std::env;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::elastic::Elastic;
use crate::loki::{self, Loki};
use crate::servers::say;
use kit::agent::Agent;
use kit::events::{Expected, Maker, log_of};
use kit::{LogWriter, tables, wait_for};

const LIMIT: Duration = Duration::from_mins(1);
const STREAM: &str = "logs-kubernetes.audit_logs-network";
/// Set in the process that runs inside the namespace.
const INSIDE: &str = "AUDITRAIL_TEST_INSIDE_NETWORK";
/// Brings the interface up, with the packet size (MTU) that is usual outside of loopback.
const UP: &str = "ip link set lo mtu 1500 up && exec \"$0\" \"$@\"";

/// Runs the test of this name in a network namespace of its own. If none can be created, it prints why and passes; with
/// `AUDITRAIL_REQUIRE_NETWORK=1` it fails.
fn in_its_own_network(test: &str, check: fn()) {
    if env::var_os(INSIDE).is_some() {
        return check();
    }
    if let Err(why) = probe() {
        let required = env::var_os("AUDITRAIL_REQUIRE_NETWORK").is_some_and(|value| value == "1");
        assert!(!required, "no network of its own: {why}");
        return say(&format!("not run, no network of its own: {why}"));
    }
    let output = unshared(env::current_exe().unwrap().to_str().unwrap())
        .args([&format!("network::{test}"), "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = lossy(&output.stdout) + &lossy(&output.stderr);
    assert!(output.status.success(), "in a network of its own:\n{said}");
    assert!(said.contains("1 passed"), "{said}");
}

fn unshared(program: &str) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--", "sh", "-c", UP, program]);
    command
}

/// Whether a new network namespace can drop packets and limit the rate; `Err` says why not.
fn probe() -> Result<(), String> {
    let try_it =
        "nft add table inet t && tc qdisc add dev lo root tbf rate 1mbit burst 4kb latency 1s";
    let tried = unshared("sh").args(["-c", try_it]).output().map_err(|error| error.to_string())?;
    let hint = "it takes the Debian packages nftables and iproute2, and root or user namespaces";
    let said = String::from_utf8_lossy(&tried.stderr);
    if tried.status.success() { Ok(()) } else { Err(format!("{}; {hint}", said.trim())) }
}

/// Runs a line of shell, which must succeed, and returns what it prints.
fn run(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Which packets between the agent and the stores are dropped silently.
#[derive(Clone, Copy, Debug)]
enum Vanish {
    All,
    /// Those from the store: a request arrives, but its answer does not.
    Answers,
}

/// Ends the packet loss.
fn mend() {
    run("nft delete table inet faults");
}

/// Connections to these ports that no process holds any more, while the kernel still sends their remaining bytes.
fn orphaned(ports: &[String]) -> String {
    let to = ports.iter().map(|port| format!("dport = :{port}")).collect::<Vec<_>>().join(" or ");
    let states = "state fin-wait-1 state closing state last-ack";
    run(&format!("ss -Htn {states} '( {to} )'"))
}

/// Fails unless `/readyz` says which outputs time out, and the agent stays within its memory bound
/// (`auditrail_memory_bound_bytes`).
fn assert_says_so(agent: &Agent) {
    wait_for("/readyz to say which outputs do not answer", Duration::from_secs(25), || {
        let (status, said) = agent.readyz()?;
        let why = |output| said.lines().find(|line| line.contains(output));
        let both = [why("output loki"), why("output elasticsearch")];
        let both = both.iter().flatten().filter(|why| why.contains("in time")).count();
        if (status, both) == (503, 2) { Ok(()) } else { Err(format!("{status}: {said}")) }
    });
    let bound = agent.count("auditrail_memory_bound_bytes", &[]);
    let most = agent.memory("VmHWM:");
    assert!(bound > 0 && most <= bound, "{most} bytes of memory, above the bound of {bound}");
}

/// Two stores, a log, and the network between the stores and the agent.
struct Place {
    dir: TempDir,
    loki: Loki,
    elastic: Elastic,
    ports: [String; 2],
    config: String,
    selector: String,
    maker: Maker,
    events: Vec<Expected>,
}

impl Place {
    fn new() -> Self {
        Self::with_timeout("2s")
    }

    /// With this `timeout` of a request in both outputs.
    fn with_timeout(timeout: &str) -> Self {
        let timeout = format!("timeout = \"{timeout}\"");
        let dir = TempDir::new().unwrap();
        let loki = Loki::stand_in(kit::store::loki::Settings::default());
        let elastic = Elastic::stand_in(kit::store::elastic::Settings::default());
        let (job, selector) = loki::job("network");
        let port = |url: String| url.rsplit(':').next().unwrap().to_owned();
        let ports = [port(loki.url()), port(elastic.url())];
        let config = tables::input("apiserver", &dir.path().join("audit.log"))
            + &tables::loki(&loki.url(), &job, &timeout)
            + &tables::elasticsearch(&elastic.url(), STREAM, &timeout);
        let maker = Maker::from_ago(SignedDuration::from_mins(10));
        Self { dir, loki, elastic, ports, config, selector, maker, events: Vec::new() }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("audit.log")
    }

    fn append(&mut self, count: usize, bytes: usize) {
        let new = (0..count).map(|_| self.maker.event(bytes)).collect();
        self.write(new);
    }

    /// Appends events with random letters, which hardly compress.
    fn append_noise(&mut self, count: usize, bytes: usize) {
        let new = (0..count).map(|number| {
            let blocks = (0..).map(|block| Sha256::digest(format!("{number} {block}")));
            let noise: String =
                blocks.map(|hash| BASE64_STANDARD.encode(hash)).take(bytes / 44).collect();
            self.maker.event_with(format!("{{\"pad\":\"{noise}\"}}").as_bytes()).0
        });
        let new = new.collect();
        self.write(new);
    }

    fn write(&mut self, new: Vec<Expected>) {
        LogWriter::new(self.log()).append(&log_of(&new));
        self.events.extend(new);
    }

    fn lose(&self, which: Vanish) {
        run("nft add table inet faults");
        run("nft 'add chain inet faults out { type filter hook output priority 0; }'");
        let ports = format!("{{ {} }}", self.ports.join(", "));
        run(&format!("nft add rule inet faults out tcp sport {ports} drop"));
        if matches!(which, Vanish::All) {
            run(&format!("nft add rule inet faults out tcp dport {ports} drop"));
        }
    }

    fn wait_delivered(&self) {
        self.loki.wait_count(&self.selector, &self.events, LIMIT);
        self.elastic.wait_count(STREAM, self.events.len(), LIMIT);
    }

    fn assert_delivered_once(&self, mut agent: Agent) {
        self.wait_delivered();
        agent.wait_readyz(200, LIMIT);
        agent.stop_done();
        self.loki.assert_holds(&self.selector, &self.events);
        self.elastic.assert_holds(STREAM, &self.events);
    }
}

/// Packet loss while connections are in use and megabytes of backlog wait; the agent is stopped meanwhile.
#[test]
fn when_all_packets_vanish_the_agent_says_so_ends_in_time_and_then_delivers_once() {
    in_its_own_network(
        "when_all_packets_vanish_the_agent_says_so_ends_in_time_and_then_delivers_once",
        || {
            let mut place = Place::new();
            place.append(500, 300);
            let mut agent = Agent::start(place.dir.path(), &place.config);
            place.wait_delivered();
            place.lose(Vanish::All);
            place.append(6000, 4000);
            assert_says_so(&agent);
            let asked = Instant::now();
            let status = agent.stop();
            // `drain_timeout` is 10 s; in-flight requests are abandoned then.
            assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
            println!("ended with {status} after {:?}", asked.elapsed());
            // Bytes that the ended process had not sent yet must not arrive after the next process has looked up what
            // is stored.
            assert_eq!(orphaned(&place.ports), "");
            agent.resume();
            thread::sleep(Duration::from_secs(1));
            mend();
            place.assert_delivered_once(agent);
        },
    );
}

/// The agent has never had a connection.
#[test]
fn when_no_connection_comes_about_the_agent_says_so_and_then_delivers_once() {
    in_its_own_network(
        "when_no_connection_comes_about_the_agent_says_so_and_then_delivers_once",
        || {
            let mut place = Place::new();
            place.append(500, 300);
            place.lose(Vanish::All);
            let agent = Agent::start(place.dir.path(), &place.config);
            assert_says_so(&agent);
            place.append(500, 300);
            mend();
            place.assert_delivered_once(agent);
        },
    );
}

/// The stores ingest the requests, and the agent gets no acknowledgement: it must look up before it retries.
#[test]
fn when_the_answers_vanish_the_agent_says_so_and_doubles_nothing() {
    in_its_own_network("when_the_answers_vanish_the_agent_says_so_and_doubles_nothing", || {
        let mut place = Place::new();
        place.append(500, 300);
        let agent = Agent::start(place.dir.path(), &place.config);
        place.wait_delivered();
        // Requests of one or two packets: larger ones wait for TCP acknowledgements, which are dropped too.
        place.lose(Vanish::Answers);
        place.append(3, 300);
        assert_says_so(&agent);
        place.append(500, 300);
        mend();
        place.assert_delivered_once(agent);
    });
}

/// The stores die silently and come back on the same addresses; the agent's connections are half-open.
#[test]
fn when_the_peers_vanish_without_a_word_the_agent_delivers_once_to_those_that_come_back() {
    in_its_own_network(
        "when_the_peers_vanish_without_a_word_the_agent_delivers_once_to_those_that_come_back",
        || {
            let mut place = Place::new();
            place.append(500, 300);
            let agent = Agent::start(place.dir.path(), &place.config);
            place.wait_delivered();
            place.lose(Vanish::All);
            place.append(200, 300);
            // The kernel's notice that they ended (FIN or RST) is dropped.
            place.loki.kill();
            place.elastic.kill();
            thread::sleep(Duration::from_secs(3));
            mend();
            place.loki.resume();
            place.elastic.resume();
            place.append(200, 300);
            place.assert_delivered_once(agent);
        },
    );
}

/// 20 kB per second for both stores, and packets that queue for up to half a second. A single request with the whole
/// backlog would never finish within `timeout`.
#[test]
fn over_a_slow_link_everything_arrives_once() {
    in_its_own_network("over_a_slow_link_everything_arrives_once", || {
        let mut place = Place::with_timeout("3s");
        place.append(100, 300);
        let agent = Agent::start(place.dir.path(), &place.config);
        place.wait_delivered();
        run("tc qdisc add dev lo root tbf rate 160kbit burst 4kb latency 500ms");
        place.append_noise(40, 1500);
        place.wait_delivered();
        run("tc qdisc del dev lo root");
        place.assert_delivered_once(agent);
    });
}

/// A server that accepts connections and never reads from them: the kernel's buffers take what fits.
#[test]
fn when_connections_are_taken_and_never_read_the_agent_says_so_and_then_delivers_once() {
    in_its_own_network(
        "when_connections_are_taken_and_never_read_the_agent_says_so_and_then_delivers_once",
        || {
            let mut place = Place::new();
            place.append(2000, 4000);
            place.loki.kill();
            place.elastic.kill();
            let deaf = [place.loki.url(), place.elastic.url()]
                .map(|url| TcpListener::bind(url.trim_start_matches("http://")).unwrap());
            let agent = Agent::start(place.dir.path(), &place.config);
            assert_says_so(&agent);
            drop(deaf);
            place.loki.resume();
            place.elastic.resume();
            place.assert_delivered_once(agent);
        },
    );
}
