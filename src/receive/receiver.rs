//! The receiver of one input, and the state of its spool for the operator.

use std::sync::Arc;

use super::access::Access;
use crate::event::Key;
use crate::own_log::Appender;
use crate::telemetry::{FindingKind, InputFinding, InputStats, WebhookStats};

/// Without room for so many bytes, the spool counts as full.
const LEAST: u64 = 1 << 16;

/// The receiver of one input.
pub(crate) struct Receiver {
    /// The input's name.
    pub(crate) input: Arc<str>,
    pub(crate) listener: std::net::TcpListener,
    pub(crate) access: Arc<Access>,
    pub(crate) spool: Appender,
    pub(crate) key: Key,
    pub(crate) stats: Arc<WebhookStats>,
    pub(crate) input_stats: Arc<InputStats>,
}

impl Receiver {
    /// Shows how full the spool is, and whether it takes events.
    pub(super) fn show_space(&self) {
        let space = self.spool.space();
        self.stats.spool_bytes.set(space.used());
        self.stats.spool_max_bytes.set(space.max_bytes());
        let kind = FindingKind::SpoolRefuses;
        let refuses = space.room(LEAST).err().map(|what| {
            let hint = "mend what is named; senders try for 80 seconds at least, and then drop their events";
            InputFinding::failure(kind, what, hint)
        });
        self.input_stats.set_finding(kind, refuses);
    }
}
