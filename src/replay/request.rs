//! What a replay is asked for.

use std::path::PathBuf;

use super::shard::Shard;
use crate::event::Nanos;
use crate::pipeline::Ranges;

/// Means standard input, as a path.
pub(super) const STDIN: &str = "-";

/// What to ship, and to which outputs.
#[derive(Debug, Default)]
pub(crate) struct ReplayRequest {
    /// The node whose log it is; `node` of the configuration if `None`.
    pub(crate) node: Option<String>,
    /// The input whose log it is, if there are several.
    pub(crate) input: Option<String>,
    /// Empty: all outputs that take the input.
    pub(crate) outputs: Vec<String>,
    pub(crate) since: Option<TimeLimit>,
    pub(crate) until: Option<TimeLimit>,
    /// A CEL expression that every event has to match.
    pub(crate) filter: Option<String>,
    pub(crate) shard: Option<Shard>,
    /// Of each output.
    pub(crate) max_bytes_per_second: Option<u64>,
    /// Ship even to outputs that cannot be queried: at least once, duplicates are possible.
    pub(crate) at_least_once: bool,
    /// Files, directories, or [`STDIN`] alone.
    pub(crate) paths: Vec<PathBuf>,
    /// Only the events at these positions.
    pub(crate) only: Option<Ranges>,
}

/// A limit of the event time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TimeLimit {
    pub(crate) nanos: Nanos,
    /// As it was typed. An age such as `24h` selects other events each time, but continues the same replay.
    pub(crate) text: String,
}

impl ReplayRequest {
    pub(super) fn is_stdin(&self) -> bool {
        self.paths.iter().any(|path| path.as_os_str() == STDIN)
    }
}
