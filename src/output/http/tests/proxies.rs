//! Requests through a proxy: an http:// request is sent to the proxy itself, an https:// request through a tunnel.

use std::io::{self, Read as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{Authority, answer, http, listen, read_request, request, trusting};
use crate::config::Http;
use crate::output::http::{Client, Failure};

/// The head that a proxy reads before it opens the tunnel.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Copies everything from one end to the other.
fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

#[tokio::test]
async fn requests_go_through_the_configured_proxy() {
    let proxy = listen(|mut stream| {
        // The client uses the connection again, so it must not be closed after an answer.
        loop {
            let request = read_request(&mut stream);
            let Some(first) = request.lines().next() else { return };
            answer(&mut stream, "200 OK", first.as_bytes());
        }
    });
    let client = Client::new(&Http { proxy: Some(proxy), ..http() }).unwrap();
    for _ in 0..2 {
        let body = client.send(request("http://store.example/x")).await.unwrap().body;
        assert_eq!(body, "POST http://store.example/x HTTP/1.1");
    }
}

#[tokio::test]
async fn a_proxy_may_speak_tls_itself() {
    let authority = Authority::new();
    let config = trusting(&authority.path("ca"), None);
    let client = Client::new(&Http { proxy: Some(authority.serve(false)), ..config }).unwrap();
    assert_eq!(client.send(request("http://store.example/x")).await.unwrap().body, "private");
}

#[tokio::test]
async fn https_goes_through_a_tunnel_of_the_proxy_and_trusts_the_store_alone() {
    let (authority, others) = (Authority::new(), Authority::new());
    let url = authority.serve(false);
    let (tell, heads) = mpsc::channel();
    let store = url.trim_start_matches("https://").to_owned();
    let proxy = listen(move |mut stream| {
        tell.send(read_head(&mut stream)).unwrap();
        answer(&mut stream, "200 Connected", b"");
        let to = TcpStream::connect(&store).unwrap();
        let back = (to.try_clone().unwrap(), stream.try_clone().unwrap());
        thread::spawn(move || pump(back.0, back.1));
        pump(stream, to);
    });
    let config =
        |ca: &Authority| Http { proxy: Some(proxy.clone()), ..trusting(&ca.path("ca"), None) };
    let client = Client::new(&config(&authority)).unwrap();
    assert_eq!(client.send(request(&url)).await.unwrap().body, "private");
    let head = heads.recv().unwrap();
    let expected = format!("CONNECT {} HTTP/1.1\r\n", url.trim_start_matches("https://"));
    assert!(head.starts_with(&expected) && head.contains("user-agent: auditrail/"), "{head}");
    let client = Client::new(&config(&others)).unwrap();
    let found = client.send(request(&url)).await.unwrap_err();
    assert!(
        matches!(&found, Failure::NotSent { answer } if answer.contains("certificate")),
        "{found:?}"
    );
}

#[tokio::test]
async fn without_a_tunnel_nothing_was_sent() {
    let authority = Authority::new();
    let refusing = listen(|mut stream| {
        read_head(&mut stream);
        answer(&mut stream, "403 Forbidden", b"");
    });
    let mute = listen(|mut stream| {
        read_head(&mut stream);
        thread::sleep(Duration::from_secs(3));
    });
    for (proxy, expected) in
        [(refusing, "the proxy makes no connection"), (mute, "no connection within `timeout`")]
    {
        let config = trusting(&authority.path("ca"), None);
        let client = Client::new(&Http { proxy: Some(proxy), ..config }).unwrap();
        let found = client.send(request("https://store.example/")).await.unwrap_err();
        assert!(
            matches!(&found, Failure::NotSent { answer } if answer.contains(expected)),
            "{found:?}"
        );
    }
}
