//! The TCP listener of the pages: it accepts every connection at once, with timeouts, and slow clients (slowloris)
//! never keep a quick one out.
//!
//! The kernel hands out connections in the order of their arrival, so a probe would wait behind every connection that
//! is not accepted yet. Therefore the listener accepts all of them at once, and lets them wait in user space. There
//! are two sets of places (`places.rs`). Connections that have not sent the whole head of their first request have
//! many places, and cost a socket, a timer and at most [`EARLY`] bytes each. Connections that have sent it cost more,
//! and have [`SERVED`] places. In both sets a newcomer always gets a place.
//!
//! Timeouts: two seconds for the first byte of a request, ten for the whole request, ten for the client to read the
//! answer. Each answer closes its connection, so a client with a thousand requests on one connection delays nobody.
//!
//! The kernel could keep silent connections to itself (`TCP_DEFER_ACCEPT`). No library here sets that option, and it
//! would move the attack into the kernel's queue of half-open connections, where nobody can evict.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use super::accepting::Accepting;
use super::places::{Peer, Place, Places, Stage};
use crate::disk::descriptors;

/// Most connections that are read from or written to at the same time; fewer if descriptors are short.
pub(super) const SERVED: usize = 64;
/// Timeout for the first byte of a request.
pub(super) const FIRST_BYTE: Duration = Duration::from_secs(2);
/// Timeout for each request once it has begun, and again for each answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Most bytes read of a first request before the connection gets one of the [`SERVED`] places: many times a probe's.
const EARLY: usize = 2 << 10;
/// Longest request head in bytes: request line and headers.
const REQUEST_MAX: usize = 32 << 10;
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// Most connections that the kernel has established and the agent has not accepted; `net.core.somaxconn` may allow
/// fewer.
const BACKLOG: u32 = 4096;

/// Listens at `host:port`. A name may have several addresses; the first one that can be bound is used.
pub(crate) async fn bind(listen: &str) -> io::Result<std::net::TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "this name has no address");
    for address in lookup_host(listen).await? {
        match bind_one(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_one(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // After a restart, connections of the earlier process may still occupy the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// A connection that has sent the whole head of its first request.
struct Begun {
    stream: TcpStream,
    from: SocketAddr,
    head: Vec<u8>,
    /// Deadline for the rest of the request.
    deadline: Instant,
}

/// The listener that axum accepts from: it yields only connections that have sent a request.
pub(super) struct Listener {
    begun: mpsc::Receiver<Begun>,
    address: io::Result<SocketAddr>,
    served: Places,
}

impl Listener {
    /// Accepts connections until this value is dropped.
    pub(super) fn new(inner: TcpListener) -> Self {
        let address = inner.local_addr();
        let most = descriptors::connections();
        let (send, begun) = mpsc::channel(SERVED);
        tokio::spawn(accept_all(inner, Places::new(most), send));
        Self { begun, address, served: Places::new(SERVED.min(most)) }
    }
}

async fn accept_all(listener: TcpListener, waiting: Places, begun: mpsc::Sender<Begun>) {
    let accept = async {
        let mut accepting = Accepting::new("status page");
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let (place, evicts) = waiting.enter(Peer::of(from));
                    tokio::spawn(wait_for_request(stream, from, place, begun.clone()));
                    accepting.accepted(evicts).await;
                }
                Err(error) => {
                    // The oldest idle connection gives up its descriptor.
                    waiting.evict();
                    accepting.failed(&error).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = begun.closed() => {}
    }
}

/// Hands the connection on once the head of a request has arrived. It resets a connection that sends none in time, or
/// whose place is needed: no client waits for an answer, and a reset leaves nothing behind in the kernel.
async fn wait_for_request(
    stream: TcpStream,
    from: SocketAddr,
    mut place: Place,
    begun: mpsc::Sender<Begun>,
) {
    let Some((head, deadline)) = read_head(&stream, &mut place).await else {
        let _ = stream.set_zero_linger();
        return;
    };
    tokio::select! {
        _ = begun.send(Begun { stream, from, head, deadline }) => {}
        () = place.evicted() => {}
    }
}

/// Reads until the bytes hold a whole head, or something that the HTTP parser should see at once; also returns the
/// deadline of the request. `None`: it timed out, was evicted, or the client has left.
async fn read_head(stream: &TcpStream, place: &mut Place) -> Option<(Vec<u8>, Instant)> {
    let mut head = Vec::new();
    let mut deadline = Instant::now() + FIRST_BYTE;
    loop {
        tokio::select! {
            biased;
            ready = stream.readable() => ready.ok()?,
            () = place.evicted() => return None,
            () = sleep_until(deadline) => return None,
        }
        let mut bytes = [0; EARLY];
        match stream.try_read(&mut bytes[..EARLY - head.len()]) {
            Ok(0) => return None,
            Ok(read) => {
                if head.is_empty() {
                    place.moved(Stage::Request);
                    deadline = Instant::now() + LIMIT;
                }
                head.extend_from_slice(&bytes[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        if is_whole(&head) {
            return Some((head, deadline));
        }
        // A client that sends byte by byte makes the socket readable again at once; it must not outlive the deadline.
        if Instant::now() >= deadline {
            return None;
        }
    }
}

/// Whether to hand the connection on: its head is complete, or long, or not HTTP.
fn is_whole(head: &[u8]) -> bool {
    head.len() >= EARLY || !head.first().is_some_and(u8::is_ascii_alphabetic) || ends(head)
}

/// Whether these bytes contain the end of a head. The parser accepts bare line feeds too.
fn ends(head: &[u8]) -> bool {
    [&b"\r\n\r\n"[..], b"\n\n"].iter().any(|mark| memchr::memmem::find(head, mark).is_some())
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // Lets the connection before this one run first: it is answered before it can be evicted.
            tokio::task::yield_now().await;
            let Some(begun) = self.begun.recv().await else {
                // The accepting task lives as long as this value. If it were gone, no connection would arrive any
                // more.
                return std::future::pending().await;
            };
            if begun.stream.set_nodelay(true).is_ok() {
                let from = begun.from;
                let (place, _) = self.served.enter(Peer::of(from));
                return (Connection::new(begun, place), from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(error.kind().into()),
        }
    }
}

/// A stream that ends with an error when it times out or is evicted.
pub(super) struct Connection {
    stream: TcpStream,
    /// Bytes that were read before the connection was handed on and that axum has not read yet.
    early: Vec<u8>,
    /// The request has a whole head, and its answer is not written yet.
    asked: bool,
    /// Heap-pinned, so that the connection itself can move.
    deadline: Pin<Box<Sleep>>,
    stage: Stage,
    place: Place,
    /// Bytes read of the present request.
    read: usize,
}

impl Connection {
    fn new(begun: Begun, mut place: Place) -> Self {
        place.moved(Stage::Request);
        let Begun { stream, head: early, deadline, .. } = begun;
        let deadline = Box::pin(sleep_until(deadline));
        let asked = ends(&early);
        Self { stream, early, asked, deadline, stage: Stage::Request, place, read: 0 }
    }

    /// Only a change of stage moves the deadline, so that a client gains nothing by sending byte by byte.
    fn moved(&mut self, stage: Stage) {
        if self.stage == stage {
            return;
        }
        self.stage = stage;
        self.place.moved(stage);
        self.read = 0;
        self.asked &= stage == Stage::Request;
        let limit = if stage == Stage::Idle { FIRST_BYTE } else { LIMIT };
        self.deadline.as_mut().reset(Instant::now() + limit);
    }

    /// Ready with an error once the connection has to end. Polled whenever the connection waits for the peer.
    fn over(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.place.poll_evicted(context).is_pending() {
            ready!(self.deadline.as_mut().poll(context));
        }
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let taken = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early[..taken]);
            self.early.drain(..taken);
            if self.early.is_empty() {
                self.early = Vec::new();
            }
            self.read += taken;
            return Poll::Ready(Ok(()));
        }
        let room = REQUEST_MAX.saturating_sub(self.read);
        if room == 0 {
            let _ = self.stream.try_write(TOO_LARGE);
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let mut read = read_at_most(Pin::new(&mut self.stream), context, buffer, room);
        if self.asked && matches!(read, Poll::Ready(Ok(0))) {
            // A client that closes its sending half after the request still wants the answer; the parser would give
            // up on it.
            read = Poll::Pending;
        }
        if let Poll::Ready(Ok(bytes @ 1..)) = read {
            self.moved(Stage::Request);
            self.read += bytes;
        }
        // Checked even if there was something to read: a client that sends byte by byte must not outlive the
        // deadline.
        if let Poll::Ready(error) = self.over(context) {
            return Poll::Ready(Err(error));
        }
        read.map_ok(drop)
    }
}

/// Reads at most `most` bytes; returns how many arrived.
fn read_at_most(
    stream: Pin<&mut TcpStream>,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
    most: usize,
) -> Poll<io::Result<usize>> {
    let wanted = buffer.remaining().min(most);
    let mut part = ReadBuf::new(buffer.initialize_unfilled_to(wanted));
    let read = stream.poll_read(context, &mut part);
    let bytes = part.filled().len();
    buffer.advance(bytes);
    read.map_ok(|()| bytes)
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(wrote, Poll::Ready(Ok(_))) {
            self.moved(Stage::Answer);
        }
        if let Poll::Ready(error) = self.over(context) {
            return Poll::Ready(Err(error));
        }
        wrote
    }

    /// axum flushes once the whole answer is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.stage == Stage::Answer {
            self.moved(Stage::Idle);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
