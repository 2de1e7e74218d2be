//! One connection of a fake store: answers its requests, or makes the faults that a script asks for.

use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Do;
use super::http::{self, Answer, Request};
use super::state::{State, Stored};
use super::wire;

/// The method of a write.
const POST: &str = "POST";

type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until the client or a fault closes the connection.
pub(super) fn serve(mut stream: TcpStream, state: &Shared) {
    let _ = stream.set_nodelay(true);
    while let Some(request) = http::read(&mut stream) {
        let stays = if request.is_push() || request.is_bulk() {
            write(&mut stream, state, request)
        } else {
            let answer = other(&mut lock(state), &request);
            answer.send(&mut stream, &request.method);
            true
        };
        if !stays {
            return;
        }
    }
}

/// Returns whether the connection stays open.
fn write(stream: &mut TcpStream, state: &Shared, request: Request) -> bool {
    // A recorded server reads the request itself. Others are not kept waiting while this one is decoded.
    let recorded = lock(state).recorded.is_some();
    let events = if recorded { Vec::new() } else { wire::events(&request) };
    let mut held = lock(state);
    let answer = if let Some(status) = held.down {
        down(status)
    } else if events.is_empty() && !recorded {
        held.empty_write(request.is_bulk())
    } else {
        held.note_write(events.len());
        if held.patience.is_some() && http::is_given_up(stream) {
            return false;
        }
        match held.next(&events) {
            Do::Take => held.take(&request, events, false),
            Do::TakeHalf => held.take(&request, events, true),
            Do::ForgetOne => one_less(&held.take(&request, events, false)),
            Do::TakeAndAnswer(status, text) => {
                held.take(&request, events, false);
                Answer::text(status, text)
            }
            Do::TakeAndBreak => {
                held.take(&request, events, false);
                return false;
            }
            Do::Answer(status, text) => Answer::text(status, text),
            Do::Later(seconds) => {
                let mut answer = Answer::text(429, "slow down");
                answer.headers.push(("retry-after", seconds.to_string()));
                answer
            }
            Do::Break => return false,
            Do::Hang => {
                drop(held);
                http::hang(stream);
                return false;
            }
            Do::TakeAfter(time) => {
                drop(held);
                let Some(answer) = take_after(state, time, &request, events) else { return false };
                answer.send(stream, POST);
                return true;
            }
            Do::BreakAndTakeLater(time) => {
                let state = Arc::clone(state);
                thread::spawn(move || take_after(&state, time, &request, events));
                return false;
            }
        }
    };
    drop(held);
    answer.send(stream, POST);
    true
}

/// Takes a write after this time, if the machine is not so busy that it is later than the store's patience.
fn take_after(
    state: &Shared,
    time: Duration,
    request: &Request,
    events: Vec<Stored>,
) -> Option<Answer> {
    let arrived = Instant::now();
    thread::sleep(time);
    let mut state = lock(state);
    let in_time = state.patience.is_none_or(|most| arrived.elapsed() < most);
    in_time.then(|| state.take(request, events, false))
}

fn down(status: u16) -> Answer {
    Answer::json(status, &json!({"error": "down"}))
}

/// A bulk answer without its first item.
fn one_less(answer: &Answer) -> Answer {
    let mut value: Value = serde_json::from_slice(&answer.body).unwrap();
    value["items"].as_array_mut().unwrap().remove(0);
    Answer::json(answer.status, &value)
}

/// The answer to a request that writes nothing.
fn other(state: &mut State, request: &Request) -> Answer {
    if let Some(status) = state.down {
        return down(status);
    }
    if request.path.ends_with("/_refresh") {
        return state.question(request);
    }
    state.looked_up.push(Instant::now());
    let act = state.look_ups.pop_front().or_else(|| state.always_look_up.clone());
    if let Some(Do::Answer(status, text)) = act {
        return Answer::text(status, text);
    }
    let answer = state.question(request);
    if state.max_answer.is_some_and(|most| answer.body.len() > most) {
        return Answer::text(500, "rpc error: received message larger than max");
    }
    answer
}
