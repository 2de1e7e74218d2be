//! The arguments that select dead letters.

use clap::Args;

use crate::agent::control;

#[derive(Args, Clone, Debug)]
pub(super) struct Selector {
    /// Only of this input
    #[arg(long, value_name = "NAME")]
    pub(super) input: Option<String>,
    /// Only of this output
    #[arg(long, value_name = "NAME")]
    pub(super) output: Option<String>,
    /// Only the dead letters with these ids
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
}

impl From<&Selector> for control::Selector {
    fn from(which: &Selector) -> Self {
        let ids = Some(which.ids.clone()).filter(|ids| !ids.is_empty());
        Self { input: which.input.clone(), output: which.output.clone(), ids }
    }
}
