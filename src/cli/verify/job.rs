//! Selects the files and outputs that `verify` compares, and reads the files.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::arguments::Arguments;
use crate::agent::parts::{inputs_of, limits, names, node_name, output as output_of, scopes};
use crate::agent::transforms::{NotAccepted, Transforms};
use crate::checkpoint::{Budget, State, Store};
use crate::config::{self, Config, FollowedLog};
use crate::dead_letters::{self, DeadLetter};
use crate::event::{Batch, Cursor, Key, Nanos};
use crate::input::{Input, Large, Listed, ReaderItem, list};
use crate::output::{Capabilities, Comparable, Digest, MILLI, Output};
use crate::pipeline::{Selection, Span};
use crate::transform::{Chain, TransformScratch};
use crate::verify::{self, Delivered, Findings, Log, Room, Stretch};

/// An input and an output that takes it.
pub(super) struct Pair<'a> {
    pub(super) input: &'a FollowedLog,
    pub(super) output: &'a config::Output,
}

/// The result for one pair.
pub(super) struct Compared {
    pub(super) files: Vec<Listed>,
    pub(super) findings: Findings,
    /// Times of the first and last event that were compared, if any, in milliseconds.
    pub(super) span: Option<(i64, i64)>,
    /// The event time that the agent has reached.
    pub(super) newest: Option<Nanos>,
    pub(super) scopes: usize,
}

/// Everything that a `verify` needs.
pub(super) struct Job<'a> {
    config: &'a Config,
    arguments: &'a Arguments,
    pairs: Vec<Pair<'a>>,
    node: String,
    key: Key,
    state: State,
    transforms: Transforms,
    room: Room,
}

impl<'a> Job<'a> {
    /// # Errors If a name does not exist, or if the state of the agent cannot be read.
    pub(super) fn new(config: &'a Config, arguments: &'a Arguments) -> anyhow::Result<Self> {
        let pairs = pairs(config, arguments)?;
        let state = Store::load(&config.state_dir)?.state;
        let node = match &arguments.node {
            Some(node) => node.clone(),
            None => node_name(config, &state.node)?,
        };
        let key = Store::key_of(&config.state_dir);
        let transforms = Transforms::new(config, &key)?;
        let room = Room::new(&config.state_dir, Budget::new(&config.state_dir, config.disk));
        Ok(Self { config, arguments, pairs, node, key, state, transforms, room })
    }

    pub(super) fn pairs(&self) -> &[Pair<'a>] {
        &self.pairs
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Compares the files of one input with what is stored by one output.
    ///
    /// # Errors
    /// If a file or the store cannot be read.
    pub(super) async fn compare(&self, pair: &Pair<'_>) -> anyhow::Result<Compared> {
        let output = output_of(self.config, pair.output, &self.node, &pair.input.name, &[])?;
        let store = output.queryable().context("this output cannot be asked what it holds")?;
        let began = jiff::Timestamp::now().as_millisecond();
        // The cursor is read before the files, so that the files hold everything that it has passed.
        let (delivered, scopes) = self.delivered(pair, &output)?;
        let files = self.files(pair)?;
        let digest = Digest::default();
        let mut log = Log::new(store, &digest, &delivered, self.range(), &self.room);
        let (chain, revision) = self.transforms.of(&pair.output.name)?.chain();
        let drops = chain.policy.is_some() || chain.filters.is_some();
        let mut kept = TransformScratch::default();
        self.each(pair, &files, |file, batch| {
            log.take(file, batch, drops, |batch| chain.apply(revision, batch, &mut kept))
                .context("cannot sort the events")?;
            Ok(true)
        })?;
        let events = log.events();
        tracing::info!(
            input = &*pair.input.name,
            output = &*pair.output.name,
            files = files.len(),
            events,
            "the log is read, reading the store"
        );
        let sides = log.finish().context("cannot sort the events")?;
        let span = sides.stretches.first().zip(sides.stretches.last());
        let span = span.map(|(first, last)| (first.since, last.until - 1));
        let findings = verify::verify(sides, store, &scopes, &digest, began, &self.room).await?;
        let newest = delivered.newest();
        Ok(Compared { files, findings, span, newest, scopes: scopes.len() })
    }

    /// The progress of the agent with this pair, and the scopes it has sent to.
    fn delivered(
        &self,
        pair: &Pair<'_>,
        output: &Output,
    ) -> anyhow::Result<(Delivered, Vec<String>)> {
        let known = self.state.pair(&pair.input.name, &pair.output.name);
        let scopes = scopes(output, known.into_iter().flat_map(|known| &known.scopes));
        let found =
            dead_letters::look(&self.config.state_dir).context("cannot read the dead letters")?;
        let is_it = |found: &&dead_letters::StoredPair| {
            *found.input == *pair.input.name && *found.output == *pair.output.name
        };
        let mut letters = HashSet::new();
        if let Some(found) = found.iter().find(is_it) {
            let position = |letter: &DeadLetter, _| {
                letters.insert(letter.position());
                false
            };
            dead_letters::each(&self.config.state_dir, found, position, |_| true)
                .context("cannot read the dead letters")?;
        }
        let cursor = known.map(|known| known.cursor.clone());
        Ok((Delivered { cursor, letters }, scopes))
    }

    /// The files with events of the selected time, oldest first.
    fn files(&self, pair: &Pair<'_>) -> anyhow::Result<Vec<Listed>> {
        let live = &pair.input.path;
        let beside: Vec<PathBuf> = live.parent().map(PathBuf::from).into_iter().collect();
        let paths = if self.arguments.paths.is_empty() { &beside } else { &self.arguments.paths };
        let mut files = list(paths, live, &self.key)?;
        let nanos = |moment: &Option<crate::cli::times::TimeArg>| {
            moment.as_ref().map(|moment| moment.nanos)
        };
        let Arguments { since, until, .. } = self.arguments;
        let selection =
            Selection { since: nanos(since), until: nanos(until), ..Selection::default() };
        let span = |file: &Listed| Span::new(file.first(), file.rotated());
        files.retain(|file| selection.concerns(file.fingerprint(), span(file)));
        Ok(files)
    }

    fn range(&self) -> Stretch {
        let Arguments { since, until, .. } = self.arguments;
        Stretch {
            since: since.as_ref().map_or(i64::MIN, |since| since.nanos.div_euclid(MILLI)),
            until: until.as_ref().map_or(i64::MAX, |until| until.nanos.div_euclid(MILLI)),
        }
    }

    /// The transform chain of an output.
    ///
    /// # Errors If there is none, which is a bug.
    pub(super) fn chain(&self, pair: &Pair<'_>) -> anyhow::Result<(Arc<Chain>, u64)> {
        Ok(self.transforms.of(&pair.output.name)?.chain())
    }

    /// Passes the events of some files to `take`, with the name of the file, until `take` returns false.
    ///
    /// # Errors Those of `take`.
    pub(super) fn each(
        &self,
        pair: &Pair<'_>,
        files: &[Listed],
        mut take: impl FnMut(&Arc<str>, &mut Batch) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let input = Input::finite(pair.input.clone(), self.key.clone(), files);
        let limits = limits(pair.output, pair.input);
        let whole = Some(Cursor::default());
        let mut reader = input.reader(whole, limits, Duration::ZERO, Large::default());
        while let Some(news) = reader.next() {
            match news {
                ReaderItem::Chunk(mut chunk) => {
                    if !take(&chunk.file, &mut chunk.batch)? {
                        break;
                    }
                }
                ReaderItem::Gap(gap) => {
                    let (file, bytes) = (&*gap.file, gap.bytes);
                    tracing::warn!(file, "{bytes} bytes cannot be read: {}", gap.reason);
                }
                ReaderItem::Started(_) | ReaderItem::Rewound => {}
            }
        }
        Ok(())
    }
}

/// The selected pairs that can be compared.
fn pairs<'a>(config: &'a Config, arguments: &Arguments) -> anyhow::Result<Vec<Pair<'a>>> {
    let Arguments { input, output, paths, .. } = arguments;
    let known = |name: &str| config.outputs.iter().any(|output| *output.name == *name);
    if let Some(name) = output.as_ref().filter(|name| !known(name)) {
        let names = names(config.outputs.iter().map(|output| &output.name));
        return Err(NotAccepted::error(format!("there is no output {name:?}, but {names}")));
    }
    let known = |name: &str| config.logs().any(|input| *input.name == *name);
    if let Some(name) = input.as_ref().filter(|name| !known(name)) {
        let names = names(config.logs().map(|input| &input.name));
        return Err(NotAccepted::error(format!("there is no input {name:?}, but {names}")));
    }
    if !paths.is_empty() && input.is_none() && config.inputs.len() > 1 {
        return Err(NotAccepted::error("say --input with the one whose log PATH is"));
    }
    let mut pairs = Vec::new();
    for to in &config.outputs {
        let asked = output.as_deref().is_none_or(|name| *name == *to.name);
        if !asked || Capabilities::of(&to.kind).comparable == Comparable::No {
            continue;
        }
        let from = inputs_of(config, to);
        let from = from.filter(|one| input.as_deref().is_none_or(|name| *name == *one.name));
        pairs.extend(from.map(|input| Pair { input, output: to }));
    }
    if pairs.is_empty() {
        return Err(NotAccepted::error(
            "nothing to compare: neither a file nor Falco can be asked which events it holds, and no other output takes that input",
        ));
    }
    Ok(pairs)
}
