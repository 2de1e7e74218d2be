//! What was done to the events of a batch on their way to one output.

use super::Nanos;

/// Filled in by `transform`, told by `pipeline`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct TransformStats {
    /// How often the transform had been replaced by then: read again after that, a batch may hold other events.
    pub(crate) revision: u64,
    /// Times of the first and last event that were read, left out or not, and how many there were.
    pub(crate) first: Option<Nanos>,
    pub(crate) last: Option<Nanos>,
    pub(crate) read: u64,
    /// Events left out by the policy, and by `where`.
    pub(crate) dropped: u64,
    pub(crate) filtered: u64,
    /// Events that a policy lowered to another level.
    pub(crate) lowered: u64,
    /// Events of which something was blanked.
    pub(crate) redacted: u64,
    /// Events that were cut to the size that the output takes.
    pub(crate) shrunk: u64,
    /// Events kept because `where` fails on them.
    pub(crate) undecided: u64,
    /// Why, of the last of these.
    pub(crate) problem: Option<String>,
}
