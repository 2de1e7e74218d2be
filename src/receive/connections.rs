//! Accepts connections and serves each in a task of its own.
//!
//! A connection without a request costs a socket and some kilobytes. So there is no time limit on idle ones: the API
//! server keeps its own for minutes. When there are too many, the status page's rule decides which one gives way
//! (`src/server/places.rs`): an idle one first, of the address that has the most.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::Answers;
use super::memory::BodyMemory;
use super::receiver::Receiver;
use crate::disk::descriptors;
use crate::server::{Accepting, Peer, Place, Places, Stage};

/// The most connections. Each takes up to 256 KiB while a long body goes to a file.
const MOST: usize = 512;
/// Most bytes of the head of a request.
const HEAD: usize = 64 << 10;
/// The state of the spool is shown this often.
const SHOWN: Duration = Duration::from_secs(1);

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
    let places = Places::new(MOST.min(descriptors::connections()));
    let mut tasks = JoinSet::new();
    let mut accepting = Accepting::new("webhook");
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
                let (place, evicts) = places.enter(Peer::of(from));
                let answers = Arc::clone(&answers);
                tasks.spawn(connection((stream, from), place, answers, stopped.clone()));
                accepting.accepted(evicts).await;
            }
            Err(error) => {
                places.evict();
                accepting.failed(&error).await;
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
    (stream, from): (TcpStream, SocketAddr),
    place: Place,
    answers: Arc<Answers>,
    mut stopped: watch::Receiver<bool>,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let place = Mutex::new(place);
    let service = service_fn(|request| {
        let (answers, place) = (Arc::clone(&answers), &place);
        async move {
            held(place).moved(Stage::Request);
            let answer = answers.answer(request, from.ip()).await;
            held(place).moved(Stage::Idle);
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
            _ = served.as_mut() => return,
            () = poll_fn(|context| held(&place).poll_evicted(context)) => return,
            _ = stopped.wait_for(|stopped| *stopped), if !draining => {
                draining = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// No code panics while it holds the place.
fn held(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
