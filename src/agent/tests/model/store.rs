//! A fake back end with injected faults. Unlike the one of the other tests it refuses single events, counts requests,
//! and stops when it is dropped.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::fake::{Request, Stored, answer, found, read};
use super::super::wire::{bulked, pushed};
use super::step::Weather;

/// The delay of slow and late answers: well within the time-out of a request.
const LATE: Duration = Duration::from_millis(45);
/// An event that a busy machine delays beyond this counts as never sent.
const TOO_LATE: Duration = Duration::from_millis(70);

#[derive(Default)]
pub(super) struct State {
    pub(super) stored: Vec<Stored>,
    weather: Option<Weather>,
    /// For this many requests; `None`: until the weather changes.
    lasts: Option<u8>,
    /// Where the documents of the current index begin.
    index: usize,
    /// Number of look-ups that still fail.
    pub(super) deaf: u8,
}

pub(super) struct Store {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    closed: Arc<AtomicBool>,
    /// Writes to all back ends of the play.
    arrived: Arc<AtomicU64>,
}

impl Store {
    pub(super) fn new(arrived: &Arc<AtomicU64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let store = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
            closed: Arc::default(),
            arrived: Arc::clone(arrived),
        };
        let (state, closed, arrived) =
            (Arc::clone(&store.state), Arc::clone(&store.closed), Arc::clone(arrived));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let (state, arrived) = (Arc::clone(&state), Arc::clone(&arrived));
                thread::spawn(move || serve(stream, &state, &arrived));
            }
        });
        store
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// `times` 0: from now on.
    pub(super) fn set(&self, weather: Weather, times: u8) {
        let mut state = self.state();
        (state.weather, state.lasts) = (Some(weather), (times > 0).then_some(times));
    }

    /// Ends all faults.
    pub(super) fn recover(&self) {
        let mut state = self.state();
        (state.weather, state.deaf) = (None, 0);
    }

    pub(super) fn roll_over(&self) {
        let mut state = self.state();
        state.index = state.stored.len();
    }

    pub(super) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::SeqCst)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn today(&mut self) -> Weather {
        let weather = self.weather.unwrap_or(Weather::Fair);
        if let Some(lasts) = &mut self.lasts {
            *lasts = lasts.saturating_sub(1);
            if *lasts == 0 {
                (self.weather, self.lasts) = (None, None);
            }
        }
        weather
    }
}

fn serve(mut stream: TcpStream, state: &Arc<Mutex<State>>, arrived: &AtomicU64) {
    let _ = stream.set_nodelay(true);
    while let Some(request) = read(&mut stream) {
        let path = request.target.split('?').next().unwrap();
        let stays = match path {
            "/loki/api/v1/push" => write(&mut stream, state, arrived, pushed(&request), false),
            "/_bulk" => write(&mut stream, state, arrived, bulked(&request), true),
            _ if path.ends_with("/_refresh") => {
                answer(&mut stream, 200, "", r#"{"_shards":{"failed":0}}"#);
                true
            }
            _ => {
                look_up(&mut stream, state, &request);
                true
            }
        };
        if !stays {
            return;
        }
    }
}

fn look_up(stream: &mut TcpStream, state: &Mutex<State>, request: &Request) {
    let mut held = state.lock().unwrap();
    if held.deaf > 0 {
        held.deaf -= 1;
        drop(held);
        return answer(stream, 503, "", "later");
    }
    let body = found(&held.stored, request);
    drop(held);
    answer(stream, 200, "", &body);
}

/// Whether the client has closed the connection. Its request may still be in the socket's buffer, long after it timed
/// out.
fn is_given_up(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let peeked = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Returns whether the connection stays open.
fn write(
    stream: &mut TcpStream,
    state: &Arc<Mutex<State>>,
    arrived: &AtomicU64,
    new: Vec<Stored>,
    bulk: bool,
) -> bool {
    let begun = Instant::now();
    let mut held = state.lock().unwrap();
    arrived.fetch_add(1, Ordering::SeqCst);
    if is_given_up(stream) {
        return false;
    }
    let weather = held.today();
    match weather {
        Weather::Fair => {
            let (status, body) = take(&mut held, new, bulk, |_| true);
            drop(held);
            answer(stream, status, "", &body);
            true
        }
        Weather::Half => {
            let (mut status, mut body) = take(&mut held, new, bulk, |at| at % 2 == 0);
            drop(held);
            if !bulk {
                let text = "Per stream rate limit exceeded, total ignored: 1 out of 2";
                (status, body) = (429, text.to_owned());
            }
            answer(stream, status, "", &body);
            true
        }
        Weather::Busy => {
            drop(held);
            answer(stream, 503, "", "busy");
            true
        }
        Weather::Confused => {
            take(&mut held, new, bulk, |_| true);
            drop(held);
            answer(stream, 500, "", "confused");
            true
        }
        Weather::Mute => {
            take(&mut held, new, bulk, |_| true);
            false
        }
        Weather::Broken => false,
        Weather::Late => {
            let state = Arc::clone(state);
            thread::spawn(move || store_late(&state, begun, new, bulk));
            false
        }
        Weather::Slow => {
            drop(held);
            match store_late(state, begun, new, bulk) {
                Some((status, body)) => answer(stream, status, "", &body),
                None => return false,
            }
            true
        }
        Weather::Hung => {
            drop(held);
            // Until the client closes the connection.
            let _ = io::Read::read(stream, &mut [0]);
            false
        }
    }
}

fn store_late(
    state: &Mutex<State>,
    begun: Instant,
    new: Vec<Stored>,
    bulk: bool,
) -> Option<(u16, String)> {
    thread::sleep(LATE);
    let mut held = state.lock().unwrap();
    (begun.elapsed() < TOO_LATE).then(|| take(&mut held, new, bulk, |_| true))
}

/// Stores the events that there is room for and that are no venom; returns the answer.
fn take(
    state: &mut State,
    new: Vec<Stored>,
    bulk: bool,
    room: impl Fn(usize) -> bool,
) -> (u16, String) {
    let mut items = Vec::new();
    let mut all_good = true;
    for (at, event) in new.into_iter().enumerate() {
        let venom = event.line.contains("venom");
        all_good &= !venom;
        let mut present = state.stored[state.index..].iter();
        let taken = bulk && present.any(|stored| stored.under == event.under);
        items.push(match (venom, room(at)) {
            _ if taken => json!({"create": {"_id": event.under, "status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "document already exists"}}}),
            (true, _) => json!({"create": {"_id": event.under, "status": 400, "error": {"type": "document_parsing_exception", "reason": "venom"}}}),
            (_, false) => json!({"create": {"_id": event.under, "status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "full"}}}),
            _ => {
                // Also if another index has the id already.
                let taken = json!({"create": {"_id": event.under, "status": 201}});
                state.stored.push(event);
                taken
            }
        });
    }
    match (bulk, all_good) {
        (true, _) => (200, Value::to_string(&json!({"errors": true, "items": items}))),
        (false, true) => (204, String::new()),
        (false, false) => (400, "max entry size '5' bytes exceeded for stream '{}'".to_owned()),
    }
}
