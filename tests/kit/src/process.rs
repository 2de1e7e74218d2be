//! The processes of the built binary.

use std::env;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait_for;

/// The binary under test: the one that Cargo built, or the one that `AUDITRAIL_TEST_BINARY` names, such as a release
/// build.
pub fn binary() -> PathBuf {
    env::var_os("AUDITRAIL_TEST_BINARY").map_or_else(built_binary, PathBuf::from)
}

/// The binary that Cargo built for this test or bench: Cargo puts it into the folder above that of the test.
pub fn built_binary() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().unwrap().with_file_name("auditrail")
}

/// `auditrail run` with this configuration, without standard input.
pub fn run(config: &Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["run", "-c"]).arg(config).stdin(Stdio::null());
    command
}

/// Appends standard output and standard error to this file.
pub fn log_to<'a>(command: &'a mut Command, file: &Path) -> &'a mut Command {
    let log = File::options().create(true).append(true).open(file).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log)
}

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal. One that a starting process does not catch yet would end it, so this waits until it does.
    pub fn signal(&self, signal: Signal) {
        if [Signal::TERM, Signal::INT, Signal::HUP].contains(&signal) {
            wait_for("the process to catch signals", Duration::from_secs(30), || {
                self.catches(signal)
            });
        }
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Whether the process has a handler for this signal, or has ended (proc(5), `SigCgt`).
    fn catches(&self, signal: Signal) -> Result<(), String> {
        let status = self.proc("status");
        let value =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let caught = value("SigCgt:").map_or(0, |mask| u64::from_str_radix(mask, 16).unwrap());
        let ended = value("State:").is_some_and(|state| state.starts_with('Z'));
        let catches = ended || caught >> (signal.as_raw() - 1) & 1 == 1;
        catches.then_some(()).ok_or_else(|| format!("SigCgt {caught:x}"))
    }

    /// Its exit status, if it has exited.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Sends SIGKILL; no instruction of the process runs any more when this returns. Panics if it had exited by itself.
    pub fn kill(mut self) {
        if let Some(status) = self.ended() {
            panic!("it ended by itself: {status}");
        }
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends SIGTERM and returns the exit status. Panics unless it exits within 30 s, which is more than the agent's
    /// `drain_timeout`.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Sends a signal and waits for the exit. Returns the exit status and the text of standard error.
    pub fn end(mut self, signal: Signal) -> (ExitStatus, String) {
        self.signal(signal);
        (self.wait(), self.said())
    }

    fn wait(&mut self) -> ExitStatus {
        wait_for("the agent to end", Duration::from_secs(30), || {
            self.ended().ok_or_else(|| "it still runs".to_owned())
        })
    }

    /// The text of standard error, if it is a pipe. The agent logs little, so the pipe never fills up.
    pub fn said(&mut self) -> String {
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    /// A value of `/proc/PID/status` that the kernel gives in kB, in bytes.
    pub fn memory(&self, name: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// CPU time, user and system, in seconds.
    pub fn cpu(&self) -> f64 {
        cpu_seconds(&self.proc("stat"))
    }

    fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.id())).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// CPU time: fields 14 and 15 of `/proc/PID/stat`, in seconds. The name in brackets, field 2, can hold any character.
pub fn cpu_seconds(stat: &str) -> f64 {
    /// Ticks per second: 100 for programs, whatever the kernel's own tick rate is (proc(5)).
    const USER_HZ: f64 = 100.0;
    let after = stat.rsplit(')').next().unwrap().split_whitespace();
    after.skip(11).take(2).map(|text| text.parse::<f64>().unwrap()).sum::<f64>() / USER_HZ
}
