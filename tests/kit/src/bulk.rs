//! A minimal Elasticsearch for fault injection: it stores bulk requests, refuses documents that are too long, and
//! answers look-ups by id. It counts duplicates, that is how often each id was stored.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// The server. It runs until the test process exits.
pub struct Bulk {
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub struct State {
    /// Documents by id, and how often each was stored: more than once is a duplicate.
    pub stored: HashMap<String, (String, usize)>,
    /// Documents longer than this many bytes are refused with 400.
    pub longest: usize,
    /// Documents longer than `longest` are refused with 403 instead, as by an index with a write block.
    pub blocked: bool,
    /// Documents are refused with 400 if the sum of the bytes of their id, modulo 2, equals this.
    pub refused_half: Option<u32>,
    /// Every request is answered with this status.
    pub down: Option<u16>,
    /// The next bulk request gets no answer, and its documents are stored only after this delay.
    pub late: Option<Duration>,
    /// Whether the delayed request arrived, and whether it was stored.
    pub was_late: (bool, bool),
    pub look_ups: usize,
    /// Look-ups are answered with 403.
    pub unreadable: bool,
}

impl Bulk {
    pub fn taking(longest: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { longest, ..State::default() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The table `[outputs.search]` that sends to this server. `more` are further keys.
    pub fn table(&self, more: &str) -> String {
        format!(
            "[outputs.search]\ntype = \"elasticsearch\"\nendpoints = [\"{}\"]\nsetup_template = \"never\"\n\
             compression = \"none\"\nlayout = \"flat\"\ntimeout = \"300ms\"\nretry = {{ min = \"20ms\", max = \"200ms\" }}\n\
             batch = {{ max_age = \"5ms\" }}\n{more}\n",
            self.url
        )
    }
}

fn serve(stream: TcpStream, state: &Arc<Mutex<State>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut target) = (0, String::new());
        stream.read_line(&mut target).ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(number) = line.strip_prefix("content-length: ") {
                length = number.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        let late = state.lock().unwrap().late.take_if(|_| target.contains("/_bulk"));
        if let Some(late) = late {
            state.lock().unwrap().was_late.0 = true;
            let state = Arc::clone(state);
            thread::spawn(move || {
                thread::sleep(late);
                let mut state = state.lock().unwrap();
                answer(&mut state, &target, &body);
                state.was_late.1 = true;
            });
            return None;
        }
        let (status, answer) = answer(&mut state.lock().unwrap(), &target, &body);
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.get_mut().write_all((head + &answer).as_bytes()).ok()?;
    }
}

fn answer(state: &mut State, target: &str, body: &[u8]) -> (u16, Value) {
    if let Some(status) = state.down {
        return (status, json!({"error": "down"}));
    }
    if target.contains("/_bulk") {
        let text = std::str::from_utf8(body).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let items: Vec<_> = lines.chunks(2).map(|pair| take(state, pair[0], pair[1])).collect();
        return (200, json!({"errors": true, "items": items}));
    }
    if state.unreadable && (target.contains("/_refresh") || target.contains("/_search")) {
        return (403, json!({"error": {"type": "security_exception", "reason": "no"}}));
    }
    if target.contains("/_refresh") {
        return (200, json!({"_shards": {"failed": 0}}));
    }
    if target.contains("/_search") {
        state.look_ups += 1;
        let asked: Value = serde_json::from_slice(body).unwrap();
        let Some(ids) = asked["query"]["ids"]["values"].as_array() else {
            // The agent asks whether anything is stored at all.
            let hits = json!({"total": {"value": state.stored.len()}});
            return (200, json!({"timed_out": false, "_shards": {"failed": 0}, "hits": hits}));
        };
        let hits: Vec<_> = ids
            .iter()
            .filter(|id| state.stored.contains_key(id.as_str().unwrap()))
            .map(|id| json!({"_id": id}))
            .collect();
        let hits = json!({"total": {"value": hits.len()}, "hits": hits});
        return (200, json!({"timed_out": false, "_shards": {"failed": 0}, "hits": hits}));
    }
    if target.starts_with("GET / ") {
        let version = json!({"number": "9.1.0"});
        return (200, json!({"tagline": "You Know, for Search", "version": version}));
    }
    (200, json!({}))
}

/// Stores a document without checking for an existing id, as a new backing index after a rollover would.
fn take(state: &mut State, action: &str, document: &str) -> Value {
    let action: Value = serde_json::from_str(action).unwrap();
    let id = action["create"]["_id"].as_str().unwrap().to_owned();
    let refused = |reason| {
        let error = json!({"type": "document_parsing_exception", "reason": reason});
        json!({"create": {"_id": id, "status": 400, "error": error}})
    };
    if document.len() > state.longest && state.blocked {
        let reason = "index [a] blocked by: [FORBIDDEN/8/index write (api)];";
        let error = json!({"type": "cluster_block_exception", "reason": reason});
        return json!({"create": {"_id": id, "status": 403, "error": error}});
    }
    if document.len() > state.longest {
        return refused("too long for us");
    }
    if state.refused_half == Some(id.bytes().map(u32::from).sum::<u32>() % 2) {
        return refused("of the other half");
    }
    state.stored.entry(id.clone()).or_insert_with(|| (document.to_owned(), 0)).1 += 1;
    json!({"create": {"_id": id, "status": 201}})
}
