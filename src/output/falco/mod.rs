//! The Falco output: the webhook of Falco's k8saudit plugin, which takes what the API server's own webhook sends.
//!
//! `verdict.rs` interprets an answer, `check.rs` tells an operator what would go wrong.
//!
//! Falco answers 200 once a body is in its queue, which is in memory. Nobody can ask it what it holds, it knows no
//! repeats, and it tells nobody which events it dropped. So the transform step `completing` sends only what its parser
//! takes, and the ledger moves the cursor after each body (`src/checkpoint/allowance.rs`).
//!
//! Promised: a body is one `EventList`, uncompressed. Not promised: that Falco has looked at an event when it is
//! acknowledged.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ::http::Method;
use bytes::Bytes;

mod check;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz_tests;
#[cfg(test)]
mod tests;
mod verdict;

use super::credentials::in_query;
use super::http::{Client, Failure, IDLE, Request, Response};
use super::meter::Meter;
use super::secrets::Secrets;
use super::verdict::unanswered;
use super::{Answer, Capabilities, Comparable, Deduplication, EventRef, TakenLines, Verdict};
use crate::config;
use crate::event::Batch;
pub(super) use check::check;

pub(super) const CAPABILITIES: Capabilities = Capabilities {
    ordered: true,
    takes: TakenLines::WholeEvents,
    deduplication: Deduplication::None,
    comparable: Comparable::No,
    ..Capabilities::STORE
};

/// An `EventList` as the API server's webhook sends it. In a list Falco does not ask for the `kind` of an item.
const BEGIN: &[u8] =
    br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;
const END: &[u8] = b"]}";

/// Most bytes of a body with lines of this many bytes in all.
pub(super) fn body_bytes(lines: u64, events: u64) -> u64 {
    lines + events + (BEGIN.len() + END.len()) as u64
}

/// The Falco output of one input.
pub(crate) struct Falco {
    client: Client,
    endpoint: String,
    watch: AwayWatch,
}

impl Falco {
    /// Fails only with [`Failure::Setup`]: a file cannot be used.
    pub(crate) fn new(config: &config::Falco) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::new(&config.http)?.hiding(&in_query(&config.endpoint)),
            endpoint: config.endpoint.clone(),
            watch: AwayWatch::default(),
        })
    }

    pub(super) fn secrets(&self) -> Secrets {
        self.client.secrets()
    }

    pub(super) fn set_meter(&mut self, meter: Meter) {
        self.client.set_meter(meter);
    }

    /// Whether Falco was away since the last call, so that what stood in its queue is lost.
    pub(super) fn was_away(&self) -> bool {
        self.watch.away.swap(false, Relaxed)
    }

    /// Sends one body.
    pub(super) async fn send(&self, batch: &Batch, picks: &[EventRef]) -> Answer {
        if picks.is_empty() {
            return Answer::Each(Vec::new());
        }
        let headers = vec![("content-type", "application/json".to_owned())];
        let answered = self.ask(Method::POST, headers, body(batch, picks)).await;
        self.watch.note(&answered, self.client.opened(), Instant::now());
        Answer::Whole(match answered {
            Ok(response) => verdict::judge(&response),
            Err(failure) => match unanswered(failure) {
                // Nobody can be asked whether Falco took it, so it is sent again.
                Verdict::Doubt { reason, answer } => Verdict::Retry { after: None, reason, answer },
                other => other,
            },
        })
    }

    async fn ask(
        &self,
        method: Method,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    ) -> Result<Response, Failure> {
        self.client.send(Request { method, url: self.endpoint.clone(), headers, body }).await
    }
}

/// The events as one JSON document.
fn body(batch: &Batch, picks: &[EventRef]) -> Bytes {
    let lines = || picks.iter().map(|pick| batch.record(pick.event as usize).line);
    let size: usize = lines().map(|line| line.len() + 1).sum();
    let mut body = Vec::with_capacity(BEGIN.len() + size + END.len());
    body.extend_from_slice(BEGIN);
    for (index, line) in lines().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(line);
    }
    body.extend_from_slice(END);
    body.into()
}

/// Notices that Falco was away: it gave no answer, or the connection to it had to be made anew.
#[derive(Debug, Default)]
struct AwayWatch {
    away: AtomicBool,
    /// The last answer, and how many connections had been opened by then.
    // A std lock: it is held for an assignment, never across an await.
    last: Mutex<Option<(Instant, u64)>>,
}

impl AwayWatch {
    fn note(&self, answered: &Result<Response, Failure>, opened: u64, now: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let away = match answered {
            Err(Failure::NotSent { .. } | Failure::Lost { .. }) => true,
            Err(Failure::Setup { .. }) => false,
            // After a longer pause the client itself has closed the connection.
            Ok(_) => last.is_some_and(|(at, before)| {
                opened != before && now.saturating_duration_since(at) < IDLE
            }),
        };
        if answered.is_ok() {
            *last = Some((now, opened));
        }
        if away {
            self.away.store(true, Relaxed);
        }
    }
}
