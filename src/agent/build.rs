//! Builds inputs, outputs and pipelines from the configuration and the checkpoint.

use std::sync::Arc;
use std::time::Instant;

use super::control::DeadLetterControl;
use super::parts::earlier_ids;
use super::wiring::{EarlierState, Shared, Wiring};
use crate::checkpoint::{Ledger, Loaded, Pair, State, Store};
use crate::config::{self, Config};
use crate::event::{Key, SeenGenerations};
use crate::input::{Input, Large, Reader};
use crate::pipeline::Pipeline;
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
}

pub(super) type AgentParts =
    (Vec<Arc<Input>>, Vec<Pipeline>, Vec<Arc<Ledger>>, Vec<DeadLetterControl>);

impl AgentBuilder<'_> {
    /// Builds every input and pipeline. An input starts once all its readers exist.
    pub(super) fn build(&self) -> anyhow::Result<AgentParts> {
        let (mut inputs, mut pipelines, mut ledgers) = (Vec::new(), Vec::new(), Vec::new());
        let mut letterboxes = Vec::new();
        let large = Large::default();
        let mut stored = systemd_fdstore::take();
        for input_config in self.config.logs() {
            let mut input = Input::new(input_config.clone(), self.key.clone());
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
                pipelines.push(pipeline);
                ledgers.push(ledger);
                letterboxes.push(letterbox);
            }
            inputs.push(input);
        }
        // Descriptors of inputs that are no longer configured.
        for (name, _) in &stored {
            systemd_fdstore::remove(name);
        }
        Ok((inputs, pipelines, ledgers, letterboxes))
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
