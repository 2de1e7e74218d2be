//! Counts, after a clean shutdown, the events, gaps and dead letters, and the files that the agent left on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kit::FakeStore;
use kit::store::audit_id;
use serde_json::Value;

use crate::node::Node;
use crate::script::POISON;

/// Fails if an output lost or duplicated an event, if the event that Loki refused is not exactly one dead letter, or if
/// files are left over. `what` names the case in the message.
pub(crate) fn check(node: &Node, what: &str) {
    let mut wrong = Vec::new();
    let all: Vec<String> = node.log.events.iter().map(usize::to_string).collect();
    let poison = node.log.poison.map(|number| number.to_string());
    let taken: Vec<_> = all.iter().filter(|id| Some(*id) != poison.as_ref()).cloned().collect();
    let mut compare = |output: &str,
                       (found, gaps): &(Vec<String>, Vec<String>),
                       wanted: &[String]| {
        if !told_once(gaps) {
            wrong.push(format!("{output}: gaps {gaps:#?}"));
        }
        let (found_times, wanted_times) = (times(found), times(wanted));
        if found_times != wanted_times {
            let lost: Vec<_> = wanted.iter().filter(|id| !found_times.contains_key(*id)).collect();
            let often: Vec<_> =
                found_times.iter().filter(|(id, n)| wanted_times.get(*id) != Some(n)).collect();
            wrong.push(format!("{output}: lost {lost:?}, doubled or strange {often:?}"));
        }
    };
    compare("loki", &events(&node.loki), &taken);
    compare("elasticsearch", &events(&node.elasticsearch), &all);
    compare("the file", &archived(node), &all);
    let letters = dead_letters(&node.state());
    if letters != usize::from(poison.is_some()) {
        wrong.push(format!("{letters} dead letters"));
    }
    wrong.extend(left_over(node));
    wrong.extend(checkpoint_is_sane(node).err());
    assert!(wrong.is_empty(), "{what}: {wrong:#?}{}", node.explain());
}

fn times(ids: &[String]) -> BTreeMap<&String, usize> {
    let mut times = BTreeMap::new();
    for id in ids {
        *times.entry(id).or_default() += 1;
    }
    times
}

/// The audit ids that a back end stored, and the gaps.
fn events(store: &FakeStore) -> (Vec<String>, Vec<String>) {
    apart(store.state().stored.iter().map(|stored| stored.line.clone()))
}

/// Splits lines into the audit ids of events and the lines of gaps.
fn apart(lines: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let (gaps, events): (Vec<_>, Vec<_>) =
        lines.partition(|line| line.contains("\"kind\":\"Gap\""));
    (events.iter().map(|line| audit_id(line)).collect(), gaps)
}

/// One backup of the script is damaged, so each output must have exactly one gap for it.
fn told_once(gaps: &[String]) -> bool {
    gaps.len() == 1 && gaps[0].contains("damaged_gzip")
}

/// The audit ids and gaps in the file output and its rotated files.
pub(crate) fn archived(node: &Node) -> (Vec<String>, Vec<String>) {
    let text = files(&node.path("archive"))
        .into_iter()
        .map(|name| fs::read_to_string(node.path("archive").join(name)).unwrap_or_default());
    // Ignore a torn last line: the agent is still writing it.
    let whole = |text: &str| text[..text.rfind('\n').map_or(0, |at| at + 1)].to_owned();
    apart(text.flat_map(|text| whole(&text).lines().map(str::to_owned).collect::<Vec<_>>()))
}

/// How often the refused event is in the state directory, that is as a dead letter. Checkpoints do not count.
fn dead_letters(state: &Path) -> usize {
    let others = |name: &&String| !name.starts_with("checkpoint");
    files(state)
        .iter()
        .filter(others)
        .map(|name| memchr::memmem::find_iter(&fs::read(state.join(name)).unwrap(), POISON).count())
        .sum()
}

/// Files that a clean shutdown should not leave.
fn left_over(node: &Node) -> Vec<String> {
    let in_state = files(&node.state()).into_iter().filter(|name| {
        let kept = ["checkpoint.json", "checkpoint.json.previous", "lock", "node.key"];
        !kept.contains(&name.as_str()) && !name.starts_with("dead-letters/api.loki/")
    });
    let in_archive = files(&node.path("archive")).into_iter().filter(|name| {
        let number = name.strip_prefix("out.ndjson").and_then(|rest| rest.strip_prefix('.'));
        name != "out.ndjson" && number.is_none_or(|number| number.parse::<u64>().is_err())
    });
    // The log's directory may hold the live file, its backups and the hold directory only.
    let beside_log = files(&node.path("audit")).into_iter().filter(|name| {
        let stem = name.strip_suffix(".gz").unwrap_or(name);
        let is_held = name.starts_with(".auditrail-hold/");
        !is_held && (!stem.starts_with("audit") || stem.strip_suffix(".log").is_none())
    });
    in_state.chain(in_archive).chain(beside_log).map(|name| format!("left over: {name}")).collect()
}

/// Relative paths of everything below `dir` that is not a directory, sorted.
fn files(dir: &Path) -> Vec<String> {
    fn visit(dir: &Path, below: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                visit(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }
    let mut found = BTreeSet::new();
    visit(dir, "", &mut found);
    found.into_iter().collect()
}

/// The last checkpoint; `None` if it is missing or its checksum is wrong.
pub(crate) fn checkpoint(node: &Node) -> Option<Value> {
    let bytes = fs::read(node.state().join("checkpoint.json")).ok()?;
    let (frame, body) = bytes.split_at(memchr::memchr(b'\n', &bytes)?);
    let (frame, body): (Value, _) = (serde_json::from_slice(frame).ok()?, body.trim_ascii());
    let version = u32::try_from(frame["version"].as_u64()?).ok()?;
    let crc = crc32fast::hash(&[&version.to_le_bytes(), body].concat());
    let crc = format!("{crc:08x}");
    (frame["crc32"] == *crc).then(|| serde_json::from_slice(body).unwrap())
}

/// Decompressed bytes that the cursor of a pair (input and output) has passed.
pub(crate) fn passed(pair: &Value) -> u64 {
    let generations = pair["cursor"]["generations"].as_object().unwrap();
    generations.values().map(|progress| progress["offset"].as_u64().unwrap()).sum()
}

/// Fails unless, after a clean shutdown, every cursor is at the end of the log and nothing is in doubt. After a crash,
/// up to 64 MiB that an earlier process had reserved may still be in doubt.
fn checkpoint_is_sane(node: &Node) -> Result<(), String> {
    let state = checkpoint(node).ok_or("no checkpoint that can be read")?;
    for pair in state["pairs"].as_array().unwrap() {
        let passed = passed(pair);
        let reserved = pair["reserved"].as_u64().unwrap();
        if passed != node.log.bytes || reserved > if node.cut { 64 << 20 } else { 0 } {
            return Err(format!("{} bytes were written: {pair:#}", node.log.bytes));
        }
    }
    Ok(())
}
