//! `check --sample`: a dry run of each output's transform on a recorded log, with counts and examples.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::outcome::{ExitCode, print};
use super::recorded::{files, read};
use crate::agent::transforms::chain;
use crate::checkpoint::Store;
use crate::config::Config;
use crate::event::Batch;
use crate::transform::TransformPreview;

/// Examples for each step of the transform.
const EXAMPLES: usize = 2;
/// Reads the log once for all outputs, and sends nothing.
pub(super) fn sample(config: &Config, path: &Path) -> anyhow::Result<ExitCode> {
    let key = Store::key_of(&config.state_dir);
    let files = files(path, &key)?;
    let mut outputs = Vec::new();
    for output in &config.outputs {
        outputs.push((&output.name, chain(output, &key)?, TransformPreview::new(EXAMPLES)));
    }
    for file in &files {
        let each = |batch: Batch| {
            for (_, chain, tally) in &mut outputs {
                chain.try_out(&batch, tally);
            }
            true
        };
        read(file, each).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let mut text = String::new();
    for (name, _, tally) in &outputs {
        let _ = writeln!(text, "outputs.{name}\n{tally}\n");
    }
    print(&format!("{}\n", text.trim_end()));
    Ok(ExitCode::Done)
}
