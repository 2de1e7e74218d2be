//! What an operator should know before Loki is relied on. Nothing is written: a push without streams is refused with
//! 422 by a Loki that would have taken one.

use super::{Loki, limits, lookup, verdict};
use crate::event::{Batch, Event, Fields, Fingerprint, Form, Passed, Span, Whole};
use crate::output::finding::Finding;
use crate::output::http::{Failure, Response, excerpt};
use crate::output::{LookUp, Pick, Verdict};

/// See the module.
pub(super) async fn check(loki: &Loki) -> Vec<Finding> {
    let mut findings = vec![push(loki).await];
    if findings.iter().all(|finding| !finding.is_failure()) {
        findings.push(read(loki).await);
        findings.extend(limits(loki).await);
    }
    findings
}

pub(super) async fn push(loki: &Loki) -> Finding {
    match loki.push(super::nothing()).await {
        Ok(Response { status: 422 | 200..=299, .. }) => Finding::ok("takes pushes"),
        Ok(response) => match verdict::judge(response.status, None, &response.body) {
            Verdict::Stop { answer, hint } => {
                Finding::fail(format!("refuses pushes: {answer}"), hint)
            }
            // Other makes say 400 to a push without streams.
            _ if response.status < 500 && response.status != 429 => Finding::ok("answers pushes"),
            _ => Finding::fail(
                format!("cannot take pushes now: {} {}", response.status, excerpt(&response.body)),
                "see Loki's own log",
            ),
        },
        Err(Failure::NotSent { answer } | Failure::Lost { answer, .. }) => Finding::fail(
            format!("cannot be reached: {answer}"),
            "check `endpoint`, `tls` and that Loki runs; the agent waits for it",
        ),
        Err(Failure::Setup { answer, hint }) => Finding::fail(answer, hint),
    }
}

/// Whether what is in doubt could be looked up.
pub(super) async fn read(loki: &Loki) -> Finding {
    let event = Event {
        offset: 0,
        whole: Whole::Yes,
        form: Form::Unreadable,
        line: Span::default(),
        // Any moment will do, but for those that Loki takes for seconds.
        time: super::now(),
        fields: Fields::default(),
        depth: 0,
    };
    let batch = Batch {
        generation: Fingerprint([0; 16]),
        earlier: Vec::new(),
        by_content: false,
        start: 0,
        end: 0,
        bytes: Vec::new(),
        events: vec![event],
        passed: Passed::default(),
    };
    match lookup::look_up(loki, &loki.scope(), &batch, &[Pick::new(0)]).await {
        LookUp::Found(_) => Finding::ok("answers queries, so that nothing is sent twice"),
        LookUp::Unavailable { answer } | LookUp::Retry { answer, .. } => Finding::warn(
            format!("does not answer queries, so delivery is at least once: {answer}"),
            "give these credentials the right to query, or accept repeats after a lost answer or a kill",
        ),
    }
}

/// Settings that would refuse or hide events, where Loki shows its configuration.
async fn limits(loki: &Loki) -> Vec<Finding> {
    let Ok(settings) = limits::settings(loki).await else { return Vec::new() };
    let mut findings = Vec::new();
    // What is older is asked of the store alone, where it stands only once its chunk is flushed.
    for (key, within) in [
        ("query_ingesters_within", &settings.querier.query_ingesters_within),
        ("query_store_max_look_back_period", &settings.ingester.query_store_max_look_back_period),
    ] {
        if within.limit().is_some() {
            findings.push(Finding::warn(
                format!("{key} is {within}: queries do not see older events before their chunk is flushed, so old ones may be repeated after a kill"),
                format!("raise `{key}` in Loki while old logs are delivered, if repeats matter there"),
            ));
        }
    }
    let size = &settings.limits_config.max_line_size;
    if size.bytes().is_some_and(|bytes| bytes > 0.0) {
        findings.push(Finding::ok(format!(
            "takes lines up to {size}; longer ones are refused and kept in the state directory"
        )));
    }
    findings
}
