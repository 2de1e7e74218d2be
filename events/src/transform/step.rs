//! What every transform step has: its actions, and what it does to one event.

use super::cuts::Cuts;
use super::edit::Edits;
use super::level::Level;
use super::redact::Scratch;
use crate::event::{Record, TRANSFORM_ACTIONS};

/// Something that a step does to an event.
pub struct TransformAction {
    /// The value of the label `action` that counts it in the metrics.
    pub label: Option<&'static str>,
    /// Its line in the preview.
    pub(super) line: &'static str,
    pub(super) detail: ActionDetail,
}

/// What the preview shows beside the number of events.
pub(super) enum ActionDetail {
    Nothing,
    /// The number of redacted values.
    Values,
    /// The parts that were cut.
    Cuts,
}

impl TransformAction {
    pub(super) const fn new(label: Option<&'static str>, line: &'static str) -> Self {
        Self { label, line, detail: ActionDetail::Nothing }
    }
}

/// A step of the chain. The methods of all steps run in the order of the table: first each `keeps`, then each `edit`;
/// then the edits are applied, and each `finish` follows.
pub(super) trait TransformStep {
    const ACTIONS: &'static [TransformAction];

    /// Whether the event leaves the node. The step sees it as the API server wrote it.
    fn keeps(&self, _: &mut EventWork<'_>) -> bool {
        true
    }

    /// Adds edits to the line.
    fn edit(&self, _: &mut EventWork<'_>) {}

    /// Changes the line after all edits.
    fn finish(&self, _: &mut EventWork<'_>) {}
}

/// One event on its way through the steps.
pub(super) struct EventWork<'a> {
    pub(super) record: &'a Record<'a>,
    /// The policy lowers the event to this level.
    pub(super) lower_to: Option<Level>,
    /// The policy removes `managedFields` from the event.
    pub(super) omit_managed_fields: bool,
    pub(super) edits: &'a mut Edits,
    /// The new lines of a batch, one after the other. The line of this event begins at `begin`.
    pub(super) changed: &'a mut Vec<u8>,
    pub(super) begin: usize,
    /// The event has a new line.
    pub(super) is_changed: bool,
    pub(super) scratch: &'a mut Scratch,
    /// The latest reason why `where` failed.
    pub(super) problem: &'a mut Option<String>,
    /// The index of the first action of the running step among those of all steps.
    pub(super) first_action: usize,
    pub(super) done: Done,
}

impl EventWork<'_> {
    /// Records that the running step did this, by the index among its own actions.
    pub(super) fn did(&mut self, action: usize) {
        self.done.add(self.first_action + action);
    }
}

// One bit of `Done::actions` for each.
const _: () = assert!(TRANSFORM_ACTIONS <= u16::BITS as usize);

/// What the steps did to one event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) actions: u16,
    /// Number of values that redaction replaced.
    pub(super) values: usize,
    pub(super) cuts: Cuts,
    /// The fields of the new line have to be found anew.
    pub(super) parse_again: bool,
}

impl Done {
    pub(super) fn add(&mut self, action: usize) {
        self.actions |= 1 << action;
    }

    pub(super) fn has(self, action: usize) -> bool {
        self.actions >> action & 1 == 1
    }

    /// Counts each action once.
    pub(super) fn count(self, counts: &mut [u64; TRANSFORM_ACTIONS]) {
        let mut rest = self.actions;
        while rest != 0 {
            counts[rest.trailing_zeros() as usize] += 1;
            rest &= rest - 1;
        }
    }
}
