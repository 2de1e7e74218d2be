//! What is particular to a finite list of files: it ends, some of it may be left out, and it is counted by file.

use std::sync::Arc;

use super::Pipeline;
use crate::pipeline::counts::Counts;
use crate::pipeline::selection::Selection;

impl Pipeline {
    /// Ships what is selected, and nothing else of what is read.
    pub(crate) fn selecting(self, selection: Arc<Selection>) -> Self {
        Self { selection: Some(selection), ..self }
    }

    /// Counts what becomes of the events of each generation.
    pub(crate) fn counting(mut self, counts: Arc<Counts>) -> Self {
        // Nothing is under way yet, so nobody else holds it.
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
