//! The agent's own server: `/metrics`, `/livez`, `/readyz`, `/status` and the page at `/` over HTTP, and the same
//! status over a Unix socket in the state directory. It reads telemetry and changes nothing; control commands that
//! arrive on the socket are handed on as [`ControlCall`].
//!
//! Bounded: the number of connections, and the bytes and time of each (`listener.rs`, `places.rs`). A client that
//! sends nothing, too little or too much never keeps another from its answer. The server runs on one thread of its
//! own at a lower priority, so a flood of requests takes little from delivery, and busy delivery delays no probe.
//!
//! HTTP clients are not authenticated. So the pages hold no event and no secret, and show only the status code of a
//! back end's answer. Whoever may open the socket sees the whole answer.
//!
//! Start with `routes.rs`. `hosts.rs` checks the `Host` header, `page.rs` is the page for a browser, `table.rs` the
//! output of `auditrail status`, `details.rs` what `--verbose` adds to it, `local.rs` the socket. `client.rs` asks there
//! for commands, and `probe.rs` for `auditrail probe`.

use std::future::Future;
use std::io;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::telemetry::Telemetry;

mod accept;
mod accepting;
pub(crate) mod client;
mod details;
mod hosts;
mod listener;
pub(crate) mod local;
mod page;
mod places;
pub(crate) mod probe;
mod response;
mod routes;
mod table;
mod view;

pub(crate) use accepting::Accepting;
pub(crate) use details::details;
pub(crate) use hosts::Hosts;
pub(crate) use listener::bind;
pub(crate) use local::ControlCall;
pub(crate) use places::{Peer, Place, Places, Stage};
pub(crate) use table::{columns, table, verdict};

/// How long in-flight answers may take once the shutdown has begun.
const GRACE: Duration = Duration::from_secs(1);
/// Added to the thread's nice value. If delivery competes for the processor, the pages get about a quarter of one
/// core.
const NICE: i32 = 5;

/// Everything that the server needs to answer.
pub(crate) struct Served {
    pub(crate) telemetry: Telemetry,
    /// How long an output may be unreachable before `/readyz` is red.
    pub(crate) unready_after: Duration,
    pub(crate) hosts: Hosts,
    /// Receives the control commands, which the server cannot answer itself.
    pub(crate) asks: mpsc::Sender<ControlCall>,
}

/// Starts the thread that answers over HTTP and the socket until `stopped` is true; in-flight answers then get
/// [`GRACE`].
///
/// # Errors
/// The thread or its runtime cannot be started.
pub(crate) fn start(
    served: Served,
    pages: Option<std::net::TcpListener>,
    local: std::os::unix::net::UnixListener,
    stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let run = move || {
        if let Err(error) = rustix::process::nice(NICE) {
            // A sandbox may forbid it; then the pages compete with delivery at the same priority.
            tracing::debug!(%error, "the thread of the pages keeps its priority");
        }
        let ended = runtime.block_on(answer(served, pages, local, stopped));
        if let Err(error) = ended {
            tracing::error!(%error, "the status page and the socket for `auditrail status` have ended");
        }
    };
    thread::Builder::new().name("server".into()).spawn(run).map(drop)
}

async fn answer(
    served: Served,
    pages: Option<std::net::TcpListener>,
    local: std::os::unix::net::UnixListener,
    stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let Served { telemetry, unready_after, hosts, asks } = served;
    let local = tokio::net::UnixListener::from_std(local)?;
    let until = |mut stopped: watch::Receiver<bool>| async move {
        // The sender lives as long as the process does.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let locally = local::answer_locally(
        local,
        telemetry.clone(),
        unready_after,
        asks,
        until(stopped.clone()),
    );
    let pages = async {
        match pages {
            None => Ok(()),
            Some(pages) => {
                let pages = TcpListener::from_std(pages)?;
                serve(pages, telemetry, unready_after, hosts, until(stopped)).await
            }
        }
    };
    let ((), ended) = tokio::join!(locally, pages);
    ended
}

/// Answers over HTTP until `shutdown`; in-flight answers then get [`GRACE`].
async fn serve(
    listener: TcpListener,
    telemetry: Telemetry,
    unready_after: Duration,
    hosts: Hosts,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (begin_end, end_begun) = oneshot::channel();
    let end = async move {
        shutdown.await;
        let _ = begin_end.send(()); // The receiver is gone if serving failed.
    };
    let listener = listener::Listener::new(listener);
    let router = routes::router(telemetry, unready_after, hosts);
    let served = axum::serve(listener, router).with_graceful_shutdown(end);
    let patience = async {
        let _ = end_begun.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = served => ended,
        () = patience => Ok(()),
    }
}

#[cfg(test)]
mod tests;
