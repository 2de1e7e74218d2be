//! Refusals of Elasticsearch (429, 413, 403, 401, 409): the answers that could cause loss or duplicates if the agent
//! handled them wrongly.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use tempfile::TempDir;

use crate::elastic::Elastic;
use kit::agent::Agent;
use kit::events::{Expected, Maker, log_of};
use kit::store::elastic::Settings;
use kit::{LogWriter, copy, tables, wait_for};

const LIMIT: Duration = Duration::from_mins(3);

/// Writes the log and starts an agent that follows it. `more` are further keys of the output.
fn follow(dir: &Path, events: &[Expected], elastic: &Elastic, stream: &str, more: &str) -> Agent {
    fs::write(dir.join("audit.log"), log_of(events)).unwrap();
    let config = tables::input("apiserver", &dir.join("audit.log"))
        + &tables::elasticsearch(&elastic.url(), stream, more);
    Agent::start(dir, &config)
}

fn made(count: usize, bytes: usize) -> Vec<Expected> {
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    (0..count).map(|_| maker.event(bytes)).collect()
}

/// With one writer thread and a queue of one, some items of a bulk answer 429 and some 201. The agent must retry only
/// the former.
#[test]
fn a_full_queue_delays_events_but_neither_loses_nor_doubles_them() {
    let queue = ["thread_pool.write.size=1", "thread_pool.write.queue_size=1"];
    let elastic = Elastic::any_with(&queue, Settings { busy: 30, ..Settings::default() });
    let dir = TempDir::new().unwrap();
    let stream = "logs-kubernetes.audit_logs-queue";
    let events = made(5000, 500);
    let more = "in_flight = 16\nbatch = { max_events = 50 }";
    let mut agent = follow(dir.path(), &events, &elastic, stream, more);

    elastic.wait_count(stream, events.len(), LIMIT);
    assert!(agent.retries("elasticsearch") > 0, "the queue was never full, so nothing was shown");
    agent.stop_done();
    elastic.assert_holds(stream, &events);
}

/// 413 applies to the decompressed body. The agent splits the request in halves. A line that is too large alone becomes
/// a dead letter.
#[test]
fn a_body_too_large_for_the_server_is_halved_and_only_a_line_too_large_alone_is_put_aside() {
    let elastic = Elastic::any_with(
        &["http.max_content_length=1mb"],
        Settings { max_content_length: 1 << 20, ..Settings::default() },
    );
    let dir = TempDir::new().unwrap();
    let stream = "logs-kubernetes.audit_logs-large";
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<Expected> =
        (0..2000).map(|n| maker.event(if n == 700 { 1_500_000 } else { 2000 })).collect();
    let more = "batch = { max_bytes = \"4MiB\" }";
    let mut agent = follow(dir.path(), &events, &elastic, stream, more);

    let (large, rest): (Vec<Expected>, Vec<Expected>) =
        events.into_iter().partition(|event| event.line.len() > 1_000_000);
    elastic.wait_count(stream, rest.len(), LIMIT);
    wait_for("the large event to be counted as refused", LIMIT, || {
        let refused = agent.events("elasticsearch", "refused");
        if refused == 1 { Ok(()) } else { Err(refused.to_string()) }
    });
    agent.stop();
    elastic.assert_holds(stream, &rest);
    assert!(agent.state().contains(&large[0].audit_id), "the state directory keeps the event");
}

/// A dead letter is sent again to a node with a higher limit. After a rollover a copy of the dead letter comes back.
/// The new backing index would accept the id again, so the agent looks it up and finds it.
#[test]
fn a_dead_letter_reaches_a_node_with_a_higher_limit_once_even_after_a_rollover() {
    let elastic = Elastic::any_with(
        &["http.max_content_length=1mb"],
        Settings { max_content_length: 1 << 20, ..Settings::default() },
    );
    let dir = TempDir::new().unwrap();
    let stream = "logs-kubernetes.audit_logs-letters";
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<Expected> =
        (0..20).map(|n| maker.event(if n % 10 == 3 { 1_500_000 } else { 500 })).collect();
    let mut agent = follow(dir.path(), &events, &elastic, stream, "");
    let (large, rest): (Vec<Expected>, Vec<Expected>) =
        events.into_iter().partition(|event| event.line.len() > 1_000_000);
    elastic.wait_count(stream, rest.len(), LIMIT);
    wait_for("the large events to be counted as refused", LIMIT, || {
        let refused = agent.events("elasticsearch", "refused");
        if refused == large.len() { Ok(()) } else { Err(refused.to_string()) }
    });
    agent.stop_done();
    let (code, listed, said) = agent.command(&["dead-letters", "list", "--each"]);
    assert_eq!((code, listed.matches("413").count()), (Some(0), large.len()), "{listed}{said}");

    let raised = Elastic::shared();
    let config = tables::input("apiserver", &dir.path().join("audit.log"))
        + &tables::elasticsearch(&raised.url(), stream, "");
    agent.configure(&config);
    let (kept, saved) = (agent.state_dir().join("dead-letters"), dir.path().join("saved"));
    copy(&kept, &saved);
    for again in [false, true] {
        if again {
            copy(&saved, &kept);
            raised.rollover(stream);
        }
        let (code, sent, said) = agent.command(&["dead-letters", "resend"]);
        assert_eq!(code, Some(0), "{sent}{said}");
        assert!(sent.contains("2 of 2 delivered"), "{sent}");
        raised.assert_holds(stream, &large);
    }
}

/// Items of an index with a write block answer 403, which the operator must fix. Once it is fixed, delivery continues
/// by itself.
#[test]
fn a_write_block_turns_readyz_red_and_nothing_is_lost_when_it_is_lifted() {
    let elastic = Elastic::shared();
    let dir = TempDir::new().unwrap();
    let stream = "logs-kubernetes.audit_logs-block";
    let mut events = made(400, 500);
    let later = events.split_off(200);
    let mut agent = follow(dir.path(), &events, &elastic, stream, "");
    elastic.wait_count(stream, events.len(), LIMIT);

    let block = |on: bool| {
        let setting = json!({"index.blocks.write": on}).to_string();
        elastic.ask("PUT", &format!("/{stream}/_settings"), &setting).unwrap();
    };
    block(true);
    LogWriter::new(dir.path().join("audit.log")).append(&log_of(&later));
    let red = agent.wait_readyz(503, LIMIT);
    assert!(red.contains("elasticsearch"), "/readyz names the output: {red}");
    block(false);
    events.extend(later);
    elastic.wait_count(stream, events.len(), Duration::from_secs(90));
    agent.wait_readyz(200, LIMIT);
    agent.stop_done();
    elastic.assert_holds(stream, &events);
}

/// A wrong API key is reported on `/readyz`. The agent reloads the right one from the same file without a restart.
#[test]
fn a_wrong_api_key_turns_readyz_red_and_the_right_one_in_its_file_delivers_everything() {
    let elastic = Elastic::stand_in(Settings { secure: true, ..Settings::default() });
    let dir = TempDir::new().unwrap();
    let stream = "logs-kubernetes.audit_logs-secure";
    let rights = json!({"name": "auditrail", "role_descriptors": {"writer": {
        "cluster": ["monitor", "manage_index_templates"],
        "indices": [{"names": ["logs-*"], "privileges": ["auto_configure", "create_doc", "read", "view_index_metadata", "maintenance"]}],
    }}});
    let made_key = elastic.ask("POST", "/_security/api_key", &rights.to_string()).unwrap();
    let key = dir.path().join("api-key");
    fs::write(&key, "d3Jvbmc6d3Jvbmc=\n").unwrap();
    let events = made(300, 500);
    let more = format!("api_key_file = {key:?}");
    let mut agent = follow(dir.path(), &events, &elastic, stream, &more);

    let red = agent.wait_readyz(503, LIMIT);
    assert!(red.contains("elasticsearch"), "/readyz names the output: {red}");
    fs::write(&key, made_key["encoded"].as_str().unwrap()).unwrap();
    elastic.wait_count(stream, events.len(), Duration::from_secs(90));
    agent.wait_readyz(200, LIMIT);
    agent.stop_done();
    elastic.assert_holds(stream, &events);
}

/// Without its state the agent sends everything again, under the same ids. The answer is 409, which counts as
/// delivered.
#[test]
fn an_agent_that_lost_its_state_sends_again_and_nothing_is_doubled() {
    let elastic = Elastic::shared();
    let dir = TempDir::new().unwrap();
    let stream = "logs-kubernetes.audit_logs-again";
    let events = made(1000, 500);
    let mut agent = follow(dir.path(), &events, &elastic, stream, "");
    elastic.wait_count(stream, events.len(), LIMIT);

    agent.kill();
    fs::remove_dir_all(agent.state_dir()).unwrap();
    fs::create_dir(agent.state_dir()).unwrap();
    agent.resume();
    wait_for("everything to be delivered again", LIMIT, || {
        let delivered = agent.events("elasticsearch", "delivered");
        if delivered == events.len() { Ok(()) } else { Err(delivered.to_string()) }
    });
    agent.stop_done();
    elastic.assert_holds(stream, &events);
}

/// A damaged checkpoint puts everything in doubt. After a rollover only a look-up over the whole data stream shows what
/// is stored, since the new backing index accepts every id again.
#[test]
fn a_damaged_checkpoint_after_a_rollover_doubles_nothing() {
    let elastic = Elastic::shared();
    let dir = TempDir::new().unwrap();
    let stream = "logs-kubernetes.audit_logs-damaged";
    let events = made(1000, 500);
    let mut agent = follow(dir.path(), &events, &elastic, stream, "timeout = \"2s\"");
    elastic.wait_count(stream, events.len(), LIMIT);

    agent.kill();
    elastic.rollover(stream);
    let mut damaged = 0;
    for entry in fs::read_dir(agent.state_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("checkpoint") {
            fs::write(&path, "damaged").unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "no checkpoint found to damage");
    agent.resume();
    wait_for("everything to be settled again", LIMIT, || {
        let delivered = agent.events("elasticsearch", "delivered");
        if delivered >= events.len() { Ok(()) } else { Err(delivered.to_string()) }
    });
    agent.stop_done();
    elastic.assert_holds(stream, &events);
}
