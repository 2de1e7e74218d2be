//! Outputs: a folder or file per back end (Loki, Elasticsearch and `OpenSearch`, Falco, a file), and what they share.
//!
//! To add an output, read "To add something" in ARCHITECTURE.md.
//!
//! An output takes the picked events of a batch, makes one request, and turns the answer into a [`Verdict`] for each
//! event (`verdict.rs`). It never retries, backs off or keeps state between requests: the pipeline does that. Its
//! [`Capabilities`] say how it differs from other outputs. [`Queryable`] is the part of a store that can be asked
//! which events it holds. Only `http.rs` sends requests. Every text about an answer leaves this module through
//! `door.rs`, which redacts credentials.

use std::path::Path;

use crate::config::OutputKind;
use crate::event::{Batch, IdScheme, LogName};
use door::Texts as _;

#[cfg(test)]
mod any_answer_tests;
mod capabilities;
mod connect;
mod credentials;
mod door;
mod elasticsearch;
mod exchange;
mod falco;
mod file;
mod file_opening;
mod file_tail;
mod finding;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz_tests;
#[cfg(test)]
#[path = "tests/hostile.rs"]
mod hostile_tests;
mod http;
mod identity;
mod loki;
pub(crate) mod memory;
mod meter;
mod no_answer;
mod queryable;
mod scan;
mod secrets;
mod stranger;
mod verdict;

pub(crate) use capabilities::{Capabilities, Comparable, Deduplication, TakenLines};
pub(crate) use elasticsearch::Elasticsearch;
pub(crate) use exchange::shown_url;
pub(crate) use falco::Falco;
pub(crate) use file::File;
pub(crate) use finding::{Finding, FindingState};
pub(crate) use identity::{Digest, EventIdentity};
pub(crate) use loki::Loki;
pub(crate) use meter::{Ended, Exchange, Meter};
pub(crate) use queryable::{Queryable, StoreScan};
pub(crate) use scan::{MILLI, ScanPage, Stored};
pub(crate) use verdict::{Answer, EventRef, LookUp, QueryError, Verdict};

use secrets::Secrets;

impl Capabilities {
    pub(crate) fn of(kind: &OutputKind) -> Self {
        match kind {
            OutputKind::Loki(_) => loki::CAPABILITIES,
            OutputKind::Elasticsearch(_) => elasticsearch::CAPABILITIES,
            OutputKind::Falco(_) => falco::CAPABILITIES,
            OutputKind::File(_) => file::CAPABILITIES,
        }
    }
}

/// The output of one input.
pub(crate) enum Output {
    Loki(Box<Loki>),
    Elasticsearch(Box<Elasticsearch>),
    Falco(Box<Falco>),
    File(File),
}

impl Output {
    /// Makes no request and opens no file of the output. `path`: the log that the input follows, if it does. `earlier`:
    /// the schemes by which ids may have been built before.
    ///
    /// # Errors
    /// Only [`exchange::Failure::Setup`]: a file that the configuration names cannot be used, or an endpoint is no URL.
    pub(crate) fn new(
        kind: &OutputKind,
        log: LogName,
        path: Option<&Path>,
        earlier: &[IdScheme],
    ) -> Result<Self, exchange::Failure> {
        Ok(match kind {
            OutputKind::Loki(config) => Self::Loki(Box::new(Loki::new(config, &log)?)),
            OutputKind::Elasticsearch(config) => {
                Self::Elasticsearch(Box::new(Elasticsearch::new(config, log, path, earlier)?))
            }
            OutputKind::Falco(config) => Self::Falco(Box::new(Falco::new(config)?)),
            OutputKind::File(config) => {
                Self::File(File::new(&config.path, config.rotate, &log.input))
            }
        })
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        match self {
            Self::Loki(_) => loki::CAPABILITIES,
            Self::Elasticsearch(_) => elasticsearch::CAPABILITIES,
            Self::Falco(_) => falco::CAPABILITIES,
            Self::File(_) => file::CAPABILITIES,
        }
    }

    /// The output, if it can be asked what it holds. Events in doubt are looked up there before they are sent again.
    pub(crate) fn queryable(&self) -> Option<Queryable<'_>> {
        match self {
            Self::Loki(loki) => Some(Queryable::Loki(loki)),
            Self::Elasticsearch(elasticsearch) => Some(Queryable::Elasticsearch(elasticsearch)),
            Self::Falco(_) | Self::File(_) => None,
        }
    }

    /// Whether the back end was away since the last call, so that what it had acknowledged and not processed is lost.
    pub(crate) fn was_away(&self) -> bool {
        match self {
            Self::Falco(falco) => falco.was_away(),
            Self::Loki(_) | Self::Elasticsearch(_) | Self::File(_) => false,
        }
    }

    /// The output, if the agent cuts it back at the start to what the checkpoint covers, so that nothing is in doubt.
    pub(crate) fn cut_back(&self) -> Option<&File> {
        match self {
            Self::File(file) => Some(file),
            Self::Loki(_) | Self::Elasticsearch(_) | Self::Falco(_) => None,
        }
    }

    /// The secrets to redact in texts from this output.
    fn secrets(&self) -> Option<Secrets> {
        match self {
            Self::Falco(falco) => Some(falco.secrets()),
            other => other.queryable().map(Queryable::secrets),
        }
    }

    /// The same output, which reports each request to `meter`.
    pub(crate) fn metered(mut self, meter: Meter) -> Self {
        match &mut self {
            Self::Loki(loki) => loki.set_meter(meter),
            Self::Elasticsearch(elasticsearch) => elasticsearch.set_meter(meter),
            Self::Falco(falco) => falco.set_meter(meter),
            Self::File(file) => file.set_meter(meter),
        }
        self
    }

    /// Where a look-up has to search for events that are sent under this configuration; empty if there is no look-up.
    pub(crate) fn scope(&self) -> String {
        self.queryable().map(Queryable::scope).unwrap_or_default()
    }

    /// The events of a batch, in groups that may share a request.
    pub(crate) fn groups(&self, batch: &Batch) -> Vec<Vec<EventRef>> {
        match self {
            Self::Loki(loki) => loki.groups(batch),
            Self::Elasticsearch(_) | Self::Falco(_) | Self::File(_) => {
                vec![(0..).zip(&batch.events).map(|(event, _)| EventRef::new(event)).collect()]
            }
        }
    }

    /// Makes one request.
    pub(crate) async fn send(&self, batch: &Batch, picks: &[EventRef]) -> Answer {
        let answer = match self {
            Self::Loki(loki) => loki.send(batch, picks).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.send(batch, picks).await,
            Self::Falco(falco) => falco.send(batch, picks).await,
            Self::File(file) => {
                let answer = tokio::task::block_in_place(|| file.send(batch, picks));
                if file.has_no_reader() {
                    // Nobody needs the answer any more: the task that waits for the reader to leave ends this one.
                    std::future::pending::<()>().await;
                }
                answer
            }
        };
        answer.shown(|| self.secrets())
    }

    /// Which picks are stored in `scope`. `trusting`: this node has probably sent the picks, so a document with the
    /// right id counts even if the store does not show its content.
    pub(crate) async fn look_up(
        &self,
        scope: &str,
        batch: &Batch,
        picks: &[EventRef],
        trusting: bool,
    ) -> LookUp {
        let found = match self {
            Self::Loki(loki) => loki::look_up(loki, scope, batch, picks).await,
            Self::Elasticsearch(elasticsearch) => {
                elasticsearch::look_up(elasticsearch, scope, batch, picks, trusting).await
            }
            Self::Falco(_) => Err(QueryError::Unavailable {
                answer: "Falco cannot be asked what it has taken".to_owned(),
            }),
            Self::File(file) => tokio::task::block_in_place(|| file.look_up(batch, picks)),
        };
        found.shown(|| self.secrets())
    }

    /// What would go wrong with this output, and what to do about it.
    pub(crate) async fn check(&self) -> Vec<Finding> {
        let findings = match self {
            Self::Loki(loki) => loki::check(loki).await,
            Self::Elasticsearch(store) => elasticsearch::check(store).await,
            Self::Falco(falco) => falco::check(falco).await,
            Self::File(file) => file.check(),
        };
        findings.shown(|| self.secrets())
    }
}
