//! What only stores can do that can be asked what they hold: look-ups before a resend, `verify`, and the preflight of a
//! replay. An output that cannot be asked has no [`Queryable`].

use std::ops::Range;

use super::door::Texts as _;
use super::secrets::Secrets;
use super::{
    Capabilities, Digest, Elasticsearch, EventIdentity, Finding, Loki, LookUp, ScanCursor,
    ScanPage, elasticsearch, loki,
};
use crate::event::{Batch, IdScheme, Nanos};

/// An output that can be asked what it holds.
#[derive(Clone, Copy)]
pub(crate) enum Queryable<'a> {
    Loki(&'a Loki),
    Elasticsearch(&'a Elasticsearch),
}

impl Queryable<'_> {
    /// The secrets to redact in texts from this output.
    pub(super) fn secrets(self) -> Secrets {
        match self {
            Self::Loki(loki) => loki.secrets(),
            Self::Elasticsearch(elasticsearch) => elasticsearch.secrets(),
        }
    }

    pub(crate) fn capabilities(self) -> Capabilities {
        match self {
            Self::Loki(_) => loki::CAPABILITIES,
            Self::Elasticsearch(_) => elasticsearch::CAPABILITIES,
        }
    }

    /// Where a look-up has to search for events that are sent under this configuration.
    pub(crate) fn scope(self) -> String {
        match self {
            Self::Loki(loki) => loki.scope(),
            Self::Elasticsearch(elasticsearch) => elasticsearch.scope(),
        }
    }

    /// How the document ids are built; `None` for a store without ids.
    pub(crate) fn id_scheme(self) -> Option<IdScheme> {
        match self {
            Self::Loki(_) => None,
            Self::Elasticsearch(elasticsearch) => Some(elasticsearch.id_scheme()),
        }
    }

    /// The identity of an event of a batch in this store, and a digest of what is stored of it.
    pub(crate) fn likeness(self, batch: &Batch, index: usize, digest: &Digest) -> EventIdentity {
        match self {
            Self::Loki(_) => loki::likeness(batch.record(index), digest),
            Self::Elasticsearch(elasticsearch) => elasticsearch.likeness(batch, index, digest),
        }
    }

    /// The next page of all that `scope` holds. Makes one request; the first call may make more.
    pub(crate) async fn scan(
        self,
        scope: &str,
        walk: &mut ScanCursor,
        digest: &Digest,
    ) -> ScanPage {
        let told = match self {
            Self::Loki(loki) => loki.scan(scope, walk, digest).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.scan(scope, walk, digest).await,
        };
        told.shown(|| Some(self.secrets()))
    }

    /// Whether `scope` holds any event of this time range. Asked before the first push of a replay: if there is none,
    /// no event needs to be looked up.
    pub(crate) async fn holds_any(self, scope: &str, range: Range<Nanos>) -> LookUp {
        let held = match self {
            Self::Loki(loki) => loki.holds_any(scope, range).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.holds_any(scope, range).await,
        };
        held.shown(|| Some(self.secrets()))
    }

    /// What the store would refuse, hide or delete of events of this time range; reported before the first push of a
    /// replay. If any finding is a failure, the caller should send nothing.
    pub(crate) async fn preflight(self, times: Range<Nanos>) -> Vec<Finding> {
        let findings = match self {
            Self::Loki(loki) => loki.preflight(times).await,
            Self::Elasticsearch(elasticsearch) => elasticsearch.preflight(times).await,
        };
        findings.shown(|| Some(self.secrets()))
    }
}
