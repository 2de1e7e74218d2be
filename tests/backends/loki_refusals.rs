//! Refusals of Loki (400, 401, 429): the answers that could cause loss or duplicates if the agent handled them
//! wrongly.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::loki::Loki;
use kit::agent::Agent;
use kit::events::{Expected, Maker, log_of};
use kit::store::loki::Settings;
use kit::{copy, tables, wait_for};

const LIMIT: Duration = Duration::from_mins(3);
const SELECTOR: &str = "{job=\"refusals\"}";

/// Writes the log and starts an agent that follows it. `more` are further keys of the output.
fn follow(dir: &Path, log: &[u8], loki: &Loki, more: &str) -> Agent {
    fs::write(dir.join("audit.log"), log).unwrap();
    Agent::start(dir, &config(dir, loki, more))
}

fn config(dir: &Path, loki: &Loki, more: &str) -> String {
    tables::input("apiserver", &dir.join("audit.log"))
        + &tables::loki(&loki.url(), "refusals", more)
}

fn wait_refused(agent: &Agent, count: usize) {
    wait_for("the refused events to be counted", LIMIT, || {
        let refused = agent.events("loki", "refused");
        if refused == count { Ok(()) } else { Err(format!("{refused} of {count}")) }
    });
}

/// A line over `max_line_size` does not affect its batch: Loki answers the push with 400 but stores its good lines, so
/// a retry would duplicate them.
#[test]
fn a_line_too_long_for_loki_is_put_aside_and_its_batch_arrives_once() {
    let loki = Loki::stand_in(Settings { max_line_size: 64 << 10, ..Settings::raised() });
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let poison = [100, 101, 250];
    let all: Vec<Expected> =
        (0..300).map(|n| maker.event(if poison.contains(&n) { 90_000 } else { 500 })).collect();
    let mut agent = follow(dir.path(), &log_of(&all), &loki, "");

    let (bad, good): (Vec<Expected>, Vec<Expected>) =
        all.into_iter().partition(|event| event.line.len() > 65_536);
    wait_refused(&agent, poison.len());
    loki.wait_count(SELECTOR, &good, LIMIT);
    agent.stop();
    loki.assert_holds(SELECTOR, &good);
    let state = agent.state();
    assert!(state.contains("max entry size"), "the state directory keeps the answer");
    for event in bad {
        assert!(state.contains(&event.audit_id), "the state directory keeps {}", event.audit_id);
    }
}

/// A dead letter is listed. Once the limit is raised it is sent again, with or without a running agent, and is stored
/// exactly once. This holds even if a copy of dead letters that were delivered already comes back.
#[test]
fn a_dead_letter_reaches_a_loki_with_a_higher_limit_once_however_often_it_is_sent_again() {
    let loki = Loki::stand_in(Settings { max_line_size: 64 << 10, ..Settings::raised() });
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let all: Vec<Expected> =
        (0..200).map(|n| maker.event(if n % 50 == 7 { 90_000 } else { 500 })).collect();
    let mut agent = follow(dir.path(), &log_of(&all), &loki, "");
    let (bad, good): (Vec<Expected>, Vec<Expected>) =
        all.into_iter().partition(|event| event.line.len() > 65_536);
    wait_refused(&agent, bad.len());
    loki.wait_count(SELECTOR, &good, LIMIT);
    agent.stop_done();

    let (code, listed, said) = agent.command(&["dead-letters", "list", "--each"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(listed.matches("max entry size").count(), bad.len(), "{listed}");
    let (code, sent, said) = agent.command(&["dead-letters", "resend"]);
    assert_eq!((code, sent.contains("refused again and kept")), (Some(3), true), "{sent}{said}");

    let raised = Loki::stand_in(Settings::raised());
    agent.configure(&config(dir.path(), &raised, ""));
    let (kept, saved) = (agent.state_dir().join("dead-letters"), dir.path().join("saved"));
    copy(&kept, &saved);
    agent.resume();
    agent.wait_readyz(200, LIMIT);
    for runs in [true, false] {
        if !runs {
            agent.stop_done();
            copy(&saved, &kept);
        }
        let (code, sent, said) = agent.command(&["dead-letters", "resend"]);
        assert_eq!(code, Some(0), "{sent}{said}");
        assert!(sent.contains("4 of 4 delivered"), "{sent}");
        raised.assert_holds(SELECTOR, &bad);
        let (_, listed, _) = agent.command(&["dead-letters", "list"]);
        assert_eq!(listed, "there are no dead letters\n");
    }
}

/// Events older than `reject_old_samples_max_age`. The error names only a range of time, and Loki stores the rest of
/// the push.
#[test]
fn events_too_old_for_loki_are_put_aside_and_the_recent_ones_arrive_once() {
    let loki = Loki::stand_in(Settings { reject_old_samples: true, ..Settings::raised() });
    let dir = TempDir::new().unwrap();
    let mut old = Maker::from_ago(SignedDuration::from_hours(24 * 30));
    let mut recent = Maker::from_ago(SignedDuration::from_mins(10));
    let old: Vec<Expected> = (0..200).map(|_| old.event(500)).collect();
    let recent: Vec<Expected> = (0..200).map(|_| recent.event(500)).collect();
    let mut agent = follow(dir.path(), &log_of(old.iter().chain(&recent)), &loki, "");

    wait_refused(&agent, old.len());
    loki.wait_count(SELECTOR, &recent, LIMIT);
    agent.stop();
    loki.assert_holds(SELECTOR, &recent);
    assert!(agent.state().contains("timestamp too old"), "the state directory keeps the answer");
}

/// 429 (rate limit) stores nothing: the agent retries the same push until it fits the rate.
#[test]
fn a_throttling_loki_gets_everything_once_only_later() {
    let loki = Loki::stand_in(Settings {
        ingestion_rate_mb: 0.3,
        ingestion_burst_size_mb: 0.5,
        ..Settings::raised()
    });
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<Expected> = (0..1500).map(|_| maker.event(500)).collect();
    let more = "batch = { max_bytes = \"128KiB\" }";
    let mut agent = follow(dir.path(), &log_of(&events), &loki, more);

    loki.wait_count(SELECTOR, &events, LIMIT);
    assert!(agent.retries("loki") > 0, "Loki never throttled, so nothing was shown");
    agent.stop_done();
    loki.assert_holds(SELECTOR, &events);
}

/// 401 must be fixed by the operator; nothing is dropped meanwhile.
#[test]
fn a_missing_tenant_turns_readyz_red_and_naming_it_delivers_everything() {
    let mut loki = Loki::stand_in(Settings { auth_enabled: true, ..Settings::raised() });
    loki.tenant = "team-a";
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<Expected> = (0..200).map(|_| maker.event(500)).collect();
    let mut agent = follow(dir.path(), &log_of(&events), &loki, "");

    let red = agent.wait_readyz(503, LIMIT);
    assert!(red.contains("loki"), "/readyz names the output: {red}");
    assert_eq!(agent.events("loki", "refused"), 0, "a missing tenant refuses nothing");
    agent.stop();
    agent.configure(&config(dir.path(), &loki, "tenant = \"team-a\""));
    agent.resume();
    loki.wait_count(SELECTOR, &events, LIMIT);
    agent.wait_readyz(200, LIMIT);
    agent.stop_done();
    loki.assert_holds(SELECTOR, &events);
}

/// A request that was in flight when Loki died may be stored or not, so the agent looks it up before it retries.
#[test]
fn a_loki_that_dies_twice_on_the_way_has_everything_once_in_the_end() {
    let mut loki = Loki::stand_in(Settings::raised());
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<Expected> = (0..20_000).map(|_| maker.event(500)).collect();
    let more = "batch = { max_events = 100 }\ntimeout = \"2s\"\nmax_bytes_per_second = \"3MiB\"";
    let mut agent = follow(dir.path(), &log_of(&events), &loki, more);

    for share in [4, 2] {
        wait_for("a part to be delivered", LIMIT, || match loki.count(SELECTOR, &events)? {
            found if found >= events.len() / share => Ok(()),
            found => Err(found.to_string()),
        });
        loki.kill();
        thread::sleep(Duration::from_secs(1));
        loki.resume();
    }
    loki.wait_count(SELECTOR, &events, LIMIT);
    agent.stop_done();
    loki.assert_holds(SELECTOR, &events);
}
