//! The fake store: Loki and Elasticsearch, for tests and benches. It runs in the process of the test, stores what it
//! takes, answers look-ups, and makes the faults of a script ([`Do`]).
//!
//! - `http.rs` reads requests and writes answers, `serve.rs` makes the faults, `state.rs` holds the stored and the
//!   refused events, `found.rs` answers look-ups, `wire.rs` decodes pushes and bulks.
//! - [`loki`] and [`elastic`] answer as the real servers were recorded, down to the words of their errors; a
//!   [`FakeStore`] can be one of them.
//! - [`Counting`] only counts events, for benches.

mod count;
pub mod elastic;
mod found;
pub mod http;
mod journal;
pub mod loki;
mod serve;
mod state;
pub mod wire;

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub use count::Counting;
use http::Service;
pub use state::{Refusal, Rule, State, Stored, Write};

/// How to answer one request.
#[derive(Clone, Debug)]
pub enum Do {
    Take,
    /// Store it, then break the connection instead of answering.
    TakeAndBreak,
    /// Break the connection, and store it only after this time.
    BreakAndTakeLater(Duration),
    /// Store and answer after this time; the client may have closed the connection by then.
    TakeAfter(Duration),
    /// Break the connection, and store nothing.
    Break,
    /// Never answer, and store nothing.
    Hang,
    Answer(u16, &'static str),
    TakeAndAnswer(u16, &'static str),
    /// 429 with `Retry-After`, in seconds.
    Later(u64),
    /// Store every other event, and answer that the rest was too much.
    TakeHalf,
    /// Bulk: store all and answer for one less.
    ForgetOne,
}

/// A fake store. It stops taking connections when it is dropped.
pub struct FakeStore {
    pub url: String,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    closed: Arc<AtomicBool>,
}

impl Default for FakeStore {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeStore {
    /// Takes everything, as Loki and as Elasticsearch, until a test tells it otherwise.
    pub fn new() -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").unwrap(), State::default())
    }

    /// Answers as a recorded server does, at this loopback port.
    pub fn recorded(port: u16, server: impl Service) -> Self {
        let state = State { recorded: Some(Box::new(server)), ..State::default() };
        Self::listening(TcpListener::bind(("127.0.0.1", port)).unwrap(), state)
    }

    /// Answers as this function does, at a free port.
    pub fn answering(answer: impl FnMut(&http::Request) -> http::Answer + Send + 'static) -> Self {
        let state = State { recorded: Some(Box::new(answer)), ..State::default() };
        Self::listening(TcpListener::bind("127.0.0.1:0").unwrap(), state)
    }

    /// Refuses documents longer than this for their content.
    pub fn refusing_longer(bytes: usize) -> Self {
        let store = Self::new();
        store.refuse_longer(Refusal::Content, bytes);
        store
    }

    fn listening(listener: TcpListener, state: State) -> Self {
        let address = listener.local_addr().unwrap();
        let (state, closed) = (Arc::new(Mutex::new(state)), Arc::<AtomicBool>::default());
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&closed));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                thread::spawn(move || serve::serve(stream, &state));
            }
        });
        Self { url: format!("http://{address}"), address, state, closed }
    }

    /// What it stores, and what it is told to do.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the next writes, one each.
    pub fn script(&self, script: impl IntoIterator<Item = Do>) {
        self.state().script.extend(script);
    }

    /// Refuses events with this text, and stores the others of the request.
    pub fn refuse(&self, refusal: Refusal, text: &'static str) {
        self.refuse_if(refusal, move |event| event.line.contains(text));
    }

    /// From now on refuses only events that are longer than this.
    pub fn refuse_longer(&self, refusal: Refusal, bytes: usize) {
        self.refuse_nothing();
        self.refuse_if(refusal, move |event| event.line.len() > bytes);
    }

    pub fn refuse_if(&self, refusal: Refusal, when: impl Fn(&Stored) -> bool + Send + 'static) {
        self.state().rules.push(Rule { refusal, when: Box::new(when) });
    }

    pub fn refuse_nothing(&self) {
        self.state().rules.clear();
    }

    /// How often each event is stored, by its audit id.
    pub fn counts(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for stored in &self.state().stored {
            *counts.entry(audit_id(&stored.line)).or_default() += 1;
        }
        counts
    }

    /// The documents by id, and how often each is stored: more than once is a duplicate.
    pub fn documents(&self) -> BTreeMap<String, (String, usize)> {
        let mut documents = BTreeMap::new();
        for Stored { under, line, .. } in &self.state().stored {
            documents.entry(under.clone()).or_insert_with(|| (line.clone(), 0)).1 += 1;
        }
        documents
    }
}

impl Drop for FakeStore {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

/// The audit id in a line or document.
pub fn audit_id(line: &str) -> String {
    let (_, rest) =
        line.split_once(r#""auditID":""#).unwrap_or_else(|| panic!("no id: {line:.200}"));
    rest.split('"').next().unwrap().to_owned()
}
