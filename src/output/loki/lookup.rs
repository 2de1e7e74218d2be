//! The look-up that deduplicates: which of some events Loki already stores. It reads all entries of their times
//! (`scan.rs`) and compares the results as a multiset.
//!
//! Loki hides duplicates in log queries only and counts them in metrics. So the pipeline looks up events that may be
//! stored before it sends them again. `identity.rs` says when two events are the same; lines without the fields that
//! identify an event are compared as a whole.

use std::collections::{HashMap, HashSet};

use super::Loki;
use super::question::HELD;
use super::scan::{Pager, identity};
use crate::event::{Batch, Fingerprint, Nanos};
use crate::output::scan::PAGE;
use crate::output::{Digest, EventRef, LookUp, QueryError};

/// Events further apart than this are queried separately: Loki may hold many entries between them. In nanoseconds.
const APART: Nanos = 60_000_000_000;

/// Which picks are stored in `scope`.
pub(in crate::output) async fn look_up(
    loki: &Loki,
    scope: &str,
    batch: &Batch,
    picks: &[EventRef],
) -> LookUp {
    if picks.iter().any(|pick| batch.events[pick.event as usize].line.range().len() > HELD) {
        let answer = "a single entry is larger than can be held".to_owned();
        return Err(QueryError::Unavailable { answer });
    }
    let digest = Digest::default();
    let mut stored: HashMap<Fingerprint, u32> = HashMap::new();
    for (from, to) in windows(batch, picks) {
        // The end of Loki's range is exclusive.
        let range = from..to.saturating_add(1);
        let mut pager = Pager::new(loki, scope.to_owned(), range, 0).asking_for_most();
        // A page begins with the last moment of the one before: an entry that comes twice counts once.
        let mut places = HashSet::new();
        while let Some(page) = pager.next(&digest).await? {
            for entry in page.into_iter().filter(|entry| places.insert(entry.place)) {
                *stored.entry(entry.identity).or_default() += 1;
            }
        }
    }
    let found = picks.iter().map(|pick| {
        let identity = identity(batch.record(pick.event as usize), &digest).identity;
        let left = stored.get_mut(&identity).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    });
    Ok(found.collect())
}

/// Time ranges that cover the picks, both ends included; none covers more than some megabytes of picks.
fn windows(batch: &Batch, picks: &[EventRef]) -> Vec<(Nanos, Nanos)> {
    let event = |pick: &EventRef| &batch.events[pick.event as usize];
    let mut events: Vec<_> =
        picks.iter().map(|pick| (event(pick).time, event(pick).line.range().len())).collect();
    events.sort_unstable();
    let mut windows: Vec<(Nanos, Nanos)> = Vec::new();
    let mut bytes = 0;
    for (time, length) in events {
        bytes += length;
        match windows.last_mut() {
            // Events of the same moment stay together: a query has no finer bounds.
            Some((_, to)) if time == *to || (time - *to <= APART && bytes <= PAGE) => *to = time,
            _ => {
                windows.push((time, time));
                bytes = length;
            }
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::identity::repaired;

    fn identity(line: &str) -> Fingerprint {
        static DIGEST: std::sync::LazyLock<Digest> = std::sync::LazyLock::new(Digest::default);
        let line = repaired(line.as_bytes());
        DIGEST.identity(&line, line.as_bytes())
    }

    const STAMPS: &str =
        r#""auditID":"a","stage":"Panic","requestReceivedTimestamp":"1","stageTimestamp":"2""#;

    #[test]
    fn the_remains_of_an_event_are_not_taken_for_the_event() {
        let whole = format!(r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1",{STAMPS}}}"#);
        let torn = format!(r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1",{STAMPS},"annot"#);
        assert_ne!(identity(&whole), identity(&torn));
        // An unfinished line at the end of a log is sent as one event, whatever it holds.
        crate::output::loki::scan::fuzz(format!("{torn}{whole}").as_bytes());
        assert_ne!(identity(&whole), identity(&format!("{torn}{whole}")));
    }

    #[test]
    fn an_event_is_known_by_what_the_server_wrote_of_it() {
        let (one, other) = (format!("{{{STAMPS}}}"), format!("{{{STAMPS},\"verb\":\"get\"}}"));
        assert_eq!(identity(&one), identity(&other));
        assert_ne!(identity(&one), identity(&one.replace("Panic", "ResponseComplete")));
    }
}
