//! Where a look-up searches for events, as the checkpoint keeps it.

use serde::{Deserialize, Serialize};

use crate::output::QueryError;
use crate::output::http::excerpt;

/// Where events were sent to: tenant and stream selector.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Scope {
    pub(super) tenant: String,
    pub(super) selector: String,
}

impl Scope {
    /// Parses the text of [`Scope::to_text`]. What cannot be parsed cannot be queried.
    pub(super) fn of_text(text: &str) -> Result<Self, QueryError> {
        let unknown = |_| QueryError::Unavailable {
            answer: format!("the checkpoint names an unknown scope: {}", excerpt(text.as_bytes())),
        };
        serde_json::from_str(text).map_err(unknown)
    }

    pub(super) fn to_text(&self) -> String {
        // A struct of two strings can always be serialised.
        serde_json::to_string(self).unwrap_or_default()
    }
}
