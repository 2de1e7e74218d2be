//! The `check` of a Loki output. It writes nothing: it sends a push without streams, which a Loki that would accept
//! pushes refuses with 422. A server counts as Loki only if it answers in Loki's words.

use super::limits::Settings;
use super::scan::Pager;
use super::{Loki, limits, verdict};
use crate::event::Nanos;
use crate::output::finding::Finding;
use crate::output::{Digest, QueryError, Verdict, stranger};

/// Runs the check.
pub(in crate::output) async fn check(loki: &Loki) -> Vec<Finding> {
    let mut findings = reach(loki).await;
    if !findings.iter().any(Finding::is_failure)
        && let Ok(settings) = limits::settings(loki).await
    {
        findings.extend(limits(&settings, Nanos::MAX));
    }
    findings
}

/// Whether the server is Loki and would accept a push, and if so, whether it answers queries.
pub(super) async fn reach(loki: &Loki) -> Vec<Finding> {
    let mut findings = vec![push(loki).await];
    if !findings.iter().any(Finding::is_failure) {
        findings.push(read(loki).await);
    }
    findings
}

/// Whether the server is Loki and would accept a push.
async fn push(loki: &Loki) -> Finding {
    let response = match loki.push(super::nothing()).await {
        Ok(response) => response,
        Err(failure) => return failure.finding("Loki runs"),
    };
    if verdict::refuses_nothing(&response) {
        return Finding::ok("takes pushes");
    }
    let answer = stranger::shown(&response);
    match verdict::judge(&response) {
        Verdict::Retry { .. } | Verdict::Doubt { .. } => {
            Finding::fail(format!("cannot take pushes now: {answer}"), "see Loki's own log")
        }
        // Loki before 2.0 and VictoriaLogs accept a push without streams, but so may a server that accepts anything.
        _ if verdict::takes_nothing(&response) => prove(loki, answer).await,
        Verdict::Stop { answer, hint } | Verdict::Stranger { answer, hint } => {
            Finding::fail(format!("refuses pushes: {answer}"), hint)
        }
        _ => Finding::fail(
            format!("refuses pushes: {answer}"),
            stranger::way_out(&response, "Loki", super::urls::PUSH),
        ),
    }
}

/// Proves in another way that Loki receives the pushes. Either the server answers queries as Loki does, or it refuses
/// a push that cannot be decoded, in the words of Loki's push decoder.
async fn prove(loki: &Loki, answer: String) -> Finding {
    if ask_for_nothing(loki).await.is_ok() {
        return Finding::ok("takes pushes");
    }
    match loki.push(super::garbage()).await {
        Ok(response) if verdict::refuses_garbage(&response) => Finding::ok("takes pushes"),
        _ => Finding::fail(
            format!(
                "this may not be Loki: it answered an empty push with {answer}, and it answers neither a query nor a broken push as Loki does"
            ),
            "check that `endpoint` is the base URL of Loki, or of another server that accepts Loki's pushes, and not a proxy or another service",
        ),
    }
}

/// Whether events in doubt can be looked up.
async fn read(loki: &Loki) -> Finding {
    match ask_for_nothing(loki).await {
        Ok(()) => Finding::ok("answers queries, so that nothing is sent twice"),
        Err(QueryError::Unavailable { answer } | QueryError::Retry { answer, .. }) => {
            Finding::warn(
                format!("does not answer queries, so delivery is at least once: {answer}"),
                "give these credentials the right to query, or accept repeats after a lost answer or a kill",
            )
        }
    }
}

/// Asks what is stored of one moment.
async fn ask_for_nothing(loki: &Loki) -> Result<(), QueryError> {
    // Any time will do, except small numbers, which Loki reads as seconds.
    let now = super::now();
    let mut pager = Pager::new(loki, loki.scope(), now..now + 1, 0).asking_for_most();
    pager.next(&Digest::default()).await.map(|_| ())
}

/// Warns about settings that would refuse events, or hide events of this age.
pub(super) fn limits(settings: &Settings, age: Nanos) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Queries for older entries go to the store only, which has a chunk only after the flush.
    for (key, within) in [
        ("query_ingesters_within", &settings.word("querier.query_ingesters_within")),
        (
            "query_store_max_look_back_period",
            &settings.word("ingester.query_store_max_look_back_period"),
        ),
    ] {
        if within.limit().is_some_and(|most| age > most) {
            findings.push(Finding::warn(
                format!("{key} is {within}: queries do not see older events before their chunk is flushed, so old ones may be repeated after a kill"),
                format!("raise `{key}` in Loki while old logs are delivered, if repeats matter there"),
            ));
        }
    }
    let size = &settings.limit("max_line_size");
    if size.bytes().is_some_and(|bytes| bytes > 0.0) {
        findings.push(Finding::ok(format!(
            "takes lines up to {size}; longer ones are refused and become dead letters"
        )));
    }
    findings
}
