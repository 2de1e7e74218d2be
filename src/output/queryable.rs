//! What only stores can do that can be asked what they hold: look-ups before a resend, `verify`, and the preflight of a
//! replay. An output that cannot be asked has no [`Queryable`].

use std::ops::Range;

use super::door::Texts as _;
use super::secrets::Secrets;
use super::{
    Capabilities, Digest, Elasticsearch, EventIdentity, Finding, Loki, QueryError, ScanPage,
    elasticsearch, loki,
};
use crate::event::{Batch, IdScheme, Nanos};

/// An output that can be asked what it holds.
#[derive(Clone, Copy)]
pub(crate) enum Queryable<'a> {
    Loki(&'a Loki),
    Elasticsearch(&'a Elasticsearch),
}

impl<'a> Queryable<'a> {
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

    /// The identity of an event of a batch in this store, and a digest of the content that the store keeps of it.
    pub(crate) fn identity(self, batch: &Batch, index: usize, digest: &Digest) -> EventIdentity {
        match self {
            Self::Loki(_) => loki::identity(batch.record(index), digest),
            Self::Elasticsearch(elasticsearch) => elasticsearch.identity(batch, index, digest),
        }
    }

    /// Reads all that `scope` holds of a time range, whose ends are whole milliseconds. `usual`: estimated bytes per
    /// event.
    pub(crate) fn scan(self, scope: String, range: Range<Nanos>, usual: usize) -> StoreScan<'a> {
        match self {
            Self::Loki(loki) => StoreScan::Loki(loki::Pager::new(loki, scope, range, usual)),
            Self::Elasticsearch(store) => {
                StoreScan::Elasticsearch(elasticsearch::Pager::new(store, scope, range, usual))
            }
        }
    }

    /// Whether `scope` holds any event of this time range. Asked before the first push of a replay: if there is none,
    /// no event needs to be looked up.
    pub(crate) async fn holds_any(
        self,
        scope: &str,
        range: Range<Nanos>,
    ) -> Result<bool, QueryError> {
        let held = match self {
            Self::Loki(loki) => loki::holds_any(loki, scope, range).await,
            Self::Elasticsearch(store) => elasticsearch::holds_any(store, scope, range).await,
        };
        held.shown(|| Some(self.secrets()))
    }

    /// What the store would refuse or hide of events of this time range; reported before the first push of a replay. If any finding is a failure, the caller should send nothing.
    pub(crate) async fn preflight(self, times: Range<Nanos>) -> Vec<Finding> {
        let findings = match self {
            Self::Loki(loki) => loki::preflight(loki, times).await,
            Self::Elasticsearch(store) => elasticsearch::preflight(store, times).await,
        };
        findings.shown(|| Some(self.secrets()))
    }
}

/// The scan of one scope of a store, page by page.
pub(crate) enum StoreScan<'a> {
    Loki(loki::Pager<'a>),
    Elasticsearch(elasticsearch::Pager<'a>),
}

impl StoreScan<'_> {
    /// The next page. Makes one request; the first call may make more.
    pub(crate) async fn next(&mut self, digest: &Digest) -> ScanPage {
        match self {
            Self::Loki(pager) => pager.next(digest).await.shown(|| Some(pager.loki.secrets())),
            Self::Elasticsearch(pager) => {
                pager.next(digest).await.shown(|| Some(pager.store.secrets()))
            }
        }
    }

    /// Restarts with another time range.
    pub(crate) fn again(&mut self, range: Range<Nanos>) {
        match self {
            Self::Loki(pager) => pager.again(range),
            Self::Elasticsearch(pager) => pager.again(range),
        }
    }
}
