//! Starts real servers as child processes on loopback, and ends them however the test ends.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::tail;

/// What `servers/build.sh` makes, by the file that shows it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    Loki,
    Elasticsearch,
    OpenSearch,
    VictoriaLogs,
    KubeApi,
    Lumberjack,
}

impl Server {
    fn made(self) -> &'static str {
        match self {
            Self::Loki => "bin/loki",
            Self::Elasticsearch => "elasticsearch/classpath",
            Self::OpenSearch => "opensearch/classpath",
            Self::VictoriaLogs => "bin/victoria-logs",
            Self::KubeApi => "bin/kube-apiserver",
            Self::Lumberjack => "bin/lumberjack",
        }
    }
}

/// Are these servers there, to be used? If not, the test says so and returns; see the head of `main.rs`.
pub(crate) fn have(servers: &[Server]) -> bool {
    if env::var_os("AUDITRAIL_TEST_WITHOUT_SERVERS").is_some_and(|value| value == "1") {
        println!("not run: AUDITRAIL_TEST_WITHOUT_SERVERS is set; it needs {servers:?}");
        return false;
    }
    let missing: Vec<&Server> =
        servers.iter().filter(|server| !built(server.made()).try_exists().unwrap()).collect();
    if missing.is_empty() {
        return true;
    }
    let message =
        format!("{missing:?} not built; tests/backends/servers/build.sh builds all servers");
    assert!(env::var_os("AUDITRAIL_REQUIRE_SERVERS").is_none_or(|value| value != "1"), "{message}");
    println!("not run: {message}");
    false
}

/// A file that `build.sh` made.
pub(crate) fn built(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/backends").join(file)
}

/// A file of the `servers` folder.
pub(crate) fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/backends/servers").join(file)
}

/// A server that runs. Dropped, it is killed; on the way out of a failing test it shows the end of its log.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a server whose output goes to `NAME.log` in `dir`, appended when there was one.
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

    /// `Err` with the end of its log when the server has ended by itself, for use while waiting for it.
    pub(crate) fn alive(&mut self) -> Result<(), String> {
        match self.child.try_wait().unwrap() {
            None => Ok(()),
            Some(status) => {
                Err(format!("{} ended with {status}:\n{}", self.name, tail(&self.log, 30)))
            }
        }
    }

    /// SIGKILL.
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
