//! The Loki output, also for other servers with Loki's push protocol: protobuf with snappy, one stream per push, the
//! line unchanged.
//!
//! `push.rs` builds the body, `verdict.rs` interprets an answer, `lookup.rs` finds out which events are stored already,
//! `presence.rs` whether any are, and `scan.rs` reads all of them. `check.rs` tells an operator what would go wrong,
//! and `preflight.rs` what would go wrong with a certain time range.
//!
//! Promised: labels, timestamp, line and metadata of an event are the same bytes every time it is sent. A push holds
//! one stream: of several, Loki's ingester reports the error of the last one only (`instance.Push`), so lines could be
//! lost behind a 204.

use std::sync::{Mutex, PoisonError};

use ::http::Method;
use bytes::Bytes;

mod answer;
mod check;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz_tests;
mod limits;
mod lookup;
mod preflight;
mod presence;
mod push;
mod question;
mod scan;
mod scope;
mod stream_locks;
mod urls;
mod verdict;

use super::credentials::in_query;
use super::http::{Client, Failure, Request, Response};
use super::meter::Meter;
use super::secrets::Secrets;
use super::verdict::unanswered;
use super::{Answer, Capabilities, Comparable, EventRef};
use crate::config;
use crate::event::{Batch, LogName, Nanos};
pub(super) use check::check;
pub(super) use lookup::look_up;
pub(super) use preflight::preflight;
pub(super) use presence::holds_any;
use push::{Labels, own_stream};
pub(super) use question::LOOK_UP;
pub(super) use scan::{Pager, identity};
use scope::Scope;
use stream_locks::Turns;
use urls::urls;

pub(super) const CAPABILITIES: Capabilities =
    Capabilities { comparable: Comparable::HidesRepeats, ..Capabilities::STORE };

const HOUR: Nanos = 3_600_000_000_000;

/// The Loki output of one input.
pub(crate) struct Loki {
    config: config::Loki,
    client: Client,
    /// The part of the URL before `/loki/api/v1/push`.
    base: String,
    push_url: String,
    labels: Labels,
    turns: Turns,
    /// Reused buffers: allocating them for each push costs a tenth of all the work.
    scratch: Mutex<Vec<Scratch>>,
}

/// The buffers in which a push is built.
struct Scratch {
    snappy: snap::raw::Encoder,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

/// How many sets of buffers are kept, one per concurrent push; and the usual size of a buffer, in bytes.
const KEPT: usize = 2;
const USUAL: usize = 2 << 20;
/// Most bytes of buffers that are kept for later requests.
pub(super) const KEPT_BYTES: u64 = (KEPT * 2 * USUAL) as u64;
/// Most bytes of a push before compression: metadata repeats parts of the line.
pub(super) fn plain_bytes(lines: u64, events: u64) -> u64 {
    2 * lines + events * push::AROUND as u64
}

impl Loki {
    /// Fails only with [`Failure::Setup`]: a file cannot be used.
    pub(crate) fn new(config: &config::Loki, log: &LogName) -> Result<Self, Failure> {
        let (base, push_url) = urls(&config.endpoint);
        let own = [
            ("node", Some(&log.node)),
            ("cluster", log.cluster.as_ref()),
            ("input", Some(&log.input)),
        ];
        let own =
            own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
        let labels = Labels::new(config.labels.iter().cloned().chain(own));
        Ok(Self {
            client: Client::new(&config.http)?.hiding(&in_query(&config.endpoint)),
            config: config.clone(),
            base,
            push_url,
            labels,
            turns: Turns::default(),
            scratch: Mutex::default(),
        })
    }

    pub(super) fn secrets(&self) -> Secrets {
        self.client.secrets()
    }

    pub(super) fn set_meter(&mut self, meter: Meter) {
        self.client.set_meter(meter);
    }

    /// Where a look-up has to search for events that are sent under this configuration.
    pub(crate) fn scope(&self) -> String {
        Scope { tenant: self.config.tenant.clone(), selector: self.labels.text(None, None) }
            .to_text()
    }

    /// The events of a batch, grouped by stream: those of one stream may share a request.
    pub(crate) fn groups(&self, batch: &Batch) -> Vec<Vec<EventRef>> {
        let mut groups: Vec<(Nanos, Option<&str>, Vec<EventRef>)> = Vec::new();
        for (index, event) in (0..).zip(&batch.events) {
            let (hour, own) = (self.hour(event.time), own_stream(event.whole));
            let pick = EventRef::new(index);
            match groups.iter_mut().find(|group| (group.0, group.1) == (hour, own)) {
                Some((_, _, picks)) => picks.push(pick),
                None => groups.push((hour, own, vec![pick])),
            }
        }
        groups.into_iter().map(|(_, _, picks)| picks).collect()
    }

    /// Hours since 1970 if `stream_per_hour` is on, otherwise 0.
    fn hour(&self, time: Nanos) -> Nanos {
        if self.config.stream_per_hour { time.div_euclid(HOUR) } else { 0 }
    }

    /// Sends one push.
    pub(super) async fn send(&self, batch: &Batch, picks: &[EventRef]) -> Answer {
        let Some(first) = picks.first() else { return Answer::Each(Vec::new()) };
        let first = &batch.events[first.event as usize];
        let hour = self.config.stream_per_hour.then(|| self.hour(first.time));
        let labels = self.labels.text(hour, own_stream(first.whole));
        let body = self.body(&labels, batch, picks);
        let _turn = self.turns.take(&labels).await;
        Answer::Whole(match self.push(body).await {
            Ok(response) => verdict::judge(&response),
            Err(failure) => unanswered(failure),
        })
    }

    /// The body of a push, compressed.
    fn body(&self, labels: &str, batch: &Batch, picks: &[EventRef]) -> Bytes {
        let kept = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = kept().pop().unwrap_or_else(|| Scratch {
            snappy: snap::raw::Encoder::new(),
            plain: Vec::new(),
            packed: Vec::new(),
        });
        let Scratch { snappy, plain, packed } = &mut scratch;
        let plain = push::body(plain, labels, batch, picks, &self.config.metadata);
        let room = snap::raw::max_compress_len(plain.len());
        if packed.len() < room {
            packed.resize(room, 0);
        }
        // Fails only for bodies of 4 GiB and more.
        let length = snappy.compress(plain, packed).unwrap_or_default();
        if scratch.plain.capacity().max(scratch.packed.capacity()) > USUAL {
            // Buffers grown for a large line are not kept, so the body need not be copied out of them.
            let mut packed = scratch.packed;
            packed.truncate(length);
            packed.shrink_to_fit();
            return packed.into();
        }
        let body = Bytes::copy_from_slice(&scratch.packed[..length]);
        let mut kept = kept();
        if kept.len() < KEPT {
            kept.push(scratch);
        }
        body
    }

    async fn push(&self, body: Bytes) -> Result<Response, Failure> {
        let mut headers = vec![("content-type", "application/x-protobuf".to_owned())];
        Self::add_tenant(&mut headers, &self.config.tenant);
        self.client
            .send(Request { method: Method::POST, url: self.push_url.clone(), headers, body })
            .await
    }

    fn add_tenant(headers: &mut Vec<(&'static str, String)>, tenant: &str) {
        if !tenant.is_empty() {
            headers.push(("x-scope-orgid", tenant.to_owned()));
        }
    }
}

fn now() -> Nanos {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default()
}

/// A push without streams: a Loki that would accept pushes refuses it with 422.
fn nothing() -> Bytes {
    snap::raw::Encoder::new().compress_vec(&[]).unwrap_or_default().into()
}

/// A push that cannot be decoded: every server that decodes pushes refuses it in words of its own.
fn garbage() -> Bytes {
    Bytes::from_static(b"\xff\xff\xff\xff\xff\xff")
}
