//! A listener that cannot be filled up: so many connections and no more, and none that makes others wait.
//!
//! A connection has a limit of time to send a request and as much again to take the answer; between two requests it
//! may be idle for as long. A scraper that asks less often simply connects again.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use crate::disk::descriptors;

/// Connections at once, or fewer where descriptors are short; more wait in the kernel's queue, which is bounded too.
pub(super) const CONNECTIONS: usize = 64;
/// For each request, and again for each answer.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Listener {
    inner: TcpListener,
    free: Arc<Semaphore>,
}

impl Listener {
    pub(super) fn new(inner: TcpListener) -> Self {
        Self { inner, free: Arc::new(Semaphore::new(CONNECTIONS.min(descriptors::connections()))) }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // The semaphore is never closed; were it, nothing would be accepted any more.
            let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else {
                return std::future::pending().await;
            };
            // axum's own `accept` waits out a lack of descriptors.
            let (stream, from) = axum::serve::Listener::accept(&mut self.inner).await;
            if stream.set_nodelay(true).is_ok() {
                return (Connection::new(stream, permit), from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A stream that ends with an error when its time is over, and gives its place back when dropped.
pub(super) struct Connection {
    stream: TcpStream,
    /// Heap-pinned, so that the connection itself can move.
    deadline: Pin<Box<Sleep>>,
    turn: Turn,
    _permit: OwnedSemaphorePermit,
}

/// Whose turn it is. Only a change of turn moves the deadline, so that a trickle of bytes gains nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    Request,
    Answer,
}

impl Connection {
    fn new(stream: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        Self { stream, deadline: Box::pin(sleep(LIMIT)), turn: Turn::Request, _permit: permit }
    }

    fn moved(&mut self, turn: Turn) {
        if self.turn != turn {
            self.turn = turn;
            self.deadline.as_mut().reset(Instant::now() + LIMIT);
        }
    }

    /// Ready with an error once the time is over; asked whenever the peer is waited for.
    fn over(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.moved(Turn::Request);
        }
        // Also when there was something to read: a trickle must not outlive its time.
        if let Poll::Ready(error) = self.over(context) {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(wrote, Poll::Ready(Ok(_))) {
            self.moved(Turn::Answer);
        }
        if let Poll::Ready(error) = self.over(context) {
            return Poll::Ready(Err(error));
        }
        wrote
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
