//! Builds inputs, outputs and pipelines from the configuration and the checkpoint.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::control::DeadLetterControl;
use super::parts::{earlier_ids, letters, limits, meter, open_file, output, settings};
use super::transforms::Transforms;
use crate::checkpoint::{Ledger, Loaded, Origin, Pair, State, Store};
use crate::config::{self, Config};
use crate::event::{Key, SeenGenerations};
use crate::input::{Input, Large, Reader};
use crate::output::Queryable;
use crate::pipeline::{InDoubt, Lives, Pipeline};
use crate::telemetry::{Telemetry, systemd_fdstore};

/// The sources of the parts.
pub(super) struct AgentBuilder<'a> {
    pub(super) config: &'a Config,
    pub(super) key: Key,
    pub(super) loaded: &'a Loaded,
    pub(super) node: &'a str,
    pub(super) transforms: &'a Transforms,
    pub(super) telemetry: &'a Telemetry,
    pub(super) store: &'a Arc<Store>,
    pub(super) moved: &'a Arc<Notify>,
    pub(super) lives: Arc<Lives>,
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
        for input_config in &self.config.inputs {
            let mut input = Input::new(input_config.clone(), self.key.clone());
            let seen = self.loaded.state.seen(&input_config.name);
            let moved = Arc::clone(self.moved);
            let name = Arc::clone(&input_config.name);
            input.remember(Arc::new(SeenGenerations::new(name, seen, move || moved.notify_one())));
            let outputs = self
                .config
                .outputs
                .iter()
                .filter(|output| output.inputs.contains(&input_config.name));
            let readers: Vec<_> = outputs
                .map(|output| (output, self.reader(&input, input_config, output, &large)))
                .collect();
            let heart = format!("the input {}", input_config.name);
            let heart = self.telemetry.heart_of(&input_config.name, heart);
            tell_saved(
                &input,
                &input_config.name,
                &takers(self.config, input_config),
                &self.loaded.state,
            );
            let names: Vec<_> =
                self.config.inputs.iter().map(|one| Arc::clone(&one.name)).collect();
            input.start(&names, &mut stored, self.telemetry.input(&input_config.name), heart)?;
            let input = Arc::new(input);
            for (output_config, reader) in readers {
                let (pipeline, ledger, letterbox) =
                    self.pipeline(&input, reader, &input_config.name, output_config)?;
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

    fn reader(
        &self,
        input: &Input,
        input_config: &config::FileInput,
        output: &config::Output,
        large: &Large,
    ) -> Reader {
        let known = self.loaded.state.pair(&input_config.name, &output.name);
        let heart = format!("reading {} for {}", input_config.name, output.name);
        input
            .reader(
                known.map(|pair| pair.cursor.clone()),
                limits(output, input_config),
                output.batch.max_age,
                large.clone(),
            )
            .shown_by(self.telemetry.heart_of(&input_config.name, heart))
    }

    fn pipeline(
        &self,
        input: &Arc<Input>,
        reader: Reader,
        input_name: &Arc<str>,
        output_config: &config::Output,
    ) -> anyhow::Result<(Pipeline, Arc<Ledger>, DeadLetterControl)> {
        let names = (Arc::clone(input_name), Arc::clone(&output_config.name));
        let known = self.loaded.state.pair(&names.0, &names.1);
        let ids = earlier_ids(known, &self.loaded.origin);
        let new =
            || Pair { input: names.0.to_string(), output: names.1.to_string(), ..Pair::default() };
        let to = Some(output_config.kind.destination());
        let pair = Pair { ids: ids.clone(), to, ..known.cloned().unwrap_or_else(new) };
        let stats = self.telemetry.pair(&names.0, &names.1);
        let output = output(self.config, output_config, self.node, &names.0, &ids)?;
        let output = output.metered(meter(stats));
        let settings = settings(self.config, output_config);
        let doubts = InDoubt::new(
            &pair,
            &self.loaded.origin,
            &output.scope(),
            Instant::now() + settings.timeout,
        );
        let mut books = Pair { reserved: doubts.reserved(), ..pair };
        let moved = Arc::clone(self.moved);
        let (ledger, doubts) = if let Some(file) = output.cut_back() {
            open_file(file, &mut books)?;
            let file = file.clone();
            let doubts = InDoubt::new(&books, &Origin::Current, "", Instant::now());
            (Ledger::of_file(books, moved, move || file.sync()), doubts)
        } else {
            let ids = output.queryable().and_then(Queryable::id_scheme);
            (Ledger::new(books, output.scope(), ids, moved), doubts)
        };
        let ledger = Arc::new(ledger);
        let letters = letters(self.store.directory(), self.config, &names.0, &names.1)?;
        let letterbox = DeadLetterControl::new(
            self.config,
            output_config,
            self.node,
            &names.0,
            letters.clone(),
            known,
            Some(Arc::clone(&ledger)),
            self.telemetry,
        )?;
        let pipeline = Pipeline::new(
            Arc::clone(input),
            (reader, self.transforms.of(&output_config.name)?),
            Arc::new(output),
            names,
            letters,
            Arc::clone(&ledger),
            doubts,
            settings,
            Arc::clone(&self.lives),
            self.telemetry,
        );
        let letterbox = letterbox.with_waits(pipeline.waits());
        Ok((pipeline, ledger, letterbox))
    }
}

/// The names of the outputs that take an input.
fn takers(config: &Config, input: &config::FileInput) -> Vec<Arc<str>> {
    let takers = config.outputs.iter().filter(|output| output.inputs.contains(&input.name));
    takers.map(|output| Arc::clone(&output.name)).collect()
}

/// Tells each input which positions of its outputs are in a checkpoint. Returns whether an input needs another
/// checkpoint before it can remove links.
pub(super) fn saved(
    config: &Config,
    inputs: &[Arc<Input>],
) -> impl Fn(&State) -> bool + Send + Sync + use<> {
    let named = config.inputs.iter().zip(inputs);
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
        outputs.iter().map(|output| state.pair(name, output).map(|pair| &pair.cursor)).collect();
    input.saved(&cursors)
}
