//! Nothing of a request arrives after it was given up, however much of it was sent before.

use std::io::{self, Read as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rustls::ServerConfig;
use tokio::sync::oneshot;

use super::{Authority, http, request, trusting};
use crate::config::Http;
use crate::event::RetryReason;
use crate::output::http::{Client, Failure, Request};

/// Fits into the client's send buffer, but not into the server's receive buffer.
const SMALL: usize = 256 * 1024;
/// Fits into neither.
const LARGE: usize = 16 * 1024 * 1024;

/// How the sender gives up.
#[derive(Clone, Copy, Debug)]
enum By {
    Timeout,
    /// The future that waits for the answer is dropped.
    Drop,
}

/// Sends a body of this size to a server that does not read, gives up, and then lets the server read. Returns how many
/// bytes the server still reads, and how the connection ends.
async fn read_late(
    config: &Http,
    tls: Option<Arc<ServerConfig>>,
    size: usize,
    by: By,
) -> (usize, Option<io::ErrorKind>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/", listener.local_addr().unwrap());
    let (begin, may_begin) = oneshot::channel();
    let (tell, told) = oneshot::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        if let Some(tls) = tls {
            let mut tls = rustls::ServerConnection::new(tls).unwrap();
            while tls.is_handshaking() {
                tls.complete_io(&mut stream).unwrap();
            }
        }
        may_begin.blocking_recv().unwrap();
        let (mut all, mut chunk) = (0, [0; 8192]);
        let ended = loop {
            match stream.read(&mut chunk) {
                Ok(0) => break None,
                Ok(read) => all += read,
                Err(error) => break Some(error.kind()),
            }
        };
        tell.send((all, ended)).unwrap();
    });
    let client = Client::new(config).unwrap();
    let sending = client.send(Request { body: Bytes::from(vec![b'x'; size]), ..request(&url) });
    match by {
        By::Timeout => {
            let found = sending.await.unwrap_err();
            assert!(
                matches!(found, Failure::Lost { reason: RetryReason::Timeout, .. }),
                "{found:?}"
            );
        }
        By::Drop => {
            tokio::time::timeout(http().timeout / 2, sending).await.unwrap_err();
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    begin.send(()).unwrap();
    told.await.unwrap()
}

#[tokio::test]
async fn what_was_not_sent_when_a_request_was_given_up_never_arrives() {
    let authority = Authority::new();
    for by in [By::Timeout, By::Drop] {
        for size in [SMALL, LARGE] {
            let plain = read_late(&http(), None, size, by).await;
            let config = trusting(&authority.path("ca"), None);
            let secure = read_late(&config, Some(authority.tls(false)), size, by).await;
            for (got, ended) in [plain, secure] {
                // Only the bytes that the server's kernel had acknowledged.
                assert!(got < SMALL, "{got} of {size} bytes, {by:?}");
                assert_eq!(ended, Some(io::ErrorKind::ConnectionReset), "{size} bytes, {by:?}");
            }
        }
    }
}
