//! A finite list of files (replay): it ends, a selection can leave events out, and the results are counted by file.

use std::sync::Arc;

use super::Pipeline;
use crate::pipeline::counts::Counts;
use crate::pipeline::selection::Selection;

impl Pipeline {
    /// Ships the selected events only.
    pub(crate) fn selecting(self, selection: Arc<Selection>) -> Self {
        Self { selection: Some(selection), ..self }
    }

    /// Counts the results of each generation.
    pub(crate) fn counting(mut self, counts: Arc<Counts>) -> Self {
        // No delivery runs yet, so nobody else holds the context.
        if let Some(context) = Arc::get_mut(&mut self.context) {
            context.tell.count(counts);
        }
        self
    }

    /// Whether everything that was read is settled.
    pub(super) fn is_settled(&self) -> bool {
        self.parked.is_none()
            && self.acks.is_empty()
            && self.gaps.is_empty()
            && self.tasks.is_empty()
    }
}
