//! What the running agent looks at again and again, whatever its pipelines do: threads that hang, the last hour, the disk.

use std::time::{Duration, Instant};

use crate::checkpoint::Budget;
use crate::telemetry::{SAMPLE_EVERY, Telemetry, Time};

/// Between two looks at the disk.
const LOOK_AT_DISK: Duration = Duration::from_secs(10);

/// Watches the heartbeats for threads that hang in the file system. Never returns.
pub(super) async fn hangs(telemetry: Telemetry) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        telemetry.look_for_hangs(Instant::now());
    }
}

/// Samples throughput and lag for the chart of the last hour. Never returns.
pub(super) async fn sample(telemetry: Telemetry) {
    let every = sample_every();
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        telemetry.sample(Time::now(), every);
    }
}

/// A debug build takes another time, in milliseconds, from this variable, so that a test need not wait for an hour.
fn sample_every() -> Duration {
    let given = std::env::var("AUDITRAIL_SAMPLE_MILLIS").ok().filter(|_| cfg!(debug_assertions));
    let millis = given.and_then(|text| text.parse().ok()).filter(|millis| *millis > 0);
    millis.map_or(SAMPLE_EVERY, Duration::from_millis)
}

/// Updates the disk usage and the disk budget in the metrics. Never returns.
pub(super) async fn disk(budget: Budget, telemetry: Telemetry) {
    let mut ticks = tokio::time::interval(LOOK_AT_DISK);
    loop {
        ticks.tick().await;
        if let Ok(usage) = budget.usage() {
            telemetry.disk().state_bytes.set(usage.used);
            telemetry.disk().free_bytes.set(usage.free);
        }
        match budget.room(0) {
            Ok(room) => telemetry.disk().set_spent(Time::now(), room.err()),
            Err(error) => tracing::warn!(%error, "cannot look at the disk of the state directory"),
        }
    }
}
