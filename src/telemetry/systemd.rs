//! Notifies systemd (`sd_notify(3)`): ready, status line, reloading, stopping, and watchdog pings. Does nothing
//! without systemd.
//!
//! If a message cannot be sent, one log line says so and the agent works on.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::{LogLimiter, Snapshot, Telemetry, Time};

/// How often the status line is refreshed if no watchdog asks for more.
const REFRESH: Duration = Duration::from_secs(10);

/// Everything is open and followed; systemd may start the units ordered after this one.
pub(crate) fn ready() {
    send(&[NotifyState::Ready]);
}

/// A reload has begun; [`ready`] ends it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic clock"),
    }
}

/// The shutdown has begun; it may take as long as the drain does.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Sends the status line when it changes, and watchdog pings as long as no loop is stuck. Never returns.
pub(crate) async fn report(telemetry: Telemetry, unready_after: Duration) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return std::future::pending().await;
    }
    let watchdog = sd_notify::watchdog_enabled();
    // Half the watchdog's limit, as `sd_watchdog_enabled(3)` advises; never so short that the timer spins.
    let pause =
        watchdog.map_or(REFRESH, |limit| (limit / 2).clamp(Duration::from_millis(10), REFRESH));
    let mut ticks = tokio::time::interval(pause);
    let mut said = String::new();
    let mut stuck_said = LogLimiter::every(Duration::from_mins(5));
    loop {
        ticks.tick().await;
        let mut news = Vec::with_capacity(2);
        let stuck = telemetry.liveness(Instant::now());
        if watchdog.is_some() && stuck.is_empty() {
            news.push(NotifyState::Watchdog);
        }
        if stuck_said.now(!stuck.is_empty(), Instant::now()).is_some() && !stuck.is_empty() {
            tracing::error!(
                stuck = stuck.join("; "),
                "a loop of the agent is stuck, so systemd gets no watchdog ping"
            );
        }
        let status = line(&telemetry.snapshot(Time::now(), unready_after));
        if status != said {
            news.push(NotifyState::Status(&status));
        }
        if !news.is_empty() {
            send(&news);
        }
        said = status;
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot reach systemd");
    }
}

/// The status line in `systemctl status`: the verdict on the trail, and how many more problems there are.
fn line(snapshot: &Snapshot) -> String {
    let verdict = snapshot.verdict.as_ref().map(ToString::to_string).unwrap_or_default();
    match snapshot.reasons.len() {
        0 | 1 => verdict,
        several => format!("{verdict} (and {} more)", several - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, busy};
    use super::*;

    /// Runs in a process of its own, because `NOTIFY_SOCKET` belongs to the whole process.
    #[tokio::test]
    #[ignore = "started by the test below"]
    async fn unit() {
        let telemetry = busy();
        let _turning = telemetry.heart("pipeline");
        ready();
        let reports = report(telemetry, Duration::from_mins(1));
        assert!(tokio::time::timeout(Duration::from_secs(1), reports).await.is_err());
        stopping();
    }

    #[test]
    fn systemd_hears_ready_then_status_and_pings_at_half_the_watchdog_then_stopping() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let unit = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "telemetry::systemd::tests::unit"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "400000")
            .env_remove("WATCHDOG_PID")
            .output()
            .unwrap();
        assert!(unit.status.success(), "{unit:?}");
        socket.set_nonblocking(true).unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer) {
            heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        assert_eq!(heard[0], "READY=1\n");
        assert!(heard[1].contains("STATUS=stopped since "), "{heard:?}");
        assert_eq!(heard.last().unwrap(), "STOPPING=1\n");
        let pings = heard.iter().filter(|message| message.contains("WATCHDOG=1")).count();
        assert!((3..=6).contains(&pings), "{pings} pings in a second: {heard:?}");
        let statuses = heard.iter().filter(|message| message.contains("STATUS=")).count();
        assert!(statuses < pings, "a status is sent when it changes: {heard:?}");
    }

    #[test]
    fn systemctl_status_says_the_first_thing_that_is_wrong_and_how_many_there_are() {
        let minute = Duration::from_mins(1);
        let telemetry = busy();
        let status = line(&telemetry.snapshot(at(60), minute));
        assert!(
            status.starts_with("stopped since 2025-11-21T07:58:55Z: output search of input apiserver has taken nothing"),
            "{status}"
        );
        assert!(status.ends_with("(and 1 more)"), "{status}");
        for output in ["search", "archive"] {
            telemetry.pair("apiserver", output).running();
        }
        let status = line(&telemetry.snapshot(at(60), minute));
        assert!(
            status.starts_with("holes since ") && status.contains("lacks a part of the log"),
            "{status}"
        );
        assert!(!status.ends_with("more)"), "{status}");
    }
}
