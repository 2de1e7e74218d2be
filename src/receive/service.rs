//! Serves one connection to its end, over HTTP/1.1 or HTTP/2.
//!
//! client-go sends all requests of a TLS connection over HTTP/2, hundreds at once. When the certificates change, such a
//! connection is told to end (`GOAWAY`), and one of HTTP/1.1 ends with its next answer (`Connection: close`): the client
//! begins another one, and no request fails.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use http::header::{CONNECTION, HeaderValue};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;

use super::access::Gate;
use super::answer::{Answers, EmptyResponse};
use super::sender::Sender;
use crate::server::{Place, Stage};

/// Most bytes of the head of a request.
const HEAD: usize = 64 << 10;
/// Requests of one HTTP/2 connection at the same time; further ones wait at the client.
const STREAMS: u32 = 256;
/// Bytes of all bodies of an HTTP/2 connection that may be on their way. More would not be faster on the networks that
/// lie between a node and its control plane, and they are memory that anybody could take.
const WINDOW: u32 = 1 << 20;
/// An HTTP/2 client that answers no ping for so long is gone.
const PING: Duration = Duration::from_secs(30);

/// The requests of one connection.
#[derive(Clone)]
pub(super) struct ConnectionService {
    answers: Arc<Answers>,
    sender: Sender,
    place: Arc<Mutex<Place>>,
    /// Requests under way.
    open: Arc<AtomicUsize>,
    /// Who may send, and whether it has changed since the connection began.
    gate: watch::Receiver<Arc<Gate>>,
    stopped: watch::Receiver<bool>,
    is_http2: bool,
}

impl ConnectionService {
    /// `gate` has seen what holds as the connection begins.
    pub(super) fn new(
        answers: Arc<Answers>,
        sender: Sender,
        place: Arc<Mutex<Place>>,
        (gate, stopped): (watch::Receiver<Arc<Gate>>, watch::Receiver<bool>),
    ) -> Self {
        Self { answers, sender, place, open: Arc::default(), gate, stopped, is_http2: false }
    }

    /// Serves HTTP/1.1.
    pub(super) async fn http1(self, io: impl Read + Write + Unpin + 'static) {
        let served = http1::Builder::new().max_buf_size(HEAD).serve_connection(io, self.clone());
        self.until_its_end(served).await;
    }

    /// Serves HTTP/2.
    pub(super) async fn http2(mut self, io: impl Read + Write + Unpin + 'static) {
        self.is_http2 = true;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(HEAD).unwrap_or(u32::MAX))
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let served = builder.serve_connection(io, self.clone());
        self.until_its_end(served).await;
    }

    async fn until_its_end(self, served: impl ServedConnection) {
        let (mut stopped, mut gate) = (self.stopped, self.gate);
        tokio::pin!(served);
        let mut draining = false;
        loop {
            tokio::select! {
                // A client that breaks off or sends no HTTP concerns nobody else.
                _ = served.as_mut() => return,
                () = poll_fn(|context| held(&self.place).poll_evicted(context)) => return,
                _ = stopped.wait_for(|stopped| *stopped), if !draining => {}
                _ = gate.changed(), if self.is_http2 && !draining => {}
            }
            draining = true;
            served.as_mut().end();
        }
    }
}

/// A connection of either version.
trait ServedConnection: Future {
    /// Lets the requests under way end, and takes no others.
    fn end(self: Pin<&mut Self>);
}

impl<I: Read + Write + Unpin + 'static> ServedConnection
    for http1::Connection<I, ConnectionService>
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I: Read + Write + Unpin + 'static> ServedConnection
    for http2::Connection<I, ConnectionService, TokioExecutor>
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = EmptyResponse;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<EmptyResponse, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = UnderWay::new(&self.place, &self.open);
        let service = self.clone();
        Box::pin(async move {
            let now = Arc::clone(&service.gate.borrow());
            let mut answer = service.answers.answer(request, &now, &service.sender).await;
            if !service.is_http2 && service.gate.has_changed().unwrap_or(true) {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(under_way);
            Ok(answer)
        })
    }
}

/// A request under way. While there is one, its connection is not idle.
struct UnderWay {
    place: Arc<Mutex<Place>>,
    open: Arc<AtomicUsize>,
}

impl UnderWay {
    fn new(place: &Arc<Mutex<Place>>, open: &Arc<AtomicUsize>) -> Self {
        let mut held = held(place);
        if open.fetch_add(1, Relaxed) == 0 {
            held.moved(Stage::Request);
        }
        drop(held);
        Self { place: Arc::clone(place), open: Arc::clone(open) }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut held = held(&self.place);
        if self.open.fetch_sub(1, Relaxed) == 1 {
            held.moved(Stage::Idle);
        }
    }
}

/// No code panics while it holds the place.
pub(super) fn held(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
