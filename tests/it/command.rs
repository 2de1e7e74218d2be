//! Runs the built binary: to its end, or until a signal.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kit::process::{Running, built_binary};
use kit::{free_port, http, wait_for};

/// A transform that delivers every event as the API server wrote it.
const ALL: &str = "redact = \"off\"\nomit_managed_fields = false\nmax_event_bytes = \"off\"\n";

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails and shows both streams unless the process exited with this code.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// The binary, with the project's root as its working directory, as the documents assume.
pub(crate) fn auditrail() -> Command {
    let mut command = Command::new(built_binary());
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// Runs the binary with these arguments until it exits.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    finish(auditrail().args(arguments))
}

/// Runs a prepared command until it exits.
pub(crate) fn finish(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A configuration in a folder of its own: one log is delivered to one file.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Place {
    /// Follows `log`, which may be outside of the folder.
    pub(crate) fn following(log: &Path) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), port: free_port() };
        place.configure("cp-1", log, place.port);
        place
    }

    /// Follows the recorded log that ships with the project.
    pub(crate) fn following_recorded() -> Self {
        Self::following(&root().join("etc/recorded/audit/audit.log"))
    }

    pub(crate) fn configure(&self, node: &str, log: &Path, port: u16) {
        let text = format!(
            "node = \"{node}\"\nstate_dir = \"{state}\"\ndisk = {{ min_free = \"1%\" }}\n\
             [server]\nlisten = \"127.0.0.1:{port}\"\n\
             [inputs.recorded]\ntype = \"file\"\npath = \"{log}\"\n\
             hold = {{ max_bytes = 0 }}\n\
             [outputs.events]\ntype = \"file\"\npath = \"{out}\"\n\
             [outputs.events.transform]\n{ALL}",
            state = self.state_dir().display(),
            log = log.display(),
            out = self.out().display(),
        );
        fs::write(self.config(), text).unwrap();
    }

    /// Gives the output this transform instead of [`ALL`].
    pub(crate) fn leaving(&self, transform: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), text.replace(ALL, transform)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("auditrail.toml")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// The file that the output writes.
    pub(crate) fn out(&self) -> PathBuf {
        self.path("events.ndjson")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Runs a subcommand with this configuration until it exits.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Ran {
        finish(auditrail().args(arguments).arg("-c").arg(self.config()))
    }

    /// Starts `run` and waits until `/livez` answers.
    pub(crate) fn start(&self) -> Running {
        let mut command = auditrail();
        command
            .args(["run", "-c"])
            .arg(self.config())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped());
        let mut running = Running::spawn(&mut command);
        wait_for("the agent to answer", Duration::from_secs(20), || {
            if let Some(status) = running.ended() {
                panic!("it ended with {status}: {}", running.said());
            }
            http::get(&self.url("/livez")).map(drop)
        });
        running
    }

    /// Waits until the output's file has exactly this many bytes.
    pub(crate) fn wait_for_bytes(&self, bytes: usize) {
        wait_for("all bytes to arrive", Duration::from_secs(30), || {
            let found = fs::metadata(self.out()).map_or(0, |meta| meta.len());
            if found == bytes as u64 { Ok(()) } else { Err(format!("{found} of {bytes}")) }
        });
    }
}

/// The project's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The bytes of the recorded log: the backups, decompressed, then the live file.
pub(crate) fn recorded() -> Vec<u8> {
    let dir = root().join("etc/recorded/audit");
    let mut names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    names.sort();
    let mut bytes = Vec::new();
    for name in names {
        let file = fs::File::open(name).unwrap();
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    }
    bytes.extend(fs::read(dir.join("audit.log")).unwrap());
    bytes
}

/// A length in bytes that only a few recorded events exceed: refused one by one, they do not stop the output.
pub(crate) fn exceeded_by_few() -> usize {
    let mut lengths: Vec<_> = recorded().split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
    lengths.sort_unstable();
    lengths[lengths.len() - 5]
}
