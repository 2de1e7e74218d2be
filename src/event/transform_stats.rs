//! Statistics of the transform: what it did to the events of a batch for one output.

use super::Nanos;

/// The transform steps have at most this many actions.
pub(crate) const TRANSFORM_ACTIONS: usize = 16;

/// The `transform` room fills it in; `pipeline` reports it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct TransformStats {
    /// How often the transform configuration had been reloaded by then. If the batch is read again after a reload, it
    /// may hold other events.
    pub(crate) revision: u64,
    /// Times of the first and last event read, dropped or not, and the number of events read.
    pub(crate) first: Option<Nanos>,
    pub(crate) last: Option<Nanos>,
    pub(crate) read: u64,
    /// Events that a step dropped.
    pub(crate) left_out: u64,
    /// Events by action of a step; the table is in the `transform` room.
    pub(crate) actions: [u64; TRANSFORM_ACTIONS],
    /// The error of the last event on which evaluating `where` failed.
    pub(crate) problem: Option<String>,
}
