//! Accepts connections and serves each in a task of its own.
//!
//! A connection without a request costs a socket and some kilobytes. So there is no time limit on idle ones: the API
//! server keeps its own for minutes. When there are too many, the one that has been idle for longest is closed, or the
//! one whose request has lasted longest.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::answer::Answers;
use super::memory::BodyMemory;
use super::receiver::Receiver;
use crate::disk::descriptors;
use crate::telemetry::LogLimiter;

/// The most connections. Each takes up to 256 KiB while a long body goes to a file.
pub(super) const MOST: usize = 512;
/// Most bytes of the head of a request.
const HEAD: usize = 64 << 10;
/// Pause after a failed accept: descriptors become free when connections end.
const FAILED: Duration = Duration::from_millis(50);
/// The state of the spool is shown this often.
const SHOWN: Duration = Duration::from_secs(1);
/// Time between two log lines about a lasting failure.
const AGAIN: Duration = Duration::from_mins(10);

/// One connection, as the others see it.
struct OpenConnection {
    /// Requests under way.
    busy: AtomicUsize,
    /// Milliseconds since the start of the receiver at which it became idle, or its last request began.
    since: AtomicU64,
    close: Notify,
}

/// All connections of a receiver.
struct Connections {
    begun: Instant,
    most: usize,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<OpenConnection>>>,
}

impl Connections {
    fn new() -> Self {
        let (begun, most) = (Instant::now(), MOST.min(descriptors::connections()));
        Self { begun, most, next: AtomicU64::new(0), open: Mutex::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Enters a connection; another one is closed if there are too many.
    fn enter(&self) -> (u64, Arc<OpenConnection>) {
        let (busy, since) = (AtomicUsize::new(0), AtomicU64::new(self.now()));
        let connection = Arc::new(OpenConnection { busy, since, close: Notify::new() });
        let id = self.next.fetch_add(1, Relaxed);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.most {
            let rank = |one: &OpenConnection| (one.busy.load(Relaxed) > 0, one.since.load(Relaxed));
            let oldest = open.iter().min_by_key(|(_, one)| rank(one));
            if let Some(id) = oldest.map(|(id, _)| *id)
                && let Some(oldest) = open.remove(&id)
            {
                oldest.close.notify_one();
            }
        }
        open.insert(id, Arc::clone(&connection));
        (id, connection)
    }

    fn leave(&self, id: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// Serves until `stopped`; requests under way then get `grace`.
pub(super) async fn serve(
    (receiver, memory): (Receiver, Arc<BodyMemory>),
    mut stopped: watch::Receiver<bool>,
    grace: Duration,
) {
    let listener = match receiver.listener.try_clone().and_then(TcpListener::from_std) {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::error!(input = %receiver.input, %error, "the webhook cannot be served");
        }
    };
    let answers = Arc::new(Answers::new(receiver, memory));
    let connections = Arc::new(Connections::new());
    let mut tasks = JoinSet::new();
    let mut failures = LogLimiter::every(AGAIN);
    let mut ticks = tokio::time::interval(SHOWN);
    loop {
        let accepted = tokio::select! {
            _ = ticks.tick() => {
                answers.show_space();
                continue;
            }
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        // Forgets the connections that have ended.
        while tasks.try_join_next().is_some() {}
        match accepted {
            Ok((stream, from)) => {
                let (answers, connections) = (Arc::clone(&answers), Arc::clone(&connections));
                tasks.spawn(connection(stream, from.ip(), answers, connections, stopped.clone()));
            }
            Err(error) => {
                if let Some(unsaid) = failures.now((), Instant::now()) {
                    let error = descriptors::tell(&error);
                    let repeated = (unsaid > 0).then_some(unsaid);
                    tracing::warn!(
                        error,
                        repeated,
                        "cannot accept a connection of the webhook, trying again"
                    );
                }
                sleep(FAILED).await;
            }
        }
    }
    drop(listener);
    let all = async { while tasks.join_next().await.is_some() {} };
    // What is not answered by then is sent again.
    let _ = tokio::time::timeout(grace, all).await;
}

/// Serves one connection to its end.
async fn connection(
    stream: TcpStream,
    from: IpAddr,
    answers: Arc<Answers>,
    connections: Arc<Connections>,
    mut stopped: watch::Receiver<bool>,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (id, open) = connections.enter();
    let service = service_fn(|request| {
        let (answers, connections, open) =
            (Arc::clone(&answers), Arc::clone(&connections), Arc::clone(&open));
        async move {
            open.since.store(connections.now(), Relaxed);
            open.busy.fetch_add(1, Relaxed);
            let answer = answers.answer(request, from).await;
            open.since.store(connections.now(), Relaxed);
            open.busy.fetch_sub(1, Relaxed);
            Ok::<_, Infallible>(answer)
        }
    });
    let served =
        http1::Builder::new().max_buf_size(HEAD).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let mut draining = false;
    loop {
        tokio::select! {
            // A client that breaks off or sends no HTTP concerns nobody else.
            _ = served.as_mut() => break,
            () = open.close.notified() => break,
            _ = stopped.wait_for(|stopped| *stopped), if !draining => {
                draining = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
    connections.leave(id);
}
