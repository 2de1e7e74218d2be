//! Accepts connections and serves each in a task of its own.
//!
//! A connection without a request costs a socket and some kilobytes. So there is no time limit on idle ones: the API
//! server keeps its own for minutes. When there are too many, the status page's rule decides which one gives way
//! (`src/server/places.rs`): an idle one first, of the address that has the most.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::access::Gate;
use super::answer::Answers;
use super::memory::BodyMemory;
use super::receiver::Receiver;
use super::sender::Sender;
use super::service::{ConnectionService, held};
use crate::disk::descriptors;
use crate::server::{Accepting, Peer, Place, Places};
use crate::tls::common_name;

/// The most connections. Each takes up to 256 KiB while a long body goes to a file.
const MOST: usize = 512;
/// A TLS handshake takes no longer than this.
const HANDSHAKE: Duration = Duration::from_secs(10);
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
    let (access, stats) = (Arc::clone(&receiver.access), Arc::clone(&receiver.input_stats));
    let gate = access.gate();
    let stop = stopped.clone();
    let following = tokio::spawn(async move { access.follow(&stats, stop).await });
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
                let watched = (gate.clone(), stopped.clone());
                tasks.spawn(connection((stream, from), place, answers, watched));
                accepting.accepted(evicts).await;
            }
            Err(error) => {
                places.evict();
                accepting.failed(&error).await;
            }
        }
    }
    drop(listener);
    following.abort();
    let all = async { while tasks.join_next().await.is_some() {} };
    // What is not answered by then is sent again.
    let _ = tokio::time::timeout(grace, all).await;
}

/// Serves one connection: the TLS handshake, if there is one, then the requests.
async fn connection(
    (stream, from): (TcpStream, SocketAddr),
    place: Place,
    answers: Arc<Answers>,
    (mut gate, stopped): (watch::Receiver<Arc<Gate>>, watch::Receiver<bool>),
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let place = Arc::new(Mutex::new(place));
    let acceptor = gate.borrow_and_update().tls.clone();
    let service = |name| {
        let sender = Sender::new(from.ip(), name);
        ConnectionService::new(Arc::clone(&answers), sender, Arc::clone(&place), (gate, stopped))
    };
    let Some(acceptor) = acceptor else {
        return service(None).http1(TokioIo::new(stream)).await;
    };
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
        () = poll_fn(|context| held(&place).poll_evicted(context)) => return,
    };
    let why = match shaken {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            let name = certificate.and_then(|certificate| common_name(certificate));
            let is_http2 = session.alpn_protocol() == Some(b"h2");
            let (service, io) = (service(name), TokioIo::new(stream));
            return if is_http2 { service.http2(io).await } else { service.http1(io).await };
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the client was silent for {} s", HANDSHAKE.as_secs()),
    };
    answers.no_tls(&Sender::new(from.ip(), None), &why);
}
