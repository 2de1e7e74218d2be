//! The configuration in force, as far as the status shows it: no credential, no query of a URL.

use serde::{Deserialize, Serialize};

/// What the agent works with at the moment.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct InForce {
    /// The configuration file.
    pub(crate) file: String,
    pub(crate) state_dir: String,
    pub(crate) disk_max_bytes: u64,
    /// As it is written in the configuration: a share or a size.
    pub(crate) disk_min_free: String,
    pub(crate) inputs: Vec<InputInForce>,
    pub(crate) outputs: Vec<OutputInForce>,
}

/// An input's settings.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct InputInForce {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) hold_max_bytes: u64,
    pub(crate) hold_min_free: String,
}

/// An output's settings.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct OutputInForce {
    pub(crate) name: String,
    /// The `type`.
    pub(crate) kind: String,
    /// URLs without user, password and query, or the path of a file.
    pub(crate) endpoints: Vec<String>,
    pub(crate) policy_file: Option<String>,
    /// Whether `where` leaves out events.
    pub(crate) is_filtered: bool,
    /// What is redacted, in a few words.
    pub(crate) redaction: String,
    pub(crate) max_event_bytes: Option<usize>,
}
