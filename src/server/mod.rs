//! Answers those who ask how the agent is: `/metrics`, `/livez`, `/readyz`, `/status` and the page at `/`, over HTTP, and
//! the same status over a socket in the state directory. Reads telemetry, changes nothing; what else is asked through the
//! socket is handed on.
//!
//! Bounded: 64 connections, ten seconds to send a request and ten to take the answer (`bounded.rs`). Nothing here
//! needs credentials: no answer holds an event or a secret.
//!
//! Start with `routes.rs`. `page.rs` is the page, `table.rs` what `auditrail status` prints, `local.rs` the socket.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::telemetry::Telemetry;

mod accept;
mod bounded;
pub(crate) mod local;
mod page;
mod routes;
mod table;
mod view;

pub(crate) use local::{Asked, answer_locally};
pub(crate) use table::{columns, table};

/// How long answers under way may take once the end has begun.
const GRACE: Duration = Duration::from_secs(1);

/// Answers until `shutdown`, and a moment longer what was asked before.
///
/// `unready_after`: how long an output may be unreachable before `/readyz` is red.
pub(crate) async fn serve(
    listener: TcpListener,
    telemetry: Telemetry,
    unready_after: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (begin_end, end_begun) = oneshot::channel();
    let end = async move {
        shutdown.await;
        let _ = begin_end.send(()); // Nobody listens once serving has failed.
    };
    let listener = bounded::Listener::new(listener);
    let router = routes::router(telemetry, unready_after);
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
