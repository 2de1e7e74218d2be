//! Selects the input, the outputs and the files of a replay, and the directory of its checkpoint.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::request::{ReplayRequest, STDIN, TimeLimit};
use super::shard::Shard;
use crate::agent::by_name::takers;
use crate::agent::parts::socket;
use crate::agent::transforms::NotAccepted;
use crate::checkpoint::{State, Store};
use crate::config::{self, Config, FollowedLog, OutputKind};
use crate::event::{Cursor, Fingerprint, Key, Nanos};
use crate::input::{Listed, list};
use crate::pipeline::{Selection, Span};
use crate::server;

/// Whose log is replayed.
pub(super) struct RecordedLog {
    pub(super) input: FollowedLog,
    pub(super) node: String,
    pub(super) key: Key,
}

/// Which files to ship, and which of their events.
pub(super) struct ReplayPlan {
    paths: Vec<PathBuf>,
    shard: Option<Shard>,
    selection: Selection,
}

/// The outputs, of those asked for, that take the input. Leaves out files that the agent has written to, as `agent`
/// shows.
pub(super) fn outputs(
    config: &Config,
    agent: &State,
    input: &FollowedLog,
    asked: &[String],
) -> anyhow::Result<Vec<config::Output>> {
    let outputs: Vec<_> = takers(config, input, asked)?.into_iter().cloned().collect();
    for output in &outputs {
        if let OutputKind::File(file) = &output.kind
            && agent.pair(&input.name, &output.name).is_some()
        {
            return Err(NotAccepted::error(format!(
                "the agent writes to {}, and a replay would mix its events in: give outputs.{} another `path`, in a configuration with another `state_dir`, or select other outputs with --output",
                file.path.display(),
                output.name
            )));
        }
    }
    Ok(outputs)
}

/// The node's secret key. Uses the agent's own if there is one, so that a line that is no audit event keeps its
/// position.
pub(super) fn key(config: &Config) -> anyhow::Result<Key> {
    if let Some(key) = Store::known_key(&config.state_dir)? {
        return Ok(key);
    }
    Ok(Store::open(&config.state_dir)?.key())
}

/// Opens the directory with the checkpoint of this replay: of these files, to these outputs, with these limits.
pub(super) fn open(
    config: &Config,
    input: &FollowedLog,
    node: &str,
    request: &ReplayRequest,
) -> anyhow::Result<Store> {
    let full = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let ReplayRequest { since, until, filter, shard, paths, only, .. } = request;
    let text = |limit: &Option<TimeLimit>| limit.as_ref().map(|limit| limit.text.clone());
    let outputs: Vec<_> = config.outputs.iter().map(|output| &output.name).collect();
    let paths: Vec<_> = paths.iter().map(full).collect();
    let what = format!(
        "{node:?} {:?} {outputs:?} {:?} {:?} {filter:?} {shard:?} {paths:?} {only:?}",
        input.name,
        text(since),
        text(until)
    );
    let digest = Fingerprint::cut(&Sha256::digest(what)).to_string();
    let directory = config.state_dir.join("replay").join(&digest[..12]);
    Store::open(&directory).with_context(|| {
        format!("cannot open the checkpoint of this replay below {}", directory.display())
    })
}

/// Removes the checkpoint of a finished replay, so that the same command starts over. Dead letters are kept.
pub(super) fn forget(store: &Store) {
    if let Err(error) = store.forget() {
        let at = store.directory().display();
        tracing::warn!(%at, %error, "the checkpoint of this replay cannot be removed");
    }
}

impl ReplayPlan {
    pub(super) fn new(request: &ReplayRequest) -> Self {
        let paths = request.paths.iter().filter(|path| path.as_os_str() != STDIN);
        let selection = Selection {
            since: request.since.as_ref().map(|limit| limit.nanos),
            until: request.until.as_ref().map(|limit| limit.nanos),
            only: request.only.clone(),
            ..Selection::default()
        };
        Self { paths: paths.cloned().collect(), shard: request.shard, selection }
    }

    /// The files to ship, oldest first.
    pub(super) fn files(&self, config: &Config, log: &RecordedLog) -> anyhow::Result<Vec<Listed>> {
        if self.paths.is_empty() {
            return Ok(Vec::new());
        }
        let mut files = list(&self.paths, &log.input.path, &log.key)?;
        refuse_foreign(&files)?;
        let all = files.len();
        files.retain(|file| self.shard.is_none_or(|shard| shard.takes(file)));
        let sharded = all - files.len();
        files.retain(|file| self.selection.concerns(file.fingerprint(), span(file)));
        let outside = all - sharded - files.len();
        // With single positions (`verify --repair`) the agent has passed them, whatever it still does with the file.
        let repairs = self.selection.only.is_some();
        let left = if repairs { 0 } else { leave(config, &log.input, &mut files)? };
        tracing::info!(
            files = files.len(),
            outside_of_time = outside,
            of_other_shards = sharded,
            left_to_the_agent = left,
            "listed"
        );
        Ok(files)
    }

    /// The part of `times` that `--since` and `--until` select, if any.
    pub(super) fn within(&self, times: Range<Nanos>) -> Option<Range<Nanos>> {
        let from = self.selection.since.map_or(times.start, |since| since.max(times.start));
        let to = self.selection.until.map_or(times.end, |until| until.min(times.end));
        (from <= to).then_some(from..to)
    }

    /// The selection of events for these files.
    pub(super) fn selection(&self, files: &[Listed]) -> Selection {
        let Selection { since, until, only, .. } = &self.selection;
        let spans = files.iter().map(|file| (file.fingerprint(), span(file))).collect();
        Selection { since: *since, until: *until, spans, only: only.clone() }
    }
}

/// Refuses to start if one of the files holds no audit events.
///
/// # Errors Names each such file, its format, and the command that converts it to an audit log.
pub(crate) fn refuse_foreign(files: &[Listed]) -> anyhow::Result<()> {
    let foreign: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let format = file.foreign()?;
            let (path, name) = (file.path.display(), format.name());
            let way_out = format.way_out().replace("FILE", &path.to_string());
            Some(format!("{path} is {name}: {way_out}"))
        })
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let them = if foreign.len() == 1 { "it" } else { "these files" };
    Err(NotAccepted::error(format!(
        "nothing was sent: leave {them} out, or convert {them} and replay the result with `-` as PATH\n{}",
        foreign.join("\n")
    )))
}

fn span(file: &Listed) -> Span {
    Span::new(file.first(), file.rotated())
}

/// Skips files that the running agent is still shipping, since both would send them at once. Returns how many.
fn leave(config: &Config, input: &FollowedLog, files: &mut Vec<Listed>) -> anyhow::Result<usize> {
    let asked = server::client::status(&socket(config));
    if !matches!(asked, Ok(Some(_))) {
        return Ok(0);
    }
    let state = Store::load(&config.state_dir)?.state;
    let pairs = config.outputs.iter().filter_map(|to| state.pair(&input.name, &to.name));
    let cursors: Vec<_> = pairs.map(|pair| &pair.cursor).collect();
    let directory = |path: &Path| path.parent().and_then(|parent| parent.canonicalize().ok());
    let followed = directory(&input.path);
    let before = files.len();
    files.retain(|file| {
        let begun = |cursor: &&Cursor| match cursor.generations.get(&file.fingerprint()) {
            Some(progress) => !progress.complete,
            None => directory(&file.path) == followed,
        };
        !cursors.iter().any(begun)
    });
    Ok(before - files.len())
}
