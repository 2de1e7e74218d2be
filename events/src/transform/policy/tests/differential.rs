//! Differential test: every recorded event under every policy in `tests/policy/policies`, decided here and by the API
//! server's evaluator.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use memchr::memchr_iter;
use serde::Deserialize;
use serde_json::json;

use crate::event::Record;

use super::each_record;
use super::evaluator::{Answer, Evaluator};
use crate::transform::policy::{Policy, uri};

/// The fields of an event that the evaluator is asked about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded<'a> {
    stage: &'a str,
    #[serde(rename = "requestURI")]
    uri: String,
    verb: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    groups: Vec<String>,
}

#[test]
fn every_published_policy_is_read_and_holds_no_trap() {
    let policies = policies();
    assert!(policies.len() >= 30, "{} policies", policies.len());
}

#[test]
fn every_recorded_event_is_judged_as_the_api_server_judges_it() {
    let Some(mut evaluator) = Evaluator::start() else { return };
    let policies = policies();
    let texts: Vec<String> = policies.iter().map(|(_, text, _)| text.clone()).collect();
    evaluator.load(&texts);
    let (mut events, mut known) = (0, BTreeMap::new());
    for file in files() {
        let bytes = read(&file);
        let lines = lines(&bytes);
        let asked: Vec<Recorded<'_>> =
            lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
        learn(&mut evaluator, &asked, &mut known);
        for (line, asked) in lines.iter().zip(&asked) {
            let answer = &known[&question(asked)];
            each_record(line, |record| agree(record, asked, answer, &policies));
        }
        events += lines.len();
    }
    println!("{events} events, {} different requests, {} policies", known.len(), policies.len());
    assert!(events > 4000, "{events} events");
}

/// Asks the evaluator about the requests that are not yet known.
fn learn(evaluator: &mut Evaluator, asked: &[Recorded<'_>], known: &mut BTreeMap<String, Answer>) {
    let mut new: Vec<String> =
        asked.iter().map(question).filter(|question| !known.contains_key(question)).collect();
    new.sort_unstable();
    new.dedup();
    let questions: Vec<_> =
        new.iter().map(|question| serde_json::from_str(question).unwrap()).collect();
    let answers = evaluator.ask(&questions);
    known.extend(new.into_iter().zip(answers));
}

fn question(event: &Recorded<'_>) -> String {
    let user = (!event.user.username.is_empty() || !event.user.groups.is_empty())
        .then(|| json!({ "name": event.user.username, "groups": event.user.groups }));
    json!({ "verb": event.verb, "uri": event.uri, "user": user }).to_string()
}

fn agree(
    record: &Record<'_>,
    event: &Recorded<'_>,
    answer: &Answer,
    policies: &[(PathBuf, String, Policy)],
) {
    let uri = &event.uri;
    assert_eq!(answer.refused, None, "{uri}");
    assert_eq!(answer.verb, event.verb, "{uri}");
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path = uri::decode(path.as_bytes().into());
    let parsed = uri::target(&path, event.verb.as_bytes(), query.as_bytes());
    assert_eq!(parsed.map(super::random::readable), answer.target, "{uri}");
    for ((name, _, policy), theirs) in policies.iter().zip(&answer.decisions) {
        let ours = policy.decide(record);
        let omitted = theirs.omit_stages.iter().flatten().any(|stage| stage == event.stage);
        assert_eq!(
            (ours.level.name(), ours.stage_omitted, ours.omit_managed_fields),
            (&*theirs.level, omitted, theirs.omit_managed_fields),
            "{}: {}",
            name.display(),
            String::from_utf8_lossy(record.line)
        );
    }
}

/// The policies with their names and texts, including those that the project ships.
fn policies() -> Vec<(PathBuf, String, Policy)> {
    let folder = root().join("tests/policy/policies");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.push(root().join("etc/kubernetes/audit-policy.yaml"));
    paths.push(root().join("tests/backends/servers/kubernetes/policy.yaml"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let policy = Policy::parse(&text, &path).unwrap_or_else(|error| panic!("{error}"));
        (path, text, policy)
    };
    paths.into_iter().map(read).collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The recorded logs: those of `AUDITRAIL_CORPUS`, or `../shared/corpus` beside the project, and the logs that ship
/// with it.
fn files() -> Vec<PathBuf> {
    let corpus = env::var_os("AUDITRAIL_CORPUS")
        .map_or_else(|| root().join("../shared/corpus"), PathBuf::from);
    let mut folders = vec![root().join("etc/recorded/audit")];
    folders.extend(fs::read_dir(corpus).into_iter().flatten().map(|entry| entry.unwrap().path()));
    let inside = |folder: &PathBuf| fs::read_dir(folder).into_iter().flatten();
    folders
        .iter()
        .flat_map(inside)
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".log"))
        .collect()
}

fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = File::open(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    } else {
        file.read_to_end(&mut bytes).unwrap();
    }
    bytes
}

/// The complete lines; a recording may end in the middle of one (a torn line).
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut start = 0;
    memchr_iter(b'\n', bytes)
        .map(|end| &bytes[std::mem::replace(&mut start, end + 1)..end])
        .collect()
}
