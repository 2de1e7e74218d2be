//! The meter's report of each request.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{answer, http, listen, read_request, request};
use crate::event::RetryReason;
use crate::output::http::{Client, Failure};
use crate::output::meter::{Ended, Meter};

#[tokio::test]
async fn each_request_is_reported_once_with_how_it_ended_and_what_was_sent() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = format!("http://127.0.0.1:{port}/");
    let busy = listen(|mut stream| {
        read_request(&mut stream);
        answer(&mut stream, "503 Service Unavailable", b"later");
    });
    let mute = listen(|mut stream| {
        read_request(&mut stream);
        thread::sleep(Duration::from_secs(3));
    });
    let cut = listen(|mut stream| drop(read_request(&mut stream)));
    for (url, ended, sent) in [
        (busy, Ended::Answered(503), 4),
        (mute, Ended::Unanswered(RetryReason::Timeout), 4),
        (cut, Ended::Unanswered(RetryReason::ConnectionLost), 4),
        (gone, Ended::Unanswered(RetryReason::Connect), 0),
    ] {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&reports);
        let mut client = Client::new(&http()).unwrap();
        client.set_meter(Meter::new(move |exchange| taken.lock().unwrap().push(exchange)));
        let _ = client.send(request(&url)).await;
        let reports = reports.lock().unwrap().clone();
        let [one] = reports.as_slice() else { panic!("{reports:?}") };
        assert_eq!((one.ended, one.sent), (ended, sent), "{url}");
        let waited = one.took >= http().timeout;
        assert_eq!(waited, ended == Ended::Unanswered(RetryReason::Timeout), "{one:?}");
    }
    let reports = Arc::new(Mutex::new(0));
    let taken = Arc::clone(&reports);
    let mut client = Client::new(&http()).unwrap();
    client.set_meter(Meter::new(move |_| *taken.lock().unwrap() += 1));
    assert!(matches!(client.send(request("no URL")).await, Err(Failure::Setup { .. })));
    assert_eq!(*reports.lock().unwrap(), 0, "a request that was never made is none");
}
