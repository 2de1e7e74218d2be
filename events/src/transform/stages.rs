//! Drops events of some stages, like `omitStages` of a policy.

use super::step::{EventWork, TransformAction, TransformStep};
use crate::event::RecordKind;

/// The step that drops them.
pub struct OmitStages(
    /// As in the events: `RequestReceived`.
    pub Vec<String>,
);

impl TransformStep for OmitStages {
    const ACTIONS: &'static [TransformAction] =
        &[TransformAction::new(Some("stage_omitted"), "left out by omit_stages")];

    fn keeps(&self, work: &mut EventWork<'_>) -> bool {
        let event = work.record.event;
        // A torn event stays: nothing else may be left of it.
        let omitted = event.whole == RecordKind::Event
            && work
                .record
                .text(event.fields.stage)
                .is_some_and(|stage| self.0.iter().any(|omitted| **omitted == *stage));
        if omitted {
            work.did(0);
        }
        !omitted
    }
}
