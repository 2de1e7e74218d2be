//! Resends and drops dead letters while no agent runs.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;

use super::control::{self, ControlReply, ControlRequest, DeadLetterControl};
use super::parts;
use super::wiring::Wiring;
use crate::checkpoint::{CheckpointError, Store};
use crate::config::Config;
use crate::dead_letters;

/// Carries out a request under the lock of the state directory, and passes each reply to `each`.
///
/// # Errors If the request needs an agent, or if an agent holds the lock.
pub(crate) fn serve(
    config: &Config,
    asking: &ControlRequest,
    each: &mut dyn FnMut(ControlReply),
) -> anyhow::Result<()> {
    if matches!(asking, ControlRequest::SetAside { .. }) {
        bail!(
            "no agent runs on {}: start it, and then run this command again to put the waiting events aside",
            config.state_dir.display()
        );
    }
    if dead_letters::look(&config.state_dir).context("cannot read the dead letters")?.is_empty() {
        each(ControlReply::End);
        return Ok(());
    }
    let _lock = match Store::open(&config.state_dir) {
        Err(CheckpointError::Locked { path }) => bail!(
            "an agent uses {} and does not answer (it may be starting or ending): try again",
            path.display()
        ),
        other => other?,
    };
    let controls = controls(config)?;
    let runtime = parts::runtime(1)?;
    runtime.block_on(async {
        let (answers, mut said) = mpsc::channel(16);
        let work = control::serve(&controls, asking, &answers);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                Some(said) = said.recv() => each(said),
                () = &mut work => break,
            }
        }
        while let Ok(rest) = said.try_recv() {
            each(rest);
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// One control for each input and output of the configuration.
fn controls(config: &Config) -> anyhow::Result<Vec<DeadLetterControl>> {
    let directory = config.state_dir.as_path();
    let loaded = Store::load(directory)?;
    let node = parts::node_name(config, &loaded.state.node)?;
    let telemetry = parts::telemetry(config, &node);
    let mut controls = Vec::new();
    for output in &config.outputs {
        for input in parts::inputs_of(config, output) {
            let wiring = Wiring {
                config,
                input,
                output,
                node: &node,
                directory,
                telemetry: &telemetry,
                lanes: 1,
            };
            let known = loaded.state.pair(&input.name, &output.name);
            controls.push(DeadLetterControl::new(&wiring, wiring.letters()?, known, None)?);
        }
    }
    Ok(controls)
}
