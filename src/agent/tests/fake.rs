//! A fake back end: stores events, answers look-ups, and injects faults. Uses plain sockets, which it can break.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::wire::{bulked, items, only, pushed};

/// How to answer one request.
#[derive(Clone, Debug)]
pub(super) enum Do {
    Take,
    /// Store it, then break the connection instead of answering.
    TakeAndBreak,
    /// Break the connection, and store it only after this time.
    BreakAndTakeLater(Duration),
    /// Answer after this time; the client may have closed the connection by then.
    TakeAfter(Duration),
    /// Never answer, and store nothing.
    Hang,
    Answer(u16, &'static str),
    TakeAndAnswer(u16, &'static str),
    /// 429 with `Retry-After`, in seconds.
    Later(u64),
    /// Bulk: store every other document and answer 429 for the rest.
    TakeHalf,
    /// Bulk: store all and answer for one less.
    ForgetOne,
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Labels of the stream, or id of the document.
    pub(super) under: String,
    pub(super) tenant: String,
    pub(super) time: i64,
    pub(super) line: String,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) stored: Vec<Stored>,
    /// For the next writes, one each; after that `always`.
    pub(super) script: VecDeque<Do>,
    pub(super) always: Option<Do>,
    pub(super) look_ups: VecDeque<Do>,
    pub(super) always_look_up: Option<Do>,
    /// Refuses lines with this text with 400, and stores the others of the push.
    pub(super) poison: Option<&'static str>,
    /// Refuses them as too old.
    pub(super) too_old: Option<&'static str>,
    /// Refuses them as too new.
    pub(super) too_new: Option<&'static str>,
    /// Refuses them in words that the agent does not know.
    pub(super) unknown: Option<&'static str>,
    /// Bulk: refuses documents with this text with 400, and stores the others of the bulk.
    pub(super) odd: Option<&'static str>,
    /// Bulk: refuses an id that it has with 409.
    pub(super) guards_ids: bool,
    /// Bulk: the index of documents with this text is closed for writing.
    pub(super) blocked: Option<&'static str>,
    /// Requests with this text get no answer and are not stored.
    pub(super) hang: Option<&'static str>,
    /// Larger requests get 413.
    pub(super) max_body: Option<usize>,
    /// Larger answers to look-ups become a 500, as Loki's components report it.
    pub(super) max_answer: Option<usize>,
    /// Writes: the time, and the number of events.
    pub(super) writes: Vec<(Instant, usize)>,
    pub(super) looked_up: Vec<Instant>,
    /// The clock for `arrivals`.
    pub(super) clock: Option<Box<dyn Fn() -> usize + Send>>,
    /// Requests without events get a proxy's page, as if there were no store.
    pub(super) nobody: bool,
    /// For each write: how many events were stored before it, and when it came.
    pub(super) arrivals: Vec<(usize, usize)>,
}

impl State {
    fn arrived(&mut self, events: usize) {
        self.writes.push((Instant::now(), events));
        self.arrivals.push((self.stored.len(), self.clock.as_ref().map_or(0, |clock| clock())));
    }
}

pub(super) struct Fake {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn script(&self, script: impl IntoIterator<Item = Do>) {
        self.state().script.extend(script);
    }

    /// How often each event is stored, by its audit id.
    pub(super) fn counts(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for stored in &self.state().stored {
            *counts.entry(audit_id(&stored.line)).or_default() += 1;
        }
        counts
    }
}

pub(super) fn audit_id(line: &str) -> String {
    let (_, rest) =
        line.split_once(r#""auditID":""#).unwrap_or_else(|| panic!("no id: {line:.200}"));
    rest.split('"').next().unwrap().to_owned()
}

pub(super) struct Request {
    pub(super) target: String,
    pub(super) tenant: String,
    pub(super) body: Vec<u8>,
}

pub(super) fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut all, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    let end = loop {
        if let Some(at) = memchr::memmem::find(&all, b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => all.extend_from_slice(&chunk[..n]),
        }
    };
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let header = |name: &str| {
        head.lines().find_map(|line| Some(line.split_once(": ").filter(|(n, _)| *n == name)?.1))
    };
    let length: usize = header("content-length").map_or(0, |text| text.parse().unwrap());
    while all.len() < end + length {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => all.extend_from_slice(&chunk[..n]),
        }
    }
    let target = head.split(' ').nth(1)?.to_owned();
    let tenant = header("x-scope-orgid").unwrap_or_default().to_owned();
    Some(Request { target, tenant, body: all.split_off(end) })
}

pub(super) fn answer(stream: &mut TcpStream, status: u16, extra: &str, body: &str) {
    let head = format!("HTTP/1.1 {status} X\r\n{extra}content-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn serve(mut stream: TcpStream, state: &Arc<Mutex<State>>) {
    let _ = stream.set_nodelay(true);
    while let Some(request) = read(&mut stream) {
        let path = request.target.split('?').next().unwrap();
        let go_on = match path {
            "/loki/api/v1/push" => write(&mut stream, state, &request, pushed(&request)),
            "/_bulk" => write(&mut stream, state, &request, bulked(&request)),
            _ if path.ends_with("/_refresh") => {
                answer(&mut stream, 200, "", r#"{"_shards":{"failed":0}}"#);
                true
            }
            _ => look_up(&mut stream, state, &request),
        };
        if !go_on {
            return;
        }
    }
}

/// Removes refused events from `new`; returns the answer.
fn refusal(
    state: &mut State,
    new: &mut Vec<Stored>,
    length: usize,
    bulk: bool,
) -> Option<(u16, String)> {
    if state.max_body.is_some_and(|most| length > most) {
        new.clear();
        return Some((413, "too large".to_owned()));
    }
    if state.guards_ids && bulk {
        let taken: HashSet<_> = state.stored.iter().map(|stored| stored.under.clone()).collect();
        let answer = items(new, |at| if taken.contains(&new[at].under) { 409 } else { 201 });
        new.retain(|new| !taken.contains(&new.under));
        return Some((200, answer));
    }
    for (mark, status) in [(state.odd, 400), (state.blocked, 403)] {
        let Some(mark) = mark.filter(|_| bulk) else { continue };
        let is_odd = |stored: &Stored| stored.line.contains(mark);
        let answer = items(new, |at| if is_odd(&new[at]) { status } else { 201 });
        new.retain(|stored| !is_odd(stored));
        return Some((200, answer));
    }
    let marks = [
        (state.poison, "max entry size '5' bytes exceeded for stream '{}'"),
        (state.too_old, "entry for stream '{}' has timestamp too old: 2020"),
        (state.too_new, "entry for stream '{}' has timestamp too new: 2030"),
        (state.unknown, "the moon is in the wrong quarter"),
    ];
    for (mark, text) in marks {
        if let Some(mark) = mark.filter(|mark| new.iter().any(|one| one.line.contains(mark))) {
            new.retain(|stored| !stored.line.contains(mark));
            return Some((400, text.to_owned()));
        }
    }
    None
}

/// Returns whether the connection stays open.
fn write(
    stream: &mut TcpStream,
    state: &Arc<Mutex<State>>,
    request: &Request,
    mut new: Vec<Stored>,
) -> bool {
    let bulk = request.target.starts_with("/_bulk");
    let mut held = state.lock().unwrap();
    if new.is_empty() {
        let (status, body) = match held.script.front().or(held.always.as_ref()) {
            Some(Do::Answer(status, text)) => (*status, *text),
            _ if held.nobody => (403, "<html>Request blocked</html>"),
            _ if bulk => {
                (400, r#"{"error":{"type":"parse_exception","reason":"request body is required"}}"#)
            }
            _ => (422, "error at least one valid stream is required for ingestion\n"),
        };
        drop(held);
        answer(stream, status, "", body);
        return true;
    }
    let hangs = held.hang.is_some_and(|mark| new.iter().any(|stored| stored.line.contains(mark)));
    let act = if hangs { Some(Do::Hang) } else { held.script.pop_front() };
    let act = act.or_else(|| held.always.clone()).unwrap_or(Do::Take);
    held.arrived(new.len());
    if matches!(act, Do::Take)
        && let Some((status, body)) = refusal(&mut held, &mut new, request.body.len(), bulk)
    {
        held.stored.extend(new);
        drop(held);
        answer(stream, status, "", &body);
        return true;
    }
    let all = if bulk { items(&new, |_| 201) } else { String::new() };
    let ok = if bulk { 200 } else { 204 };
    match act {
        Do::Take => {
            held.stored.extend(new);
            drop(held);
            answer(stream, ok, "", &all);
            true
        }
        Do::TakeAndBreak => {
            held.stored.extend(new);
            false
        }
        Do::BreakAndTakeLater(after) => {
            let state = Arc::clone(state);
            thread::spawn(move || {
                thread::sleep(after);
                state.lock().unwrap().stored.extend(new);
            });
            false
        }
        Do::TakeAfter(after) => {
            drop(held);
            thread::sleep(after);
            state.lock().unwrap().stored.extend(new);
            answer(stream, ok, "", &all);
            true
        }
        Do::Hang => {
            drop(held);
            // Until the client closes the connection.
            let _ = stream.read(&mut [0]);
            false
        }
        Do::Answer(status, text) => {
            drop(held);
            answer(stream, status, "", text);
            true
        }
        Do::TakeAndAnswer(status, text) => {
            held.stored.extend(new);
            drop(held);
            answer(stream, status, "", text);
            true
        }
        Do::Later(seconds) => {
            drop(held);
            answer(stream, 429, &format!("retry-after: {seconds}\r\n"), "slow down");
            true
        }
        Do::TakeHalf => {
            let body = items(&new, |at| if at % 2 == 0 { 201 } else { 429 });
            held.stored.extend(new.into_iter().step_by(2));
            drop(held);
            answer(stream, 200, "", &body);
            true
        }
        Do::ForgetOne => {
            let body = items(&new[1..], |_| 201);
            held.stored.extend(new);
            drop(held);
            answer(stream, 200, "", &body);
            true
        }
    }
}

fn look_up(stream: &mut TcpStream, state: &Arc<Mutex<State>>, request: &Request) -> bool {
    let mut held = state.lock().unwrap();
    held.looked_up.push(Instant::now());
    let act = held.look_ups.pop_front().or_else(|| held.always_look_up.clone());
    if let Some(Do::Answer(status, text)) = act {
        drop(held);
        answer(stream, status, "", text);
        return true;
    }
    let body = found(&held.stored, request);
    let too_large = held.max_answer.is_some_and(|most| body.len() > most);
    drop(held);
    if too_large {
        answer(stream, 500, "", "rpc error: received message larger than max");
    } else {
        answer(stream, 200, "", &body);
    }
    true
}

/// A selector also matches streams with more labels, as in Loki.
fn is_selected(labels: &str, selector: &str) -> bool {
    let inside = |text: &str| text[1..text.len() - 1].to_owned();
    let labels: Vec<_> = inside(labels).split(", ").map(str::to_owned).collect();
    inside(selector).split(", ").all(|matcher| labels.iter().any(|label| label == matcher))
}

/// The answer to a look-up.
pub(super) fn found(stored: &[Stored], request: &Request) -> String {
    if request.target.contains("query_range") {
        return found_in_range(stored, request);
    }
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let ids = asked["query"]["ids"]["values"].as_array().unwrap();
    let is_asked = |stored: &&Stored| ids.iter().any(|id| *id == *stored.under);
    let hits: Vec<_> = stored
        .iter()
        .filter(is_asked)
        .map(
            |stored| json!({"_id": stored.under, "_source": only(&stored.line, &asked["_source"])}),
        )
        .collect();
    let hits = json!({"total": {"value": hits.len()}, "hits": hits});
    json!({"timed_out": false, "_shards": {"failed": 0}, "hits": hits}).to_string()
}

fn found_in_range(stored: &[Stored], request: &Request) -> String {
    let url = url::Url::parse(&format!("http://x{}", request.target)).unwrap();
    let asked: HashMap<_, _> = url.query_pairs().collect();
    let number = |name: &str| asked[name].parse::<i64>().unwrap();
    let (start, end) = (number("start"), number("end"));
    let mut found: Vec<_> = stored
        .iter()
        .filter(|stored| stored.tenant == request.tenant)
        .filter(|stored| is_selected(&stored.under, &asked["query"]))
        .filter(|stored| (start..end).contains(&stored.time))
        .collect();
    found.sort_by_key(|stored| stored.time);
    found.truncate(usize::try_from(number("limit")).unwrap());
    let values: Vec<_> =
        found.iter().map(|stored| json!([stored.time.to_string(), stored.line])).collect();
    json!({"status": "success", "data": {"resultType": "streams", "result": [{"stream": {}, "values": values}]}})
        .to_string()
}
