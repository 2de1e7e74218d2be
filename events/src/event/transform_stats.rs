//! Statistics of the transform: what it did to the events of a batch for one output.

use super::Nanos;

/// The transform steps have at most this many actions.
pub const TRANSFORM_ACTIONS: usize = 16;

/// The `transform` room fills it in; `pipeline` reports it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TransformStats {
    /// How often the transform configuration had been reloaded by then. If the batch is read again after a reload, it
    /// may hold other events.
    pub revision: u64,
    /// Time of the first event read, dropped or not.
    pub first: Option<Nanos>,
    /// Time of the last event read.
    pub last: Option<Nanos>,
    /// Number of events read.
    pub read: u64,
    /// Events that a step dropped.
    pub left_out: u64,
    /// Events by action of a step; the table is in the `transform` room.
    pub actions: [u64; TRANSFORM_ACTIONS],
    /// The error of the last event on which evaluating `where` failed.
    pub problem: Option<String>,
}
