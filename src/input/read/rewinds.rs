//! A request to a reader to go back to a cursor, from the pipeline that it reads for.

use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Cursor;

/// Shared by a reader and its pipeline.
#[derive(Clone, Default)]
pub(crate) struct Rewinds(Arc<Mutex<Option<Cursor>>>);

impl Rewinds {
    /// Asks the reader to go back. It does so within a second, and then returns [`super::chunk::ReaderItem::Rewound`].
    pub(crate) fn ask(&self, cursor: Cursor) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cursor);
    }

    pub(super) fn take(&self) -> Option<Cursor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
