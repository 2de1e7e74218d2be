//! Signal handling: SIGTERM and Ctrl-C start the graceful shutdown (drain); a second signal exits at once. Each
//! pipeline drains in `pipeline/run.rs`.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Listens for a signal, which from then on no longer ends the process.
///
/// # Errors If the system has no room for it.
pub(crate) fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot listen for signals")
}

/// On SIGTERM or Ctrl-C starts a graceful shutdown, which waits for requests in flight; a second signal exits at
/// once. Listens until the task is aborted.
///
/// # Errors Those of [`listen`].
pub(crate) fn stop_on_signal(stop: watch::Sender<bool>) -> anyhow::Result<JoinHandle<()>> {
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        let mut stops = Stops::default();
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            match stops.next(Instant::now()) {
                Meaning::Drain => {
                    tracing::info!("received {name}, draining: waiting for requests in flight");
                    stop.send_replace(true);
                }
                Meaning::Repeated => {}
                Meaning::Exit => {
                    tracing::warn!(
                        "received {name} again, exiting now: unacknowledged requests are verified at the next start"
                    );
                    std::process::exit(FAILED);
                }
            }
        }
    }))
}

/// The exit code after a second signal: something may be undelivered.
const FAILED: i32 = 1;
/// Signals within this time count as one: a service manager sends several, and a terminal sends one to every process
/// of the group.
const ONE_WISH: Duration = Duration::from_secs(1);

/// When the first signal came.
#[derive(Default)]
struct Stops {
    first: Option<Instant>,
}

/// How to react to a signal.
#[derive(Debug, Eq, PartialEq)]
enum Meaning {
    Drain,
    /// Another copy of the first signal: ignored.
    Repeated,
    Exit,
}

impl Stops {
    fn next(&mut self, now: Instant) -> Meaning {
        let is_first = self.first.is_none();
        let first = *self.first.get_or_insert(now);
        match now.saturating_duration_since(first) {
            _ if is_first => Meaning::Drain,
            since if since < ONE_WISH => Meaning::Repeated,
            _ => Meaning::Exit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_signals_within_a_second_ask_for_a_drain_and_a_later_one_for_the_end() {
        let mut stops = Stops::default();
        let start = Instant::now();
        let meanings =
            [0, 1, 400, 999, 1000].map(|millis| stops.next(start + Duration::from_millis(millis)));
        assert_eq!(
            meanings,
            [
                Meaning::Drain,
                Meaning::Repeated,
                Meaning::Repeated,
                Meaning::Repeated,
                Meaning::Exit
            ]
        );
    }
}
