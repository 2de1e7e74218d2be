//! The Elasticsearch output, also for `OpenSearch` and `VictoriaLogs`: sends documents by `_bulk`, each with an id
//! built from the name of the log and the position of the event.
//!
//! `document.rs` and `fallback.rs` build the documents, `verdict.rs` interprets an answer, `lookup.rs` finds out which
//! events are stored already and `presence.rs` whether any are. `scan.rs` reads all documents and
//! `content_digest.rs` compares them. `template.rs` and `template_origin.rs` manage the index template. `check.rs`
//! tells an operator what would go wrong, and `preflight.rs` what would go wrong with a certain time range.
//!
//! Promised: every event is either stored under its id, or has a verdict that says why not. Not promised: that an id
//! is stored only once in a data stream that rolled over in between. To prevent such duplicates, the pipeline looks
//! events in doubt up first.

use std::path::Path;

use ::http::Method;
use bytes::Bytes;
use tokio::sync::OnceCell;

mod addresses;
mod answer;
mod body;
mod check;
mod content_digest;
mod document;
mod endpoints;
mod facts;
mod fallback;
mod flavour;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz_tests;
mod lookup;
mod preflight;
mod presence;
mod scan;
mod stored;
mod target;
mod template;
mod template_body;
mod template_origin;
mod verdict;

use super::credentials::telling;
use super::http::{Client, Failure, Request, Response};
use super::identity::{parts, repaired};
use super::meter::Meter;
use super::secrets::Secrets;
use super::verdict::unanswered;
use super::{Answer, Capabilities, Digest, EventIdentity, EventRef, MILLI, Verdict};
use crate::config::{self, Compression};
use crate::event::{Batch, IdScheme, Ids, LogName};
use body::Body;
use document::DocumentFrame;
use endpoints::Endpoints;
pub(super) use lookup::look_up;
use target::Naming;
use verdict::Sent;

pub(super) const CAPABILITIES: Capabilities =
    Capabilities { by_position: true, ..Capabilities::STORE };

/// The parts of a bulk answer that the verdicts need.
const BULK: [(&str, &str); 1] =
    [("filter_path", "took,errors,items.*._id,items.*.error,items.*.status,items.*.failure_store")];
/// Estimated bytes of a document beside its line.
const AROUND: usize = 1100;

pub(super) use check::check;
pub(super) use preflight::preflight;
pub(super) use presence::holds_any;
pub(super) use scan::Pager;
pub(super) use verdict::most;

/// Most bytes of bulk bodies: the safe form repeats the line as a string.
pub(super) fn body_bytes(lines: u64, events: u64) -> u64 {
    2 * lines + events * AROUND as u64
}

/// The Elasticsearch output of one input.
pub(crate) struct Elasticsearch {
    config: config::Elasticsearch,
    client: Client,
    endpoints: Endpoints,
    frame: DocumentFrame,
    log: LogName,
    ids: Ids,
    /// The id schemes of earlier versions, and of earlier names of the log.
    earlier: Vec<Ids>,
    prepared: OnceCell<()>,
}

impl Elasticsearch {
    /// `path`: of the log, for the documents. `earlier`: the schemes by which ids may have been built before. Fails
    /// only with [`Failure::Setup`]: an endpoint is not a URL, or a file cannot be used.
    pub(crate) fn new(
        config: &config::Elasticsearch,
        log: LogName,
        path: Option<&Path>,
        earlier: &[IdScheme],
    ) -> Result<Self, Failure> {
        let ids = Ids::new(&IdScheme::Log(log.clone()));
        let earlier = earlier.iter().map(Ids::new).filter(|other| *other != ids).collect();
        Ok(Self {
            client: Client::new(&config.http)?.hiding(&telling(&config.query)),
            endpoints: Endpoints::new(&config.endpoints, &config.query)?,
            frame: DocumentFrame::new(
                config.layout,
                &config.target,
                &log.node,
                log.cluster.as_deref(),
                path,
            ),
            log,
            ids,
            earlier,
            prepared: OnceCell::new(),
            config: config.clone(),
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
        target::scope(&self.config.target)
    }

    /// The scheme by which ids are built now.
    pub(crate) fn id_scheme(&self) -> IdScheme {
        IdScheme::Log(self.log.clone())
    }

    /// The id of a pick's document.
    fn id(&self, batch: &Batch, pick: EventRef) -> String {
        let index = pick.event as usize;
        let position = batch.position(index);
        if pick.other == 0 {
            return self.ids.id(&position);
        }
        let line = repaired(batch.record(index).line);
        match parts(&line) {
            Some(parts) => {
                let content = parts.each_ref().map(|part| part.as_bytes());
                self.ids.other_id(&position, pick.other, &content)
            }
            None => self.ids.other_id(&position, pick.other, &[line.as_bytes()]),
        }
    }

    /// Makes one bulk request.
    pub(super) async fn send(&self, batch: &Batch, picks: &[EventRef]) -> Answer {
        if picks.is_empty() {
            return Answer::Each(Vec::new());
        }
        if let Err(verdict) = self.prepare().await {
            return Answer::Whole(verdict);
        }
        let (body, sent) = match self.body(batch, picks) {
            Ok(made) => made,
            Err(error) => {
                let hint = "this is a fault of the program; try compression = \"none\"".to_owned();
                return Answer::Whole(Verdict::Stop {
                    answer: format!("cannot compress: {error}"),
                    hint,
                });
            }
        };
        let mut headers = vec![("content-type", "application/x-ndjson".to_owned())];
        if self.config.compression == Compression::Gzip {
            headers.push(("content-encoding", "gzip".to_owned()));
        }
        match self.post("_bulk", &BULK, headers, body, most(picks.len() as u64)).await {
            Ok(response) => verdict::judge(&response, &sent),
            Err(failure) => Answer::Whole(unanswered(failure)),
        }
    }

    /// The body of a bulk request, and the documents that its answer must name.
    fn body(&self, batch: &Batch, picks: &[EventRef]) -> std::io::Result<(Bytes, Vec<Sent>)> {
        let lines: usize =
            picks.iter().map(|pick| batch.record(pick.event as usize).line.len()).sum();
        let mut body = Body::new(self.config.compression, lines + picks.len() * AROUND);
        let mut naming = Naming::new(&self.config.target);
        let mut sent = Vec::with_capacity(picks.len());
        let now = jiff::Timestamp::now().as_millisecond().saturating_mul(MILLI);
        for pick in picks {
            let index = pick.event as usize;
            let record = batch.record(index);
            body.put(b"{\"create\":{\"_index\":\"");
            body.put(naming.name(record.event.time).as_bytes());
            body.put(b"\",\"_id\":\"");
            let id = self.id(batch, *pick);
            body.put(id.as_bytes());
            body.put(b"\"}}\n");
            let fallback = self.frame.write(record, pick.fallback, now, &mut body);
            sent.push(Sent { id, fallback });
            body.put(b"\n");
        }
        Ok((body.finish()?, sent))
    }

    /// The identity of an event in this store, and a digest of the content that the store keeps of it.
    pub(super) fn identity(&self, batch: &Batch, index: usize, digest: &Digest) -> EventIdentity {
        let position = batch.position(index).raw();
        content_digest::identity(self.config.layout, batch.record(index), &position, digest)
    }

    /// Sends a JSON query by `POST`; without a body it sends no content type either.
    async fn ask(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Bytes,
        bound: usize,
    ) -> Result<Response, Failure> {
        let headers = if body.is_empty() {
            Vec::new()
        } else {
            vec![("content-type", "application/json".to_owned())]
        };
        self.post(path, query, headers, body, bound).await
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Response, Failure> {
        let request =
            |url| Request { method: Method::GET, url, headers: Vec::new(), body: Bytes::new() };
        self.anywhere(path, query, request, 4 * 1024 * 1024).await
    }

    async fn post(
        &self,
        path: &str,
        query: &[(&str, &str)],
        headers: Vec<(&'static str, String)>,
        body: Bytes,
        bound: usize,
    ) -> Result<Response, Failure> {
        let request = |url| Request {
            method: Method::POST,
            url,
            headers: headers.clone(),
            body: body.clone(),
        };
        self.anywhere(path, query, request, bound).await
    }

    /// Sends a request to the current endpoint; fails over to the next ones as long as nothing was sent. After a 5xx or
    /// a lost answer it returns the result, and only later requests use the next endpoint.
    async fn anywhere(
        &self,
        path: &str,
        query: &[(&str, &str)],
        request: impl Fn(String) -> Request,
        bound: usize,
    ) -> Result<Response, Failure> {
        let mut tries = 1;
        loop {
            let at = self.endpoints.present();
            let result =
                self.client.send_keeping(request(self.endpoints.url(at, path, query)), bound).await;
            match &result {
                Ok(response) if response.status < 500 => return result,
                Err(Failure::Setup { .. }) => return result,
                Err(Failure::NotSent { .. }) if tries < self.endpoints.len() => tries += 1,
                _ => {
                    self.endpoints.leave(at);
                    return result;
                }
            }
            self.endpoints.leave(at);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(super) mod tests;
