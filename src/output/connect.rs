//! Opens connections that end at once when the agent closes them, and discard their unsent data.
//!
//! A closed socket goes on sending its send buffer, even after the process has ended. In an outage that buffer may hold
//! a whole request. The back end would receive it after the agent has looked up what is stored and has sent the events
//! again: duplicates. Two measures prevent that:
//!
//! - Every socket has `SO_LINGER` of zero: closing it, also by SIGKILL, discards the send buffer and resets the
//!   connection.
//! - hyper closes a connection only after it has written its own buffer. [`AbortOnDrop`] makes every further write
//!   fail, so the connection of a request that was given up is closed at once.

use std::error::Error as StdError;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::http::header::{HeaderMap, HeaderValue, USER_AGENT};
use ::http::uri::Scheme;
use ::http::{Extensions, Request, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{
    CaptureConnection, Connected, Connection, HttpConnector, capture_connection,
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

/// The `User-Agent` for back ends and proxies.
pub(super) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("auditrail/", env!("CARGO_PKG_VERSION")));
/// How often an idle connection is probed; it is closed after [`PROBES`] unanswered probes.
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Connects to a back end, through a proxy if one is configured. Proxies named in the environment are not used.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: Tcp,
    tls: Arc<ClientConfig>,
    proxy: Option<Uri>,
    limit: Duration,
    opened: Arc<AtomicU64>,
}

impl Connector {
    /// `limit` bounds TCP, proxy and TLS together.
    pub(super) fn new(mut tls: ClientConfig, proxy: Option<Uri>, limit: Duration) -> Self {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut tcp = HttpConnector::new();
        // TLS is added below, so https:// is fine.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(PROBE_EVERY));
        tcp.set_keepalive_interval(Some(PROBE_EVERY));
        tcp.set_keepalive_retries(Some(PROBES));
        // If a name has several addresses, each gets a share of this time.
        tcp.set_connect_timeout(Some(limit));
        Self { tcp: Tcp(tcp), tls: Arc::new(tls), proxy, limit, opened: Arc::default() }
    }

    /// Counts the connections there that are begun.
    pub(super) fn counting(self, opened: &Arc<AtomicU64>) -> Self {
        Self { opened: Arc::clone(opened), ..self }
    }

    fn start(&self, target: Uri) -> Connecting<AbortableStream> {
        let mut direct = HttpsConnector::from((self.tcp.clone(), Arc::clone(&self.tls)));
        let Some(proxy) = self.proxy.clone() else {
            let connecting = direct.call(target);
            return Box::pin(async { Ok(AbortableStream::new(connecting.await?, false)) });
        };
        if target.scheme() == Some(&Scheme::HTTPS) {
            let headers = HeaderMap::from_iter([(USER_AGENT, AGENT)]);
            let tunnel = Tunnel::new(proxy, direct).with_headers(headers);
            let connecting = HttpsConnector::from((tunnel, Arc::clone(&self.tls))).call(target);
            return Box::pin(async { Ok(AbortableStream::new(connecting.await?, false)) });
        }
        let connecting = direct.call(proxy);
        Box::pin(async { Ok(AbortableStream::new(connecting.await?, true)) })
    }
}

impl Service<Uri> for Connector {
    type Response = AbortableStream;
    type Error = BoxError;
    type Future = Connecting<AbortableStream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        self.opened.fetch_add(1, Relaxed);
        let connecting = tokio::time::timeout(self.limit, self.start(target));
        Box::pin(async {
            connecting
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

/// TCP connections that discard their unsent data when they are closed.
#[derive(Clone)]
struct Tcp(HttpConnector);

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Connecting<TokioIo<TcpStream>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.0.call(target);
        Box::pin(async {
            let stream = connecting.await?;
            stream.inner().set_zero_linger()?;
            Ok(stream)
        })
    }
}

/// Plain or encrypted bytes to a back end or proxy.
trait Transport: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Transport for T {}

/// A connection that can be aborted together with its request.
pub(super) struct AbortableStream {
    transport: Box<dyn Transport>,
    /// The peer is a proxy, which needs the whole URL in each request.
    proxied: bool,
    abort: Abort,
}

impl AbortableStream {
    fn new(transport: impl Transport + 'static, proxied: bool) -> Self {
        Self { transport: Box::new(transport), proxied, abort: Abort::default() }
    }

    fn transport(&mut self, context: &Context<'_>) -> io::Result<Pin<&mut dyn Transport>> {
        self.abort.check(context)?;
        Ok(Pin::new(&mut *self.transport))
    }
}

impl Connection for AbortableStream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied).extra(self.abort.clone())
    }
}

impl Read for AbortableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.transport(context)?.poll_read(context, buffer)
    }
}

impl Write for AbortableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.transport(context)?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport(context)?.poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.transport(context)?.poll_write_vectored(context, slices)
    }
}

/// Makes a connection fail from now on. Shared by a connection and the request on it.
#[derive(Clone, Default)]
struct Abort(Arc<Mutex<Aborting>>);

#[derive(Default)]
struct Aborting {
    now: bool,
    /// The task that drives the connection.
    task: Option<Waker>,
}

impl Abort {
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        let mut aborting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if aborting.now {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        match &mut aborting.task {
            Some(task) => task.clone_from(context.waker()),
            None => aborting.task = Some(context.waker().clone()),
        }
        Ok(())
    }

    fn abort(&self) {
        let mut aborting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        aborting.now = true;
        let task = aborting.task.take();
        drop(aborting);
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Aborts the connection of a request on drop, unless the request was answered.
pub(super) struct AbortOnDrop(Option<CaptureConnection>);

impl AbortOnDrop {
    pub(super) fn of<B>(request: &mut Request<B>) -> Self {
        Self(Some(capture_connection(request)))
    }

    /// Disarms the abort: the connection may be reused.
    pub(super) fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        let Some(captured) = &self.0 else { return };
        let mut extras = Extensions::new();
        if let Some(connected) = &*captured.connection_metadata() {
            connected.get_extras(&mut extras);
        }
        if let Some(abort) = extras.get::<Abort>() {
            abort.abort();
        }
    }
}
