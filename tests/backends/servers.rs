//! Starts real servers as child processes on loopback, and kills them when the test ends, even if it fails.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;
use std::{env, thread};

use kit::{tail, wait_for};
use rustix::process::{Pid, Signal};

/// Everything that `servers/build.sh` builds. A server counts as built if the file that `made` names exists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    /// Version 1.6.1.
    Loki,
    /// No server: the query language of Loki 2.2.1.
    LogQl,
    /// Version 7.10.2.
    Elasticsearch,
    OpenSearch2,
    OpenSearch3,
    VictoriaLogs,
    /// A receiver of pushes that decodes them with Loki's own message types.
    Receiver,
    /// Takes bodies as Falco's plugin does, with the same JSON parser.
    Falco,
    KubeApi,
    KubeControllers,
    KubeScheduler,
    Lumberjack,
}

impl Server {
    fn made(self) -> &'static str {
        match self {
            Self::Loki => "bin/loki",
            Self::LogQl => "bin/logql",
            Self::Elasticsearch => "elasticsearch/java",
            Self::OpenSearch2 => "opensearch2/java",
            Self::OpenSearch3 => "opensearch3/java",
            Self::VictoriaLogs => "bin/victoria-logs",
            Self::Receiver => "bin/receiver",
            Self::Falco => "bin/falco-stand-in",
            Self::KubeApi => "bin/kube-apiserver",
            Self::KubeControllers => "bin/kube-controller-manager",
            Self::KubeScheduler => "bin/kube-scheduler",
            Self::Lumberjack => "bin/lumberjack",
        }
    }
}

pub(crate) fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| value == "1")
}

/// Whether these servers are built and may be used. If not, prints which are missing, and the test returns; see the
/// header of `main.rs`.
pub(crate) fn have(servers: &[Server]) -> bool {
    let why = missing(servers);
    if let Some(why) = &why {
        say(&format!("not run: {why}"));
    }
    why.is_none()
}

/// Like [`have`], for a test that uses a stand-in instead.
pub(crate) fn have_or(server: Server, stand_in: &str) -> bool {
    let why = missing(&[server]);
    if let Some(why) = &why {
        say(&format!("with the stand-in for {stand_in}: {why}"));
    }
    why.is_none()
}

fn missing(servers: &[Server]) -> Option<String> {
    if is_set("AUDITRAIL_TEST_WITHOUT_SERVERS") {
        return Some(format!("AUDITRAIL_TEST_WITHOUT_SERVERS leaves out {servers:?}"));
    }
    let is_built = |server: &&Server| built(server.made()).try_exists().unwrap();
    let missing: Vec<&Server> = servers.iter().filter(|server| !is_built(server)).collect();
    if missing.is_empty() {
        return None;
    }
    let message =
        format!("{missing:?} not built; tests/backends/servers/build.sh builds all servers");
    assert!(!is_set("AUDITRAIL_REQUIRE_SERVERS"), "{message}");
    Some(message)
}

/// Prints to stderr directly, because the harness captures the output of tests that pass.
pub(crate) fn say(line: &str) {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(io::stderr(), "{name}: {line}");
}

/// The URL of a server of the user's own. If there is none, prints that once.
pub(crate) fn users_own(variable: &'static str, instead: &str) -> Option<String> {
    static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let url = env::var(variable).ok().filter(|url| !url.is_empty());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if url.is_none() && !said.contains(&variable) {
        said.push(variable);
        let _ = writeln!(io::stderr(), "{variable} is not set: {instead}");
    }
    url.map(|url| url.trim_end_matches('/').to_owned())
}

/// A name for a stream. On a server of the user's own it is one that no earlier run has used.
pub(crate) fn unique(variable: &str, name: &str) -> String {
    static RUN: LazyLock<i64> = LazyLock::new(|| jiff::Timestamp::now().as_millisecond());
    if env::var_os(variable).is_none() { name.to_owned() } else { format!("{name}{}", *RUN) }
}

/// A file that `build.sh` built.
pub(crate) fn built(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/backends").join(file)
}

/// A source file of the `servers` folder.
pub(crate) fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/backends/servers").join(file)
}

/// A running server. Dropping it kills the process; in a failing test it first prints the end of its log.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a server whose output is appended to `NAME.log` in `dir`.
    pub(crate) fn start(name: &'static str, command: &mut Command, dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name, child, log }
    }

    /// `Err` with the end of its log if the server has exited by itself. For use while waiting for it.
    pub(crate) fn alive(&mut self) -> Result<(), String> {
        match self.child.try_wait().unwrap() {
            None => Ok(()),
            Some(status) => {
                Err(format!("{} ended with {status}:\n{}", self.name, tail(&self.log, 30)))
            }
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn end(&mut self, limit: Duration) {
        let process = Pid::from_child(&self.child);
        rustix::process::kill_process(process, Signal::TERM).unwrap();
        wait_for(&format!("{} to end", self.name), limit, || {
            match self.child.try_wait().unwrap() {
                Some(_) => Ok(()),
                None => Err("it still runs".to_owned()),
            }
        });
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- {} log, its end\n{}", self.name, tail(&self.log, 20));
        }
    }
}
