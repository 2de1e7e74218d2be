//! Builds inputs, outputs and pipelines from the configuration and the checkpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;

use super::control::DeadLetterControl;
use super::parts::earlier_ids;
use super::wiring::{EarlierState, Shared, Wiring};
use crate::checkpoint::{Ledger, Loaded, Pair, State, Store};
use crate::config::{self, Config, InputKind, SPOOLS};
use crate::disk::{self, above};
use crate::event::{Key, SeenGenerations};
use crate::input::{Input, Large, Reader};
use crate::own_log::OwnLog;
use crate::pipeline::Pipeline;
use crate::receive::{self, Listening, Receiver};
use crate::telemetry::{Telemetry, systemd_fdstore};

/// The sources of the parts.
pub(super) struct AgentBuilder<'a> {
    pub(super) config: &'a Config,
    pub(super) key: Key,
    pub(super) loaded: &'a Loaded,
    pub(super) node: &'a str,
    pub(super) telemetry: &'a Telemetry,
    pub(super) store: &'a Arc<Store>,
    pub(super) shared: Shared<'a>,
    /// The sockets of the webhooks, by input.
    pub(super) listeners: &'a Listeners,
}

/// The listening sockets of the webhooks, by input.
pub(super) type Listeners = HashMap<Arc<str>, Listening>;

/// What was built, in the order of the configuration.
#[derive(Default)]
pub(super) struct AgentParts {
    pub(super) inputs: Vec<Arc<Input>>,
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) ledgers: Vec<Arc<Ledger>>,
    pub(super) letterboxes: Vec<DeadLetterControl>,
    pub(super) receivers: Vec<Receiver>,
}

impl AgentBuilder<'_> {
    /// Builds every input and pipeline. An input starts once all its readers exist.
    pub(super) fn build(&self) -> anyhow::Result<AgentParts> {
        let mut parts = AgentParts::default();
        let large = Large::default();
        let mut stored = systemd_fdstore::take();
        for kind in &self.config.inputs {
            let input_config = kind.log();
            let mut input = Input::new(input_config.clone(), self.key.clone());
            let own_log = open_own_log(input_config)?;
            if let Some(own_log) = &own_log {
                input = input.written_by_us(own_log.committed());
            }
            let seen = self.loaded.state.seen(&input_config.name);
            let moved = Arc::clone(self.shared.moved);
            let name = Arc::clone(&input_config.name);
            input.remember(Arc::new(SeenGenerations::new(name, seen, move || moved.notify_one())));
            let outputs = self
                .config
                .outputs
                .iter()
                .filter(|output| output.inputs.contains(&input_config.name));
            let readers: Vec<_> = outputs
                .map(|output| self.wiring(input_config, output))
                .map(|wiring| (wiring, self.reader(&wiring, &input, &large)))
                .collect();
            let heart = format!("the input {}", input_config.name);
            let heart = self.telemetry.heart_of(&input_config.name, heart);
            tell_saved(
                &input,
                &input_config.name,
                &takers(self.config, input_config),
                &self.loaded.state,
            );
            let names: Vec<_> = self.config.logs().map(|one| Arc::clone(&one.name)).collect();
            input.start(&names, &mut stored, self.telemetry.input(&input_config.name), heart)?;
            let input = Arc::new(input);
            for (wiring, reader) in readers {
                let (pipeline, ledger, letterbox) = self.pipeline(&wiring, &input, reader)?;
                parts.pipelines.push(pipeline);
                parts.ledgers.push(ledger);
                parts.letterboxes.push(letterbox);
            }
            if let (Some(own_log), InputKind::Webhook(webhook)) = (own_log, kind) {
                parts.receivers.push(self.receiver(webhook, own_log, &input)?);
            }
            parts.inputs.push(input);
        }
        tell_left_spools(self.config);
        // Descriptors of inputs that are no longer configured.
        for (name, _) in &stored {
            systemd_fdstore::remove(name);
        }
        Ok(parts)
    }

    /// The receiver of a webhook; starts the thread that writes its spool.
    fn receiver(
        &self,
        webhook: &config::WebhookInput,
        own_log: OwnLog,
        input: &Arc<Input>,
    ) -> anyhow::Result<Receiver> {
        let name = &webhook.log.name;
        // The writing thread does not keep the input alive.
        let reader = Arc::downgrade(input);
        let is_passed =
            move |id| reader.upgrade().is_some_and(|input: Arc<Input>| input.is_passed(id));
        let Some(listening) = self.listeners.get(name) else {
            anyhow::bail!("nobody listens for inputs.{name}");
        };
        Ok(Receiver {
            input: Arc::clone(name),
            listener: listening.listener.try_clone()?,
            access: Arc::clone(&listening.access),
            spool: own_log.start(name, is_passed)?,
            key: self.key.clone(),
            stats: self.telemetry.webhook(name),
            input_stats: self.telemetry.input(name),
        })
    }

    fn wiring<'a>(
        &'a self,
        input: &'a config::FollowedLog,
        output: &'a config::Output,
    ) -> Wiring<'a> {
        let Self { config, node, telemetry, .. } = self;
        let directory = self.store.directory();
        Wiring { config, input, output, node, directory, telemetry, lanes: 1 }
    }

    fn reader(&self, wiring: &Wiring<'_>, input: &Input, large: &Large) -> Reader {
        let (input_name, output_name) = (&wiring.input.name, &wiring.output.name);
        let known = self.loaded.state.pair(input_name, output_name);
        let heart = format!("reading {input_name} for {output_name}");
        wiring
            .reader(input, known.map(|pair| pair.cursor.clone()), large)
            .shown_by(self.telemetry.heart_of(input_name, heart))
    }

    fn pipeline(
        &self,
        wiring: &Wiring<'_>,
        input: &Arc<Input>,
        reader: Reader,
    ) -> anyhow::Result<(Pipeline, Arc<Ledger>, DeadLetterControl)> {
        let (input_name, output_name) = (&wiring.input.name, &wiring.output.name);
        let origin = &self.loaded.origin;
        let known = self.loaded.state.pair(input_name, output_name);
        let ids = earlier_ids(known, origin);
        let new = || Pair {
            input: input_name.to_string(),
            output: output_name.to_string(),
            ..Pair::default()
        };
        let to = Some(wiring.output.kind.destination());
        let pair = Pair { ids: ids.clone(), to, ..known.cloned().unwrap_or_else(new) };
        let output = Arc::new(wiring.output(&ids)?);
        let letters = wiring.letters()?;
        let until = Instant::now() + wiring.settings().timeout;
        let (pipeline, ledger) = wiring.pipeline(
            (Arc::clone(input), reader),
            &output,
            letters.clone(),
            EarlierState { pair, origin, until },
            &self.shared,
        )?;
        let letterbox = DeadLetterControl::new(wiring, letters, known, Some(Arc::clone(&ledger)))?;
        let letterbox = letterbox.with_waits(pipeline.waits());
        Ok((pipeline, ledger, letterbox))
    }
}

/// Listens for each webhook of the configuration.
pub(super) async fn listen_for_webhooks(config: &Config) -> anyhow::Result<Listeners> {
    let mut listeners = HashMap::new();
    for webhook in config.webhooks() {
        listeners.insert(Arc::clone(&webhook.log.name), receive::bind(webhook).await?);
    }
    Ok(listeners)
}

/// Warns of spools whose input the configuration no longer has: their events are not delivered.
fn tell_left_spools(config: &Config) {
    let spools = config.state_dir.join(SPOOLS);
    let Ok(entries) = disk::list(&spools) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_known = |log: &config::FollowedLog| log.spool.is_some() && name == *log.name;
        if !config.logs().any(is_known) {
            tracing::warn!(
                path = %entry.path().display(),
                "a spool belongs to no webhook of the configuration, so its events are not delivered: give the input its name back, or ship the files with `auditrail replay` and remove them"
            );
        }
    }
}

/// Opens the log of an input that the agent writes itself.
fn open_own_log(input: &config::FollowedLog) -> anyhow::Result<Option<OwnLog>> {
    let Some(spool) = &input.spool else { return Ok(None) };
    let directory = above(&input.path);
    let opened = OwnLog::open(directory, spool);
    let opened = opened.with_context(|| format!("cannot open the spool {}", directory.display()));
    opened.map(Some)
}

/// The names of the outputs that take an input.
fn takers(config: &Config, input: &config::FollowedLog) -> Vec<Arc<str>> {
    let takers = config.outputs.iter().filter(|output| output.inputs.contains(&input.name));
    takers.map(|output| Arc::clone(&output.name)).collect()
}

/// Tells each input which positions of its outputs are in a checkpoint. Returns whether an input needs another
/// checkpoint before it can remove links.
pub(super) fn saved(
    config: &Config,
    inputs: &[Arc<Input>],
) -> impl Fn(&State) -> bool + Send + Sync + use<> {
    let named = config.logs().zip(inputs);
    let all: Vec<_> = named
        .map(|(known, input)| (Arc::clone(input), Arc::clone(&known.name), takers(config, known)))
        .collect();
    move |state| {
        let mut more = false;
        for (input, name, outputs) in &all {
            more |= tell_saved(input, name, outputs, state);
        }
        more
    }
}

fn tell_saved(input: &Input, name: &str, outputs: &[Arc<str>], state: &State) -> bool {
    let cursors: Vec<_> =
        outputs.iter().map(|output| state.pair(name, output).map(Pair::needed)).collect();
    input.saved(&cursors)
}
