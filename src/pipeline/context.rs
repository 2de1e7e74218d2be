//! What all deliveries of a pipeline share, and the settings of a pipeline.

use std::sync::Arc;
use std::time::Duration;

use super::in_flight::Slots;
use super::lives::Lives;
use super::recovery::RecoveryGrace;
use super::refusals::RefusalHandling;
use super::reporter::Reporter;
use super::waits::Waits;
use crate::config::Retry;
use crate::event::{Batch, FileMark};
use crate::output::{EventRef, File, Output};

/// The configuration of one pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) in_flight: usize,
    pub(crate) retry: Retry,
    pub(crate) max_bytes_per_second: Option<u64>,
    /// Of one request.
    pub(crate) timeout: Duration,
    pub(crate) drain_timeout: Duration,
    /// `None`: no heartbeats.
    pub(crate) heartbeat: Option<HeartbeatSettings>,
}

/// When to send heartbeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeartbeatSettings {
    /// Length of a slot.
    pub(crate) every: Duration,
    /// As for the verdict on the trail: how long an output may be unreachable.
    pub(crate) unready_after: Duration,
}

/// Shared by all deliveries of a pipeline.
pub(super) struct DeliveryContext {
    pub(super) output: Arc<Output>,
    pub(super) refusals: RefusalHandling,
    pub(super) reporter: Reporter,
    /// Of one request. After this time the request cannot be in flight any more.
    pub(super) timeout: Duration,
    pub(super) recovery: RecoveryGrace,
    pub(super) slots: Slots,
    pub(super) lives: Arc<Lives>,
    pub(super) waits: Arc<Waits>,
}

impl DeliveryContext {
    pub(super) fn new(
        output: Arc<Output>,
        refusals: RefusalHandling,
        reporter: Reporter,
        settings: &Settings,
        lives: Arc<Lives>,
    ) -> Self {
        Self {
            waits: Waits::new(Arc::clone(&reporter.stats)),
            output,
            refusals,
            reporter,
            timeout: settings.timeout,
            recovery: RecoveryGrace::default(),
            slots: Slots::new(settings.in_flight),
            lives,
        }
    }

    /// The output has acknowledged these events, or holds them already.
    pub(super) fn delivered(&self, batch: &Batch, picks: &[EventRef]) {
        if !picks.is_empty() {
            self.refusals.delivered(batch, picks);
            self.reporter.delivered(batch, picks);
        }
    }

    /// Whether the output keeps events and gaps in the order in which they are sent.
    pub(super) fn is_ordered(&self) -> bool {
        self.output.capabilities().ordered
    }

    /// Sequence number and length of the output file, for the checkpoint.
    pub(super) fn file_mark(&self) -> Option<FileMark> {
        self.output.cut_back().map(File::mark)
    }
}
