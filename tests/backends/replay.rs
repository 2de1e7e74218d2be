//! Replay: shipping backups later (backfill), whatever interrupts it, and whatever is already stored.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::elastic::Elastic;
use crate::history::History;
use crate::loki::Loki;
use kit::events::Expected;
use kit::store::loki::Settings;
use kit::{tables, wait_for};

const STREAM: &str = "logs-kubernetes.audit_logs-replay";
const LOKI: &str = "{job=\"replay\"}";

/// A configuration, and the means to run replays with it.
struct Stage {
    dir: TempDir,
}

/// The result of a replay.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Stage {
    fn new(outputs: &str) -> Self {
        let stage = Self { dir: TempDir::new().unwrap() };
        let text = format!(
            "state_dir = \"{}\"\ndisk = {{ min_free = \"1MiB\" }}\n\
             transform = {{ redact = \"off\", omit_managed_fields = false, max_event_bytes = \"off\" }}\n\
             [server]\nlisten = \"off\"\n{}{outputs}",
            stage.path("state").display(),
            tables::input("apiserver", &stage.path("audit.log"))
        );
        std::fs::write(stage.path("auditrail.toml"), text).unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str], paths: &[&Path]) -> Command {
        let mut command = Command::new(kit::process::built_binary());
        command.args(["replay", "--node", "cp-1", "-c"]).arg(self.path("auditrail.toml"));
        command.args(arguments).args(paths).stdin(Stdio::null());
        command
    }

    /// Starts a replay slow enough to be interrupted.
    fn start(&self, bytes_per_second: usize, paths: &[&Path]) -> Child {
        let rate = bytes_per_second.to_string();
        let mut command = self.command(&["--max-bytes-per-second", &rate], paths);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn run(&self, arguments: &[&str], paths: &[&Path]) -> Ran {
        finish(&mut self.command(arguments, paths))
    }
}

fn finish(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Ran {
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// The last line of an output's table: numbers of events, delivered, already stored.
    fn totals(&self, output: &str) -> [usize; 3] {
        let table = self.out.split(&format!("outputs.{output}\n")).nth(1).expect("its table");
        let end = |line: &&str| !line.is_empty() && !line.starts_with("outputs.");
        let line = table.lines().take_while(end).last().unwrap();
        let cells: Vec<_> =
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        std::array::from_fn(|at| cells[at + 1].replace(',', "").parse().unwrap())
    }
}

fn both(loki: &Loki, elastic: &Elastic) -> String {
    tables::loki(&loki.url(), "replay", "timeout = \"2s\"")
        + &tables::elasticsearch(&elastic.url(), STREAM, "timeout = \"2s\"")
}

fn assert_all_once(loki: &Loki, elastic: &Elastic, events: &[Expected]) {
    loki.assert_holds(LOKI, events);
    elastic.assert_holds(STREAM, events);
}

/// Set `AUDITRAIL_REPLAY_EVENTS=1050000` for a gigabyte.
#[test]
fn a_backfill_killed_ten_times_is_there_once_and_a_second_one_ships_nothing() {
    let events = std::env::var("AUDITRAIL_REPLAY_EVENTS").map_or(30_000, |n| n.parse().unwrap());
    let (loki, elastic) = (Loki::stand_in(Settings::raised()), Elastic::shared());
    let stage = Stage::new(&both(&loki, &elastic));
    let history = History::write(stage.dir.path(), 12, events / 12, SignedDuration::from_hours(50));
    for kill in 0..10 {
        let mut child = stage.start(events * 250, &[&history.dir]);
        wait_for("some more to be there", Duration::from_mins(3), || {
            assert!(child.try_wait().unwrap().is_none(), "it was done before it was killed");
            let found = elastic.count(STREAM)?;
            if found > events / 12 * kill { Ok(()) } else { Err(found.to_string()) }
        });
        child.kill().unwrap();
        child.wait().unwrap();
        if kill == 5 {
            elastic.rollover(STREAM);
        }
    }
    let ran = stage.run(&[], &[&history.dir]).expect(0);
    println!("{}", ran.out);
    assert_all_once(&loki, &elastic, &history.events);
    let again = stage.run(&[], &[&history.dir]).expect(0);
    println!("{}", again.out);
    for output in ["loki", "elasticsearch"] {
        let all = history.events.len();
        assert_eq!(again.totals(output), [all, 0, all], "{}", again.out);
    }
    assert_all_once(&loki, &elastic, &history.events);
}

/// Loki with default settings refuses entries older than a week, one by one. The preflight warns the user once, before
/// the first push.
#[test]
fn what_loki_would_refuse_for_its_age_is_said_before_the_first_push() {
    let loki = Loki::stand_in(Settings::default());
    let stage = Stage::new(&tables::loki(&loki.url(), "replay", ""));
    let old = History::write(stage.dir.path(), 2, 300, SignedDuration::from_hours(15 * 24));
    let ran = stage.run(&[], &[&old.dir]).expect(1);
    for part in ["reject_old_samples_max_age", "--since"] {
        assert!(ran.err.contains(part), "{}", ran.err);
    }
    assert_eq!(loki.count(LOKI, &old.events), Ok(0));
}

/// Events from hours ago, several files at a time, for streams whose latest entries are hours newer. Each hour gets a
/// stream of its own.
#[test]
fn backups_older_than_what_the_live_stream_holds_are_taken_by_a_loki_with_its_own_limits() {
    let loki = Loki::stand_in(Settings::default());
    let stage = Stage::new(&tables::loki(&loki.url(), "replay", ""));
    let dir = TempDir::new().unwrap();
    let live = History::write(dir.path(), 1, 300, SignedDuration::from_mins(1));
    stage.run(&[], &[&live.dir]).expect(0);
    let old = History::write(stage.dir.path(), 6, 300, SignedDuration::from_hours(20));
    stage.run(&[], &[&old.dir]).expect(0);
    let events: Vec<_> = old.events.into_iter().chain(live.events).collect();
    loki.flush();
    loki.wait_count(LOKI, &events, Duration::from_mins(1));
    loki.assert_holds(LOKI, &events);
}

/// Two gzip members in one file, and a pipe: positions behind the first member are not those of the server's files. Loki
/// recognises the events by their content, and Elasticsearch stores them once more.
#[test]
fn joined_files_and_a_pipe_are_found_in_loki_and_come_at_least_once_to_elasticsearch() {
    let (loki, elastic) = (Loki::stand_in(Settings::raised()), Elastic::shared());
    let stage =
        Stage::new(&both(&loki, &elastic).replace(STREAM, "logs-kubernetes.audit_logs-joined"));
    let history = History::write(stage.dir.path(), 3, 400, SignedDuration::from_hours(30));
    stage.run(&[], &[&history.dir]).expect(0);
    // An id prevents no duplicate in an index that is no longer written to.
    elastic.rollover("logs-kubernetes.audit_logs-joined");
    let joined = stage.path("joined.gz");
    let bytes: Vec<_> = history.files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    std::fs::write(&joined, bytes.concat()).unwrap();
    let again = stage.run(&[], &[&joined]).expect(0);
    assert_eq!(again.totals("loki"), [1200, 0, 1200], "{}", again.out);
    assert_eq!(again.totals("elasticsearch"), [1200, 800, 400], "{}", again.out);
    assert!(again.out.contains("several gzip members"), "{}", again.out);
    let mut piped = stage.command(&[], &[Path::new("-")]);
    let piped = finish(piped.stdin(std::fs::File::open(&joined).unwrap())).expect(0);
    assert!(piped.err.contains("are stored again"), "{}", piped.err);
    assert_eq!(piped.totals("loki"), [1200, 0, 1200], "{}", piped.out);
    assert_eq!(piped.totals("elasticsearch"), [1200, 1200, 0], "{}", piped.out);
    loki.assert_holds(LOKI, &history.events);
}
