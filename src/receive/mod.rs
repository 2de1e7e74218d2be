//! Takes the API server's audit webhook, and writes each body to the input's spool (`own_log`) before it answers.
//!
//! The API server tries a batch five times, then drops it: some 80 seconds where nobody listens, up to 250 where nobody
//! answers (`pkg/util/webhook` of apiserver). It keeps nothing on disk, and starts a goroutine for each batch without a
//! bound. So the receiver answers 200 only for what is durable, and refuses at once what it cannot store.
//!
//! - `connections.rs` accepts; an idle connection gives way when there are too many. `service.rs` serves one over
//!   HTTP/1.1 or HTTP/2.
//! - `access.rs` knows who may send: certificates and `credentials.rs`, read again when they change. `sender.rs` is who
//!   sent.
//! - `answer.rs` decides on one request and says what each status means to the API server.
//! - `body.rs` reads a body into lines: in memory up to 4 MiB, beyond that into a file.
//! - `memory.rs` is the budget for all bodies in memory.
//!
//! Not here: what becomes of the events. The room `input` follows the spool like any other log.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

mod access;
mod answer;
mod body;
mod connections;
mod credentials;
mod memory;
mod receiver;
mod sender;
mod service;

use crate::config::{Auth, WebhookInput};
use crate::server;
use crate::tls::UnusableFile;
use access::Access;
use memory::BodyMemory;
pub(crate) use memory::IN_MEMORY;
pub(crate) use receiver::Receiver;

/// Threads that read bodies. While one waits for the disk, the other reads on.
const THREADS: usize = 2;
/// How long requests that are under way may take once the shutdown has begun.
const GRACE: Duration = Duration::from_secs(5);

/// Reads the files of a receiver, as [`bind`] does. Returns who may send, in words.
///
/// # Errors
/// A file cannot be used.
pub(crate) fn usable(webhook: &WebhookInput) -> Result<&'static str, UnusableFile> {
    Access::new(webhook)?;
    let mutual = webhook.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    Ok(match &webhook.auth {
        _ if mutual => "everybody with a certificate of `tls.client_ca_file`",
        Auth::Basic { .. } => "everybody with the password",
        Auth::Bearer(_) => "everybody with the token",
        Auth::None | Auth::ApiKey(_) => "everybody who reaches the address",
    })
}

/// A receiver that listens, and knows who may send.
pub(crate) struct Listening {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) access: Arc<Access>,
}

/// Listens for an input. Connections wait until [`start`] accepts them.
///
/// # Errors
/// Says which file cannot be used, or which address cannot be listened on.
pub(crate) async fn bind(webhook: &WebhookInput) -> anyhow::Result<Listening> {
    let (input, listen) = (&*webhook.log.name, &webhook.listen);
    let access = Access::new(webhook).with_context(|| format!("inputs.{input}"))?;
    let listener = server::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}: free the port, or set `listen` in [inputs.{input}]")
    })?;
    let address = listener.local_addr()?;
    let tls = webhook.tls.is_some();
    tracing::info!(input, %address, tls, "takes the API server's audit webhook");
    Ok(Listening { listener, access: Arc::new(access) })
}

/// Starts the thread of all receivers, which stop when `stopped` is true.
///
/// # Errors
/// The thread or its runtime cannot be started.
pub(crate) fn start(
    receivers: Vec<Receiver>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<Option<thread::JoinHandle<()>>> {
    if receivers.is_empty() {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("webhook")
        .enable_all()
        .build()
        .context("cannot start the runtime of the webhook")?;
    let memory = Arc::new(BodyMemory::new(IN_MEMORY));
    let run = move || {
        runtime.block_on(async {
            let serving = receivers.into_iter().map(|receiver| {
                tokio::spawn(connections::serve(
                    (receiver, Arc::clone(&memory)),
                    stopped.clone(),
                    GRACE,
                ))
            });
            for one in serving.collect::<Vec<_>>() {
                // A panic was printed already.
                let _ = one.await;
            }
        });
        runtime.shutdown_timeout(Duration::from_millis(100));
    };
    let thread = thread::Builder::new().name("webhook".into()).spawn(run)?;
    Ok(Some(thread))
}
