//! The store's side of a comparison: reads pages of all scopes in the order of time, one request at a time, with
//! retries and back-off.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::log::Stretch;
use crate::event::{Nanos, RetryReason};
use crate::output::{Digest, MILLI, QueryError, Queryable, StoreScan, Stored};

/// How long to retry while the store answers with errors, and while nobody accepts connections.
const PATIENCE: Duration = Duration::from_mins(5);
const ABSENCE: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Why the store cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the store cannot be asked: {0}")]
    Unavailable(String),
    #[error("the store has not answered for {waited:.0?}: {answer}")]
    Patience { waited: Duration, answer: String },
}

/// The store's events, merged over all scopes.
pub(super) struct Store<'a> {
    scopes: Vec<Scope<'a>>,
}

/// The parameters of the query.
#[derive(Clone, Copy)]
struct RemoteQuery<'a> {
    digest: &'a Digest,
    stretches: &'a [Stretch],
    patience: Duration,
}

struct Scope<'a> {
    /// `None` for a store that a test has filled.
    asked: Option<(StoreScan<'a>, RemoteQuery<'a>)>,
    /// Index of the time range that is being queried.
    stretch: usize,
    ready: VecDeque<Stored>,
    done: bool,
}

impl<'a> Store<'a> {
    pub(super) fn new(
        output: Queryable<'a>,
        digest: &'a Digest,
        stretches: &'a [Stretch],
        scopes: &[String],
        usual: usize,
    ) -> Self {
        let first = stretches.first().map_or(0..0, nanos);
        let query = RemoteQuery { digest, stretches, patience: PATIENCE };
        let scope = |name: &String| Scope {
            asked: Some((output.scan(name.clone(), first.clone(), usual), query)),
            stretch: 0,
            ready: VecDeque::new(),
            done: stretches.is_empty(),
        };
        Self { scopes: scopes.iter().map(scope).collect() }
    }

    /// The same with less patience.
    #[cfg(test)]
    fn patient(mut self, patience: Duration) -> Self {
        let asked = self.scopes.iter_mut().filter_map(|scope| scope.asked.as_mut());
        asked.for_each(|(_, query)| query.patience = patience);
        self
    }

    /// A store that holds exactly these events, in order.
    #[cfg(test)]
    pub(super) fn holding(all: Vec<Stored>) -> Store<'static> {
        let scope = Scope { asked: None, stretch: 0, ready: all.into(), done: true };
        Store { scopes: vec![scope] }
    }

    /// Time of the next event, in milliseconds.
    pub(super) async fn peek(&mut self) -> Result<Option<i64>, StoreError> {
        let mut first: Option<i64> = None;
        for scope in &mut self.scopes {
            fill(scope).await?;
            if let Some(next) = scope.ready.front() {
                first = Some(first.map_or(next.millis, |first| first.min(next.millis)));
            }
        }
        Ok(first)
    }

    /// The next event, if it is of this millisecond.
    pub(super) async fn next(&mut self, millis: i64) -> Result<Option<Stored>, StoreError> {
        for scope in &mut self.scopes {
            fill(scope).await?;
            if scope.ready.front().is_some_and(|next| next.millis <= millis) {
                return Ok(scope.ready.pop_front());
            }
        }
        Ok(None)
    }
}

fn nanos(stretch: &Stretch) -> Range<Nanos> {
    stretch.since.saturating_mul(MILLI)..stretch.until.saturating_mul(MILLI)
}

/// Fetches pages until the next event of a scope is buffered, or the scope has no more. Retries with back-off.
async fn fill(scope: &mut Scope<'_>) -> Result<(), StoreError> {
    let Some((scan, query)) = &mut scope.asked else { return Ok(()) };
    let RemoteQuery { digest, stretches, patience } = *query;
    let (mut wait, mut since) = (SHORTEST.min(patience / 4), Instant::now());
    while scope.ready.is_empty() && !scope.done {
        match scan.next(digest).await {
            Ok(Some(page)) => {
                scope.ready.extend(page);
                (wait, since) = (SHORTEST, Instant::now());
            }
            Ok(None) => {
                scope.stretch += 1;
                match stretches.get(scope.stretch) {
                    Some(stretch) => scan.again(nanos(stretch)),
                    None => scope.done = true,
                }
            }
            Err(QueryError::Unavailable { answer }) => {
                return Err(StoreError::Unavailable(answer));
            }
            Err(QueryError::Retry { after, answer, reason }) => {
                let patience =
                    if reason == RetryReason::Connect { patience.min(ABSENCE) } else { patience };
                let waited = since.elapsed();
                if waited >= patience {
                    return Err(StoreError::Patience { waited, answer });
                }
                if wait > SHORTEST {
                    tracing::warn!(answer, "the store does not answer as it should, asking again");
                }
                tokio::time::sleep(after.unwrap_or(wait).min(LONGEST)).await;
                wait = (wait * 2).min(LONGEST);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
