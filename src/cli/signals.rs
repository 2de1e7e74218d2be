//! What a signal means to a command that has something under way.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ExitCode;

/// Whatever signal is listened to no longer ends the process.
///
/// # Errors
/// If the system has no room for it.
pub(super) fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot listen for signals")
}

/// Turns SIGTERM and Ctrl-C into a stop, which waits for what is under way; a second one does not. Listens from now on, until the
/// task is aborted.
///
/// # Errors
/// Those of [`listen`].
pub(super) fn stop_on_signal(stop: watch::Sender<bool>) -> anyhow::Result<JoinHandle<()>> {
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.send_replace(true) {
                tracing::warn!("ending at once, what is under way is in doubt");
                std::process::exit(ExitCode::Failed as i32);
            }
            tracing::info!("stopping, waiting for what is under way");
        }
    }))
}
