//! Tells systemd that the agent is ready, how it is, that it is ending, and that it is alive. Without systemd, nothing.
//!
//! Protocol: `sd_notify(3)`. A message that cannot be sent is logged once; the agent works on without.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::{Say, Snapshot, Telemetry, Time, human};

/// How often the status line is brought up to date where no watchdog asks for more.
const REFRESH: Duration = Duration::from_secs(10);

/// Everything is open and followed; units ordered after this one may start.
pub(crate) fn ready() {
    send(&[NotifyState::Ready]);
}

/// The end has begun; it may take as long as draining does.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Sends the status line when it changes, and the watchdog its pings, as long as no loop is stuck. Never returns.
pub(crate) async fn report(telemetry: Telemetry, unready_after: Duration) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return std::future::pending().await;
    }
    let watchdog = sd_notify::watchdog_enabled();
    // Half of it, as `sd_watchdog_enabled(3)` advises; never so short that the timer spins.
    let pause =
        watchdog.map_or(REFRESH, |limit| (limit / 2).clamp(Duration::from_millis(10), REFRESH));
    let mut ticks = tokio::time::interval(pause);
    let mut said = String::new();
    let mut stuck_said = Say::every(Duration::from_secs(300));
    loop {
        ticks.tick().await;
        let stuck = telemetry.liveness(Instant::now());
        let alive = stuck.is_empty();
        if !alive && stuck_said.now(stuck.clone(), Instant::now()).is_some() {
            tracing::error!(stuck = stuck.join("; "), "no watchdog ping: the agent is stuck");
        }
        let status = line(&telemetry.snapshot(Time::now(), unready_after));
        let mut states = Vec::with_capacity(2);
        if status != said {
            states.push(NotifyState::Status(&status));
        }
        if alive && watchdog.is_some() {
            states.push(NotifyState::Watchdog);
        }
        if !states.is_empty() {
            send(&states);
        }
        said = status;
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot reach systemd");
    }
}

/// What `systemctl status` shows.
fn line(snapshot: &Snapshot) -> String {
    let lag = snapshot.pairs.iter().map(|pair| pair.lag_bytes).max().unwrap_or(0);
    match snapshot.reasons.as_slice() {
        [] => format!(
            "ready, {} waiting at most for {} pipelines",
            human::size(lag),
            snapshot.pairs.len()
        ),
        [only] => format!("not ready: {only}"),
        [first, rest @ ..] => format!("not ready: {first} (and {} more)", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, busy};
    use super::*;

    #[test]
    fn systemctl_status_says_the_first_thing_that_is_wrong_and_how_many_there_are() {
        let minute = Duration::from_secs(60);
        let telemetry = busy();
        let status = line(&telemetry.snapshot(at(60), minute));
        assert!(
            status.starts_with("not ready: output search of input apiserver has taken nothing"),
            "{status}"
        );
        assert!(status.ends_with("(and 1 more)"), "{status}");
        for output in ["search", "archive"] {
            telemetry.pair("apiserver", output).running();
        }
        let status = line(&telemetry.snapshot(at(60), minute));
        assert_eq!(status, "ready, 24 MiB waiting at most for 3 pipelines");
    }
}
