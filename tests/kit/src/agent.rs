//! Runs the built binary as an operator does: a TOML file, `auditrail run -c FILE`, signals, and its own HTTP pages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::process::{self, Running, binary, built_binary};
use crate::{contents, free_port, http, listing, tail, wait_for};

/// One agent and its folder. Dropping it kills the process; in a failing test it first prints its configuration, files,
/// pages and log.
pub struct Agent {
    dir: PathBuf,
    port: u16,
    process: Option<Running>,
    /// Log level (`AUDITRAIL_LOG`); `None`: the default.
    level: Option<&'static str>,
    /// Soft and hard limit of open files (`ulimit -n`); `None`: those of the test.
    files: Option<(u32, u32)>,
    /// Environment variables that inject disk faults into its file operations; `src/disk/faults.rs` documents them.
    faults: Vec<(&'static str, String)>,
}

impl Agent {
    /// Starts `auditrail run` with its state below `dir`. `tables` are the `[inputs.*]` and `[outputs.*]` of its file, and
    /// before them perhaps keys of its top.
    pub fn start(dir: &Path, tables: &str) -> Self {
        Self::start_saying(None, dir, tables)
    }

    /// Like [`Agent::start`], with this log level.
    pub fn start_saying(level: Option<&'static str>, dir: &Path, tables: &str) -> Self {
        Self::start_with(level, None, &[], dir, tables)
    }

    /// Like [`Agent::start`], with a soft and a hard limit of open files.
    pub fn start_limited(files: (u32, u32), dir: &Path, tables: &str) -> Self {
        Self::start_with(None, Some(files), &[], dir, tables)
    }

    /// Like [`Agent::start`], with injected disk faults until [`Agent::resume_whole`].
    pub fn start_failing(faults: &[(&'static str, String)], dir: &Path, tables: &str) -> Self {
        Self::start_with(None, None, faults, dir, tables)
    }

    /// Starts it again without disk faults.
    pub fn resume_whole(&mut self) {
        self.faults.clear();
        self.resume();
    }

    fn start_with(
        level: Option<&'static str>,
        files: Option<(u32, u32)>,
        faults: &[(&'static str, String)],
        dir: &Path,
        tables: &str,
    ) -> Self {
        let mut agent = Self {
            dir: dir.to_owned(),
            port: free_port(),
            process: None,
            level,
            files,
            faults: faults.to_vec(),
        };
        agent.configure(tables);
        agent.resume();
        agent
    }

    /// Writes another configuration, which the next [`Agent::resume`] reads.
    pub fn configure(&self, tables: &str) {
        let state = self.state_dir();
        let (keys, tables) = tables.split_at(tables.find('[').unwrap_or_default());
        let text = format!(
            "{keys}node = \"cp-1\"\ncluster = \"test\"\nstate_dir = '''{}'''\n\
             disk = {{ max_bytes = \"1GiB\", min_free = \"1MiB\" }}\nunready_after = \"5s\"\n\
             transform = {{ redact = \"off\", omit_managed_fields = false, max_event_bytes = \"off\" }}\n\
             [server]\nlisten = \"127.0.0.1:{}\"\n{tables}",
            state.display(),
            self.port
        );
        fs::create_dir_all(&state).unwrap();
        fs::write(self.dir.join("auditrail.toml"), text).unwrap();
    }

    /// Starts it again after [`Agent::kill`] or [`Agent::stop`], on the same state.
    pub fn resume(&mut self) {
        assert!(self.process.is_none(), "the agent still runs");
        let config = self.dir.join("auditrail.toml");
        let mut command = match self.files {
            None => process::run(&config),
            Some((soft, hard)) => {
                let mut shell = Command::new("sh");
                let limited =
                    format!("ulimit -S -n {soft}; ulimit -H -n {hard}; exec \"$0\" \"$@\"");
                shell.args(["-c", &limited]).arg(binary()).args(["run", "-c"]).arg(config);
                shell.stdin(Stdio::null());
                shell
            }
        };
        command
            .envs(self.level.map(|level| ("AUDITRAIL_LOG", level)))
            .envs(self.faults.iter().map(|(name, value)| (*name, value)));
        self.process = Some(Running::spawn(process::log_to(&mut command, &self.log())));
    }

    /// Sends SIGKILL; no instruction of the agent runs any more when this returns. Panics if the agent had exited by
    /// itself.
    pub fn kill(&mut self) {
        self.process.take().expect("the agent runs").kill();
    }

    /// Sends SIGTERM and returns the exit status. Panics unless the agent exits within 30 s.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.take().expect("the agent runs").stop()
    }

    /// Graceful shutdown after everything was delivered: sends SIGTERM and expects exit code 0.
    pub fn stop_done(&mut self) {
        let status = self.stop();
        assert!(status.success(), "ended with {status} although all was delivered");
    }

    /// Runs another subcommand with the same configuration; returns exit code, standard output and standard error.
    pub fn command(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(binary())
            .args(arguments)
            .arg("-c")
            .arg(self.dir.join("auditrail.toml"))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The port of its HTTP pages.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Everything in the state directory, as text.
    pub fn state(&self) -> String {
        contents(&self.state_dir())
    }

    /// Exit code and text of `auditrail probe` with these arguments.
    pub fn probe(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(built_binary());
        let state = self.state_dir();
        let ran = command.arg("probe").args(arguments).arg("--state").arg(state).output().unwrap();
        (ran.status.code(), String::from_utf8_lossy(&ran.stdout).into_owned())
    }

    /// Status code and text of `/readyz`; `Err` while nothing answers.
    pub fn readyz(&self) -> Result<(u16, String), String> {
        self.page("/readyz").map(|answer| (answer.status, answer.text()))
    }

    /// Waits until `/readyz` has this status code, and returns the text.
    pub fn wait_readyz(&self, status: u16, limit: Duration) -> String {
        wait_for(&format!("/readyz to answer {status}"), limit, || match self.readyz()? {
            (found, text) if found == status => Ok(text),
            (found, text) => Err(format!("{found}: {text}")),
        })
    }

    /// The sum of a counter over all series that carry these labels; 0 when there is none.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let Ok(page) = self.page("/metrics") else { return 0 };
        let text = String::from_utf8_lossy(&page.body).into_owned();
        let wanted: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
        text.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter(|line| wanted.iter().all(|label| line.contains(label.as_str())))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// How many events an output counted with this result since the agent was last started.
    pub fn events(&self, output: &str, result: &str) -> usize {
        let labels = [("output", output), ("result", result)];
        usize::try_from(self.count("auditrail_output_events_total", &labels)).unwrap()
    }

    /// How many retries an output made since the agent was last started.
    pub fn retries(&self, output: &str) -> u64 {
        self.count("auditrail_output_retries_total", &[("output", output)])
    }

    /// A value of `/proc/PID/status` that the kernel gives in kB, in bytes.
    pub fn memory(&self, name: &str) -> u64 {
        self.process().memory(name)
    }

    fn process(&self) -> &Running {
        self.process.as_ref().expect("the agent runs")
    }

    /// Fetches one of its own HTTP pages.
    pub fn page(&self, path: &str) -> Result<http::Answer, String> {
        http::get(&format!("http://127.0.0.1:{}{path}", self.port))
    }

    /// The verdict on the trail in one word, as each place tells it that an operator or a machine looks at. `Err` while
    /// nothing answers.
    pub fn verdicts(&self) -> Result<Vec<(&'static str, String)>, String> {
        let word = |text: &str, before: &str, after: char| {
            let rest = text.split(before).nth(1).unwrap_or_default();
            rest.split(after).next().unwrap_or_default().to_owned()
        };
        let body =
            |path| self.page(path).map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
        let metrics = body("/metrics")?;
        let is_on =
            |line: &&str| line.starts_with("auditrail_trail_state{") && line.ends_with(" 1");
        let series = metrics.lines().find(is_on).unwrap_or_default().to_owned();
        Ok(vec![
            ("/", word(&body("/")?, "data-state=\"", '"')),
            ("/metrics", word(&series, "state=\"", '"')),
            ("/readyz?verbose", word(&body("/readyz?verbose")?, "trail ", ' ').replace(':', "")),
            (
                "/status",
                self.page("/status")?.json()?["verdict"]["state"]
                    .as_str()
                    .unwrap_or_default()
                    .into(),
            ),
            (
                "auditrail status",
                word(&self.command(&["status"]).1, "\ntrail ", ' ').replace(':', ""),
            ),
        ])
    }

    /// Waits until every place tells this verdict, and checks that readiness agrees with it.
    pub fn wait_verdict(&self, state: &str) {
        wait_for(&format!("every place to say {state}"), Duration::from_secs(30), || {
            let told = self.verdicts()?;
            if told.iter().all(|(_, word)| word == state) {
                Ok(())
            } else {
                Err(format!("{told:?}"))
            }
        });
        let ready = if state == "stopped" { 503 } else { 200 };
        self.wait_readyz(ready, Duration::from_secs(5));
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.process().id()
    }

    /// The file that holds its standard output and standard error.
    pub fn log(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    fn explain(&self) {
        let shown = |path| self.page(path).map_or_else(|why| why, |answer| answer.text());
        eprintln!("--- auditrail run -c {}", self.dir.join("auditrail.toml").display());
        eprintln!("{}", tail(&self.dir.join("auditrail.toml"), 80));
        eprintln!("--- files\n{}", listing(&self.dir));
        eprintln!("--- /readyz\n{}", shown("/readyz"));
        eprintln!("--- /status\n{}", shown("/status"));
        eprintln!("--- log, its end\n{}", tail(&self.log(), 60));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if thread::panicking() {
            self.explain();
        }
    }
}
