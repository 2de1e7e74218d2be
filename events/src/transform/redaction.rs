//! The step that redacts secrets (`redact/`).

use super::redact::Redaction;
use super::step::{ActionDetail, EventWork, TransformAction, TransformStep};

impl TransformStep for Redaction {
    const ACTIONS: &'static [TransformAction] = &[TransformAction {
        detail: ActionDetail::Values,
        ..TransformAction::new(Some("redacted"), "redacted")
    }];

    fn edit(&self, work: &mut EventWork<'_>) {
        let before = work.edits.len();
        self.edits(work.record, work.edits, work.scratch);
        work.done.values = work.edits.len() - before;
        if work.done.values > 0 {
            work.did(0);
        }
    }
}
