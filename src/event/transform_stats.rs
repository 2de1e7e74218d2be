//! Statistics of the transform: what it did to the events of a batch for one output.

use super::Nanos;

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
    /// Events dropped by the policy (`dropped`) and by `where` (`filtered`).
    pub(crate) dropped: u64,
    pub(crate) filtered: u64,
    /// Events that a policy lowered to another level.
    pub(crate) lowered: u64,
    /// Events in which something was redacted.
    pub(crate) redacted: u64,
    /// Events shortened to the size limit of the output.
    pub(crate) shrunk: u64,
    /// Events kept because evaluating `where` failed on them.
    pub(crate) undecided: u64,
    /// The error of the last of these.
    pub(crate) problem: Option<String>,
}
