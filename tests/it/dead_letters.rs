//! `dead-letters list`, `resend`, `drop` and `set-aside`, with and without a running agent. A kill at any step loses
//! and duplicates nothing.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Ran, auditrail, finish};
use kit::agent::Agent;
use kit::events::{Expected, Maker, log_of};
use kit::store::{Do, Refusal, Stored};
use kit::{FakeStore, copy, tables, wait_for};

const LIMIT: Duration = Duration::from_secs(20);

/// An agent whose back end refuses documents of more than 4,000 bytes, and a log with some longer events.
struct Stage {
    dir: TempDir,
    store: FakeStore,
    agent: Agent,
    long: Vec<Expected>,
    all: usize,
}

impl Stage {
    /// The back end refuses this many long events. Call `settled` to wait until they are dead letters.
    fn with_letters(count: usize) -> Self {
        Self::with(count, |_| {})
    }

    /// Four long events wait, since the index is blocked for writing them.
    fn with_letters_of_a_blocked_index() -> Self {
        let store = FakeStore::new();
        store.refuse_longer(Refusal::Blocked, 4000);
        Self::over(store, 4, |_| {})
    }

    fn with(count: usize, change: impl FnOnce(&Path)) -> Self {
        Self::over(FakeStore::refusing_longer(4000), count, change)
    }

    fn over(store: FakeStore, count: usize, change: impl FnOnce(&Path)) -> Self {
        let dir = TempDir::new().unwrap();
        let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
        let events: Vec<_> =
            (0..count * 3).map(|n| maker.event(if n % 3 == 1 { 5000 } else { 100 })).collect();
        let config =
            tables::input("api", &dir.path().join("audit.log")) + &tables::search(&store.url, "");
        fs::write(dir.path().join("audit.log"), "").unwrap();
        let mut agent = Agent::start(dir.path(), &config);
        agent.wait_readyz(200, LIMIT);
        agent.stop();
        change(&dir.path().join("auditrail.toml"));
        fs::write(dir.path().join("audit.log"), log_of(&events)).unwrap();
        agent.resume();
        let all = events.len();
        let long = events.into_iter().filter(|event| event.line.len() > 5000).collect();
        Self { dir, store, agent, long, all }
    }

    fn settled(self) -> Self {
        wait_for("the long events to be dead letters", LIMIT, || {
            let (letters, stored) = (self.letters().len(), self.stored());
            let done = letters == self.long.len() && stored == self.all - letters;
            if done { Ok(()) } else { Err(format!("{letters} letters, {stored} stored")) }
        });
        self.wait_passed();
        self
    }

    /// Waits until the cursor is at the end of the log.
    fn wait_passed(&self) {
        let config = self.dir.path().join("auditrail.toml");
        let length = fs::metadata(self.dir.path().join("audit.log")).unwrap().len();
        wait_for("the agent to be past all events", LIMIT, || {
            let ran = finish(auditrail().args(["status", "--json", "-c"]).arg(&config));
            let status: Value = serde_json::from_str(&ran.stdout).unwrap();
            let offset = &status["pairs"][0]["cursor"]["offset"];
            if *offset == length { Ok(()) } else { Err(offset.to_string()) }
        });
    }

    fn status(&self) -> Ran {
        let config = self.dir.path().join("auditrail.toml");
        finish(auditrail().args(["status", "-c"]).arg(config))
    }

    fn letters_command(&self, arguments: &[&str]) -> Ran {
        self.letters_to_point(arguments, None)
    }

    /// Runs `dead-letters`, and kills it (SIGKILL) at this crash point, if any.
    fn letters_to_point(&self, arguments: &[&str], point: Option<u32>) -> Ran {
        let mut command = auditrail();
        command.args(["dead-letters", "-c"]).arg(self.dir.path().join("auditrail.toml"));
        if let Some(point) = point {
            command.env("AUDITRAIL_END_AT", point.to_string());
        }
        finish(command.args(arguments))
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = auditrail();
        command.arg("letters").arg("-c").arg(self.dir.path().join("auditrail.toml"));
        command.args(arguments).spawn().unwrap()
    }

    /// The dead letters, as `list --json` prints them.
    fn letters(&self) -> Vec<Value> {
        let ran = self.letters_command(&["list", "--json"]).expect(0);
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn stored(&self) -> usize {
        self.store.documents().len()
    }

    /// Fails unless every event is stored exactly once.
    fn assert_all_once(&self) {
        let documents = self.store.documents();
        assert_eq!(documents.len(), self.all);
        let doubled: Vec<_> = documents.iter().filter(|(_, (_, times))| *times > 1).collect();
        assert!(doubled.is_empty(), "doubled: {doubled:?}");
    }

    fn counted(&self) -> u64 {
        self.agent.count("auditrail_dead_letters", &[("input", "api"), ("output", "search")])
    }
}

#[test]
fn events_that_a_blocked_index_keeps_waiting_are_put_aside_on_demand_and_can_be_sent_again() {
    let mut stage = Stage::with_letters_of_a_blocked_index();
    let (waiting, of) = (stage.long.len(), stage.all);
    let place = [("input", "api"), ("output", "search")];
    wait_for("the others to be delivered while these wait", LIMIT, || {
        let waits = stage.agent.count("auditrail_output_waiting_events", &place);
        let stored = stage.stored();
        let done = waits == waiting as u64 && stored == of - waiting;
        if done { Ok(()) } else { Err(format!("{waits} wait, {stored} stored")) }
    });
    assert_eq!(stage.agent.count("auditrail_output_stopped", &place), 1);
    let readyz = stage.agent.readyz().unwrap().1;
    assert!(readyz.contains("(HTTP 403)") && readyz.contains("events wait"), "{readyz}");
    assert!(!readyz.contains("cluster_block_exception"), "the words are for the socket: {readyz}");
    let status = stage.status().expect(1).stdout;
    assert!(status.contains("cluster_block_exception"), "{status}");

    let ran = stage.letters_command(&["set-aside", "--output", "search"]).expect(0);
    assert!(ran.stdout.contains("put aside as dead letters"), "{}", ran.stdout);
    let letters = stage.letters();
    assert_eq!(letters.len(), waiting);
    assert!(letters[0].to_string().contains("FORBIDDEN/8"), "{}", letters[0]);
    stage.wait_passed();
    stage.agent.wait_readyz(200, LIMIT);
    let ran = stage.letters_command(&["set-aside"]).expect(0);
    assert!(ran.stderr.contains("no event waits"), "{}", ran.stderr);

    stage.store.refuse_nothing();
    stage.letters_command(&["resend"]).expect(0);
    stage.assert_all_once();
    stage.agent.stop();
    let ran = stage.letters_command(&["set-aside"]).expect(1);
    assert!(ran.stderr.contains("no agent runs"), "{}", ran.stderr);
}

#[test]
fn a_refused_event_is_listed_with_its_answer_and_shown_whole() {
    let stage = Stage::with_letters(1).settled();
    let table = stage.letters_command(&["list", "--each"]).expect(0).stdout;
    let letter = &stage.letters()[0];
    let id = letter["id"].as_str().unwrap();
    for part in ["ANSWER", id, "api", "search", "too long for us", "5.", "KiB"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(table.lines().count(), 2, "{table}");
    assert_eq!(letter["line"], stage.long[0].line.as_str());
    assert_eq!((&letter["input"], &letter["output"]), (&"api".into(), &"search".into()));
    let whole = stage.letters_command(&["list", id]).expect(0).stdout;
    assert!(whole.contains(&stage.long[0].line) && whole.contains("too long for us"), "{whole}");
    let slip = stage.letters_command(&["list", "--output", "other"]).expect(2);
    assert!(
        slip.stderr.contains("there is no output \"other\", but \"search\""),
        "{}",
        slip.stderr
    );
    let unknown = stage.letters_command(&["list", "nonsense"]).expect(1);
    assert!(unknown.stderr.contains("there is no dead letter nonsense"), "{}", unknown.stderr);
    assert_eq!(stage.counted(), 1);
    let config = stage.dir.path().join("auditrail.toml");
    let status = finish(auditrail().args(["status", "-c"]).arg(config)).stdout;
    assert!(status.contains("DEAD LETTERS") && status.contains("1 (5."), "{status}");
}

#[test]
fn letters_are_sent_again_by_the_running_agent_and_go_when_they_are_taken() {
    let stage = Stage::with_letters(3).settled();
    let again = stage.letters_command(&["resend"]).expect(3);
    assert_eq!(again.stdout, "api to search: 0 of 3 delivered, 3 refused again and kept\n");
    assert_eq!(stage.letters().len(), 3);
    // The back end already has one of them, so resend finds it there and does not send it.
    let ids: Vec<_> =
        stage.letters().iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect();
    stage.store.refuse_nothing();
    let line = stage.letters()[0]["line"].as_str().unwrap().to_owned();
    stage.store.state().stored.push(Stored::document(&ids[0], line));
    let one = stage.letters_command(&["resend", &ids[1]]).expect(0);
    assert_eq!(one.stdout, "api to search: 1 of 1 delivered\n");
    assert_eq!((stage.letters().len(), stage.counted()), (2, 2));
    let rest = stage.letters_command(&["resend", "--input", "api"]).expect(0);
    assert_eq!(rest.stdout, "api to search: 2 of 2 delivered\n");
    assert_eq!((stage.letters().len(), stage.counted()), (0, 0));
    stage.assert_all_once();
    assert_eq!(stage.letters_command(&["resend"]).expect(0).stdout, "there are no dead letters\n");
}

#[test]
fn letters_are_sent_again_and_dropped_without_an_agent_too() {
    let mut stage = Stage::with_letters(3).settled();
    stage.agent.stop();
    stage.letters_command(&["resend"]).expect(3);
    let letters = stage.letters();
    let id = letters[0]["id"].as_str().unwrap();
    let dropped = stage.letters_command(&["drop", id]).expect(0);
    assert_eq!(dropped.stdout, "api to search: 1 of 1 dropped\n");
    stage.store.refuse_nothing();
    let sent = stage.letters_command(&["resend"]).expect(0);
    assert_eq!(sent.stdout, "api to search: 2 of 2 delivered\n");
    assert_eq!((stage.letters().len(), stage.stored()), (0, stage.all - 1));
    // The agent does not send a dropped dead letter either.
    stage.agent.resume();
    stage.agent.wait_readyz(200, LIMIT);
    stage.agent.stop_done();
    assert_eq!(stage.stored(), stage.all - 1);
}

#[test]
fn dropping_asks_for_ids_or_all_and_says_what_it_did() {
    let stage = Stage::with_letters(2).settled();
    let neither = stage.letters_command(&["drop"]).expect(2);
    assert!(neither.stderr.contains("--all"), "{}", neither.stderr);
    let both = stage.letters_command(&["drop", "--all", "x"]).expect(2);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
    let unknown = stage.letters_command(&["drop", "nonsense"]).expect(1);
    assert!(unknown.stderr.contains("there is no dead letter nonsense"), "{}", unknown.stderr);
    assert_eq!(stage.letters().len(), 2);
    let all = stage.letters_command(&["drop", "--all"]).expect(0);
    assert_eq!(all.stdout, "api to search: 2 of 2 dropped\n");
    assert_eq!((stage.letters().len(), stage.counted()), (0, 0));
    let log = fs::read_to_string(stage.dir.path().join("agent.log")).unwrap();
    assert!(log.contains("dropped by an operator") && log.contains("dropped=2"), "{log}");
}

#[test]
fn while_the_output_is_down_or_turns_us_away_sending_again_fails_clearly_and_keeps_all() {
    let mut stage = Stage::with_letters(2).settled();
    for runs in [true, false] {
        if !runs {
            stage.agent.stop();
        }
        stage.store.state().down = Some(503);
        let began = Instant::now();
        let down = stage.letters_command(&["resend", "--timeout", "1"]).expect(1);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(down.stderr.contains("api to search: the output takes nothing"), "{}", down.stderr);
        assert!(down.stderr.contains("503"), "{}", down.stderr);
        stage.store.state().down = Some(401);
        let away = stage.letters_command(&["resend", "--timeout", "1"]).expect(1);
        assert!(away.stderr.contains("api_key_file"), "{}", away.stderr);
        assert_eq!(stage.letters().len(), 2);
    }
    stage.store.state().down = None;
    stage.store.refuse_nothing();
    stage.letters_command(&["resend"]).expect(0);
    stage.assert_all_once();
}

/// A resend is killed with a bulk request in flight, which the back end stores only later. The next resend waits until
/// that request cannot be stored any more, then asks the back end which events it has.
#[test]
fn a_resend_that_was_killed_with_a_request_under_way_doubles_nothing() {
    let mut stage = Stage::with(2, |config| {
        let text = fs::read_to_string(config).unwrap();
        fs::write(config, text.replace("300ms", "2500ms")).unwrap();
    })
    .settled();
    stage.agent.stop();
    stage.store.refuse_nothing();
    stage.store.script([Do::BreakAndTakeLater(Duration::from_secs(2))]);
    let stored = stage.stored();
    let arrived = stage.store.state().writes.len();
    let mut child = stage.spawn(&["resend"]);
    wait_for("the bulk to be under way", LIMIT, || {
        if stage.store.state().writes.len() > arrived { Ok(()) } else { Err("no bulk".to_owned()) }
    });
    child.kill().unwrap();
    child.wait().unwrap();
    stage.letters_command(&["resend"]).expect(0);
    wait_for("the late bulk to be stored", LIMIT, || {
        if stage.stored() > stored { Ok(()) } else { Err("it is not".to_owned()) }
    });
    stage.assert_all_once();
    assert_eq!(stage.letters().len(), 0);
}

/// SIGKILL before and after each file change and each request of a resend, and of a drop.
#[test]
fn a_kill_at_any_step_of_sending_again_or_dropping_loses_and_doubles_nothing() {
    let mut stage = Stage::with_letters(3).settled();
    stage.agent.stop();
    let kept = stage.agent.state_dir().join("dead-letters");
    let saved = stage.dir.path().join("saved");
    copy(&kept, &saved);
    let before = stage.store.state().stored.clone();
    let ids: Vec<_> =
        stage.letters().iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect();
    // One dead letter is left out, so that the command has to rewrite the segment.
    let (first, rest) = ids.split_first().unwrap();
    for action in [&["resend"][..], &["drop"][..]] {
        let command = [action, &rest.iter().map(String::as_str).collect::<Vec<_>>()].concat();
        for point in 1.. {
            assert!(point < 200, "it never came to its end");
            fs::remove_dir_all(&kept).unwrap();
            copy(&saved, &kept);
            stage.store.state().stored.clone_from(&before);
            stage.store.refuse_nothing();
            let ended = stage.letters_to_point(&command, Some(point));
            let left = stage.letters().len();
            assert!((1..=3).contains(&left), "{left} letters after point {point}");
            let done = stage.letters_to_point(&[action[0], first], None);
            assert_eq!(done.code, Some(0), "after point {point}: {}", done.stderr);
            let others = if action == ["drop"] { &["drop", "--all"][..] } else { action };
            let done = stage.letters_to_point(others, None);
            assert_eq!(done.code, Some(0), "after point {point}: {}", done.stderr);
            assert_eq!(stage.letters().len(), 0, "after point {point}");
            if action == ["resend"] {
                stage.assert_all_once();
            }
            if ended.code.is_some() {
                assert!(point > 8, "only {point} points");
                break;
            }
        }
    }
}

#[test]
fn full_dead_letters_stop_the_pipeline_and_dropping_some_lets_it_go_on_by_itself() {
    // 300 letters of 5 KB do not fit into one MiB.
    let stage = Stage::with(300, |config| {
        let text = fs::read_to_string(config).unwrap();
        fs::write(config, text.replace("1GiB", "1MiB")).unwrap();
    });
    // `/readyz` shows the spent disk budget a moment before the pipeline stops on it, so wait for the pipeline.
    let red = wait_for("the pipeline to have stopped", LIMIT, || match stage.agent.readyz()? {
        (503, text) if text.contains("no room is left for dead letters") => Ok(text),
        (status, text) => Err(format!("{status}: {text}")),
    });
    assert!(red.contains("disk.max_bytes"), "{red}");
    let held = stage.letters().len();
    assert!((100..300).contains(&held), "{held}");
    wait_for("everything to be settled", LIMIT, || {
        stage.letters_command(&["drop", "--all"]).expect(0);
        match stage.stored() {
            600 => Ok(()),
            stored => Err(stored.to_string()),
        }
    });
    wait_for("the rest to be put aside", LIMIT, || {
        stage.letters_command(&["drop", "--all"]).expect(0);
        let (status, text) = stage.agent.readyz()?;
        if status == 200 { Ok(()) } else { Err(text) }
    });
    stage.wait_passed();
    stage.store.documents().values().for_each(|(_, times)| assert_eq!(*times, 1));
}
