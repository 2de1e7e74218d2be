//! `replay` ships recorded logs: selection by time, shard and expression, resuming after an interruption, and the
//! summary.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::command::{Ran, auditrail, finish, recorded, root};
use kit::agent::Agent;
use kit::events::{Maker, log_of};
use kit::log_writer::gzip;
use kit::store::Do;
use kit::{FakeStore, tables, wait_for};

/// A configuration with one output, and a folder of logs.
struct Stage {
    dir: TempDir,
}

impl Stage {
    fn new(output: impl FnOnce(&Path) -> String) -> Self {
        let stage = Self { dir: TempDir::new().unwrap() };
        let text = format!(
            "node = \"cp-1\"\nstate_dir = \"{}\"\ndisk = {{ min_free = \"1MiB\" }}\n\
             transform = {{ redact = \"off\", omit_managed_fields = false, max_event_bytes = \"off\" }}\n\
             [server]\nlisten = \"off\"\n{}{}",
            stage.path("state").display(),
            tables::input("api", &stage.path("log/audit.log")),
            output(stage.dir.path())
        );
        fs::create_dir(stage.path("log")).unwrap();
        fs::write(stage.config(), text).unwrap();
        stage
    }

    fn into_file() -> Self {
        Self::new(|dir| tables::archive(&dir.join("out")))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("auditrail.toml")
    }

    /// Writes three backups and a live log, one hour apart, with `each` events per file. Returns the number of events.
    fn write_logs(&self, each: usize) -> usize {
        let mut begun: Timestamp = "2026-11-21T05:30:00Z".parse().unwrap();
        let backups = [6, 7, 8].map(|hour| format!("audit-2026-11-21T0{hour}-00-00.000.log"));
        for name in backups.iter().map(String::as_str).chain(["audit.log"]) {
            let mut maker = Maker::from(begun);
            let events: Vec<_> = (0..each).map(|_| maker.event(200)).collect();
            fs::write(self.path("log").join(name), log_of(&events)).unwrap();
            begun += SignedDuration::from_hours(1);
        }
        each * 4
    }

    fn replay(&self, arguments: &[&str]) -> Ran {
        finish(self.command(arguments).arg(self.path("log")))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = auditrail();
        command.args(["replay", "-c"]).arg(self.config()).args(arguments);
        command
    }

    /// Removes the output file and returns its lines.
    fn take(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("out")).unwrap_or_default();
        let _ = fs::remove_file(self.path("out"));
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn the_recorded_log_that_ships_with_the_project_goes_into_a_file_as_it_is() {
    let stage = Stage::into_file();
    let ran = finish(stage.command(&[]).arg(root().join("etc/recorded/audit"))).expect(0);
    assert!(ran.stdout.contains("3 files"), "{}", ran.stdout);
    assert_eq!(fs::read(stage.path("out")).unwrap(), recorded());
}

#[test]
fn parts_of_the_time_and_shards_together_hold_every_event_once() {
    let stage = Stage::into_file();
    let all = stage.write_logs(30);
    stage.replay(&[]).expect(0);
    let mut whole = stage.take();
    assert_eq!(whole.len(), all);
    whole.sort();
    let mut parts = Vec::new();
    for (since, until) in [
        ("2026-11-20", "2026-11-21T05:30:00.010Z"),
        ("2026-11-21T05:30:00.010Z", "2026-11-21T07:30:00Z"),
    ] {
        for shard in ["0/3", "1/3", "2/3"] {
            stage.replay(&["--since", since, "--until", until, "--shard", shard]).expect(0);
            parts.extend(stage.take());
        }
    }
    stage.replay(&["--since", "2026-11-21T07:30:00Z"]).expect(0);
    let rest = stage.take();
    assert_eq!(rest.len(), 60);
    parts.extend(rest);
    parts.sort();
    assert_eq!(parts, whole);
}

#[test]
fn an_expression_of_the_command_line_is_one_more_that_an_event_has_to_pass() {
    let stage = Stage::into_file();
    let text = fs::read_to_string(stage.config()).unwrap();
    let text = text.replace("transform = { ", "transform = { where = \"event.verb != 'list'\", ");
    fs::write(stage.config(), text).unwrap();
    let mut command = stage.command(&["--where", "event.verb in ['get', 'list']"]);
    finish(command.arg(root().join("etc/recorded/audit"))).expect(0);
    let lines = stage.take();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("\"verb\":\"get\"")));
    let wrong = finish(stage.command(&["--where", "event.verb =="]).arg(root())).expect(2);
    assert!(wrong.stderr.contains("--where"), "{}", wrong.stderr);
}

#[test]
fn a_replay_that_was_told_to_end_goes_on_where_it_was() {
    let store = FakeStore::new();
    let stage = Stage::new(|_| {
        let table = tables::search(&store.url, "max_bytes_per_second = \"200KiB\"");
        table.replace("max_age = \"5ms\"", "max_age = \"5ms\", max_events = 10")
    });
    let all = stage.write_logs(100);
    let mut child = stage
        .command(&[])
        .arg(stage.path("log"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("some to be there", Duration::from_secs(20), || {
        let stored = store.documents().len();
        if stored > all / 8 { Ok(()) } else { Err(stored.to_string()) }
    });
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let before = store.documents().len();
    assert!(before < all, "it was done");
    let ran = stage.replay(&[]).expect(0);
    let documents = store.documents();
    assert_eq!(documents.len(), all, "{}", ran.stdout);
    assert!(documents.values().all(|(_, times)| *times == 1));
}

#[test]
fn refused_events_are_dead_letters_that_the_summary_says_where_to_find() {
    let store = FakeStore::refusing_longer(4000);
    let stage = Stage::new(|_| tables::search(&store.url, ""));
    stage.write_logs(3);
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<_> = (0..9).map(|n| maker.event(if n % 3 == 0 { 5000 } else { 1 })).collect();
    fs::write(stage.path("log/audit.log"), log_of(&events)).unwrap();
    let ran = stage.replay(&[]).expect(3);
    let line = ran.stdout.lines().find(|line| line.contains("dead-letters --state")).unwrap();
    let at = line.split("--state ").nth(1).unwrap().split(' ').next().unwrap();
    let listed = |code| {
        let mut command = auditrail();
        command.args(["dead-letters", "list", "--json", "--state", at, "-c"]).arg(stage.config());
        finish(&mut command).expect(code).stdout.lines().count()
    };
    assert_eq!(listed(0), 3);
    store.refuse_nothing();
    let mut command = auditrail();
    finish(command.args(["dead-letters", "resend", "--state", at, "-c"]).arg(stage.config()))
        .expect(0);
    assert_eq!(listed(0), 0);
    stage.replay(&[]).expect(0);
    assert!(store.documents().values().all(|(_, times)| *times == 1));
}

/// The answer of a store whose key has no right to read.
const FORBIDDEN: &str = r#"{"error":{"type":"security_exception","reason":"no"},"status":403}"#;

#[test]
fn a_store_that_may_not_be_asked_what_it_holds_is_sent_nothing_unless_repeats_are_accepted() {
    let store = FakeStore::new();
    let stage = Stage::new(|_| tables::search(&store.url, ""));
    let all = stage.write_logs(5);
    store.state().always_look_up = Some(Do::Answer(403, FORBIDDEN));
    let refused = stage.replay(&[]).expect(1);
    assert!(refused.stderr.contains("--at-least-once"), "{}", refused.stderr);
    assert_eq!(store.documents().len(), 0);
    stage.replay(&["--at-least-once"]).expect(0);
    assert_eq!(store.documents().len(), all);
}

#[test]
fn events_are_looked_up_only_if_the_store_holds_something_of_their_times() {
    let store = FakeStore::new();
    let stage = Stage::new(|_| tables::search(&store.url, ""));
    stage.write_logs(5);
    stage.replay(&[]).expect(0);
    let (asked, written) = {
        let held = store.state();
        let first = held.writes[0].at;
        assert!(held.looked_up.iter().all(|at| *at < first), "no event is looked up");
        (held.looked_up.len(), held.writes.len())
    };
    stage.replay(&[]).expect(0);
    let held = store.state();
    assert!(held.looked_up.len() > 2 * asked, "each chunk is looked up");
    assert_eq!(held.writes.len(), written, "nothing is sent again");
}

#[test]
fn what_cannot_be_replayed_is_said_before_anything_is_sent() {
    let stage = Stage::into_file();
    stage.write_logs(2);
    let log = stage.path("log");
    let fails = |code, arguments: &[&str], path: &Path, what: &str| {
        let ran = finish(stage.command(arguments).arg(path)).expect(code);
        assert!(ran.stderr.contains(what), "{}", ran.stderr);
    };
    fails(1, &[], &stage.path("nowhere"), "nowhere");
    fails(1, &[], &stage.path(""), "holds no file named audit.log");
    fails(
        2,
        &["--output", "loki"],
        &log,
        "no output \"loki\" takes the input api; these do: \"archive\"",
    );
    fails(2, &["--input", "web"], &log, "there is no input \"web\", but \"api\"");
    fails(2, &["--shard", "3/3"], &log, "the last of 3 is 2/3");
    fails(2, &["--since", "yesterday"], &log, "an age such as 24h");
    let text = fs::read_to_string(stage.config()).unwrap();
    fs::write(stage.config(), text.replace("node = \"cp-1\"\n", "")).unwrap();
    fails(2, &[], &log, "--node NAME");
    fs::write(stage.path("out"), "something\n").unwrap();
    fails(1, &["--node", "cp-1"], &log, "exists already");
}

#[test]
fn what_a_running_agent_has_yet_to_ship_is_left_to_it() {
    let store = FakeStore::new();
    let stage = Stage::new(|_| String::new());
    let all = stage.write_logs(5);
    store.state().down = Some(503);
    let tables =
        tables::input("api", &stage.path("log/audit.log")) + &tables::search(&store.url, "");
    let mut agent = Agent::start(stage.dir.path(), &tables);
    wait_for("the agent to try", Duration::from_secs(20), || match agent.retries("search") {
        0 => Err("no retry".to_owned()),
        _ => Ok(()),
    });
    let log = stage.path("log");
    let ran = agent.command(&["replay", log.to_str().unwrap()]);
    assert!(ran.2.contains("left_to_the_agent=4"), "{}", ran.2);
    assert_eq!((ran.0, &*ran.1), (Some(0), "nothing to ship\n"), "{}", ran.2);
    store.state().down = None;
    wait_for("all to be there", Duration::from_secs(20), || {
        let stored = store.documents().len();
        if stored == all { Ok(()) } else { Err(stored.to_string()) }
    });
    agent.stop_done();
    let (code, table, _) = agent.command(&["replay", log.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{table}");
    assert!(store.documents().values().all(|(_, times)| *times == 1));
}

#[test]
fn a_file_that_the_agent_writes_is_no_place_for_a_replay() {
    let stage = Stage::into_file();
    let all = stage.write_logs(5);
    let tables = fs::read_to_string(stage.config()).unwrap();
    let tables = &tables[tables.find("[inputs.").unwrap()..];
    let mut agent = Agent::start(stage.dir.path(), tables);
    let out = stage.path("out");
    wait_for("all to be there", Duration::from_secs(20), || {
        let lines = fs::read_to_string(&out).unwrap_or_default().lines().count();
        if lines == all { Ok(()) } else { Err(lines.to_string()) }
    });
    agent.stop_done();
    let before = fs::read(&out).unwrap();
    let ran = stage.replay(&[]).expect(2);
    assert!(ran.stderr.contains("the agent writes to"), "{}", ran.stderr);
    assert_eq!(fs::read(&out).unwrap(), before);
}

#[test]
fn a_damaged_backup_is_shipped_as_far_as_it_goes_and_its_gaps_are_there_once_however_often() {
    let store = FakeStore::new();
    let stage = Stage::new(|_| tables::search(&store.url, ""));
    let mut maker = Maker::from("2026-11-21T05:30:00Z".parse().unwrap());
    let events: Vec<_> = (0..400).map(|_| maker.event(500)).collect();
    let mut bytes = gzip(&log_of(&events));
    bytes.truncate(bytes.len() / 2);
    fs::write(stage.path("log/audit-2026-11-21T06-00-00.000.log.gz"), bytes).unwrap();
    let damaged = || {
        let ran = stage.replay(&[]).expect(1);
        assert!(ran.stdout.contains("damaged"), "{}", ran.stdout);
        assert!(ran.stdout.contains("shipped as gap events"), "{}", ran.stdout);
    };
    damaged();
    let first = store.documents();
    assert!((100..events.len()).contains(&first.len()), "{} of {}", first.len(), events.len());
    // One gap for the line at which the backup breaks off, one for the rest of the file.
    let gaps = first.values().filter(|(text, _)| text.contains("\"kind\":\"Gap\"")).count();
    assert_eq!(gaps, 2);
    // The next replay finds its progress, ships nothing and forgets the progress. The one after it reads everything
    // again, and the store has no duplicates.
    stage.replay(&[]).expect(0);
    damaged();
    assert_eq!(store.documents(), first);
}

#[test]
fn standard_input_is_shipped_piece_by_piece_whether_compressed_or_not() {
    let stage = Stage::into_file();
    let folder = root().join("etc/recorded/audit");
    let backup = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .unwrap();
    let piped = |file: &Path| {
        let input = fs::File::open(file).unwrap();
        finish(stage.command(&[]).arg("-").stdin(input)).expect(0);
        stage.take()
    };
    let packed = piped(&backup);
    let plain = stage.path("plain");
    let mut bytes = Vec::new();
    let mut unpack = flate2::read::MultiGzDecoder::new(fs::File::open(&backup).unwrap());
    std::io::Read::read_to_end(&mut unpack, &mut bytes).unwrap();
    fs::write(&plain, &bytes).unwrap();
    assert_eq!(packed, piped(&plain));
    assert_eq!(packed.join("\n") + "\n", String::from_utf8(bytes).unwrap());
    let left: Vec<_> = fs::read_dir(stage.path("state/replay")).unwrap().collect();
    let pieces =
        left.iter().any(|dir| dir.as_ref().unwrap().path().join("standard-input").is_file());
    assert!(!pieces, "what it was cut into is gone");
}

/// Positions in a pipe, and those behind the first member of a joined file, are not those of the server's files.
#[test]
fn what_may_be_stored_twice_is_told() {
    let store = FakeStore::new();
    let stage = Stage::new(|_| tables::search(&store.url, ""));
    let mut maker = Maker::from("2026-11-21T05:30:00Z".parse().unwrap());
    let mut events = || log_of(&(0..20).map(|_| maker.event(200)).collect::<Vec<_>>());
    let (first, second) = (events(), events());
    let (joined, single) = (stage.path("joined.gz"), stage.path("single.gz"));
    fs::write(&single, gzip(&first)).unwrap();
    fs::write(&joined, [gzip(&first), gzip(&second)].concat()).unwrap();
    let ran = finish(stage.command(&[]).arg(&single)).expect(0);
    assert!(!ran.stdout.contains("several gzip members"), "{}", ran.stdout);
    let ran = finish(stage.command(&[]).arg(&joined)).expect(0);
    assert!(ran.stdout.contains("several gzip members"), "{}", ran.stdout);
    assert_eq!(store.documents().len(), 40);
    for _ in 0..2 {
        let input = fs::File::open(&joined).unwrap();
        let ran = finish(stage.command(&[]).arg("-").stdin(input)).expect(0);
        assert!(ran.stderr.contains("are stored again"), "{}", ran.stderr);
        // The same bytes have the same positions each time, and none that the log has.
        assert_eq!(store.documents().len(), 80);
    }
    assert!(store.documents().values().all(|(_, times)| *times == 1));
}

#[test]
fn standard_output_holds_events_alone_and_whoever_wants_only_the_first_ends_it_quietly() {
    let stage = Stage::new(|_| "[outputs.shown]\ntype = \"file\"\npath = \"-\"\n".into());
    let all = stage.write_logs(1000);
    let ran = stage.replay(&[]).expect(0);
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with('{')).count(), all);
    assert_eq!(ran.stdout.lines().count(), all);
    assert!(ran.stderr.contains("4 files"), "{}", ran.stderr);

    let mut command = stage.command(&[]);
    let piped = command.arg(stage.path("log")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with('{'), "{first}");
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    // Exit code 1: a part of the input was not shipped.
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(!said.contains("ERROR") && !said.contains("WARN") && !said.contains("FILE"), "{said}");
}
