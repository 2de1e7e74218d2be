//! Each kind of trouble turns the right lights red: an alert fires within its time; `/readyz`, the page, `auditrail status`
//! and the metric tell the same story; and all end with the trouble. Prometheus evaluates the shipped rules, whose
//! minutes are seconds here.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};
use rustix::process::{Pid, Signal, kill_process};

use crate::prometheus::Prometheus;
use crate::sources::read;
use kit::agent::Agent;
use kit::events::Maker;
use kit::store::Refusal;
use kit::{FakeStore, LogWriter, tables, wait_for};

/// The alert rules with seconds instead of minutes.
fn hurried() -> String {
    let rules = read("etc/prometheus/auditrail.rules.yaml");
    let time = Regex::new(r"(for: |\[|offset )(\d+)([mh])\b").unwrap();
    let hurry = |found: &Captures| {
        let unit = if &found[3] == "m" { "s" } else { "m" };
        format!("{}{}{unit}", &found[1], &found[2])
    };
    let mut hurried = time.replace_all(&rules, hurry).replace("[1d:5m]", "[24m:5s]");
    let numbers = [
        ("> 600", "> 10"),
        ("> 900", "> 15"),
        ("> 1800", "> 30"),
        ("> 120", "> 2"),
        ("< 3600", "< 60"),
        ("6 * 3600", "360"),
    ];
    for (minutes, seconds) in numbers {
        assert!(hurried.contains(minutes), "no rule has {minutes}");
        hurried = hurried.replace(minutes, seconds);
    }
    hurried
}

/// An agent that delivers to a fake store, an API server that writes, and a Prometheus.
struct Scene {
    agent: Agent,
    store: FakeStore,
    prometheus: Prometheus,
    api_server: LogWriter,
    maker: Maker,
    /// The API server writes.
    writes: bool,
    dir: tempfile::TempDir,
}

impl Scene {
    /// `None` if there is no Prometheus on this machine.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let store = FakeStore::new();
        let log = dir.path().join("log/audit.log");
        let rules = dir.path().join("rules.yaml");
        fs::write(&rules, hurried()).unwrap();
        let config = "heartbeat = \"1s\"\n".to_owned()
            + &tables::input("apiserver", &log)
            + &tables::search(&store.url, "").replace("300ms", "5s");
        let mut api_server = LogWriter::new(&log);
        let mut maker = Maker::from_ago(SignedDuration::ZERO);
        api_server.append(&maker.event_with(b"{}").1);
        let agent = Agent::start(dir.path(), &config);
        let prometheus = Prometheus::start(dir.path(), agent.port(), &rules)?;
        Some(Self { agent, store, prometheus, api_server, maker, writes: true, dir })
    }

    /// The names of the alerts that fire. The API server goes on writing, if it does at present.
    fn firing(&mut self) -> Result<BTreeSet<String>, String> {
        if self.writes {
            self.maker.set(Timestamp::now());
            self.api_server.append(&self.maker.event_with(b"{}").1);
        }
        let data = self.prometheus.ask("alerts")?;
        let alerts = data["alerts"].as_array().ok_or("no alerts")?.iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        Ok(firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect())
    }

    /// Waits for an alert. `/readyz?verbose` must then have these words, and every place this verdict on the trail, with
    /// which the status code of `/readyz` agrees; `None`: the agent cannot answer, and no place says that all is well.
    fn turns_red(&mut self, alert: &str, told: Option<(&str, &str)>) {
        wait_for(alert, Duration::from_mins(1), || {
            let firing = self.firing()?;
            if firing.contains(alert) { Ok(()) } else { Err(format!("{firing:?}")) }
        });
        let Some((verdict, words)) = told else { return self.answers_nobody(alert) };
        let text = self.agent.page("/readyz?verbose").unwrap().text();
        assert!(text.contains(words), "{alert}: {text}");
        self.agent.wait_verdict(verdict);
    }

    /// The page and the probe get no answer, and `status` does not claim that the agent is well.
    fn answers_nobody(&self, alert: &str) {
        let (code, said) = self.agent.probe(&["ready", "--timeout", "300ms"]);
        assert!(code == Some(1) && !said.contains("ok"), "{alert}: {said}");
        let (code, table, error) = self.agent.command(&["status"]);
        let told = [table.as_str(), &error].concat();
        let admits = told.contains("NOT RUNNING") && told.contains("\ntrail stopped")
            || told.contains("cannot ask the agent");
        assert!(code == Some(1) && admits, "{alert}: {code:?} {told}");
    }

    /// Waits until no alert fires, the agent is ready, and every place says that the trail is whole.
    fn turns_green(&mut self, after: &str) {
        wait_for(&format!("green lights after {after}"), Duration::from_mins(1), || {
            let firing = self.firing()?;
            if firing.is_empty() { Ok(()) } else { Err(format!("{firing:?}")) }
        });
        self.agent.wait_verdict("whole");
    }

    /// A directory at this path makes the writing of a checkpoint fail.
    fn blocked_checkpoint(&self) -> PathBuf {
        self.dir.path().join("state/checkpoint.json.new")
    }
}

#[test]
fn each_trouble_fires_its_alert_and_turns_readyz_red_until_it_ends() {
    let Some(mut scene) = Scene::new() else { return };
    scene.turns_green("the start");

    scene.store.state().down = Some(503);
    scene.turns_red("AuditrailOutputRetrying", Some(("stopped", "has taken nothing for")));
    scene.store.state().down = None;
    scene.turns_green("an outage");

    scene.store.state().down = Some(401);
    scene.turns_red("AuditrailOutputStopped", Some(("stopped", "has stopped (HTTP 401)")));
    scene.store.state().down = None;
    scene.turns_green("refused credentials");

    fs::create_dir(scene.blocked_checkpoint()).unwrap();
    scene.turns_red(
        "AuditrailCheckpointNotSaved",
        Some(("stopped", "the checkpoint cannot be saved")),
    );
    fs::remove_dir(scene.blocked_checkpoint()).unwrap();
    scene.turns_green("a checkpoint that could not be written");

    let full = fs::File::create(scene.dir.path().join("state/filler")).unwrap();
    full.set_len(2 << 30).unwrap(); // Sparse, and counted as what it may grow to.
    scene.turns_red("AuditrailDiskBudgetSpent", Some(("stopped", "the disk budget is spent")));
    fs::remove_file(scene.dir.path().join("state/filler")).unwrap();
    scene.turns_green("a full disk");

    let process = Pid::from_raw(i32::try_from(scene.agent.id()).unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    scene.turns_red("AuditrailDown", None);
    kill_process(process, Signal::CONT).unwrap();
    scene.turns_green("a process that hung");

    scene.agent.kill();
    scene.turns_red("AuditrailDown", None);
    scene.agent.resume();
    scene.turns_green("a kill");

    scene.writes = false;
    scene.turns_red("AuditrailLogSilent", Some(("whole", "")));
    scene.writes = true;
    scene.turns_green("an API server that wrote nothing");

    // The node works, and its store cannot show it.
    scene.store.refuse(Refusal::Content, "\"kind\":\"Heartbeat\"");
    scene.turns_red("AuditrailHeartbeatNotStored", Some(("whole", "no heartbeat is stored since")));
    let log = fs::read_to_string(scene.agent.log()).unwrap();
    assert!(log.contains("heartbeat is not stored and not sent again"), "{log}");
    scene.store.refuse_nothing();
    scene.turns_green("heartbeats that were refused");

    scene.api_server.append(&[&[0; 200][..], b"\n"].concat());
    scene.turns_red("AuditrailEventsLost", Some(("holes", "NOT WHOLE: 1 gap")));
}
